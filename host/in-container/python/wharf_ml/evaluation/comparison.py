"""The comparison of two models on the same rows."""

import numpy as np

from wharf_ml.evaluation import intervals, metrics, outcomes, plain, replicas, settings

#: The prediction types that have something to compare on rows of their own.
_KINDS = ("binary", "multiclass", "regression")


def compare(old_predictor, new_predictor, X, y, task, context):
    """Both models' metrics, their difference (new minus old) and its interval by a paired bootstrap.

    ``verdict`` is ``better``, ``worse`` or ``unclear``: the last when the interval of the difference has 0 in it.
    """
    kind = settings.prediction_type(task)
    settings.progress(context, "comparing both models on %d rows" % len(X))
    main = metrics.main_metric(task).name
    found = {"prediction_type": kind, "rows": 0, "main_metric": main, "why_not": None, "notes": [], "metrics": {}}
    if kind not in _KINDS:
        found["why_not"] = "clusters of two models aren't answers to the same question"
        return plain.clean(found)
    old = outcomes.of(old_predictor, X, y, None, task)
    new = outcomes.of(new_predictor, X, y, None, task)
    found["rows"] = new.rows
    if not new.rows:
        found["why_not"] = "there are no rows with a target to compare them on"
        return plain.clean(found)
    if kind != "regression" and old.labels[: old.known] != new.labels[: new.known]:
        found["notes"].append(
            "The old model knows the classes %s, the new one %s: their averages over classes differ in what "
            "they are of."
            % tuple(", ".join(plain.text(name) for name in made.labels[: made.known][:20]) for made in (old, new))
        )
    found["agreement"] = _agreement(kind, old, new)
    for metric in metrics.metrics_of(kind):
        before, after = intervals.describe(metric, old), intervals.describe(metric, new)
        entry = {
            "label": metric.label, "greater_is_better": metric.greater_is_better, "old": before["value"],
            "new": after["value"], "difference": None, "low": None, "high": None, "verdict": None, "why_not": None,
        }  # fmt: skip
        if entry["old"] is None or entry["new"] is None:
            entry["why_not"] = before["why_not"] or after["why_not"]
        else:
            entry["difference"] = entry["new"] - entry["old"]
        found["metrics"][metric.name] = entry
    _intervals(found, old, new, context)
    return plain.clean(found)


def _agreement(kind, old, new):
    if kind == "regression":
        with np.errstate(all="ignore"):
            same = np.corrcoef(old.predicted, new.predicted)[0, 1] if new.rows > 1 else np.nan
        return {"kind": "correlation", "value": plain.number(same)}
    same = [old.labels[a] == new.labels[b] for a, b in zip(old.predicted, new.predicted)]
    return {"kind": "share of equal answers", "value": float(np.mean(same))}


def _intervals(found, old, new, context):
    names = [name for name, entry in found["metrics"].items() if entry["difference"] is not None]
    if new.rows < intervals.FEWEST_ROWS:
        found["notes"].append("%d rows are too few for intervals." % new.rows)
        return
    few_old, factor = intervals.sample(old, context, "comparison")
    few_new, _ = intervals.sample(new, context, "comparison")
    width = max(old.known, new.known, 1)
    by_class = intervals.by_class(names)
    if few_new.rows * width > 1_000_000:
        names = [name for name in names if name not in by_class]
        by_class = []
    times = replicas.count(few_new.rows, 2 * width if by_class else 2)
    benches = replicas.Replicas(few_old), replicas.Replicas(few_new)
    drawn_differences = {name: [] for name in names}
    for drawn in replicas.draws(few_new.rows, times, settings.generator(context, "comparison")):
        for bench in benches:
            bench.block(drawn)
        for name in names:
            # The same rows for both: what is hard about a row is hard for both models, and cancels out.
            drawn_differences[name].append(benches[1].values(name) - benches[0].values(name))
    found["replicas"], found["level"] = times, intervals.LEVEL
    for name, parts in drawn_differences.items():
        entry = found["metrics"][name]
        bounds = intervals.percentiles(np.concatenate(parts))
        if bounds is None:
            continue
        if factor != 1.0:
            centre = replicas.once(name, few_new) - replicas.once(name, few_old)
            bounds = [entry["difference"] + (bound - centre) * factor for bound in bounds]
        entry["low"], entry["high"] = float(bounds[0]), float(bounds[1])
        if entry["low"] <= 0 <= entry["high"]:
            entry["verdict"] = "unclear"
        else:
            entry["verdict"] = "better" if (entry["low"] > 0) == entry["greater_is_better"] else "worse"
    if factor != 1.0:
        found["notes"].append("Intervals come from %d of %d rows, narrowed accordingly." % (few_new.rows, new.rows))
