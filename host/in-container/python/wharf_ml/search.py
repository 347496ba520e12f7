"""The search: which algorithm with which parameters is best on the validation rows."""

import json
import math
import os
import pickle
import time
import warnings

import numpy

from wharf_ml import evaluation, pipeline
from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.batches import text_of
from wharf_ml.memory import fit_size
from wharf_ml.predictor import Predictor
from wharf_ml.table import class_weights, fit_weights
from wharf_ml.workers import WorkerFailed


class Candidate:
    """One algorithm with one value of each parameter, and what became of it."""

    def __init__(self, number, name, parameters):
        self.number, self.name, self.parameters = number, name, parameters
        self.scores, self.seconds = {}, 0.0
        #: Why it has no score.
        self.failed = None
        #: Where the model of the first fold is kept, and what each fold predicted, while it is the best one.
        self.model_file, self.predicted = None, {}

    @property
    def score(self):
        """The mean of the folds' scores."""
        return float(numpy.mean([self.scores[fold] for fold in sorted(self.scores)])) if self.scores else None

    @property
    def spread(self):
        """The standard deviation of the folds' scores; None for one fold."""
        return float(numpy.std(list(self.scores.values()))) if len(self.scores) > 1 else None

    def __str__(self):
        shown = " ".join("%s=%s" % (key, json.dumps(value)) for key, value in self.parameters.items())
        return ("%s %s" % (self.name, shown)).strip()

    def describe(self, chosen):
        """What the saved model keeps of it."""
        return {
            "algorithm": self.name,
            "parameters": self.parameters,
            "score": self.score,
            "scores": [self.scores[fold] for fold in sorted(self.scores)],
            "std": self.spread,
            "seconds": round(self.seconds, 3),
            "failed": self.failed,
            "chosen": chosen,
        }


def candidates(task, seed):
    """All that are tried, in the order of the task: scikit-learn's grid, or its sampler with the seed."""
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    found = []
    search = task["search"]
    for entry in task["algorithms"]:
        parameters = {name: _distribution(entry["name"], name, values) for name, values in entry["parameters"].items()}
        if search["method"] == "grid":
            every = ParameterGrid(parameters)
        else:
            with warnings.catch_warnings():
                # A space that is smaller than the number of candidates is tried as a whole.
                warnings.simplefilter("ignore", UserWarning)
                every = list(ParameterSampler(parameters, search["candidates"], random_state=seed))
        for values in every:
            plain = {
                name: value.item() if isinstance(value, numpy.generic) else value for name, value in values.items()
            }
            found.append(Candidate(len(found), entry["name"], plain))
    return found


def _distribution(algorithm, name, values):
    if isinstance(values, list):
        return values
    from scipy import stats

    from wharf_ml.task import Values

    low, high = values["low"], values["high"]
    if Values(ALGORITHMS[algorithm].parameters[name]).range.fields["low"].shape.integer:
        return _LogWhole(low, high) if values["scale"] == "log" else stats.randint(low, high + 1)
    return stats.loguniform(low, high) if values["scale"] == "log" else stats.uniform(low, high - low)


class _LogWhole:
    """Whole numbers, those of each size equally probable."""

    def __init__(self, low, high):
        self._low, self._high = low, high

    def rvs(self, random_state=None):
        drawn = random_state.uniform(math.log(self._low), math.log(self._high + 1))
        return min(self._high, int(math.exp(drawn)))


class Fitting:
    """What all fits of a task have in common: the rows, the features, the task."""

    def __init__(self, task, features, X, y, weight, seed, threads=1):
        self.task, self.features, self.X, self.y, self.weight = task, features, X, y, weight
        self.seed, self.threads = seed, threads
        self.names = [entry["name"] for entry in features]

    def fit(self, candidate, places=None, jobs=None):
        """The fitted pipeline of a candidate, on the rows at these places or on all."""
        algorithm = ALGORITHMS[candidate.name]
        kind = self.task["prediction_type"]
        X = self.X if places is None else self.X.iloc[places]
        arguments, y, by_class = {}, None, None
        if self.y is not None:
            y = self.y if places is None else self.y[places]
            weight = None if self.weight is None else self.weight if places is None else self.weight[places]
            by_class = class_weights(y, self.task)
            if not algorithm.class_weight:
                weight, by_class = fit_weights(y, weight, by_class), None
            if weight is not None:
                arguments["model__sample_weight"] = weight
        estimator = algorithm.estimator(
            kind, candidate.parameters, self.seed, jobs or self.threads, self.task["gpu"], by_class
        )
        made = pipeline.build(self.features, estimator, kind, self.seed, algorithm.dense)
        with warnings.catch_warnings():
            # What doesn't converge shows in its score.
            warnings.simplefilter("ignore")
            made.fit(X, y, **arguments)
        return made

    def size(self, candidate, rows, width, sparse):
        """Bytes that one fit takes, about."""
        classes = len(numpy.unique(self.y)) if self.task["prediction_type"] in ("binary", "multiclass") else 1
        return fit_size(ALGORITHMS[candidate.name], candidate.parameters, rows, width, sparse, classes)


class Search:
    """Tries candidates on folds, several at once, and keeps the best that is finished."""

    def __init__(self, fitting, tried, folds, workers, progress, stopping):
        self._fitting, self.tried, self._folds, self._workers = fitting, tried, folds, workers
        self._progress, self._stopping = progress, stopping
        self._metric = evaluation.metric(fitting.task["metric"], fitting.task)
        self.best = None
        #: Whether it ended before all were tried: "stopped", "out of time", or None.
        self.cut = None
        # The folds' predictions choose the threshold afterwards.
        self._keeps = fitting.task["prediction_type"] == "binary" and fitting.task["threshold"] == "auto"

    def run(self):
        """Tries them all, or until it is stopped; the best one is in ``best``, None when none was finished."""
        total, done = len(self.tried), 0
        self._progress.event("search", models=total, folds=len(self._folds), metric=self._metric.name)
        start = time.monotonic()
        seconds = self._fitting.task["search"]["max_seconds"]

        def tasks():
            for candidate in self.tried:
                for fold in range(len(self._folds)):
                    if candidate.failed:
                        break
                    if seconds is not None and self.best is not None and time.monotonic() - start > seconds:
                        self.cut = "out of time"
                        return
                    yield (candidate, fold), self._task(candidate, fold)

        for (candidate, fold), result in self._workers.run(tasks(), self._stopping):
            if isinstance(result, WorkerFailed):
                if not candidate.failed:
                    candidate.failed = str(result)
                    done += 1
                    self._tell(candidate, done, total)
                continue
            candidate.scores[fold] = result["score"]
            candidate.seconds += result["seconds"]
            candidate.predicted[fold] = result["predicted"]
            candidate.model_file = result["model"] or candidate.model_file
            if len(candidate.scores) == len(self._folds) and not candidate.failed:
                done += 1
                self._finish(candidate)
                self._tell(candidate, done, total)
        if self._stopping():
            self.cut = "stopped"
        return self.best

    def _finish(self, candidate):
        if not math.isfinite(candidate.score):
            candidate.failed = "its %s isn't defined on the validation rows" % self._metric.name
            candidate.scores.clear()
        worse = self.best is not None and not candidate.failed and not self._is_better(candidate, self.best)
        loser = candidate if worse or candidate.failed else self.best
        if not worse and not candidate.failed:
            self.best = candidate
        if loser is not None:
            # Only the best one's model and predictions are kept.
            loser.predicted = {}
            if loser.model_file:
                os.unlink(loser.model_file)
                loser.model_file = None

    def _is_better(self, one, other):
        if one.score == other.score:
            # Of equally good ones the first: which one ends first is chance.
            return one.number < other.number
        return (one.score > other.score) == self._metric.greater_is_better

    def _tell(self, candidate, done, total):
        name = self._metric.name
        if candidate.failed:
            text = "%s failed: %s" % (candidate, candidate.failed)
        else:
            spread = "" if candidate.spread is None else " ± %.4f" % candidate.spread
            text = "%s: %s %.4f%s, %.1f s" % (candidate, name, candidate.score, spread, candidate.seconds)
            text += " (best so far)" if candidate is self.best else " (best: %.4f)" % self.best.score
        self._progress.bar(done, total, text)
        self._progress.event(
            "model",
            done=done,
            total=total,
            algorithm=candidate.name,
            parameters=candidate.parameters,
            metric=name,
            score=candidate.score,
            std=candidate.spread,
            failed=candidate.failed,
            fit_seconds=round(candidate.seconds, 3),
            best=self.best is candidate,
        )

    def _task(self, candidate, fold):
        # The path is made by the parent, whose counter no two workers share.
        path = self._workers.new_file("model") if fold == 0 else None

        def work():
            fitting, (train, test) = self._fitting, self._folds[fold]
            begun = time.monotonic()
            fitted = fitting.fit(candidate, train)
            predictor = Predictor(fitted, fitting.task["prediction_type"], fitting.names)
            X = fitting.X.iloc[test]
            y = None if fitting.y is None else fitting.y[test]
            weight = None if fitting.weight is None else fitting.weight[test]
            score = self._metric.score(predictor, X, y, weight)
            predicted = None
            if self._keeps and predictor.has_probabilities:
                predicted = predictor.predict_proba(X)[:, 1]
            if path is not None:
                with open(path, "wb") as stream:
                    pickle.dump(fitted, stream, protocol=5)
            return {"score": float(score), "seconds": time.monotonic() - begun, "predicted": predicted, "model": path}

        return work

    def threshold(self):
        """The threshold of the best one; None where none is chosen or there are no probabilities."""
        asked = self._fitting.task["threshold"]
        if self._fitting.task["prediction_type"] != "binary" or asked == "none":
            return None
        if not ALGORITHMS[self.best.name].probabilities:
            return None
        if asked != "auto":
            return float(asked)
        places = numpy.concatenate([test for _, test in self._folds])
        predicted = numpy.concatenate([self.best.predicted[fold] for fold in range(len(self._folds))])
        weight = None if self._fitting.weight is None else self._fitting.weight[places]
        return evaluation.choose_threshold(self._fitting.task, self._fitting.y[places], predicted, weight)

    def first_model(self):
        """The best one's model of the first fold: fitted already, on a part of the rows."""
        with open(self.best.model_file, "rb") as stream:
            return pickle.load(stream)

    def describe(self):
        """What became of all of them, the best first."""

        def order(candidate):
            score = candidate.score
            if score is None:
                return (1, 0.0, candidate.number)
            return (0, -score if self._metric.greater_is_better else score, candidate.number)

        return [each.describe(each is self.best) for each in sorted(self.tried, key=order)]


def class_names(predictor):
    """The classes as texts; None where there are none."""
    return None if predictor.classes_ is None else [text_of(c) for c in numpy.asarray(predictor.classes_).tolist()]
