"""Dataframes on their way in: CSV or an Arrow stream, with the types that the caller asked for."""

import io

from dataiku.core.connection import DataikuException
from dataiku.core.frame_write import pandas, pyarrow
from dataiku.core.types import FLOATS, INTEGERS

# What pandas takes for null by default, as its documentation of `read_csv` lists it.
_NULL_TEXTS = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
]  # fmt: skip
# How many values decide whether a column of texts may be numbers at all.
SAMPLE = 1000


class Reading:
    """How a dataset becomes dataframes: the arguments of ``get_dataframe`` that matter for a column."""

    def __init__(
        self,
        columns,
        infer_with_pandas=True,
        parse_dates=True,
        bool_as_str=False,
        float_precision=None,
        na_values=None,
        keep_default_na=True,
        override_dtypes=None,
        date_parser=None,
        pandas_read_kwargs=None,
        int_as_float=False,
        use_nullable_integers=False,
        categoricals=None,
    ):
        self.columns = columns
        self.names = [column["name"] for column in columns]
        self.infer = infer_with_pandas
        self.parse_dates = parse_dates
        self.bool_as_str = bool_as_str
        self.float_precision = float_precision
        self.na_values = na_values
        self.keep_default_na = keep_default_na
        self.override_dtypes = override_dtypes or {}
        self.date_parser = date_parser
        self.pandas_read_kwargs = dict(pandas_read_kwargs or {})
        if int_as_float and use_nullable_integers:
            raise DataikuException("int_as_float and use_nullable_integers can't both be True")
        self.int_as_float = int_as_float
        self.use_nullable_integers = use_nullable_integers
        if categoricals is None:
            categoricals = []
        elif categoricals == "all_strings":
            categoricals = [column["name"] for column in columns if column["type"] == "string"]
        unknown = [name for name in categoricals if name not in self.names]
        if isinstance(categoricals, str) or unknown:
            raise DataikuException(
                "categoricals must be 'all_strings' or a list of columns that are read (%s), not %r"
                % (", ".join(self.names), categoricals)
            )
        self.categoricals = set(categoricals)

    def infers(self, column):
        """Whether pandas finds the type of that column itself."""
        if column["type"] in INTEGERS and (self.use_nullable_integers or self.int_as_float):
            return False
        return self.infer and column["name"] not in self.categoricals

    @property
    def wire(self):
        """The format to ask for: Arrow, unless an argument only makes sense for CSV."""
        csv_only = self.pandas_read_kwargs or self.float_precision is not None or self.date_parser is not None
        return "csv" if csv_only or not self.columns else "arrow"

    def whole(self, body):
        """One dataframe from a body in the format ``wire``."""
        if not self.columns:
            return pandas().DataFrame()
        if self.wire == "arrow":
            if pyarrow() is None:
                return self._from_plain(plain_frame().whole(body, "the reading of a dataset"))
            return self._from_arrow(pyarrow().ipc.open_stream(body).read_all())
        return self._finish(self._read_csv(body, low_memory=False))

    def parts(self, body, rows):
        """Dataframes of that many rows each, the last one shorter, from a body in the format ``wire``."""
        if not self.columns:
            return
        if self.wire == "arrow" and pyarrow() is None:
            for columns in plain_frame().parts(body, "the reading of a dataset", rows):
                yield self._from_plain(columns)
            return
        if self.wire == "arrow":
            arrow = pyarrow()
            reader = arrow.ipc.open_stream(body)
            waiting = []
            count = 0
            for batch in reader:
                waiting.append(batch)
                count += batch.num_rows
                while count >= rows:
                    table = arrow.Table.from_batches(waiting, reader.schema)
                    yield self._from_arrow(table.slice(0, rows))
                    waiting = table.slice(rows).to_batches()
                    count -= rows
            if count:
                yield self._from_arrow(arrow.Table.from_batches(waiting, reader.schema))
            return
        with self._read_csv(body, chunksize=rows) as chunks:
            start = 0
            for chunk in chunks:
                frame = self._finish(chunk)
                # Each part counts from 0, whichever way it came.
                frame.index = pandas().RangeIndex(len(frame))
                start += len(frame)
                if len(frame):
                    yield frame

    def _read_csv(self, body, **more):
        dtype = {}
        for at, column in enumerate(self.columns):
            kind = column["type"]
            if column["name"] in self.override_dtypes:
                dtype[at] = self.override_dtypes[column["name"]]
            elif kind == "date" or (kind == "boolean" and self.bool_as_str):
                dtype[at] = str
            elif not self.infers(column):
                dtype[at] = "float%d" % FLOATS[kind] if kind in FLOATS else str
        arguments = {
            "header": 0,
            # By position: the names of a dataset may be there twice, which pandas would change.
            "names": list(range(len(self.columns))),
            "index_col": False,
            "dtype": dtype,
            "encoding": "utf-8",
            "keep_default_na": self.keep_default_na,
            "na_values": self._null_values(),
            # In a dataset of one column an empty line is a row.
            "skip_blank_lines": len(self.columns) > 1,
        }
        if self.float_precision is not None:
            # Deprecated in newer versions of pandas, which warn of it wherever it is given.
            arguments["float_precision"] = self.float_precision
        arguments.update(more)
        arguments.update(self.pandas_read_kwargs)
        return pandas().read_csv(body, **arguments)

    def _null_values(self):
        values = self.na_values
        if not isinstance(values, dict) and self.keep_default_na:
            return values
        found = {}
        for at, column in enumerate(self.columns):
            texts = self._given_null_texts(column["name"])
            if not self.keep_default_na and column["type"] != "string":
                # Where no texts are, an empty one is null whatever was asked.
                texts.append("")
            if texts:
                found[at] = texts
        return found

    def _finish(self, frame):
        if len(frame.columns) != len(self.columns):
            # An argument of the caller's, such as `usecols`, chose among them.
            frame.columns = [self.names[at] if isinstance(at, int) else at for at in frame.columns]
            return frame
        series = [self._finish_text(frame.iloc[:, at], column) for at, column in enumerate(self.columns)]
        return self._frame(series, frame.index)

    def _frame(self, series, index=None):
        series = [self._as_asked(each, column) for each, column in zip(series, self.columns)]
        frame = pandas().DataFrame(dict(enumerate(series)), index=index, copy=False)
        frame.columns = pandas().Index(self.names, dtype=object if not self.names else None)
        return frame

    def _as_asked(self, series, column):
        kind, name = column["type"], column["name"]
        if name in self.override_dtypes:
            return series
        if kind in INTEGERS and self.int_as_float:
            return series.astype("float64") if series.dtype.kind != "O" else pandas().to_numeric(series)
        if kind in INTEGERS and self.use_nullable_integers:
            return series.astype("Int%d" % INTEGERS[kind])
        return series.astype("category") if name in self.categoricals else series

    def _finish_text(self, series, column):
        kind = column["type"]
        if column["name"] in self.override_dtypes:
            return series
        if kind == "date":
            return self.dates(series) if self.parse_dates else series
        if self.infers(column):
            return series
        if kind in INTEGERS:
            return _integers(series, kind, column["name"])
        if kind == "boolean" and not self.bool_as_str:
            return _booleans(series, column["name"])
        return series

    def dates(self, series):
        """Texts as dates in UTC, if they can be read."""
        module = pandas()
        if self.date_parser is not None:
            return series.map(self.date_parser, na_action="ignore")
        form = {"format": "ISO8601"} if int(module.__version__.split(".")[0]) >= 2 else {}
        try:
            return module.to_datetime(series, utc=True, **form)
        except (ValueError, TypeError, OverflowError):
            # As pandas itself does with dates that it can't read or hold: they stay text.
            return series

    def _from_arrow(self, table):
        series = [self._from_arrow_column(table.column(at), column) for at, column in enumerate(self.columns)]
        return self._frame(series)

    def _from_arrow_column(self, data, column):
        arrow, module = pyarrow(), pandas()
        kind, name = column["type"], column["name"]
        types = arrow.types
        if types.is_dictionary(data.type):
            data = data.cast(data.type.value_type)
        if types.is_timestamp(data.type) or types.is_date(data.type):
            if self.parse_dates and name not in self.override_dtypes:
                return self._arrow_dates(data)
            data = self._arrow_date_texts(data)
        if types.is_boolean(data.type) and self.bool_as_str:
            data = arrow.compute.if_else(data, "true", "false")
        if types.is_string(data.type) or types.is_large_string(data.type):
            data = self._nulls(data, name)
            if name in self.override_dtypes:
                return data.to_pandas().astype(self.override_dtypes[name])
            if kind == "date" and self.parse_dates:
                return self.dates(_objects(data))
            if self.infers(column) and not (kind == "boolean" and self.bool_as_str):
                sample = data.drop_null().slice(0, SAMPLE).to_pylist()
                inferred = self.infer_texts(sample, data.to_pylist)
                if inferred is not None:
                    return inferred
            return _objects(data)
        if name in self.override_dtypes:
            return data.to_pandas().astype(self.override_dtypes[name])
        if types.is_boolean(data.type):
            if data.null_count and not self.infers(column):
                return module.Series(module.BooleanDtype().__from_arrow__(data))
            return _objects(data) if data.null_count else data.to_pandas()
        if types.is_integer(data.type):
            if self.infers(column):
                # With nulls this is floats, as pandas infers it from text.
                return data.cast(arrow.int64()).to_pandas()
            dtype = {8: module.Int8Dtype, 16: module.Int16Dtype, 32: module.Int32Dtype, 64: module.Int64Dtype}
            if data.null_count:
                return module.Series(dtype[data.type.bit_width]().__from_arrow__(data))
            return data.to_pandas()
        if types.is_floating(data.type) and self.infers(column):
            data = data.cast(arrow.float64())
        return data.to_pandas()

    def _arrow_dates(self, data):
        module, arrow = pandas(), pyarrow()
        if arrow.types.is_date(data.type):
            data = data.cast(arrow.timestamp("ms"))
        series = data.to_pandas()
        if series.dtype == object:
            # Older versions of pandas can't hold them; they become text, as from CSV.
            return _objects(self._arrow_date_texts(data))
        series = series.dt.tz_localize("UTC") if series.dt.tz is None else series.dt.tz_convert("UTC")
        # The unit in which this version of pandas reads dates from text.
        unit = "ns" if int(module.__version__.split(".")[0]) < 3 else "us"
        try:
            return series.astype("datetime64[%s, UTC]" % unit)
        except (ValueError, OverflowError):
            return series

    def _arrow_date_texts(self, data):
        arrow = pyarrow()
        plain = data.cast(arrow.timestamp("ms"), safe=False)
        return arrow.compute.strftime(plain, format="%Y-%m-%dT%H:%M:%SZ")

    def infer_texts(self, sample, texts):
        """The numbers or booleans that pandas would find in texts, or None when they are texts.

        ``sample`` is the first of them that aren't null, and ``texts`` gives all.
        """
        module = pandas()

        def read(texts):
            # Quoted, so that any text is one field; an empty line stands for null.
            lines = ["" if text is None else '"%s"' % text.replace('"', '""') for text in texts]
            body = io.StringIO("\n".join(lines) + "\n")
            # What else is null is null already.
            arguments = {"keep_default_na": False, "na_values": [""], "skip_blank_lines": False, "low_memory": False}
            return module.read_csv(body, header=None, names=[0], index_col=False, **arguments)[0]

        if not sample:
            return module.Series([float("nan")] * len(texts()), dtype="float64")
        found = read(sample).dtype
        if not (module.api.types.is_numeric_dtype(found) or module.api.types.is_bool_dtype(found)):
            return None
        return read(texts())

    def _from_plain(self, columns):
        found = zip(columns, self.columns)
        return self._frame([plain_frame().series(self, values, valid, column) for (values, valid), column in found])

    def null_texts(self, name):
        """The texts of that column that stand for null."""
        return self._given_null_texts(name) + (_NULL_TEXTS if self.keep_default_na else [])

    def _given_null_texts(self, name):
        values = self.na_values.get(name, []) if isinstance(self.na_values, dict) else self.na_values
        if values is None:
            values = []
        elif isinstance(values, (str, int, float)):
            values = [values]
        return [str(value) for value in values]

    def _nulls(self, data, name):
        arrow = pyarrow()
        texts = self.null_texts(name)
        if not texts:
            return data
        found = arrow.compute.is_in(data, value_set=arrow.array(texts, data.type))
        return arrow.compute.if_else(found, arrow.scalar(None, data.type), data)


def plain_frame():
    """The module that does it without pyarrow; not before it is needed, for it needs numpy."""
    from dataiku.core import plain_frame as module

    return module


def _objects(data):
    """A column of Arrow as pandas reads it from text: nulls are NaN."""
    series = data.to_pandas()
    if series.dtype == object and data.null_count:
        series = series.where(series.notna(), float("nan"))
    return series


def _integers(series, kind, name):
    module = pandas()
    bits = INTEGERS[kind]
    values = series.to_numpy(dtype=object)
    null = series.isna().to_numpy()
    try:
        numbers = values[~null].astype("int64")
    except (ValueError, OverflowError) as error:
        raise DataikuException("column %r has a value that isn't of its type %s: %s" % (name, kind, error)) from error
    narrow = numbers.astype("int%d" % bits)
    if (narrow != numbers).any():
        raise DataikuException("column %r has a value that is too large for its type %s" % (name, kind))
    if not null.any():
        return module.Series(narrow, index=series.index)
    import numpy

    filled = numpy.zeros(len(values), dtype=narrow.dtype)
    filled[~null] = narrow
    return module.Series(module.arrays.IntegerArray(filled, null), index=series.index)


def _booleans(series, name):
    lower = series.str.lower()
    unknown = series[series.notna() & ~lower.isin(["true", "false"])]
    if len(unknown):
        raise DataikuException("column %r has %r, which isn't a boolean" % (name, unknown.iloc[0]))
    booleans = lower.map({"true": True, "false": False})
    return booleans.astype("boolean" if series.isna().any() else "bool")
