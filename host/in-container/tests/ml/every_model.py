"""A small fitted pipeline of every algorithm for every prediction type, with every handling of features."""

import warnings

import numpy
from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.pipeline import build
from wharf_ml.table import frame
from wharf_ml.task import FEATURE

# Each handling that makes another kind of object.
HANDLINGS = [
    ("numeric", "n", {"impute": "mean", "missing_indicator": True, "derive": ["log", "square", "sqrt"]}),
    ("numeric", "n", {"impute": "median", "rescale": "minmax"}),
    ("numeric", "n", {"impute": "most_frequent", "rescale": "robust"}),
    ("numeric", "n", {"impute": "constant", "impute_value": 1.5, "rescale": "maxabs"}),
    ("numeric", "m", {"impute": "none", "rescale": "none"}),
    ("category", "c", {}),
    ("category", "c", {"encode": "one-hot", "max_categories": 3, "min_rows": 2, "impute": "most_frequent"}),
    ("category", "c", {"encode": "ordinal", "max_categories": 3}),
    ("category", "c", {"encode": "target"}),
    ("category", "c", {"encode": "hashing", "columns": 4}),
    ("text", "t", {}),
    ("text", "t", {"encode": "hashing", "columns": 8, "ngrams": [1, 2], "stop_words": "english"}),
    ("date", "d", {"parts": ["year", "month", "day", "weekday", "hour", "epoch"]}),
]


def entries(prediction_type):
    """Columns of each handling, as a model's schema has them."""
    found = []
    for at, (kind, letter, asked) in enumerate(HANDLINGS):
        if asked.get("encode") == "target" and prediction_type == "clustering":
            continue
        feature = dict(FEATURE.records[kind].read({}, "", []), **asked)
        feature.pop("role")
        feature["type"] = kind
        found.append({"name": "%s%d" % (letter, at), "type": "string", "role": "input", "feature": feature})
    return found


def rows(count=60, seed=0):
    """Rows with a column for each of the handlings, with missing values."""
    random = numpy.random.default_rng(seed)
    values = {}
    for at, (_, letter, _) in enumerate(HANDLINGS):
        if letter in "nm":
            column = random.normal(size=count)
            if letter == "n":
                column[random.random(count) < 0.1] = numpy.nan
        elif letter == "d":
            column = numpy.datetime64("2020-01-01", "ms") + random.integers(0, 10**9, count).astype("timedelta64[ms]")
            column[0] = numpy.datetime64("NaT")
        else:
            words = ["red", "green", "blue sky", "some long words", "x"] if letter == "t" else list("aabbcde")
            column = numpy.array([words[n] for n in random.integers(0, len(words), count)], dtype=object)
            column[random.random(count) < 0.1] = numpy.nan
        values["%s%d" % (letter, at)] = column
    return frame(values)


TARGETS = {
    "binary": [lambda r, n: r.integers(0, 2, n), lambda r, n: r.integers(0, 2, n).astype(bool)],
    "multiclass": [lambda r, n: numpy.array(["no", "yes", "maybe"], dtype=object)[r.integers(0, 3, n)]],
    "regression": [lambda r, n: r.normal(size=n)],
    "clustering": [lambda r, n: None],
}
# Small ones: what kinds of objects there are doesn't depend on how many.
FEW = {
    "random_forest": {"n_estimators": 2}, "extra_trees": {"n_estimators": 2}, "gradient_boosting": {"n_estimators": 2},
    "hist_gradient_boosting": {"max_iter": 2, "min_samples_leaf": 2}, "xgboost": {"n_estimators": 2},
    "lightgbm": {"n_estimators": 2, "min_child_samples": 2}, "mlp": {"hidden_layer_sizes": [4], "max_iter": 5},
    "kmeans": {"n_clusters": 3, "n_init": 1}, "minibatch_kmeans": {"n_clusters": 3}, "agglomerative": {"n_clusters": 3},
    "gaussian_mixture": {"n_components": 2}, "dbscan": {"eps": 5.0},
}  # fmt: skip
# Further parameters with objects of their own.
MORE = [
    ("mlp", {"hidden_layer_sizes": [4], "solver": "sgd", "max_iter": 5, "early_stopping": True}),
    ("mlp", {"hidden_layer_sizes": [4], "solver": "lbfgs", "max_iter": 5}),
    ("hist_gradient_boosting", {"max_iter": 4, "min_samples_leaf": 2, "early_stopping": True}),
    ("logistic", {"solver": "saga", "max_iter": 5}),
    ("logistic", {"solver": "newton-cholesky"}),
    ("knn", {"weights": "distance"}),
] + [("gaussian_mixture", {"covariance_type": kind}) for kind in ("tied", "diag", "spherical")]


def fitted():
    """Pairs of a name and a fitted pipeline, with its rows and target."""
    random = numpy.random.default_rng(1)
    X = rows()
    wanted = [(name, FEW.get(name, {})) for name in ALGORITHMS] + MORE
    for name, parameters in wanted:
        algorithm = ALGORITHMS[name]
        if not algorithm.is_installed():
            continue
        for prediction_type in algorithm.prediction_types:
            for target in TARGETS[prediction_type]:
                features = entries(prediction_type)
                estimator = algorithm.estimator(prediction_type, parameters, seed=3, jobs=1)
                pipeline = build(features, estimator, prediction_type, 3, algorithm.dense)
                y = target(random, len(X))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    pipeline.fit(X[[entry["name"] for entry in features]], y)
                yield "%s %s" % (name, prediction_type), pipeline, X, y
