"""The reader of tasks: strict, all problems at once, and the schema that is made of it. Needs no library."""

import json
import os
import tempfile
import unittest

from case import PYTHON  # noqa: F401 (puts the package on the path)
from wharf_ml import limits
from wharf_ml.fields import load_json
from wharf_ml.handling import METRICS
from wharf_ml.reference import reference
from wharf_ml.refusal import Refused
from wharf_ml.task import json_schema, read_task

ROOT = os.path.join(os.path.dirname(PYTHON), "..", "..")
GOOD = {"prediction_type": "binary", "target": "y", "algorithms": [{"name": "logistic"}]}


class Tasks(unittest.TestCase):
    def problems(self, kind, task):
        with self.assertRaises(Refused) as caught:
            read_task(kind, task if isinstance(task, str) else json.dumps(task))
        return str(caught.exception).split("\n  ")

    def test_defaults(self):
        task = read_task("train", json.dumps(GOOD))
        self.assertEqual(
            (task["metric"], task["threshold"], task["seed"], task["on_stop"]), ("roc_auc", "auto", 0, "discard")
        )
        self.assertEqual(task["split"], {"method": "random", "train_ratio": 0.8, "stratify": True})
        self.assertEqual(task["search"]["method"], "grid")
        # Reading what was read changes nothing: so it is stored and read again.
        self.assertEqual(read_task("train", json.dumps(task)), task)

    def test_all_problems_at_once(self):
        found = self.problems(
            "train",
            dict(
                GOOD,
                colour=1,
                seed=-1,
                features={"a b": {"type": "numeric", "impute": "x"}, "c": {"roel": 1}},
                split={"method": "random", "train_ratio": 1},
                algorithms=[
                    {"name": "logistic", "parameters": {"C": 0, "depth": 3}},
                    {"name": "lasso"},
                    {"name": "forest"},
                ],
            ),
        )
        self.assertEqual(found[0], "task.json has 9 problems:")
        for path, *words in (
            ("colour ", "isn't a key here", "prediction_type"),
            ("seed ", "whole number at least 0", "-1"),
            ('features["a b"].impute ', '"mean", "median"', '"x"'),
            ("features.c.roel ", "role"),
            ("split.train_ratio ", "above 0 and below 1"),
            ("algorithms[0].parameters.C ", "a number above 0"),
            ("algorithms[0].parameters.depth ", "max_iter"),
            ("algorithms[1].name ", "isn't for binary", "logistic"),
            ("algorithms[2].name ", '"random_forest"', '"forest"'),
        ):
            line = [each for each in found if each.startswith(path)]
            self.assertEqual(len(line), 1, path)
            for word in words:
                self.assertIn(word, line[0])

    def test_what_does_not_go_together(self):
        for more, word in (
            ({"prediction_type": "clustering", "algorithms": [{"name": "kmeans"}]}, "target must not be there"),
            ({"target": None}, "target is missing"),
            ({"metric": "rmse"}, "metric must be"),
            ({"metric": "log_loss", "algorithms": [{"name": "ridge"}]}, "gives no probabilities"),
            ({"class_weights": "balanced", "algorithms": [{"name": "knn"}]}, "takes no weights of rows"),
            ({"sampling": {"method": "random"}}, "must have rows or ratio"),
            ({"gpu": True}, "only xgboost uses a GPU"),
            (
                {"algorithms": [{"name": "ridge", "parameters": {"alpha": {"low": 1, "high": 2}}}]},
                "a range is for search.method",
            ),
            (
                {"search": {"max_models": 1}, "algorithms": [{"name": "logistic", "parameters": {"C": [1, 2]}}]},
                "2 combinations",
            ),
            ({"search": {"validation": {"method": "time"}}}, 'only with split.method = "time"'),
            ({"features": {"y": {}}}, "must not name the target"),
            ({"engine": "optimized"}, "DSS's own process (Java) and not in a container"),
        ):
            self.assertIn(word, "\n".join(self.problems("train", dict(GOOD, **more))))

    def test_json_that_is_read_two_ways(self):
        self.assertIn("has the key 'seed' twice", self.problems("train", '{"seed": 1, "seed": 2}')[0])
        self.assertIn("NaN, which isn't a number of JSON", self.problems("train", '{"seed": NaN}')[0])
        self.assertIn("isn't valid JSON", self.problems("score", "{")[0])
        self.assertIn("must be an object", self.problems("score", "[]")[1])
        with self.assertRaises(ValueError):
            load_json("[" * 100000, "it")

    def test_the_schema_says_the_same(self):
        with open(os.path.join(ROOT, "docs", "schemas", "ml-task.schema.json"), encoding="utf-8") as stream:
            self.assertEqual(json.load(stream), json_schema(), "make it again: python3 -m wharf_ml schema")

    def test_the_guide_says_the_same(self):
        with open(os.path.join(ROOT, "docs", "machine-learning.md"), encoding="utf-8") as stream:
            text = stream.read()
        self.assertIn(reference(), text, "make it again: python3 -m wharf_ml reference")
        for name, names in METRICS.items():
            for each in names:
                self.assertIn("`%s`" % each, text, name)

    def test_the_metrics_are_those_of_the_evaluation(self):
        try:
            from wharf_ml import evaluation
        except ImportError as error:
            self.skipTest(str(error))
        self.assertEqual(
            {kind: set(names) for kind, names in METRICS.items()}, {k: set(n) for k, n in evaluation.METRICS.items()}
        )


class Limits(unittest.TestCase):
    def group(self, **files):
        folder = tempfile.mkdtemp()
        for name, text in files.items():
            path = os.path.join(folder, name.replace("__", "/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path.replace("_dot_", "."), "w", encoding="ascii") as stream:
                stream.write(text)
        return folder

    def test_groups(self):
        cores = len(os.sched_getaffinity(0))
        for files, cpus, memory in (
            ({"cpu_dot_max": "150000 100000\n", "memory_dot_max": "536870912\n"}, 1, 512 << 20),
            ({"cpu_dot_max": "max 100000\n", "memory_dot_max": "max\n"}, cores, None),
            ({"cpu_dot_max": "50000 100000\n"}, 1, None),
            (
                {"cpu__cpu_dot_cfs_quota_us": "100000", "cpu__cpu_dot_cfs_period_us": "100000",
                 "memory__memory_dot_limit_in_bytes": "1073741824"}, 1, 1 << 30,
            ),
            ({"cpu__cpu_dot_cfs_quota_us": "-1", "memory__memory_dot_limit_in_bytes": "9223372036854771712"}, cores,
            None),
            ({}, cores, None),
        ):  # fmt: skip
            root = self.group(**files)
            self.assertEqual((limits.cpus(root, {}), limits.memory_limit(root, {})), (cpus, memory), files)
        self.assertEqual(
            (limits.cpus("/", {"WHARF_ML_CPUS": "8"}), limits.memory_limit("/", {"WHARF_ML_MEMORY": "2g"})),
            (8, 2 << 30),
        )


if __name__ == "__main__":
    unittest.main()
