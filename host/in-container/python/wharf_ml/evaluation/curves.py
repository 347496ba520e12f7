"""Curves: ROC, precision and recall, lift, calibration, and what each threshold would give."""

import warnings

import numpy as np
from sklearn import metrics as sk

from wharf_ml.evaluation import intervals, metrics, plain, threshold

#: Points of a curve at most.
POINTS = 200
#: Points of a curve of one class among many.
POINTS_OF_CLASS = 60
#: Of multiclass models, so many classes get curves of their own: those with the most rows.
CLASSES_WITH_CURVES = 8
BINS = 10


def of_binary(made, known_threshold):
    """All curves of a binary model; each is a table of lists, or has ``why_not``."""
    score = made.positive_score
    why_not = _why_not(made, score)
    if why_not:
        return {name: {"why_not": why_not} for name in ("roc", "pr", "lift", "calibration", "thresholds", "scores")}
    made = made.take(~made.unknown) if made.unknown.any() else made
    score = made.positive_score
    hit = made.truth == 1
    found = {
        "roc": roc(hit, score, made.weight, POINTS),
        "pr": precision_recall(hit, score, made.weight, POINTS),
        "lift": lift(made, score, hit),
    }
    if made.proba is None:
        without = {"why_not": "this model gives scores and no probabilities"}
        found.update(calibration=without, thresholds=without, scores=without)
    else:
        found["calibration"] = calibration(hit, score, made.weight)
        found["thresholds"] = thresholds(made, score, hit, known_threshold)
        found["scores"] = scores(hit, score, made.weight)
    return found


def of_classes(made):
    """For each class its ROC and calibration against the rest, by code; the largest classes only."""
    if made.proba is None or not made.rows:
        return {}
    made = made.take(~made.unknown) if made.unknown.any() else made
    sizes = np.bincount(made.truth, minlength=made.known)
    found = {}
    for code in np.argsort(-sizes, kind="stable")[:CLASSES_WITH_CURVES]:
        if 0 < sizes[code] < made.rows:
            hit = made.truth == code
            found[int(code)] = {
                "roc": roc(hit, made.proba[:, code], made.weight, POINTS_OF_CLASS),
                "calibration": calibration(hit, made.proba[:, code], made.weight),
            }
    return found


def _why_not(made, score):
    if score is None:
        return (
            "this model gives neither probabilities nor scores" if made.known > 1 else "the model knows a single class"
        )
    here = np.unique(made.truth[~made.unknown])
    if len(here) < 2:
        return "the rows have a single class" if len(here) else "there are no rows of a class that the model knows"
    if made.weight is not None and any(made.weight[made.truth == code].sum() <= 0 for code in (0, 1)):
        return "all rows of one class have a weight of 0"
    return None


def roc(hit, score, weight, points):
    """False and true positive rates by threshold."""
    false, true, cut = sk.roc_curve(hit, score, sample_weight=weight)
    kept = plain.thin_along(false, true, points)
    return {
        "false_positive_rate": plain.numbers(false[kept]),
        "true_positive_rate": plain.numbers(true[kept]),
        "threshold": plain.numbers(cut[kept]),
    }


def precision_recall(hit, score, weight, points):
    """Precision and recall by threshold, from the highest recall to none."""
    precision, recall, cut = sk.precision_recall_curve(hit, score, sample_weight=weight)
    kept = plain.thin_along(recall, precision, points)
    total = len(hit) if weight is None else weight.sum()
    return {
        "recall": plain.numbers(recall[kept]),
        "precision": plain.numbers(precision[kept]),
        "threshold": plain.numbers(np.append(cut, np.nan)[kept]),
        "share_of_positives": plain.number((hit.sum() if weight is None else weight[hit].sum()) / total),
    }


def lift(made, score, hit):
    """How much of the positive class is among the rows that the model is surest of."""
    share, found = metrics.gains(made, score, hit)
    at = np.unique(np.concatenate([np.linspace(0, 1, 101), [metrics.LIFT_SHARE]]))
    gain = np.interp(at, share, found)
    with np.errstate(all="ignore"):
        ratio = np.where(at > 0, gain / at, np.nan)
    return {"share_of_rows": plain.numbers(at), "gain": plain.numbers(gain), "lift": plain.numbers(ratio)}


def calibration(hit, score, weight):
    """Mean probability and share of the class in bins of equal width; Wilson intervals where rows have no weights."""
    place = np.clip((score * BINS).astype(int), 0, BINS - 1)
    each = np.ones(len(hit)) if weight is None else weight
    total = np.bincount(place, weights=each, minlength=BINS)
    rows = np.bincount(place, minlength=BINS)
    used = np.flatnonzero(total > 0)
    mean = np.bincount(place, weights=each * score, minlength=BINS)[used] / total[used]
    share = np.bincount(place, weights=each * hit, minlength=BINS)[used] / total[used]
    bounds = [intervals.wilson(s * n, n) if weight is None else (None, None) for s, n in zip(share, rows[used])]
    return {
        "predicted": plain.numbers(mean),
        "observed": plain.numbers(share),
        "low": [plain.number(low) for low, _ in bounds],
        "high": [plain.number(high) for _, high in bounds],
        "rows": [int(n) for n in rows[used]],
        "expected_calibration_error": plain.number((np.abs(mean - share) * total[used]).sum() / total.sum()),
    }


def thresholds(made, score, hit, known_threshold):
    """Precision, recall, F1 and cost at thresholds between 0 and 1."""
    at = np.linspace(0, 1, 101)
    table = threshold.counts_at(score, hit, made.weight, at)
    found = {"threshold": plain.numbers(at)}
    for name in ("precision", "recall", "f1", "cost"):
        found[name] = plain.numbers(threshold.measure(name, table, made.costs))
    found["chosen"] = plain.number(known_threshold)
    return found


def scores(hit, score, weight):
    """How the predicted probabilities of both classes are spread, as shares of each."""
    edges = np.linspace(0, 1, 21)
    found = {"edges": plain.numbers(edges)}
    for name, rows in (("positive", hit), ("negative", ~hit)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            each = np.histogram(
                np.clip(score[rows], 0, 1), bins=edges, weights=None if weight is None else weight[rows]
            )[0]
        found[name] = plain.numbers(each / max(each.sum(), np.finfo(float).tiny))
    return found
