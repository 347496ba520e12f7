"""Training on mixed columns, scoring and retraining with what came of it."""

import json
import math
import unittest

from ml.ml_case import MlCase, numpy

COLUMNS = [
    ("id", "bigint"), ("amount", "double"), ("count", "int"), ("color", "string"), ("size", "string"),
    ("note", "string"), ("day", "date"), ("flag", "boolean"), ("code", "int"), ("late", "boolean"),
]  # fmt: skip
FEATURES = {
    "id": {"role": "rejected"},
    "amount": {"type": "numeric", "impute": "median", "derive": ["log"], "missing_indicator": True},
    "color": {"type": "category", "max_categories": 4},
    "size": {"type": "category", "encode": "target"},
    "note": {"type": "text", "max_words": 20},
    "code": {"type": "category", "encode": "ordinal"},
}
LOGISTIC = [{"name": "logistic", "parameters": {"C": [0.1, 1.0]}}]
SPLIT = {
    "prediction_type": "binary",
    "target": "late",
    "features": FEATURES,
    "seed": 4,
    "algorithms": LOGISTIC,
    "explanations": False,
}


def rows(count, seed=0, shift=0.0):
    """Rows in which late depends on amount, color and note; some values are missing."""
    random = numpy.random.default_rng(seed)
    found = []
    for number in range(count):
        amount = float(random.normal(shift))
        color = ["red", "green", "blue", "black", "white"][int(random.integers(0, 5))]
        note = "very urgent case" if random.random() < 0.4 else "no hurry here"
        late = amount + (color == "red") + ("urgent" in note) + random.normal() * 0.7 > 1
        day = "2024-%02d-%02dT%02d:00:00.000Z" % tuple(random.integers((1, 1, 0), (13, 28, 24)))
        row = [
            number,
            amount,
            int(random.integers(0, 9)),
            color,
            "SML"[number % 3],
            note,
            day,
            bool(number % 2),
            number % 4,
            bool(late),
        ]
        for at in (1, 2, 3, 5, 6, 7):
            if random.random() < 0.05:
                row[at] = None
        found.append(row)
    return found


class Models(MlCase):
    def trained(self, count=300, **more):
        """A model of these rows in the folder `model`."""
        self.table("rows", COLUMNS, rows(count))
        self.train_setup()
        result = self.task("train", dict(SPLIT, **more))
        self.use_model()
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "model"]
        return result

    def scored(self, table, columns=None, code=0, **task):
        """Scores these rows, as the table `in`, into `out`."""
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "model"]
        self.table("in", columns or COLUMNS[:-1], table)
        self.runner.outputs.clear()
        self.runner.output("out")
        return self.task("score", task, code)

    def test_everything_at_once(self):
        result = self.trained()
        files = set(self.runner.folders["model"])
        base = {"versions/1/" + name for name in (
            "model.skops", "task.json", "schema.json", "versions.json", "metrics.json", "explanations.json",
            "models.json", "profile.json", "report.html", "manifest.json",
        )}  # fmt: skip
        self.assertEqual(files, base | {"current.json", "MLmodel", "report.html"})
        self.assertEqual(len(result.kind("model")), 2)
        self.assertIn("[####################] 2/2 logistic C=", result.out)
        self.assertEqual(result.events[-1]["event"], "done")
        told = self.runner.advances
        self.assertEqual([(one["done"], one["total"]) for one in told], [(1, 2), (2, 2)])
        self.assertIn("logistic", " ".join(one["text"] for one in told))
        manifest = self.saved("manifest.json")["files"]
        self.assertEqual({"versions/1/" + name for name in manifest}, base - {"versions/1/manifest.json"})
        self.assertGreater(self.saved("metrics.json")["test"]["metrics"]["roc_auc"]["value"], 0.8)

        # Unknown categories, missing values, and rows of any kind go the trained way.
        table = [row[:-1] for row in rows(50, 9)]
        table.append([51, None, None, "purple", "XXL", "words nobody knows", None, None, 99])
        table.append([52, 1e300, 2, "", None, "", "1969-12-31T00:00:00.000Z", True, None])
        self.scored(table, probabilities=True, chunk_rows=7, reasons=2)
        self.assertEqual(
            self.header("out"), [n for n, _ in COLUMNS[:-1]] + ["prediction", "proba_false", "proba_true", "reasons"]
        )
        self.assertEqual(self.types("out")["prediction"], "boolean")
        self.assertEqual([row[0] for row in self.rows("out")], [str(row[0]) for row in table])
        threshold = self.saved("schema.json")["threshold"]
        proba = [float(text) for text in self.column("out", "proba_true")]
        self.assertTrue(all(0 <= p <= 1 for p in proba))
        self.assertEqual(self.column("out", "prediction"), ["true" if p >= threshold else "false" for p in proba])
        self.assertEqual(self.column("out", "color")[-2:], ["purple", ""])
        for text in self.column("out", "reasons")[:-1]:
            self.assertLessEqual(len(json.loads(text)), 2)
        self.assertGreater(len({text for text in self.column("out", "reasons")}), 10)

        # The same whatever the chunks are.
        first = self.column("out", "prediction"), proba
        self.scored(table, chunk_rows=100000)
        self.assertEqual(self.column("out", "prediction"), first[0])
        for one, other in zip(self.column("out", "proba_true"), first[1]):
            self.assertAlmostEqual(float(one), other, places=12)

        self.check_choice(table)
        self.check_schema(table)
        self.check_retrained()

    def check_choice(self, table):
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "model"]
        self.table("in", COLUMNS[:-1], table)
        self.task("score", {"columns": ["id"], "prefix": "late_", "probabilities": False})
        self.assertEqual(self.header("out"), ["id", "late_prediction"])
        self.refused(self.task("score", {"columns": ["nothing"]}, 2), 'has no column "nothing"')
        self.refused(self.task("score", {"engine": "optimized"}, 2), "engine can't be", "DSS's own process (Java)")
        self.refused(self.task("score", {"version": 7}, 2), "has no version 7; it has 1")

    def check_schema(self, table):
        changed = [(n, "string" if n == "count" else t) for n, t in COLUMNS[:-1] if n not in ("amount", "color")] + [
            ("newer", "int")
        ]
        places = [at for at, (n, _) in enumerate(COLUMNS[:-1]) if n not in ("amount", "color")]
        result = self.scored([[row[at] for at in places] + [1] for row in table[:3]], changed, 2)
        self.refused(
            result,
            'missing: "amount" (double), "color" (string)',
            'retyped: "count" (int in training, now string)',
            'new: "newer"',
        )
        # Types of one kind stand for each other, and order and other columns don't matter.
        wider = [(n, "bigint" if n == "count" else t) for n, t in COLUMNS[:-1]][::-1] + [("newer", "int")]
        self.scored([row[::-1] + [1] for row in table[:3]], wider)
        self.assertEqual(len(self.rows("out")), 3)

    def check_retrained(self):
        old = dict(self.runner.folders["model"])
        self.runner.inputs.clear()
        self.runner.outputs.clear()
        self.table("rows", COLUMNS, rows(200, 5, shift=1.0))
        self.runner.folder("old", old, role="model")
        self.runner.output("model", role="model", kind="folder")
        self.runner.folders["model"] = {}
        self.task("retrain", {})
        new = self.runner.folders["model"]
        self.assertEqual(json.loads(new["current.json"]), {"version": 2})
        for path, data in old.items():
            if path.startswith("versions/"):
                self.assertEqual(new[path], data)
        comparison = self.saved("versions/2/comparison.json")
        self.assertEqual((comparison["old_version"], comparison["new_version"]), (1, 2))
        self.assertIsNotNone(comparison["metrics"]["roc_auc"]["difference"])
        self.assertIn("amount", json.dumps(self.saved("versions/2/drift.json")))
        self.assertEqual(
            [m["parameters"] for m in self.saved("versions/2/models.json")],
            [m["parameters"] for m in self.saved("versions/1/models.json") if m["chosen"]],
        )
        # A column is gone: it is named before anything is fitted.
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "old"]
        places = [at for at, (n, _) in enumerate(COLUMNS) if n != "size"]
        self.table("rows", [COLUMNS[at] for at in places], [[row[at] for at in places] for row in rows(20)])
        result = self.task("retrain", {}, 2)
        self.refused(result, 'missing: "size" (string)')
        self.assertEqual(result.kind("phase"), [])

    def test_regression_with_weights_over_time(self):
        random = numpy.random.default_rng(0)
        table = [["2024-01-%02dT00:00:00.000Z" % (1 + n % 28), float(x), float(2 * x + random.normal()), 1.0 + n % 3]
                 for n, x in enumerate(random.normal(size=200))]  # fmt: skip
        self.table("rows", [("day", "date"), ("x", "double"), ("y", "double"), ("w", "double")], table)
        self.train_setup()
        self.task(
            "train",
            {
                "prediction_type": "regression", "target": "y",
                "features": {"w": {"role": "weight"}, "day": {"role": "rejected"}},
                "split": {"method": "time", "column": "day", "train_ratio": 0.75},
                "algorithms": [{"name": "gradient_boosting", "parameters": {"n_estimators": 30}}],
            },
        )  # fmt: skip
        part = self.saved("metrics.json")["test"]
        self.assertEqual((part["rows"], part["weighted"]), (50, True))
        self.assertGreater(part["metrics"]["r2"]["value"], 0.7)
        # The last quarter by time is the hold-out.
        names = [entry["name"] for entry in self.saved("schema.json")["columns"] if entry["role"] == "input"]
        self.assertEqual(names, ["x"])

    def test_clusters(self):
        random = numpy.random.default_rng(0)
        table = [[float(a), float(b)] for center in (0, 10, 20) for a, b in random.normal(center, 1, (40, 2))]
        self.table("rows", [("a", "double"), ("b", "double")], table)
        self.train_setup()
        names = ["kmeans", "agglomerative", "dbscan", "gaussian_mixture"]
        sizes = {
            "kmeans": {"n_clusters": [2, 3, 4]},
            "agglomerative": {"n_clusters": 3},
            "gaussian_mixture": {"n_components": 3},
        }
        self.task(
            "train",
            {
                "prediction_type": "clustering",
                "algorithms": [{"name": n, "parameters": sizes.get(n, {})} for n in names],
            },
        )
        models = self.saved("models.json")
        self.assertEqual(len(models), 6)
        self.assertEqual(models[0]["parameters"].get("n_clusters", models[0]["parameters"].get("n_components")), 3)
        self.use_model()
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "model"]
        self.table("in", [("a", "double"), ("b", "double")], [[0.1, 0.2], [10.0, 9.0], [20.0, 21.0], [0.0, 0.0]])
        self.runner.output("out")
        self.task("score", {})
        found = self.column("out", "prediction")
        self.assertEqual((len(set(found)), found[0]), (3, found[3]))

    def test_a_dataset_that_does_not_fit(self):
        self.table("rows", COLUMNS, rows(30))
        self.train_setup()
        task = dict(
            SPLIT,
            features={"gone": {"type": "numeric"}, "color": {"type": "numeric"}},
            split={"method": "time", "column": "when"},
        )
        result = self.task("train", task, 2)
        self.refused(
            result, 'features: there is no column "gone"', 'split.column: there is no column "when"',
            "column \"color\" is string in the dataset, and a numeric feature is made of",
        )  # fmt: skip
        self.refused(
            self.task("train", dict(SPLIT, target="color", features={}), 2), "has 5 classes, and binary needs two"
        )
        one = dict(SPLIT, target="amount", features={}, prediction_type="multiclass", metric="accuracy")
        self.refused(self.task("train", one, 2), "which are no classes: choose regression")

    def test_sampling(self):
        self.table("rows", COLUMNS, rows(300))
        self.train_setup()
        result = self.task("train", dict(SPLIT, sampling={"method": "random", "rows": 120}))
        self.assertIn("120 rows of 300 used", result.out)
        again = dict(self.runner.folders["model"])
        self.task("train", dict(SPLIT, sampling={"method": "random", "rows": 120}))
        self.assertEqual(again["versions/1/metrics.json"], self.runner.folders["model"]["versions/1/metrics.json"])

    def test_a_column_that_splits(self):
        self.table("rows", COLUMNS, rows(200))
        self.train_setup()
        self.task("train", dict(SPLIT, split={"method": "column", "column": "code", "test": [3]}))
        self.assertEqual(self.saved("metrics.json")["test"]["rows"], 50)
        columns = {entry["name"]: entry["role"] for entry in self.saved("schema.json")["columns"]}
        self.assertEqual(columns["code"], "input")
        self.refused(
            self.task("train", dict(SPLIT, split={"method": "column", "column": "code", "test": [7]}), 2),
            'no row is left for the hold-out: column "code" has the values "0", "1"',
        )


@unittest.skipIf(numpy is None, "scikit-learn, skops or pandas isn't installed")
class Numbers(unittest.TestCase):
    def test_texts_of_categories(self):
        from wharf_ml.batches import text_of

        self.assertEqual(
            [text_of(v) for v in (True, 3, 3.0, 0.5, None, math.nan, "a")], ["true", "3", "3", "0.5", "", "", "a"]
        )


if __name__ == "__main__":
    unittest.main()
