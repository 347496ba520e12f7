"""Rows of a dataset in memory, as the estimators take them."""

import numpy
import pandas

from wharf_ml.batches import NUMBERS, read_batches, text_of
from wharf_ml.columns import inputs, with_role
from wharf_ml.fields import shown
from wharf_ml.limits import shown as size_shown
from wharf_ml.refusal import Refused

# What an array of objects takes per value beside the texts, which are kept once.
_POINTER = 8


class Table:
    """Features, target, weights, and the column that splits; rows in the dataset's order."""

    def __init__(self, X, y, weight, split_values, read):
        self.X, self.y, self.weight, self.split_values = X, y, weight, split_values
        #: How many rows the dataset had, and how many of the sampled ones had no target.
        self.read = read

    def __len__(self):
        return len(self.X)

    def take(self, places):
        """The rows at these places: features, target, weights."""
        weight = None if self.weight is None else self.weight[places]
        return self.X.iloc[places], None if self.y is None else self.y[places], weight


def frame(values, index=None):
    """A dataframe of columns that are arrays; texts stay objects whatever pandas would make of them.

    Numbers alone are one array with a row behind the other, as in scripts: sums in another order differ in their last
    digits.
    """
    if values and all(array.dtype == float for array in values.values()):
        block = numpy.empty((len(next(iter(values.values()))), len(values)))
        for at, array in enumerate(values.values()):
            block[:, at] = array
        return pandas.DataFrame(block, columns=list(values), index=index, copy=False)
    series = {
        name: pandas.Series(array, dtype=object, copy=False) if array.dtype == object else array
        for name, array in values.items()
    }
    return pandas.DataFrame(series, index=index, copy=False)


def feature_values(batch, entry, known=None):
    """The values of a feature in a batch, as the model takes them."""
    feature_type = entry["feature"]["type"]
    if feature_type == "numeric":
        values = batch.numbers(entry["name"])
        with numpy.errstate(over="ignore", invalid="ignore"):
            suspect = not numpy.isfinite(values.sum())
        if suspect and numpy.isinf(values).any():
            # What is infinite is no number that anything can be learned from.
            values = numpy.where(numpy.isinf(values), numpy.nan, values)
        return values
    if feature_type == "date":
        return batch.dates(entry["name"])
    return batch.categories(entry["name"], known)


def read_table(dataset, task, schema, seed, budget=None, progress=None):
    """Reads the sampled rows of a dataset; rows without a target are left out.

    ``budget`` is how many bytes they may take; more is refused while reading, before it is too late.
    """
    features = inputs(schema)
    target, weight = with_role(schema, "target"), with_role(schema, "weight")
    clustering = task["prediction_type"] == "clustering"
    split_column = None if clustering else task["split"].get("column")
    names = list(dict.fromkeys([f["name"] for f in features] + [n for n in (target, weight, split_column) if n]))
    types = {column["name"]: column["type"] for column in dataset.read_schema()}
    columns = [{"name": name, "type": types[name]} for name in names]
    parts = {name: [] for name in names}
    known = {name: {} for name in names}
    taken = size = 0
    sampler = Sampler(task["sampling"], seed)
    for batch, seen in sampler.sample(read_batches(dataset, columns)):
        for entry in features:
            values = feature_values(batch, entry, known[entry["name"]])
            parts[entry["name"]].append(values)
            size += values.nbytes
        for name in (target, weight, split_column):
            if name:
                parts.setdefault(("raw", name), []).append(_raw(batch, name, types[name], known[name]))
                size += _POINTER * batch.rows
        taken += batch.rows
        if budget is not None and size > budget:
            raise Refused(
                "the data doesn't fit: %d rows (of %d read so far) take %s, and the container leaves %s for them; "
                "sample fewer rows (sampling), reject columns, or give the container more memory"
                % (taken, seen, size_shown(size), size_shown(budget))
            )
        if progress is not None:
            progress(seen)
    keep = sampler.kept(taken)
    arrays = {}
    for name in list(parts):
        # One column at a time: its parts go before the next one is put together.
        pieces = parts.pop(name)
        if pieces:
            joined = numpy.concatenate(pieces)
            arrays[name] = joined if keep is None else joined[keep]
    if not arrays:
        raise Refused(
            "the dataset %s has no rows%s" % (dataset.short_name, " that the sampling leaves" if sampler.seen else "")
        )
    X = frame({entry["name"]: arrays[entry["name"]] for entry in features})
    y, weights = arrays.get(("raw", target)), arrays.get(("raw", weight))
    split_values = arrays.get(("raw", split_column))
    read = {"dataset_rows": sampler.seen, "sampled_rows": len(X), "without_target": 0}
    if y is not None:
        missing = pandas.isna(y)
        read["without_target"] = int(missing.sum())
        if missing.any():
            there = numpy.flatnonzero(~missing)
            X, y = X.iloc[there].reset_index(drop=True), y[there]
            weights = None if weights is None else weights[there]
            split_values = None if split_values is None else split_values[there]
        if not len(y):
            raise Refused("no row of the dataset %s has a value in the target %s" % (dataset.short_name, shown(target)))
        y = _target(y, task, types[target], target)
    if weights is not None:
        weights = weights.astype(float)
        bad = int((~(weights > 0)).sum())
        if bad:
            raise Refused("%d rows have no weight above 0 in the column %s: every row needs one" % (bad, shown(weight)))
    return Table(X, y, weights, split_values, read)


def _raw(batch, name, column_type, known):
    if column_type in NUMBERS:
        values, valid = batch.raw(name)
        if column_type in ("float", "double") or valid is not None:
            return batch.numbers(name)
        return values.astype("int64")
    if column_type == "date":
        return batch.dates(name)
    if column_type == "boolean":
        values, valid = batch.raw(name)
        found = values.astype(bool).astype(object)
        if valid is not None:
            found[~valid] = None
        return found
    return batch.categories(name, known)


def _target(y, task, column_type, name):
    if task["prediction_type"] == "regression":
        found = y.astype(float)
        if not numpy.isfinite(found).all():
            raise Refused("the target %s has infinite values" % shown(name))
        return found
    if column_type == "boolean":
        return y.astype(bool)
    if column_type in NUMBERS:
        if not (y == numpy.floor(y)).all():
            raise Refused(
                "the target %s has values such as %r, which are no classes: choose regression"
                % (shown(name), float(y[y != numpy.floor(y)][0]))
            )
        return y.astype("int64")
    return numpy.array(list(y), dtype=object)


def check_classes(y, task, name):
    """Refuses a target whose classes don't fit the prediction type or the class weights."""
    classes, counts = numpy.unique(y, return_counts=True)
    prediction_type = task["prediction_type"]
    listed = ", ".join(
        "%s (%d rows)" % (shown(text_of(c)), n) for c, n in list(zip(classes.tolist(), counts.tolist()))[:10]
    )
    if len(classes) < 2:
        raise Refused("the target %s has one class only, %s: there is nothing to learn" % (shown(name), listed))
    if prediction_type == "binary" and len(classes) != 2:
        raise Refused(
            "the target %s has %d classes, and binary needs two: %s%s"
            % (shown(name), len(classes), listed, ", …" * (len(classes) > 10))
        )
    if len(classes) > 1000:
        raise Refused("the target %s has %d classes; up to 1000 can be predicted" % (shown(name), len(classes)))
    weights = task["class_weights"]
    if isinstance(weights, dict):
        unknown = sorted(set(weights) - {text_of(c) for c in classes.tolist()})
        if unknown:
            raise Refused(
                "class_weights: the target %s has no class %s; it has %s"
                % (shown(name), ", ".join(map(shown, unknown)), listed)
            )
    return classes, counts


def class_weights(y, task):
    """The weights of classes as an estimator takes them: None, "balanced", or a dict."""
    asked = task["class_weights"]
    if asked == "none":
        return None
    return asked if asked == "balanced" else {c: asked.get(text_of(c), 1.0) for c in numpy.unique(y).tolist()}


def fit_weights(y, weight, by_class):
    """The weights of rows in a fit: those of the column times those of the classes; None where there are none."""
    if by_class is None:
        return weight
    from sklearn.utils.class_weight import compute_sample_weight

    found = compute_sample_weight(by_class, y)
    return found if weight is None else found * weight


class Sampler:
    """Chooses rows while they are read, with the seed, in their order."""

    def __init__(self, sampling, seed):
        self._sampling = sampling
        self._random = numpy.random.default_rng(seed)
        self._keys = []
        self.seen = 0

    def sample(self, batches):
        """The chosen rows of each batch, and how many were seen so far.

        For a fixed number of random rows these are more than the number: `kept` says which of them stay.
        """
        method, rows = self._sampling["method"], self._sampling.get("rows")
        ratio = self._sampling.get("ratio")
        bound = 1.0
        for batch in batches:
            if method == "head":
                left = rows - self.seen
                if left <= 0:
                    return
                batch = batch.slice(0, min(left, batch.rows))
            self.seen += batch.rows
            if method == "random":
                keys = self._random.random(batch.rows)
                mask = keys < (bound if rows is not None else ratio)
                if rows is not None:
                    self._keys.append(keys[mask])
                    every = numpy.concatenate(self._keys)
                    if len(every) > rows:
                        # No row with a larger key can be among the chosen ones any more.
                        bound = float(numpy.partition(every, rows)[rows])
                if not mask.all():
                    batch = batch.filter(mask)
            if batch.rows:
                yield batch, self.seen

    def kept(self, taken):
        """The places of the rows that stay, among those that were given; None for all."""
        if self._sampling["method"] != "random" or self._sampling.get("rows") is None:
            return None
        rows = self._sampling["rows"]
        if taken <= rows:
            return None
        keys = numpy.concatenate(self._keys)
        return numpy.sort(numpy.argpartition(keys, rows)[:rows])
