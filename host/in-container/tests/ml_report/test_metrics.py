"""Metrics are scikit-learn's own, to the last digit; replicas compute the same in another way."""

import math

from ml_report.models import Fixed, MlCase, Predictor, VERSION, answers, context, fitted, logistic
import numpy as np
import pandas as pd
from sklearn import datasets, linear_model, metrics as sk, svm

from wharf_ml import evaluation
from wharf_ml.evaluation import metrics, outcomes, replicas


class Values(MlCase):
    def evaluated(self, predictor, X, y, task, weight=None):
        found = self.json(evaluation.evaluate(predictor, "test", X, y, weight, task, context()))
        self.assertIsNone(found["why_not"])
        return {name: entry["value"] for name, entry in found["metrics"].items()}

    def same(self, got, want):
        self.assertEqual({name: got[name] for name in want}, {name: float(value) for name, value in want.items()})

    def test_binary(self):
        predictor, _, X, _, y, task = fitted(datasets.load_breast_cancer, logistic(), prediction_type="binary")
        for weight in (None, np.random.default_rng(1).uniform(0.1, 3, len(X))):
            with self.subTest(weighted=weight is not None):
                said, proba = predictor.predict(X), predictor.predict_proba(X)[:, 1]
                own = {"sample_weight": weight}
                want = {
                    "accuracy": sk.accuracy_score(y, said, **own),
                    "balanced_accuracy": sk.balanced_accuracy_score(y, said, **own),
                    "precision": sk.precision_score(y, said, **own),
                    "recall": sk.recall_score(y, said, **own),
                    "f1": sk.f1_score(y, said, **own),
                    "roc_auc": sk.roc_auc_score(y, proba, **own),
                    "average_precision": sk.average_precision_score(y, proba, **own),
                    "log_loss": sk.log_loss(y, predictor.predict_proba(X), **own),
                    "brier": sk.brier_score_loss(y, proba, **own),
                    "mcc": sk.matthews_corrcoef(y, said, **own),
                }
                got = self.evaluated(predictor, X, y, task, weight)
                self.same(got, want)
                self.assertAlmostEqual(got["cost"], 1 - got["accuracy"], 12)

    def test_binary_with_names_and_without_probabilities(self):
        X, y = datasets.load_breast_cancer(as_frame=True, return_X_y=True)
        y = y.map({0: "malignant", 1: "benign"})
        predictor = Predictor(svm.LinearSVC(max_iter=50).fit(X, y), X.columns)
        self.assertEqual(list(predictor.classes_), ["benign", "malignant"])
        got = self.evaluated(predictor, X, y, {"prediction_type": "binary"})
        score = predictor.decision_function(X)
        want = {
            "f1": sk.f1_score(y, predictor.predict(X), pos_label="malignant"),
            "roc_auc": sk.roc_auc_score(y == "malignant", score),
            "average_precision": sk.average_precision_score(y == "malignant", score),
        }
        self.same(got, want)
        self.assertIsNone(got["log_loss"])

    def test_multiclass(self):
        predictor, _, X, _, y, task = fitted(datasets.load_wine, logistic(), prediction_type="multiclass")
        for weight in (None, np.random.default_rng(1).uniform(0.1, 3, len(X))):
            with self.subTest(weighted=weight is not None):
                said, proba, own = predictor.predict(X), predictor.predict_proba(X), {"sample_weight": weight}
                want = {
                    "accuracy": sk.accuracy_score(y, said, **own),
                    "balanced_accuracy": sk.balanced_accuracy_score(y, said, **own),
                    "log_loss": sk.log_loss(y, proba, **own),
                    "mcc": sk.matthews_corrcoef(y, said, **own),
                    "average_precision_macro": sk.average_precision_score(y, proba, average="macro", **own),
                }
                for average in ("macro", "weighted"):
                    for name in ("precision", "recall", "f1"):
                        want["%s_%s" % (name, average)] = getattr(sk, name + "_score")(y, said, average=average, **own)
                    want["roc_auc_" + average] = sk.roc_auc_score(y, proba, multi_class="ovr", average=average, **own)
                if VERSION < (1, 3):
                    # Older ones take no table of probabilities here.
                    del want["average_precision_macro"]
                self.same(self.evaluated(predictor, X, y, task, weight), want)

    def test_regression(self):
        predictor, _, X, _, y, task = fitted(datasets.load_diabetes, linear_model.Ridge(), prediction_type="regression")
        for weight in (None, np.random.default_rng(1).uniform(0.1, 3, len(X))):
            with self.subTest(weighted=weight is not None):
                said, own = predictor.predict(X), {"sample_weight": weight}
                want = {
                    "r2": sk.r2_score(y, said, **own),
                    "mse": sk.mean_squared_error(y, said, **own),
                    "mae": sk.mean_absolute_error(y, said, **own),
                    "mape": sk.mean_absolute_percentage_error(y, said, **own),
                    "explained_variance": sk.explained_variance_score(y, said, **own),
                }
                if VERSION >= (1, 4):
                    want["rmse"] = sk.root_mean_squared_error(y, said, **own)
                    want["rmsle"] = sk.root_mean_squared_log_error(y, said, **own)
                self.same(self.evaluated(predictor, X, y, task, weight), want)

    def test_lift_by_hand(self):
        # Of ten rows five are positive; the surest one of them is: 1 / 5 of them in 1 / 10 of the rows.
        X = pd.DataFrame({"p1": np.arange(10) / 10.0})
        X["p0"], X["said"] = 1 - X["p1"], 1
        y = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
        got = self.evaluated(Fixed([0, 1]), X, y, {"prediction_type": "binary"})
        self.assertAlmostEqual(got["lift"], 2.0)
        # With one score for all rows nothing is surer than anything else, in whatever order rows come.
        got = self.evaluated(Fixed([0, 1]), X.assign(p1=0.5, p0=0.5), y, {"prediction_type": "binary"})
        self.assertAlmostEqual(got["lift"], 1.0)

    def test_costs(self):
        X = pd.DataFrame({"said": [1, 1, 0, 0], "p0": 0.5, "p1": 0.5})
        task = {
            "prediction_type": "binary",
            "cost_matrix": {"false_positive": 2, "false_negative": 10, "true_positive": -1},
        }
        self.assertEqual(self.evaluated(Fixed([0, 1]), X, [1, 0, 1, 0], task)["cost"], (-1 + 2 + 10 + 0) / 4)
        X, y = answers(["a", "b", "c"], 50)
        task = {"prediction_type": "multiclass", "cost_matrix": [[0, 1, 1], [1, 0, 1], [5, 5, 0]]}
        wrong = (y != X["said"]) * np.where(y == "c", 5, 1)
        self.assertAlmostEqual(self.evaluated(Fixed(["a", "b", "c"]), X, y, task)["cost"], wrong.mean(), 12)
        with self.assertRaisesRegex(ValueError, "a row and a column for each of the 3 classes"):
            self.evaluated(Fixed(["a", "b", "c"]), X, y, dict(task, cost_matrix=[[0, 1], [1]] * 2))


class Scorers(MlCase):
    def test_equal_the_evaluation(self):
        X, y = answers([0, 1], 80)
        found = evaluation.evaluate(Fixed([0, 1]), "test", X, y, None, {"prediction_type": "binary"}, context())
        for name in evaluation.METRICS["binary"]:
            metric = evaluation.metric(name, {"prediction_type": "binary"})
            value = metric.score(Fixed([0, 1]), X, y)
            self.assertEqual(value, found["metrics"][name]["value"], name)
            self.assertEqual(metric.greater_is_better, name not in ("log_loss", "brier", "cost"))

    def test_names(self):
        with self.assertRaisesRegex(ValueError, "there is no metric 'r2' for binary: use one of accuracy"):
            evaluation.metric("r2", {"prediction_type": "binary"})
        with self.assertRaisesRegex(ValueError, "prediction_type is None"):
            evaluation.metric("r2", {})
        self.assertEqual(evaluation.metric("f1", {"prediction_type": "multiclass"}).name, "f1_macro")
        for kind, names in evaluation.METRICS.items():
            for name in names:
                self.assertTrue(evaluation.metric(name, {"prediction_type": kind}).label)

    def test_undefined_is_nan(self):
        X, _ = answers([0, 1], 20)
        metric = evaluation.metric("roc_auc", {"prediction_type": "binary"})
        self.assertTrue(math.isnan(metric.score(Fixed([0, 1]), X, [1] * 20)))


class Replicas(MlCase):
    def test_equal_the_metrics(self):
        """With weights of 1 each replica's function is the metric; with others, the metric of these weights."""
        generator = np.random.default_rng(3)
        kinds = {"binary": ["n", "p"], "multiclass": ["a", "b", "c", "d"]}
        made = {}
        for kind, classes in kinds.items():
            X, y = answers(classes, 150)
            made[kind] = lambda weight, X=X, y=y, kind=kind: outcomes.of(
                Fixed(kinds[kind]), X, y, weight, {"prediction_type": kind}
            )
        numbers = pd.DataFrame({"said": generator.uniform(1, 9, 150)})
        truth = numbers["said"].to_numpy() + generator.normal(0, 1, 150) + 3
        made["regression"] = lambda weight: outcomes.of(
            Fixed(None), numbers, truth, weight, {"prediction_type": "regression"}
        )
        for kind, make in made.items():
            for drawn in (np.ones(150), generator.integers(0, 3, 150).astype(float)):
                for own in (None, generator.uniform(0.5, 2, 150)):
                    bench = replicas.Replicas(make(own))
                    bench.block(np.stack([drawn, np.ones(150)]))
                    want = make(drawn if own is None else drawn * own)
                    for metric in metrics.metrics_of(kind):
                        with self.subTest(metric=metric.name, kind=kind):
                            self.assertAlmostEqual(bench.values(metric.name)[0], metric.value(want), 9)

    def test_every_metric_has_one(self):
        bench = replicas.Replicas(None)
        for kind in ("binary", "multiclass", "regression"):
            for metric in metrics.metrics_of(kind):
                self.assertTrue(hasattr(bench, "_" + metric.name), metric.name)


class Thresholds(MlCase):
    def test_best_of_all(self):
        """No threshold gives a better value than the chosen one."""
        X, y = answers([0, 1], 60, skill=0.7)
        proba, y = X["p1"].to_numpy(), y.astype(int)
        functions = {
            "f1": sk.f1_score, "accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score,
            "mcc": sk.matthews_corrcoef, "roc_auc": sk.f1_score, None: sk.f1_score,
        }  # fmt: skip
        for name, function in functions.items():
            task = {"prediction_type": "binary", "metric": name}
            found = evaluation.choose_threshold(task, y, X[["p0", "p1"]].to_numpy())
            self.assertIsInstance(found, float)
            best = max(function(y, (proba >= at).astype(int)) for at in np.append(np.unique(proba), 2.0))
            self.assertAlmostEqual(function(y, (proba >= found).astype(int)), best, 12, name)

    def test_cost(self):
        X, y = answers([0, 1], 300, skill=0.7)
        task = {
            "prediction_type": "binary",
            "metric": "cost",
            "cost_matrix": {"false_negative": 20, "false_positive": 1},
        }
        low = evaluation.choose_threshold(task, y, X["p1"])
        high = evaluation.choose_threshold(dict(task, cost_matrix={"false_positive": 20}), y, X["p1"])
        self.assertLess(low, 0.3)
        self.assertGreater(high, 0.7)

    def test_nothing_to_choose_by(self):
        task = {"prediction_type": "binary", "metric": "f1"}
        self.assertEqual(evaluation.choose_threshold(task, [], []), 0.5)
        self.assertEqual(evaluation.choose_threshold(task, ["a", "a"], [0.1, 0.9]), 0.5)
        found = evaluation.choose_threshold(task, ["a", "b", None], [[0.8, 0.2], [0.4, 0.6], [0.5, np.nan]])
        self.assertTrue(0.2 < found <= 0.6)
        # Neighbouring numbers have none between them.
        near = np.nextafter(0.3, 1)
        found = evaluation.choose_threshold(task, ["a", "b"], [0.3, near])
        self.assertEqual(found, near)
