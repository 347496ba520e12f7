"""Metrics: scikit-learn's own functions under the names that tasks use."""

import warnings

import numpy as np
from sklearn import metrics as sk

from wharf_ml.evaluation import outcomes, settings

#: Lift is that of the tenth of the rows that the model is surest of.
LIFT_SHARE = 0.1
#: Silhouette compares every row with every other one; beyond this it takes a sample.
SILHOUETTE_ROWS = 5_000


class Unavailable(ValueError):
    """A metric that means nothing for these rows; its text says why."""


class Metric:
    """One metric; as a scorer for searches too."""

    def __init__(self, name, label, function, better="greater", needs="labels"):
        self.name = name
        #: What people call it.
        self.label = label
        self._function = function
        self.greater_is_better = better == "greater"
        #: ``labels``, ``order`` (probabilities or scores), ``probabilities``, ``values`` or ``clusters``.
        self.needs = needs
        #: The task that it is the scorer of; see `bound`.
        self.task = None

    def score(self, predictor, X, y, sample_weight=None):
        """The metric itself, not its negative: see ``greater_is_better``. NaN where it means nothing."""
        made = outcomes.of(predictor, X, y, sample_weight, self.task, self.needs)
        try:
            return float(self.value(made))
        except Unavailable:
            return float("nan")

    __call__ = score

    def value(self, made):
        """The metric of outcomes; `Unavailable` says why there is none."""
        if not made.rows:
            raise Unavailable("there are no rows")
        if made.weight is not None and not made.weight.sum() > 0:
            raise Unavailable("all weights are 0")
        if self.needs in ("order", "probabilities"):
            made = _known(made)
            if self.needs == "probabilities" and made.proba is None:
                raise Unavailable("this model gives no probabilities")
            if made.proba is None and made.scores is None:
                raise Unavailable("this model gives neither probabilities nor scores")
        elif self.needs == "clusters":
            made = _clustered(made)
        with warnings.catch_warnings():
            # What scikit-learn warns of here is said in the results.
            warnings.simplefilter("ignore")
            try:
                found = self._function(made)
            except Unavailable:
                raise
            except ValueError as error:
                raise Unavailable("scikit-learn refuses these rows: %s" % error) from error
        if not np.isfinite(found):
            raise Unavailable("it isn't defined for these rows")
        return found

    def bound(self, task):
        """The same metric, as the scorer of one task."""
        again = Metric(
            self.name, self.label, self._function, "greater" if self.greater_is_better else "less", self.needs
        )
        again.task = task
        return again


def _known(made):
    strangers = made.unknown
    if not strangers.any():
        return made
    if strangers.all():
        raise Unavailable("the model knows none of the classes of these rows")
    return made.take(~strangers)


def _clustered(made):
    # -1 is what density clustering calls rows of no cluster.
    within = made.predicted != -1
    if not within.all():
        made = made.take(within)
    found = len(np.unique(made.predicted))
    if found < 2:
        raise Unavailable("it compares clusters, and the rows are in %d" % found)
    if found >= made.rows:
        raise Unavailable("each row is a cluster of its own")
    return made


def costs(task, labels):
    """The cost of each answer, by true class and predicted class: ``cost_matrix`` of the task.

    For binary a table of ``true_positive``, ``false_positive``, ``true_negative`` and ``false_negative`` (or tp, fp, tn
    and fn), else rows of numbers in the order of the classes. Where nothing is said, a wrong answer costs 1.
    """
    given = (task or {}).get("cost_matrix")
    table = 1.0 - np.eye(len(labels))
    if isinstance(given, dict):
        words = {"true_negative": (0, 0), "false_positive": (0, 1), "false_negative": (1, 0), "true_positive": (1, 1)}
        for word, place in words.items():
            short = "".join(part[0] for part in word.split("_"))
            value = given.get(word, given.get(short))
            if value is not None and len(labels) > 1:
                table[place] = float(value)
    elif given is not None:
        size = len(given)
        square = 0 < size <= len(labels) and all(np.ndim(row) == 1 and len(row) == size for row in given)
        if not square:
            raise ValueError("cost_matrix must have a row and a column for each of the %d classes" % len(labels))
        table[:size, :size] = given
    return table


def _labels(function, **fixed):
    return lambda made: function(made.truth, made.predicted, sample_weight=made.weight, **fixed)


def _positive(function):
    """Of the positive class, also where the rows have a third one."""

    def measure(made):
        if len(made.labels) < 2:
            raise Unavailable("the model knows a single class")
        if made.unknown.any():
            fixed = {"labels": [1], "average": "macro"}
        else:
            fixed = {"pos_label": 1}
        return function(made.truth, made.predicted, sample_weight=made.weight, zero_division=0, **fixed)

    return measure


def _average(function, average):
    return _labels(function, average=average, zero_division=0)


def _binary_order(function):
    def measure(made):
        score = made.positive_score
        if score is None:
            raise Unavailable("the model knows a single class")
        if len(np.unique(made.truth)) < 2:
            raise Unavailable("the rows have a single class")
        return function(made.truth, score, sample_weight=made.weight)

    return measure


def _lift(made):
    share, found = gains(made)
    return np.interp(LIFT_SHARE, share, found) / LIFT_SHARE


def gains(made, score=None, hit=None):
    """Shares of rows, surest first, and the share of the positive ones among them.

    Rows with the same score count as if they were mixed, so that the order of rows changes nothing.
    """
    score = made.positive_score if score is None else score
    if score is None:
        raise Unavailable("the model knows a single class")
    hit = made.truth == 1 if hit is None else hit
    weight = np.ones(len(hit)) if made.weight is None else made.weight
    if not weight[hit].sum() > 0:
        raise Unavailable("no row is of the positive class")
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    rows, hits = np.cumsum(weight[order])[ends], np.cumsum(weight[order] * hit[order])[ends]
    return np.append(0.0, rows / rows[-1]), np.append(0.0, hits / hits[-1])


def _cost(made):
    return np.average(made.costs[made.truth, made.predicted], weights=made.weight)


def _many_order(average):
    def measure(made):
        if made.proba is None:
            raise Unavailable("this model gives no probabilities")
        if made.known < 3:
            return _binary_order(sk.roc_auc_score)(made)
        here = len(np.unique(made.truth))
        if here < made.known:
            raise Unavailable("the rows have %d of the %d classes" % (here, made.known))
        return sk.roc_auc_score(
            made.truth, made.proba, multi_class="ovr", average=average, labels=np.arange(made.known),
            sample_weight=made.weight,
        )  # fmt: skip

    return measure


def _many_precision(made):
    if made.proba is None:
        raise Unavailable("this model gives no probabilities")
    here = np.unique(made.truth)
    if len(here) < made.known:
        raise Unavailable("the rows have %d of the %d classes" % (len(here), made.known))
    truth = made.truth[:, None] == np.arange(made.known)
    return sk.average_precision_score(truth, made.proba, average="macro", sample_weight=made.weight)


def _log_loss(made):
    return sk.log_loss(made.truth, made.proba, labels=np.arange(made.known), sample_weight=made.weight)


def _brier(made):
    if made.known < 2:
        raise Unavailable("the model knows a single class")
    return sk.brier_score_loss(made.truth, made.proba[:, 1], pos_label=1, sample_weight=made.weight)


def _values(function):
    return lambda made: function(made.truth, made.predicted, sample_weight=made.weight)


def _two_rows(function):
    def measure(made):
        if made.rows < 2:
            raise Unavailable("it needs at least two rows")
        return function(made.truth, made.predicted, sample_weight=made.weight)

    return measure


def _rmse(made):
    # scikit-learn has it, and that of logarithms, since 1.4.
    if hasattr(sk, "root_mean_squared_error"):
        return sk.root_mean_squared_error(made.truth, made.predicted, sample_weight=made.weight)
    return np.sqrt(sk.mean_squared_error(made.truth, made.predicted, sample_weight=made.weight))


def _rmsle(made):
    if (made.truth < 0).any() or (made.predicted < 0).any():
        raise Unavailable("it has logarithms, and there are values or predictions below 0")
    if hasattr(sk, "root_mean_squared_log_error"):
        return sk.root_mean_squared_log_error(made.truth, made.predicted, sample_weight=made.weight)
    return np.sqrt(sk.mean_squared_log_error(made.truth, made.predicted, sample_weight=made.weight))


def _silhouette(made):
    matrix, labels = made.matrix, made.predicted
    if made.rows > SILHOUETTE_ROWS:
        rows = np.sort(np.random.default_rng(made.seed).choice(made.rows, SILHOUETTE_ROWS, replace=False))
        matrix, labels = take_rows(matrix, rows), labels[rows]
        if len(np.unique(labels)) < 2:
            raise Unavailable("all rows of its sample are in one cluster")
    return sk.silhouette_score(matrix, labels)


def take_rows(matrix, rows):
    """Some rows of a dataframe, an array or a sparse matrix."""
    return matrix.iloc[rows] if hasattr(matrix, "iloc") else matrix[rows]


def _inertia(made):
    from wharf_ml.evaluation import clusters

    return clusters.inertia(made.matrix, made.predicted)


def _dense(function):
    from scipy import sparse

    return lambda made: function(made.matrix.toarray() if sparse.issparse(made.matrix) else made.matrix, made.predicted)


_CLASSES = [
    Metric("accuracy", "Accuracy", _labels(sk.accuracy_score)),
    Metric("balanced_accuracy", "Balanced accuracy", _labels(sk.balanced_accuracy_score)),
]
_COST = Metric("cost", "Cost per row", _cost, "less")
_MCC = Metric("mcc", "Matthews correlation (MCC)", _labels(sk.matthews_corrcoef))
_LOG_LOSS = Metric("log_loss", "Log loss", _log_loss, "less", "probabilities")

_ALL = {
    "binary": [
        *_CLASSES,
        Metric("precision", "Precision", _positive(sk.precision_score)),
        Metric("recall", "Recall", _positive(sk.recall_score)),
        Metric("f1", "F1 score", _positive(sk.f1_score)),
        Metric("roc_auc", "ROC AUC", _binary_order(sk.roc_auc_score), needs="order"),
        Metric("average_precision", "Average precision", _binary_order(sk.average_precision_score), needs="order"),
        _LOG_LOSS,
        Metric("brier", "Brier score", _brier, "less", "probabilities"),
        _MCC,
        _COST,
        Metric("lift", "Lift at %d%% of the rows" % round(100 * LIFT_SHARE), _lift, needs="order"),
    ],
    "multiclass": [
        *_CLASSES,
        Metric("precision_macro", "Precision, mean of classes", _average(sk.precision_score, "macro")),
        Metric("precision_weighted", "Precision, by size of class", _average(sk.precision_score, "weighted")),
        Metric("recall_macro", "Recall, mean of classes", _average(sk.recall_score, "macro")),
        Metric("recall_weighted", "Recall, by size of class", _average(sk.recall_score, "weighted")),
        Metric("f1_macro", "F1 score, mean of classes", _average(sk.f1_score, "macro")),
        Metric("f1_weighted", "F1 score, by size of class", _average(sk.f1_score, "weighted")),
        Metric("roc_auc_macro", "ROC AUC, each class against the rest", _many_order("macro"), needs="order"),
        Metric("roc_auc_weighted", "ROC AUC, by size of class", _many_order("weighted"), needs="order"),
        Metric("average_precision_macro", "Average precision, mean of classes", _many_precision, needs="order"),
        _LOG_LOSS,
        _MCC,
        _COST,
    ],
    "regression": [
        Metric("r2", "R²", _two_rows(sk.r2_score), needs="values"),
        Metric("rmse", "Root mean squared error", _rmse, "less", "values"),
        Metric("mse", "Mean squared error", _values(sk.mean_squared_error), "less", "values"),
        Metric("mae", "Mean absolute error", _values(sk.mean_absolute_error), "less", "values"),
        Metric("mape", "Mean absolute percentage error", _values(sk.mean_absolute_percentage_error), "less", "values"),
        Metric("rmsle", "Root mean squared log error", _rmsle, "less", "values"),
        Metric("explained_variance", "Explained variance", _two_rows(sk.explained_variance_score), needs="values"),
    ],
    "clustering": [
        Metric("silhouette", "Silhouette", _silhouette, needs="clusters"),
        Metric("calinski_harabasz", "Calinski–Harabasz index", _dense(sk.calinski_harabasz_score), needs="clusters"),
        Metric("davies_bouldin", "Davies–Bouldin index", _dense(sk.davies_bouldin_score), "less", "clusters"),
        Metric("inertia", "Inertia", _inertia, "less", "clusters"),
    ],
}
_BY_NAME = {kind: {metric.name: metric for metric in found} for kind, found in _ALL.items()}
#: For multiclass a name without a suffix is the mean of the classes.
_SHORT = {name: name + "_macro" for name in ("precision", "recall", "f1", "roc_auc", "average_precision")}
#: What a search goes by where the task says nothing.
_DEFAULT = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2", "clustering": "silhouette"}

#: The names of the metrics of each prediction type; the short names of multiclass come last.
METRICS = {
    kind: tuple(found) + (tuple(_SHORT) if kind == "multiclass" else ()) for kind, found in _BY_NAME.items()
}  # fmt: skip


def metric(name, task):
    """The metric of this name for the task's prediction type; None stands for the usual one."""
    kind = settings.prediction_type(task)
    known = _BY_NAME[kind]
    if name is None:
        name = _DEFAULT[kind]
    wanted = _SHORT.get(name, name) if kind == "multiclass" else name
    if wanted not in known:
        raise ValueError("there is no metric %r for %s: use one of %s" % (name, kind, ", ".join(METRICS[kind])))
    return known[wanted].bound(task)


def metrics_of(kind):
    """All metrics of a prediction type, in the order in which they are shown."""
    return list(_BY_NAME[kind].values())


def main_metric(task):
    """The metric that the task is decided by."""
    return metric((task or {}).get("metric"), task)
