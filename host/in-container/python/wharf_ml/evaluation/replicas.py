"""Replicas: metrics of many resampled versions of the same rows at once.

A replica is a weight for each row: how often the row was drawn, times its own weight. So metrics of hundreds of
replicas are a few array operations. With weights of 1 each function here gives what scikit-learn gives.
"""

import numpy as np

from wharf_ml.evaluation import metrics

#: Rows that are resampled at most; of more rows a sample is, and the interval is made narrower accordingly.
MOST_ROWS = 20_000
#: Rows times replicas, in all and at once.
MOST_CELLS = 8_000_000
CELLS_AT_ONCE = 1_000_000


def count(rows, width=1):
    """How many replicas to make of so many rows, where a metric goes over them ``width`` times."""
    return int(np.clip(MOST_CELLS // max(1, rows * width), 100, 1_000 if width == 1 else 500))


def once(name, made):
    """A metric of the rows as they are, without scikit-learn's checks, which may take longer than a model's answer."""
    bench = Replicas(made)
    bench.block(np.ones((1, made.rows)))
    return float(bench.values(name)[0])


def draws(rows, replicas, generator):
    """How often each row was drawn, in blocks of replicas."""
    at_once = max(1, CELLS_AT_ONCE // max(1, rows))
    for start in range(0, replicas, at_once):
        block = min(at_once, replicas - start)
        drawn = generator.integers(0, rows, size=(block, rows), dtype=np.int32)
        drawn += np.arange(block, dtype=np.int32)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=block * rows).reshape(block, rows).astype(float)


class Replicas:
    """Metrics of one block of replicas of the same outcomes."""

    def __init__(self, made):
        self._made = made
        self._weights = None
        self._confusion = None
        self._orders = {}
        self._areas = {}

    def block(self, drawn):
        """Goes to another block: ``drawn`` has a row for each replica."""
        own = self._made.weight
        self._weights = drawn if own is None else drawn * own
        self._confusion = None
        self._areas = {}

    def values(self, name):
        """The metric of each replica, NaN where it isn't defined; None for a metric that has no function here."""
        function = getattr(self, "_" + name, None)
        if function is None:
            return None
        with np.errstate(all="ignore"):
            return function()

    # Classes

    def confusion(self):
        """The weight of each pair of true and predicted class."""
        if self._confusion is None:
            size = len(self._made.labels)
            pairs = self._made.truth * size + self._made.predicted
            self._confusion = np.stack(
                [np.bincount(pairs, weights=row, minlength=size * size).reshape(size, size) for row in self._weights]
            )
        return self._confusion

    def _parts(self):
        table = self.confusion()
        return np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)

    def _accuracy(self):
        hits, true, _ = self._parts()
        return hits.sum(axis=1) / true.sum(axis=1)

    def _balanced_accuracy(self):
        hits, true, _ = self._parts()
        here = true > 0
        return np.where(here, hits / np.where(here, true, 1), 0).sum(axis=1) / here.sum(axis=1)

    def _cost(self):
        table = self.confusion()
        return (table * self._made.costs).sum(axis=(1, 2)) / table.sum(axis=(1, 2))

    def _mcc(self):
        hits, true, said = self._parts()
        rows = true.sum(axis=1)
        above = hits.sum(axis=1) * rows - (true * said).sum(axis=1)
        below = np.sqrt(rows**2 - (said**2).sum(axis=1)) * np.sqrt(rows**2 - (true**2).sum(axis=1))
        return np.where(below > 0, above / np.where(below > 0, below, 1), 0.0)

    def _ratio(self, kind):
        hits, true, said = self._parts()
        below = {"precision": said, "recall": true, "f1": (true + said) / 2}[kind]
        return np.where(below > 0, hits / np.where(below > 0, below, 1), 0.0), true, said

    def _mean(self, kind, weighted):
        each, true, said = self._ratio(kind)
        share = true if weighted else ((true > 0) | (said > 0)).astype(float)
        return (each * share).sum(axis=1) / share.sum(axis=1)

    def _precision(self):
        return self._ratio("precision")[0][:, 1]

    def _recall(self):
        return self._ratio("recall")[0][:, 1]

    def _f1(self):
        return self._ratio("f1")[0][:, 1]

    def _precision_macro(self):
        return self._mean("precision", False)

    def _precision_weighted(self):
        return self._mean("precision", True)

    def _recall_macro(self):
        return self._mean("recall", False)

    def _recall_weighted(self):
        return self._mean("recall", True)

    def _f1_macro(self):
        return self._mean("f1", False)

    def _f1_weighted(self):
        return self._mean("f1", True)

    # Probabilities

    def _average_loss(self, loss):
        # A loss of rows that count for nothing may be infinite.
        return self._weights @ loss / self._weights.sum(axis=1)

    def _known(self):
        return ~self._made.unknown

    def _log_loss(self):
        made = self._made
        known = self._known()
        proba = made.proba / made.proba.sum(axis=1, keepdims=True)
        chosen = proba[np.arange(made.rows), np.where(known, made.truth, 0)]
        loss = -np.log(np.clip(chosen, np.finfo(float).eps, 1.0))
        weights = self._weights * known
        return weights @ loss / weights.sum(axis=1)

    def _brier(self):
        known = self._known()
        weights = self._weights * known
        return weights @ (self._made.proba[:, 1] - (self._made.truth == 1)) ** 2 / weights.sum(axis=1)

    def _ordered(self, key, score):
        """Rows with the surest first, and where each group of equal scores begins."""
        if key not in self._orders:
            order = np.argsort(-score, kind="stable")
            starts = np.append(0, np.flatnonzero(np.diff(score[order])) + 1)
            self._orders[key] = order, starts
        return self._orders[key]

    def _groups(self, code):
        """The weight of the class and of all others, of each group of equal scores, surest first."""
        made = self._made
        score = made.positive_score if code is None else made.proba[:, code]
        order, starts = self._ordered(code, score)
        weights = (self._weights * self._known())[:, order]
        hit = (made.truth == (1 if code is None else code))[order]
        hits = np.add.reduceat(weights * hit, starts, axis=1)
        return hits, np.add.reduceat(weights, starts, axis=1) - hits

    def _area(self, code=None):
        if code in self._areas:
            return self._areas[code]
        hits, misses = self._groups(code)
        above = np.cumsum(hits, axis=1) - hits / 2
        self._areas[code] = (misses * above).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1))
        return self._areas[code]

    def _precision_area(self, code=None):
        hits, misses = self._groups(code)
        found, all_rows = np.cumsum(hits, axis=1), np.cumsum(hits + misses, axis=1)
        return (hits * found / np.where(all_rows > 0, all_rows, 1)).sum(axis=1) / found[:, -1]

    def _roc_auc(self):
        return self._area()

    def _average_precision(self):
        return self._precision_area()

    def _lift(self):
        hits, misses = self._groups(None)
        zero = np.zeros((len(hits), 1))
        share = np.hstack([zero, np.cumsum(hits + misses, axis=1)])
        found = np.hstack([zero, np.cumsum(hits, axis=1)])
        share, found = share / share[:, -1:], found / found[:, -1:]
        return np.array([np.interp(metrics.LIFT_SHARE, *pair) for pair in zip(share, found)]) / metrics.LIFT_SHARE

    def _roc_auc_macro(self):
        if self._made.known < 3:
            return self._area()
        return np.mean([self._area(code) for code in range(self._made.known)], axis=0)

    def _roc_auc_weighted(self):
        if self._made.known < 3:
            return self._area()
        each = np.array([self._area(code) for code in range(self._made.known)])
        sizes = np.array([self._weights @ (self._made.truth == code) for code in range(self._made.known)])
        return (each * sizes).sum(axis=0) / sizes.sum(axis=0)

    def _average_precision_macro(self):
        return np.mean([self._precision_area(code) for code in range(self._made.known)], axis=0)

    # Values

    def _error(self):
        return self._made.predicted - self._made.truth

    def _mse(self):
        return self._average_loss(self._error() ** 2)

    def _rmse(self):
        return np.sqrt(self._mse())

    def _mae(self):
        return self._average_loss(np.abs(self._error()))

    def _mape(self):
        truth = self._made.truth
        return self._average_loss(np.abs(self._error()) / np.maximum(np.abs(truth), np.finfo(float).eps))

    def _rmsle(self):
        return np.sqrt(self._average_loss((np.log1p(self._made.predicted) - np.log1p(self._made.truth)) ** 2))

    def _spread(self, values):
        # Around the mean of all rows, so that large numbers with small differences keep their digits.
        values = values - values.mean()
        mean = self._average_loss(values)
        return self._average_loss(values**2) - mean**2

    def _r2(self):
        return 1 - self._mse() / self._spread(self._made.truth)

    def _explained_variance(self):
        return 1 - self._spread(self._error()) / self._spread(self._made.truth)
