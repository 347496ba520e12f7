"""The threshold of a binary model: from which probability on a row is of the positive class."""

import numpy as np
import pandas as pd

#: What a threshold can be chosen by. All other metrics don't depend on it (or are best at no threshold that one would
#: want: recall at 0); for those F1 decides.
BY = ("f1", "accuracy", "balanced_accuracy", "mcc", "cost")


def choose_threshold(task, y_true, proba, sample_weight=None, positive=None):
    """The threshold that is best by the task's metric; a row is positive when its probability is at least that.

    ``proba`` is the positive class's probability, or a column for each of both classes. The positive class is
    ``positive``, else the second of the classes in order. Of equally good thresholds it takes the one nearest to 0.5.
    """
    from wharf_ml.evaluation import metrics

    proba = np.asarray(proba, dtype=float)
    score = proba[:, -1] if proba.ndim == 2 else proba
    y = pd.Series(np.asarray(y_true, dtype=object))
    if len(y) != len(score):
        raise ValueError("there are %d targets for %d probabilities" % (len(y), len(score)))
    kept = y.notna().to_numpy() & np.isfinite(score)
    y, score = y[kept], score[kept]
    weight = None if sample_weight is None else np.asarray(sample_weight, dtype=float)[kept]
    if positive is None:
        classes = sorted(set(y))
        if len(classes) < 2:
            return 0.5
        positive = classes[-1]
    hit = (y == positive).to_numpy()
    if hit.all() or not hit.any():
        return 0.5
    known = np.unique(score)
    # Between two neighbours, so that rounding of a probability doesn't change what it is.
    at = np.concatenate([[known[0]], (known[:-1] + known[1:]) / 2, [np.nextafter(known[-1], 2)]])
    # Of two neighbours without a number between them the middle is the lower one, or even both are.
    at[1:-1] = np.where(at[1:-1] <= known[:-1], known[1:], at[1:-1])
    name = (task or {}).get("metric")
    name = name if name in BY else "f1"
    found = measure(name, counts_at(score, hit, weight, at), metrics.costs(task, [0, 1]))
    found = -found if name == "cost" else found
    best = np.flatnonzero(found >= found.max() - 1e-12)
    return float(at[best[np.argmin(np.abs(at[best] - 0.5))]])


def counts_at(score, hit, weight, at):
    """True positives, false positives, false negatives and true negatives at each threshold, by weight."""
    each = np.ones(len(hit)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    hits = np.append(0.0, np.cumsum((each * hit)[order]))
    rows = np.append(0.0, np.cumsum(each[order]))
    below = np.searchsorted(ordered, at, side="left")
    false_negative = hits[below]
    true_negative = rows[below] - false_negative
    true_positive = hits[-1] - false_negative
    return true_positive, rows[-1] - rows[below] - true_positive, false_negative, true_negative


def measure(name, table, costs):
    """A metric at each threshold, from the counts there."""
    tp, fp, fn, tn = table
    rows = tp + fp + fn + tn
    with np.errstate(all="ignore"):
        if name == "precision":
            # Nothing is claimed, so nothing is claimed wrongly: the curve ends, as there is no value.
            return np.where(tp + fp > 0, tp / (tp + fp), np.nan)
        if name == "recall":
            return tp / (tp + fn)
        if name == "f1":
            return 2 * tp / (2 * tp + fp + fn)
        if name == "accuracy":
            return (tp + tn) / rows
        if name == "balanced_accuracy":
            return (tp / (tp + fn) + tn / (tn + fp)) / 2
        if name == "mcc":
            below = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
            return np.where(below > 0, (tp * tn - fp * fn) / np.where(below > 0, below, 1), 0.0)
        if name == "cost":
            return (tn * costs[0, 0] + fp * costs[0, 1] + fn * costs[1, 0] + tp * costs[1, 1]) / rows
    raise ValueError("no metric %r has values by threshold" % (name,))
