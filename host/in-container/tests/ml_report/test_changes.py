"""Comparisons of two models, and drift of the data."""

from ml_report.models import Fixed, MlCase, answers, context
import numpy as np
import pandas as pd
from scipy import stats

from wharf_ml import evaluation


class Renamed(Fixed):
    """A model whose answers are in other columns of the rows."""

    def __init__(self, classes, suffix):
        super().__init__(classes)
        self._suffix = suffix

    def _own(self, X):
        return X[[name for name in X.columns if name.endswith(self._suffix)]].rename(
            columns=lambda name: name[: len(name) - len(self._suffix)]
        )

    def predict(self, X):
        return super().predict(self._own(X))

    def predict_proba(self, X):
        return super().predict_proba(self._own(X))


class Compare(MlCase):
    def both(self, classes, rows, skills, kind):
        X, y = answers(classes, rows, seed=1, skill=skills[0])
        generator = np.random.default_rng(2)
        places = np.array([classes.index(value) for value in y])
        raw = generator.normal(size=(rows, len(classes))) + skills[1] * np.eye(len(classes))[places]
        proba = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        new = pd.DataFrame(proba, columns=["p%d_new" % at for at in range(len(classes))])
        new["said_new"] = np.array(classes, dtype=object)[proba.argmax(axis=1)]
        X = pd.concat([X.add_suffix("_old"), new], axis=1)
        old_model, new_model = Renamed(classes, "_old"), Renamed(classes, "_new")
        found = self.json(evaluation.compare(old_model, new_model, X, y, {"prediction_type": kind}, context()))
        back = self.json(evaluation.compare(new_model, old_model, X, y, {"prediction_type": kind}, context()))
        return found, back, evaluation.evaluate(new_model, "t", X, y, None, {"prediction_type": kind}, context())

    def test_a_better_one(self):
        for kind, classes in (("binary", ["a", "b"]), ("multiclass", ["a", "b", "c"])):
            found, back, alone = self.both(classes, 300, (0.3, 3.0), kind)
            for name, entry in found["metrics"].items():
                if entry["verdict"] is None or name == "lift":
                    continue
                with self.subTest(metric=name, kind=kind):
                    self.assertEqual(entry["verdict"], "better")
                    self.assertEqual(back["metrics"][name]["verdict"], "worse")
                    self.assertEqual(entry["new"], alone["metrics"][name]["value"])
                    self.assertAlmostEqual(entry["difference"], entry["new"] - entry["old"])
                    self.assertTrue(entry["low"] <= entry["difference"] <= entry["high"])

    def test_the_same_one(self):
        X, y = answers(["a", "b"], 200)
        model = Fixed(["a", "b"])
        found = self.json(evaluation.compare(model, model, X, y, {"prediction_type": "binary"}, context()))
        self.assertEqual(found["agreement"]["value"], 1.0)
        for entry in found["metrics"].values():
            self.assertEqual((entry["difference"], entry["low"], entry["high"], entry["verdict"]), (0, 0, 0, "unclear"))

    def test_pairs_matter(self):
        """A small difference on every row is seen, however much rows differ among themselves."""
        truth = np.random.default_rng(0).normal(0, 100, 500)
        hard = np.random.default_rng(1).normal(0, 50, 500)
        X = pd.DataFrame({"said_old": truth + hard * 1.02, "said_new": truth + hard})
        old, new = Renamed(None, "_old"), Renamed(None, "_new")
        found = self.json(evaluation.compare(old, new, X, truth, {"prediction_type": "regression"}, context()))
        self.assertEqual(found["metrics"]["rmse"]["verdict"], "better")
        self.assertGreater(found["agreement"]["value"], 0.99)

    def test_odd_ones(self):
        X, y = answers(["a", "b"], 40)
        model, other = Fixed(["a", "b"]), Fixed(["a", "b", "c"])
        task = {"prediction_type": "binary"}
        self.assertIn("no rows", evaluation.compare(model, model, X[:0], y[:0], task, context())["why_not"])
        self.assertIn(
            "clusters", evaluation.compare(model, model, X, y, {"prediction_type": "clustering"}, context())["why_not"]
        )
        few = evaluation.compare(model, model, X[:5], y[:5], task, context())
        self.assertEqual(few["notes"], ["5 rows are too few for intervals."])
        X["p2"] = 0.0
        found = self.json(evaluation.compare(model, other, X, y, {"prediction_type": "multiclass"}, context()))
        self.assertIn("knows the classes a, b, the new one a, b, c", found["notes"][0])


class Drift(MlCase):
    def drift(self, old, new, **features):
        task = {"prediction_type": "regression", "target": "t", "features": features}
        profile = self.json(evaluation.profile(old, task))
        found = self.json(evaluation.drift(profile, new, task))
        return {entry["feature"]: entry for entry in found["features"]}, found

    def test_numbers(self):
        generator = np.random.default_rng(0)
        old = pd.DataFrame({"same": generator.normal(size=2000), "moved": generator.normal(size=2000)})
        new = pd.DataFrame({"same": generator.normal(size=1000), "moved": generator.normal(1, 1, size=1000)})
        found, whole = self.drift(old, new)
        self.assertEqual((found["same"]["drift"], found["moved"]["drift"]), ("none", "strong"))
        self.assertEqual(whole["features"][0]["feature"], "moved")
        for name, entry in found.items():
            want = stats.ks_2samp(old[name], new[name])
            self.assertAlmostEqual(entry["statistic"], want.statistic, delta=0.006)
            self.assertAlmostEqual(entry["p_value"], want.pvalue, delta=0.05)

    def test_kolmogorov_smirnov_of_few_values(self):
        """Where the profile keeps every value, the statistic is the exact one, ties and all."""
        generator = np.random.default_rng(0)
        for _ in range(20):
            old, new = (np.round(generator.normal(size=n), 1) for n in (400, 57))
            found, _ = self.drift(pd.DataFrame({"x": old}), pd.DataFrame({"x": new}))
            self.assertAlmostEqual(found["x"]["statistic"], stats.ks_2samp(old, new).statistic, delta=0.006)

    def test_index_by_hand(self):
        old = pd.DataFrame({"c": ["a"] * 50 + ["b"] * 50})
        new = pd.DataFrame({"c": ["a"] * 80 + ["b"] * 20})
        found, _ = self.drift(old, new)
        self.assertAlmostEqual(found["c"]["psi"], 0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5))
        want = stats.chi2_contingency([[50, 50], [80, 20]], correction=False)
        self.assertAlmostEqual(found["c"]["p_value"], want[1])
        self.assertEqual(found["c"]["drift"], "strong")

    def test_few_rows_drift_by_chance(self):
        generator = np.random.default_rng(0)
        old = pd.DataFrame(generator.normal(size=(300, 50)), columns=["x%d" % at for at in range(50)])
        new = pd.DataFrame(generator.normal(size=(60, 50)), columns=old.columns)
        found, _ = self.drift(old, new)
        self.assertLessEqual(sum(entry["drift"] != "none" for entry in found.values()), 3)

    def test_missing_new_and_retyped(self):
        old = pd.DataFrame(
            {"c": ["a", "b"] * 50, "n": np.arange(100.0), "gone": 1.0, "empty": np.nan, "holes": np.arange(100.0)}
        )
        new = pd.DataFrame(
            {"c": ["a", "z"] * 50, "n": ["1", "x"] * 50, "empty": 1.0, "holes": [1.0, np.nan] * 50, "added": 1}
        )
        found, whole = self.drift(old, new)
        self.assertEqual(found["c"]["new_categories"], ["z"])
        self.assertEqual(found["c"]["share_of_new_categories"], 0.5)
        self.assertEqual((found["n"]["not_numbers"], found["n"]["drift"]), (0.5, "strong"))
        self.assertEqual(found["gone"]["why_not"], "the new data doesn't have this column")
        self.assertEqual(found["empty"]["why_not"], "the training data had no values of it")
        self.assertEqual((found["holes"]["missing"], found["holes"]["drift"]), (0.5, "strong"))
        self.assertEqual(whole["new_columns"], ["added"])

    def test_kinds(self):
        old = pd.DataFrame(
            {
                "when": pd.date_range("2024-01-01", periods=100, tz="UTC"),
                "ok": [True, False] * 50,
                "essay": ["word " * (20 + at) for at in range(100)],
                "zip": [75001, 69001] * 50,
                "whole": pd.array([1, 2] * 50, dtype="Int64"),
                "target": 1.0,
                "left": 1.0,
            }
        )
        task = {"target": "target", "features": {"zip": {"type": "category"}, "left": {"role": "rejected"}}}
        profile = self.json(evaluation.profile(old, task))["features"]
        self.assertEqual(
            {name: entry["kind"] for name, entry in profile.items()},
            {"when": "date", "ok": "category", "essay": "text", "zip": "category", "whole": "numeric"},
        )
        later = old.assign(when=old["when"] + pd.Timedelta(days=365), zip=[75001.0, 69001.0] * 50)
        found, _ = self.drift(old, later, zip={"type": "category"})
        self.assertEqual((found["when"]["drift"], found["when"]["statistic"]), ("strong", 1.0))
        self.assertEqual((found["zip"]["psi"], found["zip"]["new_categories"]), (0.0, []))

    def test_nothing_to_compare_with(self):
        X = pd.DataFrame({"x": [1.0]})
        self.assertIn("no profile", evaluation.drift(None, X, {})["why_not"])
        self.assertIn("no new rows", evaluation.drift(evaluation.profile(X, {}), X[:0], {})["why_not"])
        self.json(evaluation.profile(X[:0], {}))

    def test_many_categories(self):
        """A profile stays small, and what it doesn't keep isn't called new."""
        old = pd.DataFrame({"id": ["id %d" % at for at in range(5000)]})
        profile = evaluation.profile(old, {})
        self.assertLessEqual(len(profile["features"]["id"]["categories"]), 100)
        found, _ = self.drift(old, old)
        self.assertEqual((found["id"]["new_categories"], found["id"]["drift"]), ([], "none"))
