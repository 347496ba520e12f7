"""The tasks: what their keys are, and what of them doesn't go together."""

import math

from wharf_ml.algorithms import ALGORITHMS, CLASSIFICATION, CLUSTERING, REGRESSION
from wharf_ml.handling import DATE_PARTS, DERIVATIONS, METRICS, PROBABILITY_METRICS
from wharf_ml.fields import (
    Choice, Either, Field, Flag, ListOf, MapOf, Nothing, Number, Problems, Record, Shape, Tagged, Text, Whole,
    load_json,
    shown,
)  # fmt: skip
from wharf_ml.refusal import Refused

#: What a feature may be.
FEATURE_TYPES = ("numeric", "category", "text", "date")
#: The metric where the task says none.
DEFAULT_METRICS = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2", "clustering": "silhouette"}

_OPTIMIZED = (
    "the optimized engine scores in DSS's own process (Java) and not in a container: run such a recipe on the DSS "
    "server, "
    'or ask for the engine "python"'
)


class Engine(Shape):
    """The engine; DSS's own is refused with the reason."""

    def accepts(self):
        return '"python"'

    def fits(self, value):
        return value == "python"

    def read(self, value, path, problems):
        if isinstance(value, str) and value.lower() in ("optimized", "optimised", "java"):
            problems.add(path, "can't be %s here: %s" % (shown(value), _OPTIMIZED))
            return value
        return super().read(value, path, problems)

    def schema(self):
        return {"const": "python"}


def _feature(*fields):
    return Record(
        Field("role", Choice("input"), "input", "`input`: the model uses it"),
        *fields,
    )


_NUMERIC = _feature(
    Field(
        "impute",
        Choice("mean", "median", "most_frequent", "constant", "none"),
        "mean",
        "what a missing value becomes. `none` leaves it missing, which only algorithms of trees take",
    ),
    Field("impute_value", Number(), 0, "the value for `impute = constant`"),
    Field("missing_indicator", Flag(), False, "adds a column that is 1 where the value was missing in training data"),
    Field("rescale", Choice("standard", "minmax", "robust", "maxabs", "none"), "standard", "scikit-learn's scaler"),
    Field(
        "derive",
        ListOf(Choice(*DERIVATIONS)),
        [],
        "columns that are added: the square, and the root and log(1 + x) of the size with the value's sign",
    ),
)
_CATEGORY = _feature(
    Field("encode", Choice("one-hot", "ordinal", "target", "hashing"), "one-hot", "how categories become numbers"),
    Field("impute", Choice("category", "most_frequent"), "category", "`category`: missing is a category of its own"),
    Field("max_categories", Whole(2), 100, "the most categories of `one-hot` and `ordinal`; the rarest share one"),
    Field("min_rows", Whole(1), 1, "categories with fewer rows share one, in `one-hot` and `ordinal`"),
    Field("columns", Whole(1, 1048576), 64, "how many columns `hashing` makes"),
)
_TEXT = _feature(
    Field("encode", Choice("tf-idf", "hashing"), "tf-idf", "how words become numbers"),
    Field("max_words", Whole(1, 1000000), 1000, "the most words, or groups of them, that `tf-idf` keeps"),
    Field("ngrams", ListOf(Whole(1, 10), least=2, most=2), [1, 1], "from how many to how many words in a group"),
    Field("stop_words", Choice("none", "english"), "none", "words that are left out"),
    Field("columns", Whole(1, 1048576), 1024, "how many columns `hashing` makes"),
)
_DATE = _feature(
    Field("parts", ListOf(Choice(*DATE_PARTS), least=1), ["year", "month", "day", "weekday", "hour"], "in UTC"),
    Field("rescale", Choice("standard", "none"), "standard", "scikit-learn's scaler"),
)
_ROLE = Record(
    Field(
        "role",
        Choice("input", "rejected", "weight"),
        "input",
        "`rejected`: not used. `weight`: the weight of the row in fits and metrics, a number above 0",
    )
)
FEATURE = Tagged("type", {None: _ROLE, "numeric": _NUMERIC, "category": _CATEGORY, "text": _TEXT, "date": _DATE})

_SAMPLING = Tagged(
    "method",
    {
        "all": Record(),
        "head": Record(Field("rows", Whole(1), about="the first rows")),
        "random": Record(
            Field("rows", Either(Whole(1), Nothing()), None, "exactly so many rows, or all if there are fewer"),
            Field("ratio", Either(Number(above=0, high=1), Nothing()), None, "each row with this probability"),
        ),
    },
)
_RATIO = Field("train_ratio", Number(above=0, below=1), 0.8, "share of the rows that is trained on")
_STRATIFY = Field("stratify", Flag(), True, "classes have the same shares in all parts; changes nothing for regression")
_SPLIT = Tagged(
    "method",
    {
        "random": Record(_RATIO, _STRATIFY),
        "column": Record(
            Field("column", Text(), about="the column that says it"),
            Field(
                "test", ListOf(Either(Text(), Number(), Flag()), least=1), about="values of the rows of the hold-out"
            ),
        ),
        "time": Record(Field("column", Text(), about="rows are ordered by it; the last ones are the hold-out"), _RATIO),
        "k-fold": Record(Field("folds", Whole(2, 100), 5, "how many"), _STRATIFY),
    },
)
_VALIDATION = Tagged(
    "method",
    {
        "k-fold": Record(Field("folds", Whole(2, 100), 3, "how many"), _STRATIFY),
        "holdout": Record(_RATIO, _STRATIFY),
        "time": Record(_RATIO),
    },
)
_SEARCH = Record(
    Field(
        "method",
        Choice("grid", "random"),
        "grid",
        "`grid`: every combination; `random`: as many combinations as `candidates` says, drawn with the seed",
    ),
    Field("candidates", Whole(1, 100000), 10, "combinations per algorithm of the random search"),
    Field(
        "validation",
        Either(_VALIDATION, Nothing()),
        None,
        "how models are compared, on rows of the training part. Unless said: k-fold with 3 folds; after a split by "
        "time, the last fifth of the training part",
    ),
    Field(
        "max_models", Either(Whole(1), Nothing()), None, "the most models that are tried; the task is refused above it"
    ),
    Field("max_seconds", Either(Number(above=0), Nothing()), None, "after that no more models are begun"),
)


class Values(Shape):
    """Values of one parameter: one, a list to try, or a range of the random search."""

    def __init__(self, shape):
        self.shape = shape
        numeric = [s for s in (shape.shapes if isinstance(shape, Either) else [shape]) if isinstance(s, Number)]
        self.range = None
        if numeric:
            bound = numeric[0]
            self.range = Record(
                Field("low", bound, about="the smallest value"),
                Field("high", bound, about="the largest value"),
                Field("scale", Choice("linear", "log"), "linear", "how values are drawn between them"),
            )

    def accepts(self):
        more = ", or a range with low and high" if self.range else ""
        return "%s, or a list of these%s" % (self.shape.accepts(), more)

    def fits(self, value):
        return self.shape.fits(value) or isinstance(value, (list, dict))

    def read(self, value, path, problems):
        if isinstance(value, dict) and self.range:
            found = self.range.read(value, path, problems)
            numbers = [found.get(key) for key in ("low", "high") if isinstance(found.get(key), (int, float))]
            if len(numbers) == 2 and not numbers[0] < numbers[1]:
                problems.add(path, "has low %s, which must be below high %s" % tuple(map(shown, numbers)))
            elif found.get("scale") == "log" and numbers and not numbers[0] > 0:
                problems.add(path + ".low", "must be above 0 for the scale log")
            return found
        if isinstance(value, list) and not _is_one(self.shape, value):
            if not value:
                problems.add(path, "must be %s, not an empty list" % self.accepts())
            return [self.shape.read(each, "%s[%d]" % (path, at), problems) for at, each in enumerate(value)]
        if not self.shape.fits(value):
            problems.add(path, "must be %s, not %s" % (self.accepts(), shown(value)))
            return value
        # One value is a list of one from here on.
        return [self.shape.read(value, path, problems)]

    def schema(self):
        one = self.shape.schema()
        found = [one, {"type": "array", "items": one, "minItems": 1}]
        return {"anyOf": found + ([self.range.schema()] if self.range else [])}


def _is_one(shape, value):
    # A list is a value by itself only where the parameter is one, such as the sizes of layers.
    return isinstance(shape, ListOf) and not any(isinstance(each, list) for each in value)


def _algorithm_record(algorithm):
    fields = [Field(name, Values(shape), None) for name, shape in algorithm.parameters.items()]
    return Record(Field("parameters", _Parameters(*fields), {}, "by scikit-learn's, XGBoost's or LightGBM's own names"))


class _Parameters(Record):
    """A record whose missing keys stay missing: the library's own defaults count."""

    def read(self, value, path, problems):
        found = super().read(value, path, problems)
        return {key: each for key, each in found.items() if key in value} if isinstance(found, dict) else found


_ALGORITHM = Tagged("name", {name: _algorithm_record(algorithm) for name, algorithm in ALGORITHMS.items()})
_ENGINE = Field("engine", Engine(), "python", "the engine; DSS's optimized engine isn't one of a container")
_JOBS = Field(
    "n_jobs",
    Either(Whole(1, 4096), Nothing()),
    None,
    "processors to use at once; never more than the container has. All by default",
)
_GPU = Field(
    "gpu", Flag(), False, "XGBoost uses the GPU; refused where the container has none or no algorithm is xgboost"
)
_EXPLANATIONS = Field("explanations", Flag(), True, "importances and partial dependence are computed after training")

TRAIN = Record(
    _ENGINE,
    Field("prediction_type", Choice("binary", "multiclass", "regression", "clustering"), about="what is predicted"),
    Field("target", Either(Text(), Nothing()), None, "the column to predict; none for clustering"),
    Field("features", MapOf(FEATURE, "columns"), {}, "role, type and handling of columns"),
    Field(
        "other_features",
        Choice("auto", "reject"),
        "auto",
        "columns that `features` doesn't name: used with the type that follows from the dataset's schema, or rejected",
    ),
    Field("sampling", _SAMPLING, {"method": "all"}, "which rows are read"),
    Field("split", _SPLIT, {"method": "random"}, "which rows are the hold-out that metrics are computed on"),
    Field(
        "metric",
        Either(Choice(*dict.fromkeys(name for names in METRICS.values() for name in names)), Nothing()),
        None,
        "what models are compared by. Unless said: roc_auc, accuracy (multiclass), r2 (regression), silhouette "
        "(clustering)",
    ),
    Field(
        "threshold",
        Either(Choice("auto", "none"), Number(0, 1)),
        "auto",
        "binary: the probability from which on the second class is predicted. `auto`: the best by the metric on "
        "validation rows; `none`: the estimator's own prediction",
    ),
    Field(
        "cost_matrix",
        Either(
            Record(
                Field("true_positive", Number(), 0),
                Field("true_negative", Number(), 0),
                Field("false_positive", Number(), 1),
                Field("false_negative", Number(), 1),
            ),
            Nothing(),
        ),
        None,
        "what each outcome of a binary prediction costs, for the metric `cost`",
    ),
    Field(
        "class_weights",
        Either(Choice("none", "balanced"), MapOf(Number(above=0), "classes")),
        "none",
        "weights of classes in fits",
    ),
    Field("algorithms", ListOf(_ALGORITHM, least=1), about="what is tried"),
    Field("search", _SEARCH, {}, "how parameters are searched"),
    Field("seed", Whole(0, 2**32 - 1), 0, "of everything that is drawn"),
    _JOBS,
    _GPU,
    Field(
        "on_stop",
        Choice("keep_best", "discard"),
        "discard",
        "when the run is stopped: save the best model so far and succeed, or end without a model",
    ),
    _EXPLANATIONS,
    about="A training: reads the dataset of role `main`, writes a saved model to the folder of role `model`.",
)
RETRAIN = Record(
    _ENGINE,
    Field("sampling", Either(_SAMPLING, Nothing()), None, "which rows are read; as in the model's task unless said"),
    Field("seed", Either(Whole(0, 2**32 - 1), Nothing()), None, "as in the model's task unless said"),
    Field(
        "current",
        Choice("new", "better"),
        "new",
        "which version is the current one afterwards: the new one, or the better one on the hold-out",
    ),
    Field(
        "keep_versions", Either(Whole(1), Nothing()), None, "how many versions stay, the newest ones. All by default"
    ),
    _JOBS,
    _GPU,
    _EXPLANATIONS,
    about="A retraining: reads the dataset of role `main` and the folder of role `model`, writes one of role `model`.",
)
SCORE = Record(
    _ENGINE,
    Field("version", Either(Whole(1), Nothing()), None, "which version scores. The current one by default"),
    Field(
        "probabilities", Flag(), True, "adds a column `proba_CLASS` for each class, where the model has probabilities"
    ),
    Field("reasons", Whole(0, 20), 0, "adds a column `reasons` with so many features that moved the prediction most"),
    Field(
        "chunk_rows",
        Either(Whole(1, 10000000), Nothing()),
        None,
        "rows at a time. By default what a few megabytes hold",
    ),
    Field("columns", Either(Choice("all"), ListOf(Text())), "all", "the input's columns that are passed through"),
    Field("prefix", Either(Text(), Nothing()), None, "in front of the names of added columns"),
    _JOBS,
    _GPU,
    about="A scoring: reads the dataset of role `main` and the folder of role `model`, writes one of role `main`.",
)
TASKS = {"train": TRAIN, "retrain": RETRAIN, "score": SCORE}


def json_schema():
    """The tasks as a JSON Schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Machine-learning task",
        "description": "A task of wharf_ml. Which of the three it is, the command says; see `$defs`.",
        "anyOf": [{"$ref": "#/$defs/%s" % kind} for kind in TASKS],
        "$defs": {kind: record.schema() for kind, record in TASKS.items()},
    }


def read_task(kind, text, what="task.json"):
    """The task with all its defaults; raises Refused with everything that is wrong with it."""
    try:
        value = load_json(text, what)
    except ValueError as error:
        raise Refused("%s; nothing else of it was looked at" % error) from None
    problems = Problems()
    found = TASKS[kind].read(value, "", problems)
    if kind == "train" and isinstance(found, dict):
        _check_train(found, problems)
    elif kind == "retrain" and isinstance(found, dict):
        _check_sampling(found.get("sampling"), problems)
    if problems:
        counted = "1 problem" if len(problems) == 1 else "%d problems" % len(problems)
        raise Refused("\n  ".join(["%s has %s:" % (what, counted)] + problems))
    return found


def _check_train(task, problems):
    prediction_type = task.get("prediction_type")
    if prediction_type not in DEFAULT_METRICS:
        return
    clustering = prediction_type in CLUSTERING
    if clustering and task.get("target") is not None:
        problems.add("target", "must not be there for clustering, which predicts no column")
    if not clustering and task.get("target") is None:
        problems.add("target", "is missing: it must be the name of the column to predict")
    if task.get("target") in (task.get("features") or {}):
        problems.add(
            "features", "must not name the target %s: what it is follows from prediction_type" % shown(task["target"])
        )
    _check_metric(task, problems)
    if prediction_type not in CLASSIFICATION and task.get("class_weights") != "none":
        problems.add("class_weights", "are for binary and multiclass, not for %s" % prediction_type)
    if prediction_type != "binary" and task.get("threshold") != "auto":
        problems.add("threshold", "is for binary, not for %s" % prediction_type)
    if prediction_type != "binary" and task.get("cost_matrix") is not None:
        problems.add("cost_matrix", "is for binary, not for %s" % prediction_type)
    _check_features(task, problems)
    _check_validation(task, problems)
    _check_sampling(task.get("sampling"), problems)
    _check_algorithms(task, problems)


def _check_metric(task, problems):
    prediction_type = task["prediction_type"]
    if task.get("metric") is None:
        task["metric"] = DEFAULT_METRICS[prediction_type]
    known = METRICS[prediction_type]
    if task["metric"] not in known:
        problems.add(
            "metric", "must be %s for %s, not %s" % (Choice(*known).accepts(), prediction_type, shown(task["metric"]))
        )


def _check_features(task, problems):
    features = task.get("features")
    if not isinstance(features, dict):
        return
    weights = [name for name, each in features.items() if isinstance(each, dict) and each.get("role") == "weight"]
    if len(weights) > 1:
        problems.add("features", "must have at most one column of role weight, not %s" % ", ".join(map(shown, weights)))
    if weights and task["prediction_type"] in CLUSTERING:
        problems.add("features", "must have no column of role weight for clustering")
    for name, each in features.items():
        if isinstance(each, dict) and each.get("encode") == "target" and task["prediction_type"] in CLUSTERING:
            problems.add("features.%s.encode" % name, 'can\'t be "target" for clustering, which has no target')
        ngrams = isinstance(each, dict) and each.get("ngrams")
        if ngrams and all(isinstance(n, int) for n in ngrams) and ngrams[0] > ngrams[-1]:
            problems.add("features.%s.ngrams" % name, "must begin with the smaller number, not %s" % shown(ngrams))


def _check_validation(task, problems):
    search, split = task.get("search"), task.get("split")
    if not isinstance(search, dict) or not isinstance(split, dict):
        return
    validation = search.get("validation")
    if isinstance(validation, dict) and validation.get("method") == "time" and split.get("method") != "time":
        problems.add("search.validation.method", 'can be "time" only with split.method = "time", which says the order')


def _check_sampling(sampling, problems):
    if isinstance(sampling, dict) and sampling.get("method") == "random":
        if (sampling.get("rows") is None) == (sampling.get("ratio") is None):
            problems.add("sampling", "of method random must have rows or ratio, one of them")


def _check_algorithms(task, problems):
    algorithms, search = task.get("algorithms"), task.get("search")
    if not isinstance(algorithms, list) or not isinstance(search, dict):
        return
    needs = PROBABILITY_METRICS.get(task["prediction_type"], ())
    prediction_type = task["prediction_type"]
    total = 0
    for at, entry in enumerate(algorithms):
        if not isinstance(entry, dict) or entry.get("name") not in ALGORITHMS:
            continue
        path = "algorithms[%d]" % at
        algorithm = ALGORITHMS[entry["name"]]
        if prediction_type not in algorithm.prediction_types:
            fitting = [a.name for a in ALGORITHMS.values() if prediction_type in a.prediction_types]
            problems.add(
                path + ".name",
                "%s isn't for %s; there are %s" % (shown(algorithm.name), prediction_type, ", ".join(fitting)),
            )
        if task.get("metric") in needs and not algorithm.gives_probabilities(prediction_type):
            problems.add(
                path + ".name",
                "%s gives no probabilities, which the metric %s needs" % (shown(algorithm.name), task["metric"]),
            )
        parameters = entry.get("parameters")
        if not isinstance(parameters, dict):
            continue
        for name, values in parameters.items():
            if isinstance(values, dict) and search.get("method") == "grid":
                problems.add(
                    "%s.parameters.%s" % (path, name),
                    'must be a list of values: a range is for search.method = "random"',
                )
        total += count_candidates(parameters, search)
        if not algorithm.weights:
            weights = [
                n for n, f in (task.get("features") or {}).items() if isinstance(f, dict) and f.get("role") == "weight"
            ]
            if weights or task.get("class_weights") not in ("none", None):
                what = "the weight column %s" % shown(weights[0]) if weights else "class_weights"
                problems.add(
                    path + ".name",
                    "%s takes no weights of rows: leave out %s or the algorithm" % (shown(algorithm.name), what),
                )
    if search.get("max_models") is not None and total > search["max_models"]:
        problems.add(
            "search.max_models",
            "is %d, but %d combinations were asked for: ask for fewer" % (search["max_models"], total),
        )
    if task.get("gpu") is True and not any(isinstance(a, dict) and a.get("name") == "xgboost" for a in algorithms):
        problems.add("gpu", "is true, but only xgboost uses a GPU, and it isn't among the algorithms")


def count_candidates(parameters, search):
    """How many combinations of these parameters are tried."""
    if any(isinstance(values, dict) for values in parameters.values()):
        return search.get("candidates") or 0
    every = math.prod(len(values) for values in parameters.values() if isinstance(values, list))
    return min(every, search.get("candidates") or 0) if search.get("method") == "random" else every


__all__ = [
    "FEATURE",
    "REGRESSION",
    "RETRAIN",
    "SCORE",
    "TASKS",
    "TRAIN",
    "count_candidates",
    "json_schema",
    "read_task",
]
