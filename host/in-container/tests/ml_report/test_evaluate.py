"""Evaluations of rows that are odd in every way: a sentence instead of a crash, and never a number that isn't one."""

import time

from ml_report.models import Fixed, MlCase, answers, context, fitted, logistic
import numpy as np
import pandas as pd
from sklearn import datasets, metrics as sk

from wharf_ml import evaluation


class Curves(MlCase):
    def setUp(self):
        self.predictor, _, self.X, _, self.y, self.task = fitted(
            datasets.load_breast_cancer, logistic(), prediction_type="binary"
        )
        found = evaluation.evaluate(self.predictor, "test", self.X, self.y, None, self.task, context())
        self.found = self.json(found)
        self.curves = self.found["curves"]
        self.score = self.predictor.predict_proba(self.X)[:, 1]

    def test_roc_has_its_area(self):
        roc = self.curves["roc"]
        area = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
        self.assertAlmostEqual(
            area(roc["true_positive_rate"], roc["false_positive_rate"]), sk.roc_auc_score(self.y, self.score), 12
        )
        self.assertIsNone(roc["threshold"][0])

    def test_thinned(self):
        X, y = answers([0, 1], 30_000, skill=0.3)
        X["p1"] = np.clip(X["p1"] + np.random.default_rng(0).uniform(-1e-3, 1e-3, len(X)), 0, 1)
        X["p0"] = 1 - X["p1"]
        found = self.json(evaluation.evaluate(Fixed([0, 1]), "t", X, y, None, {"prediction_type": "binary"}, context()))
        for name, column in (("roc", "true_positive_rate"), ("pr", "recall"), ("lift", "gain"), ("thresholds", "f1")):
            self.assertLessEqual(len(found["curves"][name][column]), 200)
            self.assertGreater(len(found["curves"][name][column]), 90)
        roc = found["curves"]["roc"]
        area = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
        thinned = area(roc["true_positive_rate"], roc["false_positive_rate"])
        self.assertAlmostEqual(thinned, found["metrics"]["roc_auc"]["value"], 3)

    def test_calibration(self):
        found = self.curves["calibration"]
        self.assertEqual(sum(found["rows"]), len(self.y))
        inside = (self.score >= 0.9) & (self.score <= 1)
        self.assertAlmostEqual(found["observed"][-1], self.y[inside].mean())
        self.assertAlmostEqual(found["predicted"][-1], self.score[inside].mean())

    def test_thresholds_are_the_metrics(self):
        found = self.curves["thresholds"]
        at = found["threshold"].index(0.3)
        said = (self.score >= 0.3).astype(int)
        self.assertAlmostEqual(found["f1"][at], sk.f1_score(self.y, said), 12)
        self.assertAlmostEqual(found["recall"][at], sk.recall_score(self.y, said), 12)
        self.assertEqual(found["chosen"], 0.5)

    def test_confusion(self):
        want = sk.confusion_matrix(self.y, self.predictor.predict(self.X))
        self.assertEqual(self.found["confusion"]["matrix"], want.tolist())
        self.assertEqual(self.found["confusion"]["labels"], [0, 1])


class Odd(MlCase):
    def evaluate(self, classes, X, y, kind, weight=None, proba=True, **task):
        found = evaluation.evaluate(
            Fixed(classes, proba), "test", X, y, weight, dict(task, prediction_type=kind), context()
        )
        return self.json(found)

    def test_no_rows(self):
        for kind, classes in (("binary", [0, 1]), ("multiclass", [0, 1, 2]), ("regression", None)):
            X, y = answers(classes or [0], 4)
            self.assertEqual(self.evaluate(classes, X[:0], y[:0], kind)["why_not"], "the split test has no rows")
            found = self.evaluate(classes, X, [None] * 4, kind)
            self.assertEqual(found["why_not"], "the split test has no rows with a target")
            self.assertEqual(found["rows_without_target"], 4)
            found = self.evaluate(classes, X, y, kind, weight=[0] * 4)
            self.assertEqual(found["why_not"], "all rows of the split test have a weight of 0")

    def test_one_row(self):
        X, y = answers([0, 1], 1)
        self.assertEqual(self.evaluate([0, 1], X, y, "binary")["rows"], 1)
        found = self.evaluate(None, pd.DataFrame({"said": [1.0]}), [2.0], "regression")
        self.assertEqual(found["metrics"]["r2"]["why_not"], "it needs at least two rows")
        self.assertEqual(found["metrics"]["mae"]["value"], 1.0)

    def test_one_class(self):
        X, _ = answers([0, 1], 40)
        found = self.evaluate([0, 1], X, [1] * 40, "binary")
        self.assertEqual(found["metrics"]["roc_auc"]["why_not"], "the rows have a single class")
        self.assertEqual(found["curves"]["roc"]["why_not"], "the rows have a single class")
        self.assertIn("All rows are of the class 1.", found["notes"])
        self.assertIsNotNone(found["metrics"]["log_loss"]["value"])
        # And no row at all of the positive one.
        self.evaluate([0, 1], X, [0] * 40, "binary")

    def test_constant_prediction(self):
        X, y = answers([0, 1], 40)
        found = self.evaluate([0, 1], X.assign(said=0, p0=1.0, p1=0.0), y, "binary")
        self.assertIn("The model predicts the same class for every row.", found["notes"])
        self.assertEqual(found["metrics"]["precision"]["value"], 0.0)
        self.assertEqual(found["metrics"]["roc_auc"]["value"], 0.5)
        found = self.evaluate(None, pd.DataFrame({"said": [3.0] * 20}), np.arange(20.0), "regression")
        self.assertIn("The model predicts the same value for every row.", found["notes"])
        found = self.evaluate(None, pd.DataFrame({"said": [3.0] * 20}), [3.0] * 20, "regression")
        self.assertEqual(found["metrics"]["mse"]["value"], 0.0)

    def test_a_model_of_one_class(self):
        X = pd.DataFrame({"said": ["a"] * 20, "p0": 1.0})
        found = self.evaluate(["a"], X, ["a"] * 15 + ["b"] * 5, "binary")
        self.assertEqual(found["metrics"]["accuracy"]["value"], 0.75)
        self.assertIsNone(found["positive_class"])
        self.assertEqual(found["curves"]["roc"]["why_not"], "the model knows a single class")

    def test_unknown_classes(self):
        X, y = answers(["a", "b"], 60)
        y[:6] = "new"
        found = self.evaluate(["a", "b"], X, y, "binary")
        self.assertEqual(found["metrics"]["accuracy"]["value"], sk.accuracy_score(y, X["said"]))
        known = slice(6, None)
        self.assertEqual(found["metrics"]["roc_auc"]["value"], sk.roc_auc_score(y[known] == "b", X["p1"][known]))
        want = sk.recall_score(y, X["said"], labels=["b"], average="macro")
        self.assertEqual(found["metrics"]["recall"]["value"], want)
        self.assertIn("6 rows have classes that the model doesn't know (new)", found["notes"][0])
        self.assertEqual(found["confusion"]["labels"], ["a", "b", "new"])
        X, y = answers(["a", "b", "c"], 60)
        y[:6] = "new"
        self.evaluate(["a", "b", "c"], X, y, "multiclass")

    def test_a_hundred_classes(self):
        classes = ["class %d" % at for at in range(130)]
        X, y = answers(classes, 1500, skill=4)
        began = time.process_time()
        found = self.evaluate(classes, X, y, "multiclass")
        self.assertLess(time.process_time() - began, 20)
        self.assertEqual(len(found["confusion"]["labels"]), 100)
        self.assertEqual(found["confusion"]["labels"][-1], "(other)")
        self.assertEqual(np.sum(found["confusion"]["matrix"]), 1500)
        self.assertIsNotNone(found["metrics"]["f1_macro"]["low"])

    def test_missing_classes_in_the_split(self):
        X, y = answers(["a", "b", "c"], 60)
        found = self.evaluate(["a", "b", "c"], X[y != "c"], y[y != "c"], "multiclass")
        self.assertEqual(found["metrics"]["roc_auc_macro"]["why_not"], "the rows have 2 of the 3 classes")

    def test_numbers_that_are_none(self):
        X = pd.DataFrame({"said": [1.0, np.inf] + [2.0] * 20})
        found = self.evaluate(None, X, np.arange(22.0), "regression")
        self.assertEqual(found["residuals"]["not_finite"], 1)
        self.assertIn("scikit-learn refuses these rows", found["metrics"]["r2"]["why_not"])
        X = pd.DataFrame({"said": np.linspace(-1, 5, 30)})
        found = self.evaluate(None, X, np.linspace(0, 6, 30), "regression")
        self.assertIn("below 0", found["metrics"]["rmsle"]["why_not"])

    def test_wrong_arguments(self):
        X, y = answers([0, 1], 5)
        with self.assertRaisesRegex(ValueError, "4 targets for 5 rows"):
            self.evaluate([0, 1], X, y[:4], "binary")
        with self.assertRaisesRegex(ValueError, "one finite number of at least 0 for each of the 5 rows"):
            self.evaluate([0, 1], X, y, "binary", weight=[1, 1, 1, 1, -1])
        with self.assertRaisesRegex(ValueError, "predicted 'x', which isn't among its classes"):
            self.evaluate([0, 1], X.assign(said="x"), y, "binary")


class Clusters(MlCase):
    def test_equal_to_scikit_learn(self):
        from sklearn.cluster import KMeans

        X = datasets.load_iris(as_frame=True).data
        model = KMeans(3, n_init=2, random_state=0).fit(X)
        found = self.json(
            evaluation.cluster(model, X.to_numpy(), model.labels_, {"prediction_type": "clustering"}, context())
        )
        self.assertEqual(found["metrics"]["silhouette"]["value"], sk.silhouette_score(X, model.labels_))
        self.assertAlmostEqual(found["metrics"]["inertia"]["value"], model.inertia_, 6)
        self.assertEqual(sum(entry["rows"] for entry in found["clusters"]), 150)
        self.assertEqual(len(found["map"]["x"]), 150)

    def test_odd_clusters(self):
        from scipy import sparse

        task = {"prediction_type": "clustering"}
        one = self.json(evaluation.cluster(None, np.ones((20, 2)), np.zeros(20, dtype=int), task, context()))
        self.assertEqual(one["metrics"]["silhouette"]["why_not"], "it compares clusters, and the rows are in 1")
        none = self.json(evaluation.cluster(None, np.ones((0, 2)), np.zeros(0, dtype=int), task, context()))
        self.assertEqual(none["why_not"], "there are no rows")
        generator = np.random.default_rng(0)
        matrix = sparse.random(400, 30, 0.2, random_state=1, format="csr")
        labels = generator.integers(-1, 3, 400)
        noise = self.json(evaluation.cluster(None, matrix, labels, task, context()))
        within = labels != -1
        self.assertEqual(noise["metrics"]["silhouette"]["value"], sk.silhouette_score(matrix[within], labels[within]))
        self.assertIn("are in no cluster", noise["notes"][0])
        dense = evaluation.cluster(None, matrix.toarray(), labels, task, context())
        self.assertAlmostEqual(dense["metrics"]["inertia"]["value"], noise["metrics"]["inertia"]["value"], 9)
