"""The pipeline of a model: its features' handling, then its estimator."""

import json

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler, MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler, TargetEncoder,
)  # fmt: skip

from wharf_ml.estimators import DateParts, DerivedNumbers, HashedCategories, TextColumn

_SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler, "maxabs": MaxAbsScaler}
_TARGET_TYPES = {"binary": "binary", "multiclass": "multiclass", "regression": "continuous"}


def build(features, estimator, prediction_type, seed, dense=False):
    """The pipeline, not fitted, with the steps `features` and `model`.

    Columns that are handled alike are one transformer, in the order of each one's first column; each text is its own.
    """
    groups = {}
    for entry in features:
        feature = entry["feature"]
        key = json.dumps(feature, sort_keys=True)
        if feature["type"] == "text":
            key += json.dumps(entry["name"])
        groups.setdefault(key, (feature, []))[1].append(entry["name"])
    counts, transformers = {}, []
    for feature, names in groups.values():
        kind = feature["type"]
        counts[kind] = counts.get(kind, 0) + 1
        transformers.append(("%s-%d" % (kind, counts[kind]), _HANDLING[kind](feature, prediction_type, seed), names))
    threshold = 0.0 if dense else 0.3
    columns = ColumnTransformer(transformers, sparse_threshold=threshold, verbose_feature_names_out=False)
    return Pipeline([("features", columns), ("model", estimator)])


def set_resources(pipeline, jobs, gpu=False):
    """Sets with how many threads an estimator predicts, and whether on a GPU; neither is part of a model."""
    model = pipeline.named_steps["model"]
    for estimator in (model, getattr(model, "estimator", None)):
        known = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
        wanted = {"n_jobs": jobs} if "n_jobs" in known else {}
        if "device" in known:
            wanted["device"] = "cuda" if gpu else None
        if wanted:
            estimator.set_params(**wanted)


def _chain(steps):
    return steps[0][1] if len(steps) == 1 else Pipeline(steps)


def _numeric(feature, prediction_type, seed):
    steps = []
    if feature["impute"] != "none":
        steps.append(
            (
                "impute",
                SimpleImputer(
                    strategy=feature["impute"],
                    fill_value=feature["impute_value"] if feature["impute"] == "constant" else None,
                    add_indicator=feature["missing_indicator"],
                    # A column without any value in training stays a column, of zeros.
                    keep_empty_features=True,
                ),
            )
        )
    if feature["derive"]:
        steps.append(("derive", DerivedNumbers(tuple(feature["derive"]))))
    if feature["rescale"] != "none":
        steps.append(("rescale", _SCALERS[feature["rescale"]]()))
    return _chain(steps) if steps else "passthrough"


def _category(feature, prediction_type, seed):
    steps = []
    if feature["impute"] == "most_frequent":
        steps.append(("impute", SimpleImputer(strategy="most_frequent", keep_empty_features=True)))
    encode = feature["encode"]
    rare = feature["min_rows"] if feature["min_rows"] > 1 else None
    if encode == "one-hot":
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=feature["max_categories"],
            min_frequency=rare,
            sparse_output=False,
        )
    elif encode == "ordinal":
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-2,
            max_categories=feature["max_categories"],
            min_frequency=rare,
        )
    elif encode == "target":
        encoder = TargetEncoder(target_type=_TARGET_TYPES.get(prediction_type, "auto"), random_state=seed)
    else:
        encoder = HashedCategories(feature["columns"])
    return _chain(steps + [("encode", encoder)])


def _text(feature, prediction_type, seed):
    stop_words = None if feature["stop_words"] == "none" else feature["stop_words"]
    ngrams = tuple(feature["ngrams"])
    if feature["encode"] == "tf-idf":
        encoder = TfidfVectorizer(max_features=feature["max_words"], ngram_range=ngrams, stop_words=stop_words)
    else:
        encoder = HashingVectorizer(n_features=feature["columns"], ngram_range=ngrams, stop_words=stop_words)
    return Pipeline([("column", TextColumn()), ("encode", encoder)])


def _date(feature, prediction_type, seed):
    steps = [("parts", DateParts(tuple(feature["parts"]))), ("impute", SimpleImputer(keep_empty_features=True))]
    if feature["rescale"] == "standard":
        steps.append(("rescale", StandardScaler()))
    return _chain(steps)


_HANDLING = {"numeric": _numeric, "category": _category, "text": _text, "date": _date}


def width(features, X, rows=2000):
    """About how many numbers a row has after the handling, and whether most of them aren't kept because they are 0."""
    total = sparse = 0
    for entry in features:
        feature = entry["feature"]
        kind = feature["type"]
        if kind == "numeric":
            total += (1 + len(feature["derive"])) * (1 + feature["missing_indicator"])
        elif kind == "date":
            total += len(feature["parts"])
        elif kind == "text":
            sparse += min(
                60 * feature["ngrams"][1], feature["max_words"] if feature["encode"] == "tf-idf" else feature["columns"]
            )
        elif feature["encode"] == "one-hot":
            total += min(int(X[entry["name"]].nunique(dropna=False)), feature["max_categories"])
        elif feature["encode"] == "hashing":
            sparse += 1
        else:
            total += 1
    return total, sparse
