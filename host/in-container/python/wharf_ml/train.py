"""`train`: from a dataset to a saved model."""

import os

import numpy

from wharf_ml import evaluation, limits, memory, pipeline, run_io, saved_model, splits, versions
from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.batches import text_of
from wharf_ml.columns import describe, inputs, with_role
from wharf_ml.context import Context
from wharf_ml.fields import shown
from wharf_ml.predictor import FoldedPredictor, Predictor
from wharf_ml.refusal import Refused, Stopped
from wharf_ml.search import Fitting, Search, candidates
from wharf_ml.table import check_classes, read_table
from wharf_ml.workers import Interrupted, WorkerFailed, Workers

_CLASSES = ("binary", "multiclass")
# How often the reading says how far it is.
_EVERY_ROWS = 1_000_000


class Training:
    """One training: the steps share the task, the rows and what is known of the container."""

    def __init__(self, task, progress, stop):
        self.task, self.progress, self.stop = task, progress, stop
        self.seed = task["seed"]
        self.cpus = min(limits.cpus(), task["n_jobs"] or limits.cpus())
        self.context = Context(self.seed, self.cpus, progress)
        self.clustering = task["prediction_type"] == "clustering"
        self.schema = self.table = None
        self.notes = []

    def require_packages(self):
        """Refuses algorithms whose package isn't there, and a GPU that isn't."""
        missing = sorted(
            {ALGORITHMS[a["name"]].package for a in self.task["algorithms"] if not ALGORITHMS[a["name"]].is_installed()}
        )
        if missing:
            raise Refused(
                "the task asks for algorithms of %s, which this code environment doesn't have: add the package, or "
                "leave them out" % " and ".join(missing)
            )
        if self.task["gpu"]:
            require_gpu()

    def read(self, dataset, schema):
        """Reads the rows; refuses what can't be learned from."""
        self.schema = schema
        self.progress.phase("reading", "reading the dataset %s" % dataset.short_name)
        told = [0]

        def tell(seen):
            if seen - told[0] >= _EVERY_ROWS:
                told[0] = seen
                self.progress.line("%d rows read" % seen)
                self.progress.event("read", rows=seen)

        budget = memory.data_budget(limits.memory_left())
        self.table = read_table(dataset, self.task, schema, self.seed, budget, tell)
        read = self.table.read
        self.progress.line(
            "%d rows of %d used, %d columns, %d of them features"
            % (len(self.table), read["dataset_rows"], len(schema), len(inputs(schema)))
        )
        if read["without_target"]:
            self.note("%d rows without a target were left out" % read["without_target"])
        if self.task["prediction_type"] in _CLASSES:
            check_classes(self.table.y, self.task, with_role(schema, "target"))
        if len(self.table) < 10:
            raise Refused("%d rows are too few to learn from: at least 10 are needed" % len(self.table))
        self._check_missing()

    def _check_missing(self):
        for entry in inputs(self.schema):
            values = self.table.X[entry["name"]]
            if values.isna().all():
                self.note("the column %s has no value in any row" % shown(entry["name"]))

    def note(self, text):
        """Something that who asked for the model should know."""
        self.notes.append(text)
        self.progress.line("note: " + text)
        self.progress.event("note", text=text)

    def split(self):
        """Parts the rows into training and hold-out; for k-fold all are training, and each fold is held out once."""
        self.folds = None
        if self.clustering:
            self.train, self.test = self.table, None
            return
        parts = splits.holdout(self.task, self.table, self.seed)
        if self.task["split"]["method"] == "k-fold":
            self.folds, self.train, self.test = parts, self.table, self.table
            return
        train, test = parts[0]
        self.train, self.test = _part(self.table, train), _part(self.table, test)
        if self.task["prediction_type"] in _CLASSES and len(numpy.unique(self.train.y)) < 2:
            raise Refused("the split leaves one class only in the training part: choose another split")
        # Both parts are copies.
        self.table = None

    def search(self, workers, fitting, tried):
        """Finds the best candidate."""
        if self.clustering:
            every = numpy.arange(len(self.train))
            folds = [(every, every)]
        else:
            order = numpy.arange(len(self.train)) if self.task["split"]["method"] == "time" else None
            folds = splits.validation(self.task, self.train.y, self.seed, order)
        self.progress.phase(
            "searching",
            "trying %d models on %d fold%s, %d at once, on %d rows"
            % (len(tried), len(folds), "" if len(folds) == 1 else "s", workers.jobs, len(self.train)),
        )
        found = Search(fitting, tried, folds, workers, self.progress, lambda: self.stop.asked)
        found.run()
        if found.best is None and not self.stop.asked:
            reasons = sorted({"%s: %s" % (each.name, each.failed) for each in tried if each.failed})
            raise RuntimeError("no model could be fitted. %s" % "; ".join(reasons[:5]))
        if found.cut == "out of time":
            done = sum(1 for each in tried if each.scores or each.failed)
            self.note("max_seconds went by: %d of %d models were tried" % (done, len(tried)))
        return found

    def plan(self, tried):
        """How many fits go on at once, and with how many threads each."""
        features = inputs(self.schema)
        width, sparse = pipeline.width(features, self.train.X)
        fitting = self.fitting()
        fits = [(str(each), fitting.size(each, len(self.train), width, sparse)) for each in tried]
        asked = self.cpus
        left = limits.memory_left()
        jobs = memory.plan_jobs(fits, left, asked)
        if jobs < asked:
            self.note(
                "%d fits go on at once instead of %d: one takes up to about %s, and %s are left"
                % (jobs, asked, limits.shown(max(size for _, size in fits)), limits.shown(left))
            )
        fitting.threads = max(1, self.cpus // jobs)
        return jobs, fitting

    def fitting(self, threads=1):
        """What the fits on the training part share."""
        train = self.train
        return Fitting(self.task, inputs(self.schema), train.X, train.y, train.weight, self.seed, threads)

    def fit_best(self, workers, fitting, best):
        """The best candidate, fitted on the whole training part; with k-fold also the models of the folds.

        None when it was stopped before.
        """
        self.progress.phase("fitting", "fitting %s on %d rows" % (best, len(self.train)))
        if self.clustering:
            return None
        tasks = [(None, lambda: fitting.fit(best, jobs=fitting.threads))]
        for at, (train, _) in enumerate(self.folds or []):
            tasks.append((at, lambda train=train: fitting.fit(best, train, jobs=fitting.threads)))
        found = {}
        for key, result in workers.run(tasks, lambda: self.stop.asked):
            if isinstance(result, WorkerFailed):
                raise RuntimeError("the best model, %s, couldn't be fitted on all rows: %s" % (best, result))
            found[key] = result
        return found if len(found) == len(tasks) else None

    def evaluate(self, model, fold_models, threshold):
        """Metrics for each split, and the model that stands for all rows of the hold-out."""
        task, names = self.task, [entry["name"] for entry in inputs(self.schema)]
        kind = task["prediction_type"]
        predictor = Predictor(model, kind, names, threshold)
        found = {}
        if self.clustering:
            labels = model.predict(self.train.X[names])
            matrix = predictor.transform(self.train.X)
            found["train"] = evaluation.cluster(predictor, matrix, labels, task, self.context, self.train.X)
            return predictor, predictor, found
        judged = predictor
        if fold_models:
            predictors = [Predictor(each, kind, names, threshold) for each in fold_models]
            judged = FoldedPredictor(predictors, [test for _, test in self.folds], len(self.train), names)
        found["test"] = evaluation.evaluate(
            judged, "test", self.test.X, self.test.y, self.test.weight, task, self.context
        )
        if not fold_models and not self.stop.asked:
            train = self.train
            found["train"] = evaluation.evaluate(predictor, "train", train.X, train.y, train.weight, task, self.context)
        return predictor, judged, found

    def explain(self, judged):
        """Importances and partial dependence on the hold-out; a sentence instead where there are none."""
        if not self.task["explanations"]:
            return {"why_not": "the task asked for none", "importances": [], "partial_dependence": []}
        part = self.train if self.clustering else self.test
        try:
            with self.stop.interrupting():
                return evaluation.explain(judged, part.X, part.y, self.task, self.context)
        except Interrupted:
            return {"why_not": "the run was stopped before", "importances": [], "partial_dependence": []}


def _part(table, places):
    X, y, weight = table.take(places)
    made = type(table)(X.reset_index(drop=True), y, weight, None, table.read)
    return made


def require_gpu():
    """Refuses a GPU that the container doesn't have."""
    if not any(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev")) and not os.path.exists(
        "/dev/dxg"
    ):
        raise Refused(
            "gpu is true, and this container has no GPU (/dev has no nvidia device): ask for one in the execution "
            "configuration, or set gpu to false"
        )


def usual_values(X, features):
    """For each feature the value that reasons compare a row with: the median, or the most frequent one."""
    found = {}
    for entry in features:
        values = X[entry["name"]].dropna()
        kind = entry["feature"]["type"]
        if not len(values):
            found[entry["name"]] = None
        elif kind == "numeric":
            found[entry["name"]] = float(values.median())
        elif kind == "date":
            found[entry["name"]] = (
                int(values.astype("int64").median()) if str(values.dtype).startswith("int") else _date(values)
            )
        else:
            found[entry["name"]] = None if kind == "text" else str(values.value_counts().index[0])
    return found


def _date(values):
    return int(numpy.median(values.to_numpy().astype("datetime64[ms]").astype("int64")))


def describe_schema(columns, dataset, task, predictor, X):
    """What schema.json says of a model: its columns, its classes, its threshold."""
    classes = None
    if predictor.classes_ is not None:
        classes = [value if isinstance(value, (bool, int)) else text_of(value) for value in predictor.classes_.tolist()]
    return {
        "dataset": dataset,
        "prediction_type": task["prediction_type"],
        "target": task["target"],
        "columns": columns,
        "classes": classes,
        "threshold": predictor.threshold,
        "usual_values": usual_values(X, inputs(columns)),
    }


def train(task, progress, stop):
    """Trains a model as the task says, and writes it."""
    work = Training(task, progress, stop)
    work.require_packages()
    dataset, folder = run_io.input_dataset(), run_io.output_model()
    schema = describe(task, [dict(c) for c in dataset.read_schema()], dataset.short_name)
    tried = candidates(task, task["seed"])
    work.read(dataset, schema)
    work.split()
    jobs, fitting = work.plan(tried)
    with Workers(jobs, fitting.threads) as workers:
        found = work.search(workers, fitting, tried)
        _require_best(task, stop, found)
        best, threshold = found.best, found.threshold()
        fitted = None
        if not stop.asked:
            if not work.folds:
                # One fit alone has all processors.
                workers.jobs, workers.threads, fitting.threads = 1, work.cpus, work.cpus
            fitted = work.fit_best(workers, fitting, best)
        _require_best(task, stop, found)
        if fitted is None:
            model, fold_models = found.first_model(), None
            if not work.clustering:
                work.note(
                    "the run was stopped: the model is the one of the first validation fold, fitted on a part of the "
                    "training rows"
                )
                if work.folds:
                    raise Stopped(
                        "the run was stopped while the models of the folds were fitted, so there is nothing to judge "
                        "the model by"
                    )
        else:
            model = fitted.pop(None)
            fold_models = [fitted[at] for at in sorted(fitted)]
    progress.phase("evaluating", "evaluating")
    predictor, judged, metrics = work.evaluate(model, fold_models, threshold)
    _require_best(task, stop, found)
    parts = {
        "task": task,
        "schema": describe_schema(schema, dataset.short_name, task, predictor, work.train.X),
        "versions": versions.describe({ALGORITHMS[best.name].package}),
        "metrics": metrics,
        "models": found.describe(),
        "profile": evaluation.profile(work.train.X, profile_task(task, schema)),
        "explanations": work.explain(judged),
    }
    _require_best(task, stop, found)
    for part in parts["metrics"].values():
        part["notes"] = list(part.get("notes") or []) + work.notes
    progress.phase("saving", "saving the model")
    saved_model.write_version(folder, 1, model, parts)
    say_result(progress, task, best, metrics, 1)


def profile_task(task, schema):
    """The task with the type of every feature, also of those that it doesn't name."""
    return dict(task, features={entry["name"]: entry["feature"] for entry in inputs(schema)})


def _require_best(task, stop, found):
    if not stop.asked:
        return
    if task["on_stop"] != "keep_best":
        raise Stopped("the run was stopped, and the task says that the model is then discarded (on_stop)")
    if found.best is None:
        raise Stopped("the run was stopped before any model was finished, so there is none to keep")


def say_result(progress, task, best, metrics, number):
    """The last line, and the last event."""
    part = metrics.get("test") or metrics.get("train") or {}
    name = task["metric"]
    known = part.get("metrics") or {}
    value = (known.get(name) or known.get(name + "_macro") or {}).get("value")
    shown_value = "no value" if value is None else "%.4f" % value
    progress.line(
        "saved version %d: %s, %s %s on the %s rows"
        % (number, best, name, shown_value, "hold-out" if "test" in metrics else "training")
    )
    progress.event("done", version=number, algorithm=best.name, parameters=best.parameters, metric=name, value=value)
