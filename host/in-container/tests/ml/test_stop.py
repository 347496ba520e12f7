"""Tasks that don't come to their end: stopped, out of memory, refused early; each says why."""

import json
import os
import signal
import time
import unittest

from ml.ml_case import MlCase, numpy

COLUMNS = [("a", "double"), ("b", "double"), ("c", "string"), ("y", "boolean")]
# The first model takes no time, the second one forever.
SLOW = {
    "prediction_type": "binary", "target": "y", "explanations": False,
    "algorithms": [
        {"name": "logistic", "parameters": {"C": 1.0}},
        {"name": "random_forest", "parameters": {"n_estimators": 100000}},
    ],
}  # fmt: skip


class Stop(MlCase):
    def rows(self, count=2000):
        random = numpy.random.default_rng(0)
        values = random.normal(size=(count, 2))
        self.table(
            "rows", COLUMNS, [[float(a), float(b), "xyz"[n % 3], bool(a > b)] for n, (a, b) in enumerate(values)]
        )
        self.train_setup()

    def stopped(self, task):
        process, result = self.start("train", task)
        limit = time.monotonic() + 90
        while '"event": "model"' not in result.events():
            self.assertLess(time.monotonic(), limit, "no model was finished")
            time.sleep(0.05)
        begun = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        found = result()
        print("stopped after %.1f seconds" % (time.monotonic() - begun))
        return found

    def test_keep_best(self):
        self.rows()
        found = self.stopped(dict(SLOW, on_stop="keep_best"))
        self.assertEqual(found.code, 0, found.err)
        models = self.saved("models.json")
        self.assertEqual(
            [(m["algorithm"], m["chosen"]) for m in models], [("logistic", True), ("random_forest", False)]
        )
        self.assertIn("the run was stopped", " ".join(self.saved("metrics.json")["test"]["notes"]))
        self.assertGreater(self.saved("metrics.json")["test"]["metrics"]["roc_auc"]["value"], 0.9)
        # It scores like any other.
        self.use_model()
        self.runner.output("out")
        self.task("score", {"columns": []})
        self.assertEqual(len(self.rows_of("out")), 2000)

    def rows_of(self, name):
        return self.runner.data[name].splitlines()[1:]

    def test_discard(self):
        self.rows()
        found = self.stopped(SLOW)
        self.assertEqual(found.code, 143)
        self.refused(found, "the run was stopped, and the task says that the model is then discarded (on_stop)")
        self.assertEqual(self.runner.folders["model"], {})
        self.assertEqual(found.events[-1]["event"], "stopped")

    def test_memory_is_refused_early(self):
        self.rows(3000)
        found = self.task("train", SLOW, 2, WHARF_ML_MEMORY="700m")
        self.refused(
            found,
            "one fit of random_forest n_estimators=100000 takes about",
            "MiB are left",
            "(logistic C=1.0 would fit)",
        )
        self.assertEqual(found.kind("model"), [])
        found = self.task("train", SLOW, 2, WHARF_ML_MEMORY="100m")
        self.refused(found, "the data doesn't fit: 3000 rows", "sample fewer rows (sampling)")

    def test_a_model_whose_process_is_killed(self):
        self.rows()
        process, result = self.start("train", dict(SLOW, search={"validation": {"method": "holdout"}}))
        limit = time.monotonic() + 90
        while '"event": "model"' not in result.events():
            self.assertLess(time.monotonic(), limit, "no model was finished")
            time.sleep(0.05)
        # As the kernel does when the container's memory runs out: the largest process, which is a worker, goes.
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid), encoding="ascii") as stream:
            workers = [int(number) for number in stream.read().split()]
        for number in workers:
            os.kill(number, signal.SIGKILL)
        found = result()
        self.assertEqual(found.code, 0, found.err)
        failed = [event for event in found.kind("model") if event["failed"]]
        self.assertIn("its process was killed, as happens when the container's memory runs out", failed[0]["failed"])
        self.assertEqual(self.saved("models.json")[0]["algorithm"], "logistic")

    def test_what_a_user_sees_of_the_command(self):
        result = self.command(["train", "/nowhere/task.json"])
        self.assertEqual(result.returncode, 2)
        self.assertIn("the task can't be read from /nowhere/task.json", result.stderr)
        self.assertEqual(self.command([]).returncode, 2)
        schema = json.loads(self.command(["schema"]).stdout)
        self.assertEqual(sorted(schema["$defs"]), ["retrain", "score", "train"])

    def test_a_gpu_that_is_not_there(self):
        if any(name.startswith("nvidia") for name in os.listdir("/dev")):
            self.skipTest("this machine has a GPU")
        try:
            import xgboost  # noqa: F401
        except ImportError:
            self.skipTest("xgboost isn't installed")
        self.rows(50)
        found = self.task("train", dict(SLOW, gpu=True, algorithms=[{"name": "xgboost"}]), 2)
        self.refused(found, "gpu is true, and this container has no GPU")
        # The parameter that a GPU is asked for with.
        from wharf_ml.algorithms import ALGORITHMS

        made = ALGORITHMS["xgboost"].estimator("regression", {}, 0, 1, gpu=True)
        self.assertEqual(made.get_params()["device"], "cuda")


if __name__ == "__main__":
    unittest.main()
