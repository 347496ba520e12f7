"""Wording: numbers and names as people read them."""

import math

from wharf_ml.report.markup import element

#: Names of data are cut here; whole ones are in the JSON files beside the report.
NAME_LIMIT = 80

_ALGORITHMS = {
    "knn": "k-nearest neighbours", "mlp": "neural net (MLP)", "xgboost": "XGBoost", "lightgbm": "LightGBM",
    "kmeans": "k-means", "minibatch_kmeans": "mini-batch k-means", "dbscan": "DBSCAN", "linear_svm": "linear SVM",
}  # fmt: skip
_KINDS = {
    "binary": "Binary classification",
    "multiclass": "Multiclass classification",
    "regression": "Regression",
    "clustering": "Clustering",
}
_METRICS = {
    "roc_auc": "ROC AUC",
    "f1": "F1 score",
    "mcc": "MCC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
}


def is_number(value):
    """Whether a value is a finite number and no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value, digits=4):
    """A number with so many significant digits; a dash for none."""
    if not is_number(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return (
            ("%.*e" % (digits - 2, value)).replace("e+0", "e").replace("e-0", "e−").replace("-", "−").replace("e+", "e")
        )
    if isinstance(value, int) or (float(value).is_integer() and size >= 10 ** (digits - 1)):
        shown = "{:,.0f}".format(value)
    else:
        places = max(0, digits - 1 - math.floor(math.log10(size)))
        shown = "{:,.{}f}".format(value, places)
        shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return shown.replace(",", "\u202f").replace("-", "−")


def count(value):
    """A number of rows: whole, unless weights made it something else."""
    return number(int(value)) if is_number(value) and float(value).is_integer() else number(value)


def percent(value, places=1):
    """A share in percent."""
    if not is_number(value):
        return "–"
    shown = "%.*f" % (places, 100 * value)
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown).replace("-", "−") + "\u202f%"


def p_value(value):
    """A p-value; nobody needs to know how small a tiny one is."""
    return "–" if not is_number(value) else "< 0.001" if value < 0.001 else "%.3f" % value


def interval(entry):
    """The interval of a metric's entry, or nothing."""
    low, high = entry.get("low"), entry.get("high")
    return "%s to %s" % (number(low), number(high)) if is_number(low) and is_number(high) else ""


def signed(value):
    """A difference with its sign."""
    return ("+" if is_number(value) and value > 0 else "") + number(value)


def short(value, limit=NAME_LIMIT):
    """A name cut in its middle, since names of a kind often begin alike and end alike."""
    value = "(empty)" if value == "" else "–" if value is None else number(value, 6) if is_number(value) else str(value)
    if len(value) <= limit:
        return value
    head = (limit - 1) * 2 // 3
    return value[:head] + "…" + value[len(value) - (limit - 1 - head) :]


def _width(character):
    """About how wide a character of a drawing's texts is, in a font that is rather wide."""
    if character in "ijlrtfI.,:;|!()[]' ":
        return 4.6
    if character in "mwMW@%":
        return 10.5
    return (
        6.9 if character < "A" or "a" <= character <= "z" or character == "_" else 8.2 if character < "\x7f" else 11.5
    )


def fitting(value, room):
    """A name cut so that it fits into so many units of a drawing."""
    value = short(value)
    if sum(map(_width, value)) <= room:
        return value
    for limit in range(min(len(value) - 1, int(room / 4.6)), 2, -1):
        cut = short(value, limit)
        if sum(map(_width, cut)) <= room:
            return cut
    return "…"


def name(value):
    """A name of data within text; its direction of writing stays its own."""
    return element("bdi", short(value))


def algorithm(value):
    """An algorithm's name for people."""
    value = short(value)
    return _ALGORITHMS.get(value.replace("-", "_"), value.replace("_", " ").replace("-", " "))


def kind(value):
    """A prediction type for people."""
    return _KINDS.get(value, "Model")


def metric(value):
    """A metric's name for people, where there is no entry with its label."""
    value = str(value)
    return _METRICS.get(value, value.replace("_", " "))


def value_of(value):
    """A parameter's value."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(value_of(each) for each in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else short(value, 60)


def parameters(value):
    """Parameters as one line."""
    if not isinstance(value, dict):
        return "" if value is None else short(value, 200)
    return (
        ", ".join("%s = %s" % (short(key, 60), value_of(each)) for key, each in list(value.items())[:40]) or "defaults"
    )
