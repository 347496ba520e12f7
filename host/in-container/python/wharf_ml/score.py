"""`score`: predictions for a dataset of any size, in bounded memory."""

import collections
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy

from wharf_ml import limits, run_io, saved_model
from wharf_ml.batches import BatchWriter, chunks, pyarrow, read_batches, text_of
from wharf_ml.columns import inputs, require_same
from wharf_ml.fields import shown
from wharf_ml.reasons import Reasons
from wharf_ml.refusal import Refused, Stopped
from wharf_ml.table import feature_values, frame
from wharf_ml.train import require_gpu

# Values of features that a chunk has by default, and rows at the most. Each call of a pipeline costs milliseconds whatever it
# is given, so a chunk is as large as a container of some hundred megabytes bears.
_VALUES = 1_000_000
_ROWS = 100_000
_EVERY_SECONDS = 5.0


def score(task, progress, stop):
    """Scores a dataset with a saved model."""
    if task["gpu"]:
        require_gpu()
    source, folder, target = run_io.input_dataset(), run_io.input_model(), run_io.output_dataset()
    version = saved_model.read_version(folder, task["version"])
    try:
        columns = [dict(c) for c in source.read_schema()]
        require_same(version.columns, columns, source.short_name, ("input",))
        predictor = version.predictor(gpu=task["gpu"])
        passed = _passed(task, columns, source.short_name)
        scorer = Scorer(task, version, predictor, {c["name"]: c["type"] for c in columns})
        _check_names(passed, scorer.added, task)
        progress.phase("scoring", "scoring %s with version %d of the model" % (source.short_name, version.number))
        _stream(scorer, task, source, target, columns, passed, progress, stop)
    finally:
        version.close()


def _passed(task, columns, dataset):
    if task["columns"] == "all":
        return columns
    known = {column["name"]: column for column in columns}
    missing = [name for name in task["columns"] if name not in known]
    if missing:
        raise Refused(
            "columns: the dataset %s has no column %s; it has %s"
            % (dataset, ", ".join(map(shown, missing)), ", ".join(map(shown, known)))
        )
    return [known[name] for name in task["columns"]]


def _check_names(passed, added, task):
    names = [column["name"] for column in added]
    clash = sorted({column["name"] for column in passed} & set(names)) + sorted(
        {n for n in names if names.count(n) > 1}
    )
    if clash:
        raise Refused(
            "the columns %s are added, and the dataset has them already: give added ones another name with prefix, "
            "or don't pass "
            "those through (columns)" % ", ".join(map(shown, clash))
        )


class Scorer:
    """Makes of a batch the columns that are added to it."""

    def __init__(self, task, version, predictor, types):
        self._predictor = predictor
        self._features = inputs(version.columns)
        self.names = [entry["name"] for entry in self._features]
        self._kind = version.task["prediction_type"]
        prefix = task["prefix"] or ""
        self._probabilities = task["probabilities"] and predictor.has_probabilities
        self._reasons = None
        if task["reasons"]:
            if self._kind == "clustering":
                raise Refused("reasons: a clustering has none")
            self._reasons = Reasons(predictor, version.schema, version.explanations, task["reasons"])
        self.added = [{"name": prefix + "prediction", "type": self._prediction_type()}]
        if self._probabilities:
            self.added += [
                {"name": "%sproba_%s" % (prefix, text_of(c)), "type": "double"} for c in predictor.classes_.tolist()
            ]
        if self._reasons:
            self.added.append({"name": prefix + "reasons", "type": "string"})
        self.rows = task["chunk_rows"] or max(1000, min(_ROWS, _VALUES // max(1, len(self.names))))
        self._texts = None
        if self.added[0]["type"] == "string":
            self._texts = [text_of(value) for value in predictor.classes_.tolist()]

    def _prediction_type(self):
        if self._kind == "regression":
            return "double"
        if self._kind == "clustering":
            return "int"
        kind = self._predictor.classes_.dtype.kind
        return {"b": "boolean", "i": "bigint", "u": "bigint"}.get(kind, "string")

    @property
    def finite(self):
        """Whether no missing number comes to the estimator: then nobody has to look for one again."""
        return all(entry["feature"].get("impute") != "none" for entry in self._features)

    def values(self, batch):
        """Arrays and lists for the added columns."""
        X = frame({entry["name"]: feature_values(batch, entry) for entry in self._features})
        if self._probabilities or self._predictor.threshold is not None:
            places, probabilities = self._predictor.predict_places(X)
            predictions = self._predictor.classes_[places]
            found = [self._texts_at(places) if self._texts is not None else self._written(predictions)]
        else:
            predictions, probabilities = numpy.asarray(self._predictor.predict(X)), None
            found = [self._written(predictions)]
        if self._probabilities:
            found += [
                numpy.ascontiguousarray(probabilities[:, at], dtype=float) for at in range(probabilities.shape[1])
            ]
        if self._reasons:
            found.append(self._reasons.of(X, predictions))
        return found

    def _texts_at(self, places):
        arrow = pyarrow()
        if arrow is None:
            return [self._texts[at] for at in places.tolist()]
        return arrow.array(self._texts, arrow.string()).take(arrow.array(places))

    def _written(self, predictions):
        if self.added[0]["type"] == "double":
            return predictions.astype(float, copy=False)
        if self.added[0]["type"] == "string":
            return [text_of(value) for value in predictions.tolist()]
        return predictions.astype(
            {"boolean": bool, "bigint": "int64", "int": "int32"}[self.added[0]["type"]], copy=False
        )


def _stream(scorer, task, source, target, columns, passed, progress, stop):
    import sklearn
    from threadpoolctl import threadpool_limits

    needed = {column["name"] for column in passed} | set(scorer.names)
    wanted = [column for column in columns if column["name"] in needed]
    threads = min(limits.cpus(), task["n_jobs"] or limits.cpus())
    writer = BatchWriter(target, passed, scorer.added)
    begun = told = time.monotonic()
    rows = 0
    finite = scorer.finite

    def work(batch):
        # The setting belongs to the thread.
        with sklearn.config_context(assume_finite=finite):
            return batch, scorer.values(batch)

    try:
        with contextlib.ExitStack() as stack:
            # Chunks go on side by side: threads within each would be in each other's way.
            stack.enter_context(threadpool_limits(1))
            pool = stack.enter_context(ThreadPoolExecutor(threads))
            waiting = collections.deque()
            batches = chunks(read_batches(source, wanted), scorer.rows)
            over = False
            while waiting or not over:
                while not over and len(waiting) <= threads:
                    batch = next(batches, None)
                    if batch is None:
                        over = True
                    else:
                        waiting.append(pool.submit(work, batch))
                if not waiting:
                    break
                if stop.asked:
                    raise Stopped("the run was stopped after %d rows; nothing of the output is kept" % rows)
                batch, values = waiting.popleft().result()
                writer.write(batch, values)
                rows += batch.rows
                now = time.monotonic()
                if now - told > _EVERY_SECONDS:
                    told = now
                    progress.line("%d rows scored, %d a second" % (rows, rows / (now - begun)))
                    progress.advance(rows, None, "rows scored, %d a second" % (rows / (now - begun)))
                    progress.event("scored", rows=rows)
        writer.finish()
    except BaseException:
        writer.abort()
        raise
    seconds = max(time.monotonic() - begun, 1e-9)
    progress.line("%d rows scored in %.1f seconds, %d a second" % (rows, seconds, rows / seconds))
    progress.event("done", rows=rows, rows_per_second=round(rows / seconds))
