"""Residuals: what a regression model got wrong, row by row (predicted minus true)."""

import numpy as np

from wharf_ml.evaluation import plain, settings

BINS = 30
POINTS = 500
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def of(made, context):
    """A histogram of residuals, their quantiles, and a sample of true and predicted values."""
    if not made.rows:
        return {"why_not": "there are no rows"}
    truth, predicted = made.truth, made.predicted
    with np.errstate(over="ignore"):
        error = predicted - truth
    finite = np.isfinite(error)
    if not finite.any():
        return {"why_not": "no prediction is a finite number"}
    truth, predicted, error = truth[finite], predicted[finite], error[finite]
    rows = np.arange(len(error))
    if len(error) > POINTS:
        rows = np.sort(settings.generator(context, "residuals").choice(len(error), POINTS, replace=False))
    bins, edges = histogram(error, None if made.weight is None else made.weight[finite])
    return {
        "histogram": {"edges": plain.numbers(edges), "rows": plain.numbers(bins)},
        "quantiles": {"%g" % q: plain.number(v) for q, v in zip(QUANTILES, np.quantile(error, QUANTILES))},
        "mean": plain.number(np.average(error, weights=None if made.weight is None else made.weight[finite])),
        "sample": {"true": plain.numbers(truth[rows], 6), "predicted": plain.numbers(predicted[rows], 6)},
        "not_finite": int((~finite).sum()),
    }


def histogram(values, weight):
    """Bins over the middle 98 % of values; what lies beyond is in the first and the last bin."""
    low, high = np.quantile(values, [0.01, 0.99])
    # Of bins narrower than numbers can tell apart nothing is to be seen.
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = values.min(), values.max()
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            room = max(abs(low), 1.0) / 2
            low, high = low - room, high + room
    edges = np.linspace(low, high, BINS + 1)
    return np.histogram(np.clip(values, low, high), bins=edges, weights=weight)[0], edges
