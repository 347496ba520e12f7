"""Models and contexts for the tests of evaluation and report. Importing it skips a module where scikit-learn isn't."""

import json
import types
import unittest

import case  # noqa: F401  (finds wharf_ml)

try:
    import sklearn
except ImportError:
    raise unittest.SkipTest("scikit-learn isn't installed") from None
if case.pandas is None:
    raise unittest.SkipTest("pandas isn't installed")
import numpy as np
import pandas as pd
from sklearn import linear_model, model_selection

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def context(**more):
    return types.SimpleNamespace(
        **dict({"seed": 7, "n_jobs": 1, "memory": None, "progress": lambda text: None}, **more)
    )


class Predictor:
    """A fitted estimator of scikit-learn behind the interface that evaluation asks."""

    def __init__(self, estimator, columns, threshold=None):
        self.estimator, self.feature_names, self.threshold = estimator, list(columns), threshold
        self.classes_ = getattr(estimator, "classes_", None)
        self.decision_function = None
        if self.classes_ is not None and not hasattr(estimator, "predict_proba"):
            self.decision_function = lambda X: estimator.decision_function(X[self.feature_names])

    def predict(self, X):
        if self.threshold is not None:
            return self.classes_[(self.predict_proba(X)[:, 1] >= self.threshold).astype(int)]
        return self.estimator.predict(X[self.feature_names])

    def predict_proba(self, X):
        return self.estimator.predict_proba(X[self.feature_names]) if hasattr(self.estimator, "predict_proba") else None

    def transform(self, X):
        return X[self.feature_names]


class Fixed:
    """A model whose answers are columns of the rows themselves: ``said``, and ``p0``, ``p1`` and so on."""

    threshold = None

    def __init__(self, classes, proba=True):
        self.classes_ = None if classes is None else np.array(classes)
        self.proba = proba
        self.feature_names = ["said"]

    def predict(self, X):
        return X["said"].to_numpy()

    def predict_proba(self, X):
        return X[["p%d" % at for at in range(len(self.classes_))]].to_numpy() if self.proba else None

    def transform(self, X):
        return X


def answers(classes, rows, seed=0, skill=1.5):
    """Rows for `Fixed` with a true class each: what is said is better than guessing, with ties among probabilities."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, len(classes), rows)
    raw = generator.normal(size=(rows, len(classes))) + skill * np.eye(len(classes))[truth]
    proba = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    proba = np.round(proba, 2) + 1e-3
    proba /= proba.sum(axis=1, keepdims=True)
    X = pd.DataFrame(proba, columns=["p%d" % at for at in range(len(classes))])
    X["said"] = np.array(classes, dtype=object)[proba.argmax(axis=1)]
    return X, np.array(classes, dtype=object)[truth]


def fitted(load, estimator, **task):
    """A model of one of scikit-learn's tables: predictor, training rows, hold-out rows, their targets and the task."""
    X, y = load(as_frame=True, return_X_y=True)
    train, test, y_train, y_test = model_selection.train_test_split(X, y, random_state=1)
    predictor = Predictor(estimator.fit(train, y_train), X.columns)
    return predictor, train, test, y_train, y_test, dict({"target": "target", "features": {}}, **task)


def logistic(**more):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), linear_model.LogisticRegression(max_iter=200, **more))


def evaluation_of(classes, X, y, task):
    """What `Fixed` is worth on rows."""
    from wharf_ml import evaluation

    return evaluation.evaluate(Fixed(classes), "test", X, y, None, task, context())


class MlCase(unittest.TestCase):
    def json(self, found):
        """The same, having been JSON: it must hold no NaN and nothing that JSON has no form for."""
        text = json.dumps(found, allow_nan=False)
        self.assertLess(len(text), 2_000_000)
        return json.loads(text)
