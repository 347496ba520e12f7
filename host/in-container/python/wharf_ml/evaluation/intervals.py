"""Confidence intervals: exact ones where there are some, else by bootstrap."""

import numpy as np
from scipy import stats

from wharf_ml.evaluation import metrics, replicas, settings

LEVEL = 0.95
#: Fewer rows than this say too little for any interval.
FEWEST_ROWS = 10
_BY_CLASS = ("roc_auc_macro", "roc_auc_weighted", "average_precision_macro")


def wilson(hits, rows):
    """The Wilson score interval of a share."""
    if rows <= 0:
        return None
    z = stats.norm.ppf(0.5 + LEVEL / 2)
    share = hits / rows
    middle = share + z * z / (2 * rows)
    half = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    below = 1 + z * z / rows
    return max(0.0, (middle - half) / below), min(1.0, (middle + half) / below)


def delong(positive, score):
    """The area under the ROC curve and its variance, after DeLong, DeLong and Clarke-Pearson (1988), by mid-ranks."""
    hits, misses = score[positive], score[~positive]
    m, n = len(hits), len(misses)
    ranks = stats.rankdata(np.concatenate([hits, misses]))
    of_hits = (ranks[:m] - stats.rankdata(hits)) / n
    of_misses = 1 - (ranks[m:] - stats.rankdata(misses)) / m
    return of_hits.mean(), (of_hits.var(ddof=1) / m if m > 1 else np.nan) + (
        of_misses.var(ddof=1) / n if n > 1 else np.nan
    )


def _exact(name, made):
    """A function that gives method and bounds, or None where there is no exact interval."""
    if made.weight is not None or made.kind not in ("binary", "multiclass"):
        return None
    if name == "accuracy":
        return "wilson", wilson(int((made.truth == made.predicted).sum()), made.rows)
    if made.kind != "binary":
        return None
    both = int(((made.truth == 1) & (made.predicted == 1)).sum())
    if name == "precision":
        return "wilson", wilson(both, int((made.predicted == 1).sum()))
    if name == "recall":
        return "wilson", wilson(both, int((made.truth == 1).sum()))
    if name == "roc_auc" and not made.unknown.any():
        area, variance = delong(made.truth == 1, made.positive_score)
        if np.isfinite(variance) and variance > 0:
            half = stats.norm.ppf(0.5 + LEVEL / 2) * np.sqrt(variance)
            return "delong", (max(0.0, area - half), min(1.0, area + half))
    return None


def sample(made, context, purpose):
    """The rows to resample, and how much wider than theirs the spread of all rows is."""
    if made.rows <= replicas.MOST_ROWS:
        return made, 1.0
    chosen = settings.generator(context, purpose, "sample").choice(made.rows, replicas.MOST_ROWS, replace=False)
    return made.take(np.sort(chosen)), float(np.sqrt(replicas.MOST_ROWS / made.rows))


def add(entries, made, context):
    """Adds ``low``, ``high``, ``level`` and ``method`` to the entries of metrics, or says why there are none."""
    wanted = []
    for name, entry in entries.items():
        entry.update(low=None, high=None, level=None, method=None)
        if entry["value"] is None:
            continue
        if made.kind == "clustering":
            entry["why_no_interval"] = "clusters were made of these very rows, so that resampling them says nothing"
        elif made.rows < FEWEST_ROWS:
            entry["why_no_interval"] = "%d rows are too few" % made.rows
        else:
            exact = _exact(name, made)
            if exact is not None and exact[1] is not None:
                entry.update(low=float(exact[1][0]), high=float(exact[1][1]), level=LEVEL, method=exact[0])
            else:
                wanted.append(name)
    if wanted:
        _bootstrap(wanted, entries, made, context)


def by_class(names):
    """Those metrics that go over all rows once for each class."""
    return [name for name in names if name in _BY_CLASS]


def _bootstrap(wanted, entries, made, context):
    few, factor = sample(made, context, "intervals")
    # Each class costs as much as all rows for metrics that go class by class.
    costly = by_class(wanted)
    cheap = [name for name in wanted if name not in _BY_CLASS]
    for names, width in ((cheap, 1), (costly, made.known)):
        if not names:
            continue
        if width > 1 and few.rows * width > 1_000_000:
            for name in names:
                entries[name]["why_no_interval"] = "%d classes are too many to resample each of them" % width
            continue
        found = {name: [] for name in names}
        bench = replicas.Replicas(few)
        times = replicas.count(few.rows, width)
        for drawn in replicas.draws(few.rows, times, settings.generator(context, "intervals", str(width > 1))):
            bench.block(drawn)
            for name in names:
                found[name].append(bench.values(name))
        for name in names:
            if found[name][0] is None:
                entries[name]["why_no_interval"] = "this metric isn't resampled"
                continue
            bounds = percentiles(np.concatenate(found[name]))
            if bounds is None:
                entries[name]["why_no_interval"] = "it isn't defined in most resampled versions of these rows"
                continue
            if bounds[0] == bounds[1]:
                entries[name]["why_no_interval"] = "every resampled version of these rows gives the same"
                continue
            if factor != 1.0:
                centre = replicas.once(name, few)
                bounds = [entries[name]["value"] + (bound - centre) * factor for bound in bounds]
            entries[name].update(low=float(bounds[0]), high=float(bounds[1]), level=LEVEL, method="bootstrap")
            entries[name]["replicas"] = times
            if factor != 1.0:
                entries[name]["sampled_rows"] = few.rows


def percentiles(values):
    """The middle 95 % of replicas, or None where most of them aren't defined."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values):
        return None
    return np.quantile(defined, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])


def describe(metric, made):
    """One metric as results have it: its value, or why there is none."""
    entry = {"label": metric.label, "greater_is_better": metric.greater_is_better, "value": None, "why_not": None}
    try:
        entry["value"] = float(metric.value(made))
    except metrics.Unavailable as error:
        entry["why_not"] = str(error)
    return entry
