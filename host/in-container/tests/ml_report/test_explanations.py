"""Explanations find what a model goes by, within the rows, columns and seconds that they may take."""

from unittest import mock

from ml_report.models import Fixed, MlCase, Predictor, context
import numpy as np
import pandas as pd
from sklearn import linear_model

from wharf_ml import evaluation
from wharf_ml.evaluation import explanations


class Rule:
    """A model that goes by two of its columns, in a way that the tests know."""

    classes_ = None
    threshold = None
    predict_proba = None

    def __init__(self, columns):
        self.feature_names = list(columns)
        self.rows = 0

    def predict(self, X):
        self.rows += len(X)
        return 3.0 * X["a"].to_numpy(dtype=float) + np.where(X["c"] == "red", 2.0, 0.0)


def table(rows=400, more=0):
    generator = np.random.default_rng(0)
    X = pd.DataFrame({"a": generator.normal(size=rows), "b": generator.integers(0, 5, rows)})
    X["c"] = generator.choice(["red", "green", "blue"], rows, p=[0.2, 0.3, 0.5])
    X["d"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 100, rows), unit="D")
    for at in range(more):
        X["x%d" % at] = 0.0
    return X


TASK = {"prediction_type": "regression", "target": "t", "metric": "mse"}


class Importances(MlCase):
    def test_known_ones(self):
        X = table()
        model = Rule(X.columns)
        found = self.json(evaluation.explain(model, X, model.predict(X), TASK, context()))
        means = {entry["feature"]: entry["mean"] for entry in found["importances"]}
        # Two independent draws of a column differ by twice its variance in the mean.
        self.assertAlmostEqual(means["a"], 2 * 9 * X["a"].var(), delta=3)
        self.assertAlmostEqual(means["c"], 2 * 4 * 0.2 * 0.8, delta=0.4)
        self.assertEqual((means["b"], means["d"]), (0.0, 0.0))
        self.assertEqual([entry["feature"] for entry in found["importances"]][:2], ["a", "c"])
        again = evaluation.explain(model, X, model.predict(X), TASK, context())
        self.assertEqual(self.json(again), found)

    def test_rows_are_not_changed(self):
        X = table(50)
        before = X.copy(deep=True)
        evaluation.explain(Rule(X.columns), X, X["a"], TASK, context())
        pd.testing.assert_frame_equal(X, before)

    def test_bounds(self):
        X = table(12_000, more=300)
        model = Rule(X.columns)
        with mock.patch.object(explanations, "REPEATS", 1), mock.patch.object(explanations, "ROWS", 1_000):
            found = self.json(evaluation.explain(model, X, model.predict(X), TASK, context()))
        self.assertEqual(found["rows"], 1_000)
        self.assertEqual(found["notes"][0], "Computed on 1000 of 12000 rows, chosen at random.")
        self.assertEqual(found["notes"][1], "Importances are of 200 of 304 columns.")
        self.assertEqual(len(found["importances"]), 200)
        self.assertIn("a", [entry["feature"] for entry in found["importances"]])

    def test_time(self):
        X = table(100)
        with mock.patch.object(explanations, "SECONDS", 0):
            found = self.json(evaluation.explain(Rule(X.columns), X, X["a"], TASK, context()))
        self.assertIn("had been permuted less than 5 times", found["notes"][0])
        self.assertEqual(found["importances"], [])

    def test_odd_rows(self):
        X = table(30)
        model = Rule(X.columns)
        self.assertEqual(evaluation.explain(model, X[:0], X["a"][:0], TASK, context())["why_not"], "there are no rows")
        found = self.json(evaluation.explain(model, X[:1], X["a"][:1], dict(TASK, metric="r2"), context()))
        self.assertIn("R² has no value for these rows", found["notes"][0])
        self.assertEqual(found["metric"], "mse")
        # One class only: the area under its curve is nothing that could get worse.
        X = pd.DataFrame({"x": np.arange(30.0)})
        estimator = linear_model.LogisticRegression().fit(X, X["x"] > 10)
        task = {"prediction_type": "binary", "metric": "roc_auc"}
        found = self.json(evaluation.explain(Predictor(estimator, X.columns), X, [True] * 30, task, context()))
        self.assertEqual(found["metric"], "accuracy")


class PartialDependence(MlCase):
    def test_known_one(self):
        X = table()
        model = Rule(X.columns)
        found = self.json(evaluation.explain(model, X, model.predict(X), TASK, context()))["partial_dependence"]
        by_name = {entry["feature"]: entry for entry in found}
        a, c = by_name["a"], by_name["c"]
        reds = 2.0 * (X["c"] == "red").mean()
        np.testing.assert_allclose(a["means"][0], 3.0 * np.array(a["values"]) + reds)
        self.assertEqual(c["values"], ["blue", "green", "red"])
        self.assertAlmostEqual(c["means"][0][2] - c["means"][0][0], 2.0)
        self.assertEqual(by_name["b"]["values"], [0, 1, 2, 3, 4])
        self.assertTrue(by_name["d"]["values"][0].startswith("2024-01-0"))

    def test_probabilities_and_answers(self):
        X = pd.DataFrame({"x": np.arange(60.0)})
        y = np.array(["low", "middle", "top"])[(X["x"] // 20).astype(int)]
        model = Predictor(linear_model.LogisticRegression(max_iter=500).fit(X, y), X.columns)
        found = self.json(evaluation.explain(model, X, y, {"prediction_type": "multiclass"}, context()))
        entry = found["partial_dependence"][0]
        self.assertEqual(entry["outputs"], ["low", "middle", "top"])
        np.testing.assert_allclose(np.sum(entry["means"], axis=0), 1.0)
        model.predict_proba = lambda X: None
        entry = self.json(evaluation.explain(model, X, y, {"prediction_type": "multiclass"}, context()))[
            "partial_dependence"
        ][0]
        self.assertEqual({value for column in entry["means"] for value in column}, {0.0, 1.0})

    def test_columns_without_a_curve(self):
        X = table(40)
        X["empty"], X["id"] = np.nan, ["id %d" % at for at in range(40)]
        X["essay"] = ["word " * 30 + str(at) for at in range(40)]
        model = Rule(X.columns)
        found = self.json(evaluation.explain(model, X, model.predict(X), TASK, context()))["partial_dependence"]
        reasons = {entry["feature"]: entry.get("why_not") for entry in found}
        self.assertEqual(reasons["empty"], "the column has no values in these rows")
        self.assertEqual(reasons["id"], "nearly every row has a value of its own")
        self.assertEqual(reasons["essay"], "the column is text")


class Clustering(MlCase):
    def test_stability(self):
        X = pd.DataFrame({"said": np.repeat([0, 1], 30), "other": np.arange(60)})
        model = Fixed(None)
        model.feature_names = ["said", "other"]
        found = self.json(evaluation.explain(model, X, None, {"prediction_type": "clustering"}, context()))
        means = {entry["feature"]: entry["mean"] for entry in found["importances"]}
        self.assertAlmostEqual(means["said"], 0.5, delta=0.15)
        self.assertEqual(means["other"], 0.0)
