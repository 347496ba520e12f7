"""Saved models for the tests of the report: of each prediction type, and one whose every name is hostile."""

from ml_report.models import Fixed, Predictor, answers, context, logistic
import numpy as np
import pandas as pd
from sklearn import linear_model

from wharf_ml import evaluation

#: Names that would be something else than text, wherever they were put in as they are.
HOSTILE = [
    "<script>window.hurt = 1</script>", "\"><img src=x onerror='window.hurt = 1'>",
    "</title><svg onload=window.hurt=1>",
    "&lt;b&gt; &amp;", "javascript:window.hurt=1", "\u202egnp.exe", "]]>--></style></text></svg>",
    "a\x00b", "%s %d {0}",
    "ж" * 500, "",
]  # fmt: skip

#: And what dataframes refuse, while parameters and notes may have it.
MORE = [*HOSTILE, "a lone \ud800 surrogate"]


def binary(names=("sick", "well"), target="diagnosis"):
    X, y, columns = _rows(names)
    model, older = logistic().fit(X[:200], y[:200]), logistic(C=1e-4).fit(X[:100], y[:100])
    return _all("binary", Predictor(model, columns), Predictor(older, columns), X, y, target)


def _rows(names, columns=("age", "weight", "height")):
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(300, len(columns))), columns=list(columns))
    y = np.array(names, dtype=object)[(X.iloc[:, 0] + X.iloc[:, 1] + generator.normal(size=300) > 0.3).astype(int)]
    return X, y, list(columns)


def _all(kind, new, old, X, y, target, features=None):
    task = {"prediction_type": kind, "target": target, "features": features or {}}
    new_rows = X[200:].copy()
    if len(new_rows.columns) and pd.api.types.is_numeric_dtype(new_rows.iloc[:, 0]):
        new_rows.iloc[:, 0] += 2
    return {
        "task": task,
        "schema": [{"name": str(name), "type": "double"} for name in X.columns],
        "versions": {"python": "3.11.2", "packages": {"scikit-learn": "1.5.0"}},
        "metrics": {
            "train": evaluation.evaluate(new, "train", X[:200], y[:200], None, task, context()),
            "test": evaluation.evaluate(new, "test", X[200:], y[200:], None, task, context()),
        },
        "explanations": evaluation.explain(new, X[200:], y[200:], task, context()),
        "comparison": evaluation.compare(old, new, X[200:], y[200:], task, context()),
        "drift": evaluation.drift(evaluation.profile(X[:200], task), new_rows, task),
        "models": [
            {
                "algorithm": "random_forest",
                "parameters": {"n_estimators": 100},
                "score": 0.81,
                "seconds": 2.5,
                "chosen": False,
            },
            {
                "algorithm": "logistic",
                "parameters": {"C": 1.0},
                "score": 0.86,
                "std": 0.02,
                "seconds": 0.25,
                "chosen": True,
            },
            {
                "algorithm": "knn",
                "parameters": {},
                "score": None,
                "seconds": 0.1,
                "chosen": False,
                "failed": "no neighbours",
            },
        ],
    }


def regression():
    X, _, columns = _rows((0, 1))
    y = 3 * X["age"].to_numpy() + np.random.default_rng(1).normal(size=300)
    models = [Predictor(linear_model.Ridge(alpha).fit(X[:200], y[:200]), columns) for alpha in (0.1, 500)]
    return _all("regression", models[0], models[1], X, y, "cost")


def multiclass(classes=6):
    names = ["kind %d" % at for at in range(classes)]
    X, y = answers(names, 300, skill=3)
    model = Fixed(names)
    model.feature_names = [*X.columns]
    return _all("multiclass", model, model, X, y, "kind")


def clusters():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["x", "y", "z"])
    X["said"], X["colour"] = (X["x"] > 0).astype(int) + 2 * (X["y"] > 0), "red"
    model = Fixed(None)
    model.feature_names, model.transform = list(X.columns), lambda rows: rows[["x", "y", "z"]]
    task = {"prediction_type": "clustering", "target": None, "features": {}}
    return {
        "task": task,
        "metrics": {"train": evaluation.evaluate(model, "train", X, None, None, task, context())},
        "explanations": evaluation.explain(model, X, None, task, context()),
    }


def hostile():
    """Every name of column, class, category, parameter and package would do something, if it could."""
    numeric = HOSTILE[:4]
    X, y, _ = _rows((HOSTILE[0], HOSTILE[1]), numeric)
    for name in HOSTILE[4:]:
        X[name] = np.array(HOSTILE, dtype=object)[np.random.default_rng(len(name)).integers(0, len(HOSTILE) - 1, 300)]
    model, older = (Predictor(logistic(C=c).fit(X[:200][numeric], y[:200]), numeric) for c in (1.0, 1e-4))
    for each in (model, older):
        each.feature_names = list(X.columns)
        each.predict = lambda rows, each=each: each.estimator.predict(rows[numeric])
        each.predict_proba = lambda rows, each=each: each.estimator.predict_proba(rows[numeric])
    found = _all("binary", model, older, X, y, HOSTILE[0])
    shifted = X[200:].assign(**{HOSTILE[4]: '"><b>new</b>'})
    found["drift"] = evaluation.drift(evaluation.profile(X[:200], found["task"]), shifted, found["task"])
    found["versions"] = {name: {other: other for other in MORE} for name in MORE}
    found["models"] = [
        {"algorithm": name, "parameters": {name: [name]}, "score": 0.5, "seconds": 1, "chosen": True, "failed": name}
        for name in MORE[::2]
    ] + [{"algorithm": name, "parameters": {name: name}, "score": 0.4, "seconds": 1} for name in MORE]
    found["metrics"] = {name: dict(found["metrics"]["test"], split=name) for name in HOSTILE[:3]}
    found["explanations"]["notes"] = MORE
    found["task"]["features"] = {name: {"role": name} for name in MORE}
    return found


EACH = {
    "binary": binary,
    "multiclass": multiclass,
    "regression": regression,
    "clustering": clusters,
    "hostile": hostile,
}
