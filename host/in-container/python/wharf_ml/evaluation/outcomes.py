"""Outcomes: what was true and what the model said of some rows, in the form that every metric takes."""

import numpy as np
import pandas as pd

from wharf_ml.evaluation import plain, settings

#: Rows given to the model at once: what it makes of them inside may be many times as wide.
CHUNK_ROWS = 100_000


class Outcomes:
    """True and predicted values of the same rows.

    Classes are codes here: places in ``labels``, which are the model's classes in their order, and after them those
    that only the data has. Metrics of codes are those of the classes, since their order is the same.
    """

    def __init__(self, kind, truth, predicted, proba=None, scores=None, weight=None, labels=(), known=0, matrix=None):
        self.kind = kind
        self.truth = truth
        self.predicted = predicted
        #: One column for each class that the model knows, or None.
        self.proba = proba
        #: What a model without probabilities orders rows by, in the shape of ``decision_function``; else None.
        self.scores = scores
        self.weight = weight
        self.labels = list(labels)
        #: How many of the labels the model knows.
        self.known = known
        #: For clustering: the rows as the model sees them.
        self.matrix = matrix
        #: How many rows had no target and were left out.
        self.without_target = 0
        #: What to multiply wrong and right answers with; see `metrics.costs`.
        self.costs = None
        #: The seed of what has to look at a sample.
        self.seed = 0

    @property
    def rows(self):
        return len(self.predicted if self.truth is None else self.truth)

    @property
    def positive_score(self):
        """What a binary model orders rows by, or None."""
        if self.proba is not None:
            return self.proba[:, 1] if self.proba.shape[1] > 1 else None
        return self.scores if self.scores is not None and np.ndim(self.scores) == 1 else None

    @property
    def unknown(self):
        """Which rows have a class that the model never saw."""
        return self.truth >= self.known

    def take(self, rows):
        """The same of some rows."""
        parts = (self.truth, self.predicted, self.proba, self.scores, self.weight)
        taken = [None if part is None else part[rows] for part in parts]
        matrix = self.matrix.iloc[rows] if hasattr(self.matrix, "iloc") else self.matrix
        matrix = matrix if matrix is None or matrix is not self.matrix else matrix[rows]
        few = Outcomes(self.kind, *taken, labels=self.labels, known=self.known, matrix=matrix)
        few.costs, few.seed = self.costs, self.seed
        return few


def of(predictor, X, y, sample_weight, task, needs=None):
    """Asks the model about the rows that have a target; with ``needs``, for no more than such a metric takes."""
    from wharf_ml.evaluation import metrics

    kind = settings.prediction_type(task)
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if weight is not None and (len(weight) != len(X) or not np.all(np.isfinite(weight)) or np.any(weight < 0)):
        raise ValueError("sample weights must be one finite number of at least 0 for each of the %d rows" % len(X))
    if kind == "clustering":
        return Outcomes(kind, None, labels_of(predictor, X), weight=weight, matrix=transformed(predictor, X))
    y = pd.Series(np.asarray(y, dtype=object) if not isinstance(y, pd.Series) else y.to_numpy(dtype=object))
    if len(y) != len(X):
        raise ValueError("there are %d targets for %d rows" % (len(y), len(X)))
    missing = y.isna().to_numpy()
    if missing.any():
        X, y = X[~missing], y[~missing]
        weight = None if weight is None else weight[~missing]
    if kind == "regression":
        truth = y.to_numpy(dtype=float)
        made = Outcomes(kind, truth, None, weight=weight)
        _ask(made, predictor, X, needs)
    else:
        made = _classified(kind, predictor, X, y, weight, needs)
        made.costs = metrics.costs(task, made.labels)
    made.without_target = int(missing.sum())
    return made


def _classified(kind, predictor, X, y, weight, needs):
    classes = list(predictor.classes_)
    index = pd.Index(classes, dtype=object)
    truth_codes = index.get_indexer(y)
    strangers = sorted(set(y[truth_codes < 0]), key=str)
    if strangers:
        truth_codes = pd.Index(classes + strangers, dtype=object).get_indexer(y)
    made = Outcomes(kind, truth_codes, None, weight=weight, labels=classes + strangers, known=len(classes))
    _ask(made, predictor, X, needs)
    return made


def _ask(made, predictor, X, needs):
    """What the model says of rows, into the outcomes that have what is true of them."""
    if made.kind == "regression":
        made.predicted = _predict(predictor, X, float)
        return
    both = getattr(predictor, "predict_both", None) if needs is None and len(X) else None
    if both is not None:
        # Once through the pipeline for both.
        parts = [both(X.iloc[at : at + CHUNK_ROWS]) for at in range(0, len(X), CHUNK_ROWS)]
        made.proba = (
            None if parts[0][1] is None else np.concatenate([np.asarray(part[1], dtype=float) for part in parts])
        )
    if needs in (None, "labels"):
        predicted = _predict(predictor, X, object) if both is None else np.concatenate([part[0] for part in parts])
        made.predicted = pd.Index(made.labels[: made.known], dtype=object).get_indexer(
            pd.Index(predicted, dtype=object)
        )
        odd = made.predicted < 0
        if odd.any():
            raise ValueError(
                "the model predicted %r, which isn't among its classes" % (plain.label(predicted[odd][0]),)
            )
    if needs == "labels":
        return
    if both is None:
        made.proba = probabilities(predictor, X)
    if made.proba is not None:
        if made.proba.shape[1] != made.known:
            raise ValueError("the model gave %d probabilities for %d classes" % (made.proba.shape[1], made.known))
    elif callable(getattr(predictor, "decision_function", None)) and len(X):
        made.scores = _in_chunks(predictor.decision_function, X)


def again(made, predictor, X, needs):
    """The outcomes of the same true values with changed rows."""
    other = made.take(slice(None))
    _ask(other, predictor, X, needs)
    return other


def _in_chunks(ask, X):
    if len(X) <= CHUNK_ROWS:
        return np.asarray(ask(X))
    return np.concatenate([np.asarray(ask(X.iloc[at : at + CHUNK_ROWS])) for at in range(0, len(X), CHUNK_ROWS)])


def _predict(predictor, X, dtype):
    if not len(X):
        return np.zeros(0, dtype=dtype)
    return np.asarray(_in_chunks(predictor.predict, X), dtype=dtype).reshape(-1)


def probabilities(predictor, X):
    """What the model says of each class, or None: some models have no probabilities."""
    ask = getattr(predictor, "predict_proba", None)
    if not callable(ask):
        return None
    if not len(X):
        return np.zeros((0, len(predictor.classes_)))
    first = ask(X.iloc[:CHUNK_ROWS])
    if first is None:
        return None
    if len(X) <= CHUNK_ROWS:
        return np.asarray(first, dtype=float)
    return np.concatenate([np.asarray(first, dtype=float), _in_chunks(ask, X.iloc[CHUNK_ROWS:])])


def labels_of(predictor, X):
    """The cluster of each row."""
    return np.asarray(_in_chunks(predictor.predict, X)) if len(X) else np.zeros(0, dtype=int)


def transformed(predictor, X):
    """The rows as the model's last step sees them."""
    ask = getattr(predictor, "transform", None)
    return ask(X) if callable(ask) and len(X) else X
