"""The few estimators that scikit-learn doesn't have, made so that a saved model can hold them."""

import numpy
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from wharf_ml.handling import DATE_PARTS

# The sign is kept, and missing values stay missing.
_DERIVE = {
    "square": lambda x: x * x,
    "sqrt": lambda x: numpy.sign(x) * numpy.sqrt(numpy.abs(x)),
    "log": lambda x: numpy.sign(x) * numpy.log1p(numpy.abs(x)),
}


class DerivedNumbers(TransformerMixin, BaseEstimator):
    """Adds derived columns behind the numeric ones."""

    def __init__(self, derive=()):
        self.derive = derive

    def fit(self, X, y=None):
        """Learns nothing but the number of columns."""
        self.n_features_in_ = numpy.asarray(X).shape[1]
        return self

    def transform(self, X):
        """The columns, then for each derivation the derived columns."""
        X = numpy.asarray(X, dtype=float)
        return numpy.hstack([X] + [_DERIVE[name](X) for name in self.derive])

    def get_feature_names_out(self, input_features=None):
        """The names, derived ones with the derivation in front."""
        names = list(input_features) if input_features is not None else ["x%d" % n for n in range(self.n_features_in_)]
        return numpy.array(names + ["%s(%s)" % (d, name) for d in self.derive for name in names], dtype=object)


class DateParts(TransformerMixin, BaseEstimator):
    """Numbers of dates, in UTC; a missing date has missing parts."""

    def __init__(self, parts=DATE_PARTS):
        self.parts = parts

    def fit(self, X, y=None):
        """Learns nothing but the number of columns."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        """For each column its parts."""
        columns = []
        for at in range(X.shape[1]):
            series = X.iloc[:, at] if hasattr(X, "iloc") else X[:, at]
            columns.extend(_date_parts(numpy.asarray(series, dtype="datetime64[ms]"), self.parts))
        return numpy.column_stack(columns)

    def get_feature_names_out(self, input_features=None):
        """The parts' names."""
        names = list(input_features) if input_features is not None else ["x%d" % n for n in range(self.n_features_in_)]
        return numpy.array(["%s(%s)" % (part, name) for name in names for part in self.parts], dtype=object)


def _date_parts(dates, parts):
    missing = numpy.isnat(dates)
    whole = dates.astype("int64")
    days = dates.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    years = dates.astype("datetime64[Y]")
    found = {
        "year": years.astype("int64") + 1970,
        "month": (months - years).astype("int64") + 1,
        "day": (days - months.astype("datetime64[D]")).astype("int64") + 1,
        # Monday is 0; the first day of 1970 was a Thursday.
        "weekday": (days.astype("int64") + 3) % 7,
        "hour": (whole // 3600000) % 24,
        "epoch": whole / 1000.0,
    }
    for part in parts:
        values = found[part].astype(float)
        values[missing] = numpy.nan
        yield values


class TextColumn(TransformerMixin, BaseEstimator):
    """One column of texts as a list of them; a missing one is empty."""

    def fit(self, X, y=None):
        """Learns nothing."""
        self.n_features_in_ = 1
        return self

    def transform(self, X):
        """The texts."""
        values = X.to_numpy(dtype=object) if hasattr(X, "to_numpy") else numpy.asarray(X, dtype=object)
        return [value if isinstance(value, str) else "" for value in values.ravel()]

    def get_feature_names_out(self, input_features=None):
        """One name."""
        return numpy.array(["text"] if input_features is None else list(input_features), dtype=object)


class HashedCategories(TransformerMixin, BaseEstimator):
    """Columns of categories as one sparse matrix of a fixed width; a missing one is a category of its own."""

    def __init__(self, n_features=64):
        self.n_features = n_features

    def fit(self, X, y=None):
        """Learns the names of the columns, which are part of what is hashed."""
        self.columns_ = [str(name) for name in getattr(X, "columns", range(X.shape[1]))]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        """The matrix."""
        from sklearn.feature_extraction import FeatureHasher

        check_is_fitted(self, "columns_")
        values = numpy.asarray(X, dtype=object)
        hasher = FeatureHasher(n_features=self.n_features, input_type="string", alternate_sign=False)
        tokens = (
            ["%s=%s" % (name, value if isinstance(value, str) else "") for name, value in zip(self.columns_, row)]
            for row in values
        )
        return hasher.transform(tokens)

    def get_feature_names_out(self, input_features=None):
        """Numbers: what is in a column of hashes has no name."""
        return numpy.array(["hash%d" % at for at in range(self.n_features)], dtype=object)


class LabelledClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that only takes 0, 1, 2, … as classes, for classes of any kind."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y, sample_weight=None):
        """Fits the estimator on the places of the classes in their order."""
        self.classes_, places = numpy.unique(y, return_inverse=True)
        self.estimator.fit(X, places, **({} if sample_weight is None else {"sample_weight": sample_weight}))
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        """The most probable class."""
        return self.classes_[numpy.asarray(self.estimator.predict(X)).astype(int)]

    def predict_proba(self, X):
        """Probabilities in the order of the classes."""
        return self.estimator.predict_proba(X)


class NearestCluster(ClusterMixin, BaseEstimator):
    """Gives new rows the clusters of an algorithm that has none for them.

    ``rule`` is ``centroid`` (the cluster whose mean is nearest) or ``core`` (the cluster of the nearest core row, if
    that is within the algorithm's radius, else -1).
    """

    def __init__(self, estimator, rule):
        self.estimator = estimator
        self.rule = rule

    def fit(self, X, y=None):
        """Clusters the rows, and keeps what new rows are compared with."""
        X = numpy.asarray(X, dtype=float)
        fitted = clone(self.estimator).fit(X)
        self.labels_ = numpy.asarray(fitted.labels_)
        if self.rule == "core":
            places = fitted.core_sample_indices_
            self.points_, self.point_labels_ = X[places], self.labels_[places]
            self.radius_ = float(fitted.eps)
        else:
            found = numpy.unique(self.labels_)
            self.points_ = numpy.array([X[self.labels_ == label].mean(axis=0) for label in found])
            self.point_labels_, self.radius_ = found, float("inf")
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        """The cluster of each row; -1 for none."""
        from sklearn.metrics import pairwise_distances_argmin_min

        X = numpy.asarray(X, dtype=float)
        if not len(self.points_):
            return numpy.full(len(X), -1)
        places, distances = pairwise_distances_argmin_min(X, self.points_)
        return numpy.where(distances <= self.radius_, self.point_labels_[places], -1)
