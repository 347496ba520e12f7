"""The evaluation of a model on one split."""

import numpy as np

from wharf_ml.evaluation import clusters, confusion, curves, intervals, metrics, outcomes, plain, residuals, settings


def evaluate(predictor, split_name, X, y, sample_weight, task, context):
    """Metrics with their intervals, and all that the prediction type has: matrix, curves, residuals, clusters.

    What means nothing for these rows is null and has ``why_not``, a sentence.
    """
    kind = settings.prediction_type(task)
    settings.progress(context, "evaluating on the split %s (%d rows)" % (split_name, len(X)))
    if kind == "clustering":
        found = clusters.cluster(
            predictor, outcomes.transformed(predictor, X), outcomes.labels_of(predictor, X), task, context, X
        )
        found["split"] = split_name
        return found
    made = outcomes.of(predictor, X, y, sample_weight, task)
    made.seed = settings.seed(context)
    main = metrics.main_metric(task)
    found = {
        "split": split_name,
        "prediction_type": kind,
        "rows": made.rows,
        "rows_without_target": made.without_target,
        "weighted": made.weight is not None,
        "main_metric": main.name,
        "why_not": None,
        "notes": [],
        "metrics": {},
    }
    if not made.rows:
        found["why_not"] = "the split %s has no rows%s" % (split_name, " with a target" if len(X) else "")
    elif made.weight is not None and not made.weight.sum() > 0:
        found["why_not"] = "all rows of the split %s have a weight of 0" % split_name
    if found["why_not"]:
        return plain.clean(found)
    found["metrics"] = {metric.name: intervals.describe(metric, made) for metric in metrics.metrics_of(kind)}
    intervals.add(found["metrics"], made, context)
    if kind == "regression":
        found["residuals"] = residuals.of(made, context)
        if len(np.unique(made.predicted)) == 1:
            found["notes"].append("The model predicts the same value for every row.")
    else:
        _classes(found, made, task, predictor)
    if made.without_target:
        found["notes"].append("%d rows have no target and were left out." % made.without_target)
    return plain.clean(found)


def _classes(found, made, task, predictor):
    found["classes"] = [plain.label(name) for name in made.labels[: made.known]]
    found["confusion"] = confusion.matrix(made)
    strangers = made.labels[made.known :]
    if strangers:
        names = ", ".join(plain.text(name) for name in strangers[:10]) + (" …" if len(strangers) > 10 else "")
        found["notes"].append(
            "%d rows have classes that the model doesn't know (%s): they count as wrong answers, and not at all in "
            "metrics of probabilities." % (made.unknown.sum(), names)
        )
    here = np.unique(made.truth)
    if len(here) == 1:
        found["notes"].append("All rows are of the class %s." % plain.text(made.labels[here[0]]))
    if len(np.unique(made.predicted)) == 1:
        found["notes"].append("The model predicts the same class for every row.")
    if made.kind == "binary":
        found["positive_class"] = plain.label(made.labels[1]) if made.known > 1 else None
        found["threshold"] = _threshold(task, predictor) if made.proba is not None else None
        found["curves"] = curves.of_binary(made, found["threshold"])
        found["per_class"] = confusion.per_class(made, {})
    else:
        found["per_class"] = confusion.per_class(made, curves.of_classes(made))


def _threshold(task, predictor):
    for value in (getattr(predictor, "threshold", None), (task or {}).get("threshold")):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return 0.5
