"""Dataframes on their way out: their schema, and their rows as CSV or as an Arrow stream."""

import io
import secrets

from dataiku.core.connection import DataikuException
from dataiku.core.row_text import header
from dataiku.core.types import FLOATS, INTEGERS, to_text

#: Rows that are converted at a time.
ROWS = 50000
#: Bytes of a message that are sent at once: the host takes twice as many.
PIECE = 32 << 20

_INTEGER_TYPES = {
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "uint8": "smallint",
    "uint16": "int",
    "uint32": "bigint",
    "uint64": "bigint",
}


def pandas():
    """The module pandas, or an error that says what to do."""
    try:
        import pandas as module
    except ImportError as error:
        raise ImportError(
            "dataframes need pandas, and this image has none: add it to the code environment or to the base image, "
            "or read with iter_rows() and write with get_writer()"
        ) from error
    return module


def pyarrow():
    """The module pyarrow, or None."""
    try:
        import pyarrow as module
        import pyarrow.compute
        import pyarrow.ipc
    except ImportError:
        return None
    return module


def infer_columns(frame):
    """The columns of a dataframe with the types of DSS: what isn't a number, a boolean or a date is a string."""
    return [
        {"name": str(name), "type": _infer(frame.iloc[:, at])} for at, name in enumerate(frame.columns)
    ]


def _infer(series):
    types = pandas().api.types
    dtype = series.dtype
    if isinstance(dtype, pandas().CategoricalDtype):
        return "string"
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_integer_dtype(dtype):
        name = str(dtype).lower().replace("[pyarrow]", "")
        if name == "uint64" and len(series) and (series > 2**63 - 1).any():
            return "string"
        return _INTEGER_TYPES.get(name, "bigint")
    if types.is_float_dtype(dtype):
        return "float" if str(dtype).lower() in ("float16", "float32", "float[pyarrow]") else "double"
    return "string"


def match_columns(frame, columns):
    """The dataframe with its columns in the order of the schema."""
    have = [str(name) for name in frame.columns]
    want = [column["name"] for column in columns]
    if have == want:
        return frame
    if len(have) == len(want) and sorted(have) == sorted(want) and len(set(have)) == len(have):
        return frame.iloc[:, [have.index(name) for name in want]]
    missing = [name for name in want if name not in have]
    extra = [name for name in have if name not in want]
    raise DataikuException(
        "the dataframe doesn't have the columns of the dataset's schema (missing: %s; not in the schema: %s): "
        "use write_with_schema(), or write_schema() first"
        % (", ".join(missing) or "none", ", ".join(extra) or "none")
    )


def write_csv(frame, columns, sink, with_header=True):
    """Writes a dataframe as CSV, a part at a time."""
    if with_header:
        sink.write(header(columns).encode("utf-8"))
    # Marks what must come out as a quoted empty field, which pandas can't write beside nulls, and the null of a single
    # column, for which it would write that.
    unique = secrets.token_hex(12)
    empty, null = "\ue000empty:%s\ue000" % unique, "\ue000null:%s\ue000" % unique
    single = len(columns) == 1
    for start in range(0, len(frame), ROWS):
        part = frame.iloc[start : start + ROWS].reset_index(drop=True)
        prepared_columns = {}
        marked = False
        for at, column in enumerate(columns):
            prepared = prepare(part.iloc[:, at], column)
            if prepared.dtype == object:
                blank = prepared == ""
                if blank.any():
                    prepared = prepared.mask(blank, empty)
                    marked = True
            prepared_columns[at] = prepared
        out = io.StringIO()
        pandas().DataFrame(prepared_columns).to_csv(out, header=False, index=False, na_rep=null if single else "")
        text = out.getvalue()
        if marked:
            text = text.replace(empty, '""')
        if single:
            text = text.replace(null, "")
        try:
            sink.write(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise DataikuException("a text can't be written as UTF-8: %s" % error) from error


def write_arrow(frame, columns, sink):
    """Writes a dataframe as an Arrow IPC stream, a part at a time."""
    arrow = pyarrow()
    fields = [arrow.field(column["name"], arrow_type(column["type"])) for column in columns]
    schema = arrow.schema(fields)
    with arrow.ipc.new_stream(sink, schema) as writer:
        for start in range(0, len(frame), ROWS):
            part = frame.iloc[start : start + ROWS].reset_index(drop=True)
            arrays = [_arrow_array(part.iloc[:, at], column) for at, column in enumerate(columns)]
            for piece in _pieces(arrow.record_batch(arrays, schema=schema)):
                writer.write_batch(piece)


def _pieces(batch):
    """A batch in pieces that the host takes at once."""
    if batch.nbytes <= PIECE or batch.num_rows <= 1:
        return [batch]
    half = batch.num_rows // 2
    return _pieces(batch.slice(0, half)) + _pieces(batch.slice(half))


def arrow_type(kind):
    """The Arrow type in which a type of DSS crosses."""
    arrow = pyarrow()
    if kind in INTEGERS:
        return getattr(arrow, "int%d" % INTEGERS[kind])()
    if kind in FLOATS:
        return getattr(arrow, "float%d" % FLOATS[kind])()
    if kind == "boolean":
        return arrow.bool_()
    if kind == "date":
        return arrow.timestamp("us", tz="UTC")
    return arrow.string()


def _arrow_array(series, column):
    arrow = pyarrow()
    kind = column["type"]
    wanted = arrow_type(kind)
    types = pandas().api.types
    try:
        if kind == "date" and types.is_datetime64_any_dtype(series.dtype):
            return arrow.array(utc(series).astype("datetime64[us]"), arrow.timestamp("us")).cast(wanted)
        if (kind in INTEGERS or kind in FLOATS or kind == "boolean") and (
            types.is_bool_dtype(series.dtype) or types.is_numeric_dtype(series.dtype)
        ):
            array = arrow.array(series.array, from_pandas=True)
            if isinstance(array, arrow.ChunkedArray):
                array = array.combine_chunks()
            # A float keeps what its narrower type can't hold, as in any program; an integer must fit.
            return array.cast(wanted, safe=kind not in FLOATS)
        prepared = prepare(series, column)
        if prepared.dtype != object:
            prepared = texts(prepared, kind)
        written = arrow.array(prepared, arrow.string(), from_pandas=True)
        return written if wanted == arrow.string() else written.cast(wanted)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, arrow.ArrowNotImplementedError, UnicodeEncodeError) as error:
        raise misfit(column, error) from error


def prepare(series, column):
    """A column whose values pandas writes as they have to cross."""
    module = pandas()
    types = module.api.types
    kind = column["type"]
    if isinstance(series.dtype, module.CategoricalDtype):
        series = series.astype(object)
    dtype = series.dtype
    try:
        if types.is_datetime64_any_dtype(dtype):
            return _iso(series)
        if types.is_bool_dtype(dtype):
            if kind in INTEGERS:
                return series.astype("Int8")
            return texts(series, kind)
        if types.is_numeric_dtype(dtype):
            if kind == "boolean":
                return texts(series, kind)
            return series.astype("Int64") if kind in INTEGERS and types.is_float_dtype(dtype) else series
        if dtype != object and types.is_string_dtype(dtype):
            return series.astype(object)
        if types.infer_dtype(series, skipna=True) in ("string", "empty"):
            return series
        return texts(series, kind)
    except (TypeError, ValueError, DataikuException) as error:
        raise misfit(column, error) from error


def texts(series, kind):
    """The values of a column as texts, as they cross in CSV."""
    values = series.astype(object).to_numpy()
    found = [to_text(value, kind) for value in values]
    return pandas().Series(found, index=series.index, dtype=object)


def _iso(series):
    import numpy

    values = utc(series).astype("datetime64[us]")
    # Milliseconds, as DSS writes them, unless digits would be lost.
    null = numpy.isnat(values)
    unit = "us" if (values.astype("int64")[~null] % 1000).any() else "ms"
    found = numpy.char.add(numpy.datetime_as_string(values, unit=unit), "Z").astype(object)
    found[null] = None
    return pandas().Series(found, index=series.index, dtype=object)


def utc(series):
    """The instants of a column of dates, in UTC and without a zone, as an array of numpy."""
    module = pandas()
    if not str(series.dtype).startswith("datetime64"):
        series = module.to_datetime(series.astype(object), utc=True)
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return series.to_numpy()


def misfit(column, error):
    """The error of a value that isn't of its column's type."""
    return DataikuException(
        "column %r can't be written as %s: %s" % (column["name"], column["type"], error), "bad-rows"
    )
