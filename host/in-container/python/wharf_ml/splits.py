"""Which rows are trained on, and which ones metrics are computed on."""

import numpy
import pandas

from wharf_ml.batches import text_of
from wharf_ml.fields import shown
from wharf_ml.refusal import Refused

_CLASSES = ("binary", "multiclass")


def holdout(task, table, seed):
    """The places of training and hold-out rows; for k-fold a list of such pairs."""
    split, rows = task["split"], numpy.arange(len(table))
    if split["method"] == "random":
        return [_random(rows, table.y, split, task, seed, "split")]
    if split["method"] == "time":
        return [_by_time(table, split)]
    if split["method"] == "column":
        return [_by_column(table, split)]
    return _folds(rows, table.y, split, task, seed, "split")


def validation(task, y, seed, order=None):
    """Pairs of places within the training part: for each model fits on the first and is scored on the second.

    ``order`` are the places in the order of time, where rows have one.
    """
    asked = task["search"]["validation"]
    if asked is None:
        by_time = task["split"]["method"] == "time"
        asked = (
            {"method": "time", "train_ratio": 0.8} if by_time else {"method": "k-fold", "folds": 3, "stratify": True}
        )
    rows = numpy.arange(len(y))
    if asked["method"] == "k-fold":
        return _folds(rows, y, asked, task, seed, "search.validation")
    if asked["method"] == "time":
        if order is None:
            raise Refused(
                'search.validation.method can be "time" only with split.method = "time", which says the order'
            )
        cut = _cut(len(y), asked["train_ratio"], "search.validation")
        return [(numpy.sort(order[:cut]), numpy.sort(order[cut:]))]
    return [_random(rows, y, asked, task, seed, "search.validation")]


def _stratify(task, y, asked, parts, what):
    if task["prediction_type"] not in _CLASSES or not asked["stratify"]:
        return None
    classes, counts = numpy.unique(y, return_counts=True)
    if counts.min() < parts:
        rare = classes[counts.argmin()]
        raise Refused(
            "%s: class %s of the target has %d rows, too few for %d parts with all classes; set %s.stratify to "
            "false, or leave the class out" % (what, shown(text_of(rare)), counts.min(), parts, what)
        )
    return y


def _random(rows, y, asked, task, seed, what):
    from sklearn.model_selection import train_test_split

    _cut(len(rows), asked["train_ratio"], what)
    stratify = _stratify(task, y, asked, 2, what)
    try:
        train, test = train_test_split(rows, train_size=asked["train_ratio"], random_state=seed, stratify=stratify)
    except ValueError as error:
        raise Refused("%s: the %d rows can't be split so: %s" % (what, len(rows), error)) from None
    return train, test


def _folds(rows, y, asked, task, seed, what):
    from sklearn.model_selection import KFold, StratifiedKFold

    folds = asked["folds"]
    if len(rows) < 2 * folds:
        raise Refused("%s: %d rows are too few for %d folds" % (what, len(rows), folds))
    stratify = _stratify(task, y, asked, folds, what)
    kind = KFold if stratify is None else StratifiedKFold
    return list(kind(folds, shuffle=True, random_state=seed).split(rows, stratify))


def time_order(values, column):
    """The places of rows in the order of a column; rows of one time stay in their order."""
    missing = int(pandas.isna(values).sum())
    if missing:
        raise Refused(
            "split: %d rows have no value in the column %s, by which they are ordered" % (missing, shown(column))
        )
    if values.dtype == object:
        values = numpy.array([text_of(value) for value in values], dtype=str)
    return numpy.argsort(values, kind="stable")


def _by_time(table, split):
    order = time_order(table.split_values, split["column"])
    cut = _cut(len(order), split["train_ratio"], "split")
    # Both parts in the order of time: what is last in the training part is its most recent.
    return order[:cut], order[cut:]


def _cut(rows, ratio, what):
    cut = int(rows * ratio)
    if cut < 1 or cut >= rows:
        raise Refused("%s: %d rows with train_ratio %s leave a part without rows" % (what, rows, ratio))
    return cut


def _by_column(table, split):
    wanted = {text_of(value) for value in split["test"]}
    values = pandas.Series(table.split_values)
    texts = {value: text_of(value) in wanted for value in values.dropna().unique().tolist()}
    test = values.map(texts).fillna(False).to_numpy(dtype=bool)
    train, found = numpy.flatnonzero(~test), numpy.flatnonzero(test)
    for part, text in ((train, "training"), (found, "hold-out")):
        if not len(part):
            some = ", ".join(shown(text_of(value)) for value in values.dropna().unique().tolist()[:10])
            raise Refused(
                "split: no row is left for the %s: column %s has the values %s" % (text, shown(split["column"]), some)
            )
    return train, found
