"""Names of what a task may ask for; without numpy, for the reader of tasks."""

#: Numeric derivations.
DERIVATIONS = ("square", "sqrt", "log")
#: What is made of a date, in UTC.
DATE_PARTS = ("year", "month", "day", "weekday", "hour", "epoch")

_LABELS = ("precision", "recall", "f1")
_ORDER = ("roc_auc", "average_precision")
#: The metrics by prediction type.
METRICS = {
    "binary": ("accuracy", "balanced_accuracy") + _LABELS + _ORDER + ("log_loss", "brier", "mcc", "cost", "lift"),
    "multiclass": (
        ("accuracy", "balanced_accuracy")
        + tuple("%s_%s" % (name, mean) for name in _LABELS + ("roc_auc",) for mean in ("macro", "weighted"))
        + ("average_precision_macro", "log_loss", "mcc", "cost")
        + _LABELS
        + _ORDER
    ),
    "regression": ("r2", "rmse", "mse", "mae", "mape", "rmsle", "explained_variance"),
    "clustering": ("silhouette", "calinski_harabasz", "davies_bouldin", "inertia"),
}
#: Metrics that need probabilities; those that need an order alone also take a binary model's scores.
PROBABILITY_METRICS = {
    "binary": ("log_loss", "brier"),
    "multiclass": tuple(name for name in METRICS["multiclass"] if name == "log_loss" or name.startswith(_ORDER)),
}
