"""Dataframes to and from Arrow streams in images without pyarrow; what comes out is what pyarrow would give."""

import itertools

import numpy

from dataiku.core.connection import DataikuException
from dataiku.core.frame_read import SAMPLE
from dataiku.core.frame_write import ROWS, misfit, pandas, prepare, texts, utc
from dataiku.core.plain_arrow import Reader, Writer
from dataiku.core.types import FLOATS, INTEGERS

# The instants that fit into nanoseconds, in microseconds.
_NANOSECONDS = 2**63 // 1000 - 1


def whole(stream, what):
    """All columns of a stream: for each its values, and which of them are there."""
    reader = Reader(stream, what)
    return _joined(reader, [columns for _, columns in reader])


def parts(stream, what, rows):
    """The same, so many rows at a time."""
    reader = Reader(stream, what)
    waiting, count = [], 0
    for more, columns in reader:
        waiting.append(columns)
        count += more
        while count >= rows:
            joined = _joined(reader, waiting)
            yield _cut(joined, slice(0, rows))
            waiting, count = [_cut(joined, slice(rows, count))], count - rows
    if count:
        yield _joined(reader, waiting)


def _joined(reader, batches):
    columns = []
    for at, nothing in enumerate(reader.nothing()):
        pieces = [batch[at] for batch in batches] or [nothing]
        valid = None
        if any(there is not None for _, there in pieces):
            ones = [numpy.ones(len(values), bool) if there is None else there for values, there in pieces]
            valid = numpy.concatenate(ones)
        if isinstance(nothing[0], list):
            values = [text for texts, _ in pieces for text in texts]
        else:
            # A copy, even of one: what lies in a message can't be written to.
            values = numpy.concatenate([values for values, _ in pieces])
        columns.append((values, valid))
    return columns


def _cut(columns, rows):
    return [(values[rows], None if valid is None else valid[rows]) for values, valid in columns]


def series(reading, values, valid, column):
    """A column as ``get_dataframe`` gives it, from values that are the caller's own."""
    module, kind, name = pandas(), column["type"], column["name"]
    override = reading.override_dtypes.get(name)
    if not isinstance(values, list) and values.dtype.kind == "M":
        if valid is not None:
            values[~valid] = "NaT"
        if reading.parse_dates and override is None:
            dates = _dates(values)
            if dates is not None:
                return dates
            return _objects(_date_texts(values))
        values = _date_texts(values)
    elif not isinstance(values, list) and values.dtype == bool and reading.bool_as_str:
        values = numpy.where(values, "true", "false").astype(object)
        if valid is not None:
            values[~valid] = None
        values = values.tolist()
    if isinstance(values, list):
        return _from_texts(reading, values, column, override)
    if values.dtype == bool:
        if valid is None:
            return _as(module.Series(values), override)
        if override is None and not reading.infers(column):
            return module.Series(module.arrays.BooleanArray(values, ~valid))
        objects = values.astype(object)
        objects[~valid] = None if override is not None else float("nan")
        return _as(module.Series(objects, dtype=object), override)
    if values.dtype.kind == "i":
        if valid is None:
            return _as(module.Series(values.astype("int64") if reading.infers(column) and override is None else values), override)
        if override is None and not reading.infers(column):
            return module.Series(module.arrays.IntegerArray(values, ~valid))
        values = values.astype("float64")
    elif reading.infers(column) and override is None:
        values = values.astype("float64", copy=False)
    if valid is not None:
        values[~valid] = numpy.nan
    return _as(module.Series(values), override)


def _as(found, override):
    return found if override is None else found.astype(override)


def _from_texts(reading, values, column, override):
    nulls = set(reading.null_texts(column["name"]))
    if not nulls.isdisjoint(values):
        values = [None if text in nulls else text for text in values]
    if override is not None:
        return pandas().Series(values, dtype=object).astype(override)
    if column["type"] == "date" and reading.parse_dates:
        return reading.dates(_objects(values))
    if reading.infers(column) and not (column["type"] == "boolean" and reading.bool_as_str):
        sample = list(itertools.islice((text for text in values if text is not None), SAMPLE))
        inferred = reading.infer_texts(sample, lambda: values)
        if inferred is not None:
            return inferred
    return _objects(values)


def _objects(values):
    if None in values:
        values = [float("nan") if text is None else text for text in values]
        # Only nulls are floats for pandas, and are here, as everywhere, of the type of a column of texts.
    array = numpy.empty(len(values), object)
    array[:] = values
    return pandas().Series(array)


def _dates(values):
    module = pandas()
    version = int(module.__version__.split(".")[0])
    there = values[~numpy.isnat(values)].astype("datetime64[us]").astype("int64")
    unit = "us"
    if version < 3 and (not len(there) or (-_NANOSECONDS <= there.min() and there.max() <= _NANOSECONDS)):
        unit = "ns"
    elif version < 2:
        # This version of pandas can't hold them; they become text, as from CSV.
        return None
    return module.Series(values.astype("datetime64[%s]" % unit)).dt.tz_localize("UTC")


def _date_texts(values):
    null = numpy.isnat(values)
    found = numpy.char.add(numpy.datetime_as_string(values, unit="ms"), "Z").astype(object)
    found[null] = None
    return found.tolist()


def is_plain(frame, columns):
    """Whether each column's values are of the column's type already, so that no text has to be read for it."""
    types = pandas().api.types
    for at, column in enumerate(columns):
        dtype, kind = frame.iloc[:, at].dtype, column["type"]
        number = types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)
        if kind in INTEGERS:
            fits = number and types.is_integer_dtype(dtype)
        elif kind in FLOATS:
            fits = number and not types.is_complex_dtype(dtype)
        elif kind == "boolean":
            fits = types.is_bool_dtype(dtype)
        else:
            fits = kind != "date" or types.is_datetime64_any_dtype(dtype)
        if not fits:
            return False
    return True


def write_plain(frame, columns, sink):
    """Writes a dataframe that ``is_plain`` as an Arrow stream, a part at a time."""
    writer = Writer(sink, [(column["name"], _spelling(column["type"])) for column in columns])
    for start in range(0, len(frame), ROWS):
        part = frame.iloc[start : start + ROWS].reset_index(drop=True)
        try:
            writer.write(len(part), [_values(part.iloc[:, at], column) for at, column in enumerate(columns)])
        except UnicodeEncodeError as error:
            raise DataikuException("a text can't be written as UTF-8: %s" % error) from error
    writer.close()


def _spelling(kind):
    if kind in INTEGERS:
        return "int%d" % INTEGERS[kind]
    if kind in FLOATS:
        return "float%d" % FLOATS[kind]
    return {"boolean": "bool", "date": "date"}.get(kind, "text")


def _values(found, column):
    kind = column["type"]
    null = found.isna().to_numpy()
    valid = ~null if null.any() else None
    if kind == "date":
        return utc(found).astype("datetime64[us]").astype("int64"), valid
    if kind in INTEGERS:
        # Extension types have a place for nulls, numpy's have none.
        values = found.to_numpy() if valid is None else found.to_numpy(dtype="int64", na_value=0)
        limit = 2 ** (INTEGERS[kind] - 1)
        if len(values) and not (-limit <= int(values.min()) and int(values.max()) < limit):
            raise misfit(column, "it has a value that is too large")
        return values, valid
    if kind in FLOATS:
        return found.to_numpy(dtype="float%d" % FLOATS[kind], na_value=numpy.nan), valid
    if kind == "boolean":
        return found.to_numpy(dtype=bool, na_value=False) if valid is not None else found.to_numpy(dtype=bool), valid
    prepared = prepare(found, column)
    if prepared.dtype != object:
        prepared = texts(prepared, kind)
    values = prepared.to_numpy(dtype=object)
    null = prepared.isna().to_numpy()
    if not null.any():
        return values.tolist(), None
    values = values.copy()
    values[null] = None
    return values.tolist(), ~null
