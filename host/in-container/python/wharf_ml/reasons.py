"""Reasons: which features moved the prediction of a row most.

A feature's effect is the prediction as it is less the prediction with that feature at its usual value, all else as it
is.
"""

import json

import numpy
import pandas

#: How many features are looked at, the most important ones first: each costs one more prediction of every row.
MOST_FEATURES = 20


class Reasons:
    """Reasons of a model's predictions."""

    def __init__(self, predictor, schema, explanations, count):
        self._predictor, self._count = predictor, count
        names = list(predictor.feature_names)
        known = [e.get("feature") for e in (explanations or {}).get("importances") or [] if isinstance(e, dict)]
        ordered = [name for name in known if name in names] + [name for name in names if name not in known]
        self._names = ordered[:MOST_FEATURES]
        self._usual = schema.get("usual_values") or {}
        self._kinds = {
            entry["name"]: entry["feature"]["type"] for entry in schema["columns"] if entry["role"] == "input"
        }

    def of(self, X, predictions):
        """For each row a JSON object of features and their effects, the largest first.

        The effect is on the probability of the predicted class, on a score, or on the predicted number.
        """
        before = self._predictor.effect(X)
        place = self._places(predictions, before)
        before = _chosen(before, place)
        effects = numpy.zeros((len(X), len(self._names)))
        for at, name in enumerate(self._names):
            changed = X.copy(deep=False)
            changed[name] = self._column(name, X)
            effects[:, at] = before - _chosen(self._predictor.effect(changed), place)
        top = numpy.argsort(-numpy.abs(effects), axis=1, kind="stable")[:, : self._count]
        found = []
        for row, order in zip(effects, top):
            found.append(
                json.dumps({self._names[at]: float("%.6g" % row[at]) for at in order if row[at]}, ensure_ascii=False)
            )
        return found

    def _places(self, predictions, before):
        if before.ndim < 2:
            return None
        classes = {value: at for at, value in enumerate(self._predictor.classes_.tolist())}
        return numpy.array([classes[value] for value in numpy.asarray(predictions).tolist()])

    def _column(self, name, X):
        value, kind = self._usual.get(name), self._kinds[name]
        if kind == "numeric":
            return numpy.full(len(X), numpy.nan if value is None else value)
        if kind == "date":
            date = numpy.datetime64("NaT", "ms") if value is None else numpy.datetime64(int(value), "ms")
            return numpy.full(len(X), date)
        return pandas.Series(
            numpy.full(len(X), numpy.nan if value is None else value, dtype=object), index=X.index, dtype=object
        )


def _chosen(values, place):
    return values if place is None else values[numpy.arange(len(values)), place]
