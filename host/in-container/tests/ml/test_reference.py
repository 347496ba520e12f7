"""Scores are those of plain scikit-learn scripts with the same seed and parameters, to the last digit."""

import os
import unittest

from ml.ml_case import MlCase, numpy, pandas

if numpy is not None:
    import sklearn.datasets
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn import metrics
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder


def load(name):
    """One of scikit-learn's own tables, with the target as a column."""
    found = getattr(sklearn.datasets, "load_" + name)(as_frame=True)
    return found.frame.rename(columns=lambda c: c.replace(" ", "_")).rename(columns={"target": "y"})


def plain(model):
    """What a plain script puts in front of an estimator for columns of numbers."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


class Reference(MlCase):
    def values(self, split="test"):
        return {name: entry["value"] for name, entry in self.saved("metrics.json")[split]["metrics"].items()}

    def same(self, wanted):
        got = self.values()
        self.assertEqual(
            {name: repr(got[name]) for name in wanted}, {name: repr(float(wanted[name])) for name in wanted}
        )

    def data(self, name, dtype=None):
        frame = load(name)
        if dtype:
            frame["y"] = frame["y"].astype(dtype)
        self.frame(name, frame)
        self.train_setup()
        return frame.drop(columns="y"), frame["y"]

    def test_wine_random_forest(self):
        X, y = self.data("wine")
        grid = {"n_estimators": [5, 20], "max_depth": [2, None]}
        self.task(
            "train",
            {
                "prediction_type": "multiclass", "target": "y", "seed": 7, "metric": "accuracy", "explanations": False,
                "algorithms": [{"name": "random_forest", "parameters": grid}],
            },
        )  # fmt: skip
        train_X, test_X, train_y, test_y = train_test_split(X, y, train_size=0.8, random_state=7, stratify=y)
        folds = StratifiedKFold(3, shuffle=True, random_state=7)
        search = GridSearchCV(
            plain(RandomForestClassifier(random_state=7)),
            {"randomforestclassifier__" + key: values for key, values in grid.items()},
            cv=folds,
            scoring="accuracy",
        ).fit(train_X, train_y)
        models = self.saved("models.json")
        self.assertEqual(repr(models[0]["score"]), repr(float(search.best_score_)))
        self.assertEqual(
            {"randomforestclassifier__" + key: value for key, value in models[0]["parameters"].items()},
            search.best_params_,
        )
        got = sorted((m["parameters"]["n_estimators"], str(m["parameters"]["max_depth"]), m["score"]) for m in models)
        scores = zip(search.cv_results_["params"], search.cv_results_["mean_test_score"])
        wanted = sorted(
            (p["randomforestclassifier__n_estimators"], str(p["randomforestclassifier__max_depth"]), float(s))
            for p, s in scores
        )
        self.assertEqual(got, wanted)
        predicted, proba = search.predict(test_X), search.predict_proba(test_X)
        self.same(
            {
                "accuracy": metrics.accuracy_score(test_y, predicted),
                "f1_macro": metrics.f1_score(test_y, predicted, average="macro"),
                "log_loss": metrics.log_loss(test_y, proba),
                "roc_auc_macro": metrics.roc_auc_score(test_y, proba, multi_class="ovr", average="macro"),
            }
        )

    def test_breast_cancer_logistic(self):
        X, y = self.data("breast_cancer", bool)
        self.task(
            "train",
            {
                "prediction_type": "binary", "target": "y", "seed": 3, "threshold": "none", "class_weights": "balanced",
                "algorithms": [{"name": "logistic", "parameters": {"C": [0.1, 1.0], "max_iter": 500}}],
            },
        )  # fmt: skip
        train_X, test_X, train_y, test_y = train_test_split(X, y, train_size=0.8, random_state=3, stratify=y)
        search = GridSearchCV(
            plain(LogisticRegression(random_state=3, max_iter=500, class_weight="balanced")),
            {"logisticregression__C": [0.1, 1.0]},
            cv=StratifiedKFold(3, shuffle=True, random_state=3),
            scoring="roc_auc",
        ).fit(train_X, train_y)
        self.assertEqual(self.saved("models.json")[0]["parameters"]["C"], search.best_params_["logisticregression__C"])
        self.assertEqual(repr(self.saved("models.json")[0]["score"]), repr(float(search.best_score_)))
        predicted, proba = search.predict(test_X), search.predict_proba(test_X)[:, 1]
        self.same(
            {
                "accuracy": metrics.accuracy_score(test_y, predicted),
                "roc_auc": metrics.roc_auc_score(test_y, proba),
                "log_loss": metrics.log_loss(test_y, proba),
                "brier": metrics.brier_score_loss(test_y, proba),
                "f1": metrics.f1_score(test_y, predicted),
            }
        )

    def test_digits_k_fold(self):
        X, y = self.data("digits")
        X, y = X.iloc[:600], y.iloc[:600]
        self.task(
            "train",
            {
                "prediction_type": "multiclass", "target": "y", "seed": 1, "sampling": {"method": "head", "rows": 600},
                "split": {"method": "k-fold", "folds": 4}, "explanations": False,
                "algorithms": [{"name": "knn", "parameters": {"n_neighbors": 3}}],
            },
        )  # fmt: skip
        from sklearn.model_selection import cross_val_predict
        from sklearn.neighbors import KNeighborsClassifier

        folds = StratifiedKFold(4, shuffle=True, random_state=1)
        predicted = cross_val_predict(plain(KNeighborsClassifier(3, algorithm="brute")), X, y, cv=folds)
        self.same({"accuracy": metrics.accuracy_score(y, predicted), "mcc": metrics.matthews_corrcoef(y, predicted)})

    def test_diabetes_ridge_random_search(self):
        X, y = self.data("diabetes")
        from scipy.stats import loguniform
        from sklearn.model_selection import RandomizedSearchCV

        self.task(
            "train",
            {
                "prediction_type": "regression", "target": "y", "seed": 5, "metric": "r2",
                "search": {"method": "random", "candidates": 4, "validation": {"method": "k-fold", "folds": 4}},
                "algorithms": [{"name": "ridge", "parameters": {"alpha": {"low": 0.01, "high": 100, "scale": "log"}}}],
            },
        )  # fmt: skip
        train_X, test_X, train_y, test_y = train_test_split(X, y, train_size=0.8, random_state=5)
        search = RandomizedSearchCV(
            plain(Ridge(random_state=5)),
            {"ridge__alpha": loguniform(0.01, 100)},
            n_iter=4,
            random_state=5,
            cv=KFold(4, shuffle=True, random_state=5),
            scoring="r2",
        ).fit(train_X, train_y)
        self.assertEqual(self.saved("models.json")[0]["parameters"]["alpha"], search.best_params_["ridge__alpha"])
        predicted = search.predict(test_X)
        self.same(
            {
                "r2": metrics.r2_score(test_y, predicted),
                "rmse": metrics.root_mean_squared_error(test_y, predicted),
                "mae": metrics.mean_absolute_error(test_y, predicted),
            }
        )

    def test_flights(self):
        """Mixed columns: of the flights from New York where `WHARF_TEST_FLIGHTS` names their CSV file, else of some rows like them."""
        X, y = flights()
        self.frame("flights", X.assign(late=y), {"day": "int"})
        self.train_setup()
        grid = {"max_iter": [20, 40]}
        _, result = self.start(
            "train",
            {
                "prediction_type": "binary", "target": "late", "seed": 11, "threshold": "none", "explanations": False,
                "features": {"dest": {"type": "category", "encode": "target"}},
                "algorithms": [{"name": "hist_gradient_boosting", "parameters": grid}],
            },
        )  # fmt: skip
        found = result(limit=3000)
        self.assertEqual(found.code, 0, found.out + found.err)
        numbers = [name for name in X.columns if X[name].dtype.kind in "if"]
        columns = ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers),
                (
                    "categories",
                    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=100, sparse_output=False),
                    ["carrier", "origin"],
                ),
                ("dest", TargetEncoder(target_type="binary", random_state=11), ["dest"]),
            ]
        )
        train_X, test_X, train_y, test_y = train_test_split(X, y, train_size=0.8, random_state=11, stratify=y)
        search = GridSearchCV(
            make_pipeline(columns, HistGradientBoostingClassifier(random_state=11)),
            {"histgradientboostingclassifier__max_iter": grid["max_iter"]},
            cv=StratifiedKFold(3, shuffle=True, random_state=11),
            scoring="roc_auc",
        ).fit(train_X, train_y)
        self.assertEqual(repr(self.saved("models.json")[0]["score"]), repr(float(search.best_score_)))
        proba = search.predict_proba(test_X)[:, 1]
        self.same(
            {
                "accuracy": metrics.accuracy_score(test_y, search.predict(test_X)),
                "roc_auc": metrics.roc_auc_score(test_y, proba),
                "log_loss": metrics.log_loss(test_y, proba),
            }
        )


def flights():
    """What is known of flights when they leave, and whether they came late."""
    path = os.environ.get("WHARF_TEST_FLIGHTS")
    if path:
        every = pandas.read_csv(path).dropna(subset=["arr_delay"]).reset_index(drop=True)
        known = ["month", "day", "dep_delay", "carrier", "origin", "dest", "distance", "hour"]
        return every[known], every["arr_delay"] > 15
    random = numpy.random.default_rng(5)
    rows = 1500
    X = pandas.DataFrame(
        {
            "month": random.integers(1, 13, rows),
            "day": random.integers(1, 29, rows),
            "dep_delay": numpy.where(random.random(rows) < 0.02, numpy.nan, random.exponential(12, rows).round()),
            "carrier": random.choice(["UA", "B6", "EV", "DL"], rows),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "dest": random.choice(["D%02d" % n for n in range(40)], rows),
            "distance": random.integers(80, 4983, rows),
        }
    )
    late = X["dep_delay"].fillna(0) + random.normal(0, 12, rows) > 15
    return X, late


if __name__ == "__main__":
    unittest.main()
