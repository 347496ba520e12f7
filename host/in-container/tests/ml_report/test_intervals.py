"""Intervals: exact ones equal known numbers, and the bootstrap's cover what they should."""

from ml_report.models import Fixed, MlCase, answers, context
import numpy as np
import pandas as pd

from wharf_ml import evaluation
from wharf_ml.evaluation import intervals, replicas


class Exact(MlCase):
    def test_wilson(self):
        # Newcombe 1998, table I: 81 of 263 and 0 of 20.
        self.assertEqual([round(bound, 4) for bound in intervals.wilson(81, 263)], [0.2553, 0.3662])
        self.assertEqual([round(bound, 4) for bound in intervals.wilson(0, 20)], [0.0, 0.1611])
        self.assertIsNone(intervals.wilson(0, 0))

    def test_delong_by_its_definition(self):
        X, y = answers([0, 1], 60, skill=0.5)
        score, hit = X["p1"].to_numpy(), y == 1
        # Pair by pair: 1 where the positive row is higher, a half where both are equal.
        wins = np.sign(score[hit][:, None] - score[~hit][None, :]) / 2 + 0.5
        variance = wins.mean(axis=1).var(ddof=1) / hit.sum() + wins.mean(axis=0).var(ddof=1) / (~hit).sum()
        area, got = intervals.delong(hit, score)
        self.assertAlmostEqual(area, wins.mean(), 12)
        self.assertAlmostEqual(got, variance, 12)


class Bootstrap(MlCase):
    def test_near_the_exact_one(self):
        X, y = answers([0, 1], 400, skill=0.5)
        task = {"prediction_type": "binary"}
        exact = evaluation.evaluate(Fixed([0, 1]), "t", X, y, None, task, context())["metrics"]
        drawn = evaluation.evaluate(Fixed([0, 1]), "t", X, y, np.ones(400), task, context())["metrics"]
        for name in ("accuracy", "precision", "recall", "roc_auc"):
            self.assertIn(exact[name]["method"], ("wilson", "delong"))
            self.assertEqual(drawn[name]["method"], "bootstrap")
            self.assertEqual(drawn[name]["value"], exact[name]["value"])
            for side in ("low", "high"):
                self.assertAlmostEqual(drawn[name][side], exact[name][side], delta=0.015)

    def test_covers_the_truth(self):
        """Of many samples about 95 % have an interval with the true value in it."""
        generator, inside = np.random.default_rng(5), 0
        for at in range(60):
            truth = generator.normal(size=120)
            X = pd.DataFrame({"said": truth + generator.normal(0, 2, 120)})
            found = evaluation.evaluate(
                Fixed(None), "t", X, truth, None, {"prediction_type": "regression"}, context(seed=at)
            )
            inside += found["metrics"]["mse"]["low"] <= 4 <= found["metrics"]["mse"]["high"]
        self.assertTrue(50 <= inside <= 60, inside)

    def test_same_with_the_same_seed(self):
        X, y = answers(["a", "b", "c"], 200)
        found = [
            evaluation.evaluate(
                Fixed(["a", "b", "c"]), "t", X, y, None, {"prediction_type": "multiclass"}, context(seed=seed)
            )
            for seed in (1, 1, 2)
        ]
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0]["metrics"]["log_loss"]["low"], found[2]["metrics"]["log_loss"]["low"])

    def test_more_rows_than_are_resampled(self):
        """The interval from a sample is as wide as that of all rows is."""
        generator = np.random.default_rng(0)
        truth = generator.normal(size=60_000)
        X = pd.DataFrame({"said": truth + generator.normal(0, 2, 60_000)})
        task = {"prediction_type": "regression"}
        entry = evaluation.evaluate(Fixed(None), "t", X, truth, None, task, context())["metrics"]["mse"]
        self.assertEqual(entry["sampled_rows"], replicas.MOST_ROWS)
        self.assertTrue(entry["low"] < entry["value"] < entry["high"])
        # The standard error of a mean of squares of normal numbers is known.
        half = 1.96 * np.sqrt(2 * 4.0**2 / 60_000)
        self.assertAlmostEqual((entry["high"] - entry["low"]) / 2, half, delta=0.15 * half)

    def test_too_few_rows(self):
        X, y = answers([0, 1], 5)
        found = evaluation.evaluate(Fixed([0, 1]), "t", X, y, None, {"prediction_type": "binary"}, context())
        self.assertEqual(found["metrics"]["f1"]["why_no_interval"], "5 rows are too few")
