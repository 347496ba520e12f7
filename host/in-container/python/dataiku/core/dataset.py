"""Datasets: their schema, and their rows as dataframes, as tuples, as dicts or as text."""

import collections.abc
import io
from urllib.parse import quote

from dataiku.core.connection import DataikuException, Upload, encode, open_body, request_json
from dataiku.core.context import context, default_project_key, full_name, is_output, require_output, resolve
from dataiku.core.dataset_write import DatasetWriter
from dataiku.core.frame_read import Reading
from dataiku.core.frame_write import infer_columns, match_columns, pandas, pyarrow, write_arrow, write_csv
from dataiku.core.metrics import ComputedMetrics, check
from dataiku.core.rows_read import Lines, read_rows
from dataiku.core.sampling import Sampling
from dataiku.core.types import check_columns, from_text
from dataiku.core.unavailable import METRICS, refuse
from dataiku.core.unknown import Known

_PARTITIONS = "datasets aren't partitioned here: a run reads and writes whole datasets"
_FILES = "a container doesn't see the files of a dataset: read it with get_dataframe() or iter_rows()"
# How many rows are read at a time where the caller says nothing.
_ROWS = 50000


class Schema(list):
    """Columns of a dataset: a list of dicts with ``name`` and ``type``."""

    def __init__(self, data=()):
        super().__init__(data)

    @property
    def columns(self):
        """The same list."""
        return list(self)


class DatasetCursor(collections.abc.Mapping):
    """One row: a mapping from the names of the columns to their values."""

    __slots__ = ("_places", "_values")

    def __init__(self, places, values):
        self._places = places
        self._values = values

    def __getitem__(self, name):
        return self._values[self._places[name]]

    def __iter__(self):
        return iter(self._places)

    def __len__(self):
        return len(self._places)

    def __repr__(self):
        return repr(dict(self))

    def column_id(self, name):
        """Position of a column; None when there is no such column."""
        return self._places.get(name)


class _SpecItem(dict):
    """The settings of an output in its recipe, of which none can be changed here."""

    def __setitem__(self, key, value):
        if value != self.get(key):
            raise DataikuException(
                "%s = %r isn't available here: a run always writes its outputs anew" % (key, value), "not-available"
            )


class Dataset:
    """An input or an output of the run, by its name with or without the project's key.

    Nothing is asked of the host before the first use.
    """

    def __init__(self, name, project_key=None, ignore_flow=False):
        self._asked = name
        self._project_key = project_key
        self._resolved = None
        self._columns = None
        self._sent = False
        self.ignore_flow = ignore_flow
        #: The partitions that are read: always the one of a dataset that isn't partitioned.
        self.read_partitions = ["NP"]
        #: The partition that is written: empty, because datasets aren't partitioned here.
        self.writePartition = ""
        #: The settings of an output in its recipe, such as ``appendMode``, which is always False here.
        self.spec_item = _SpecItem(appendMode=False)

    @staticmethod
    def list(project_key=None):
        """Names of the datasets of this run, inputs first."""
        names = [b["name"] for side in ("inputs", "outputs") for b in context()[side] if b["kind"] == "dataset"]
        return list(dict.fromkeys(names))

    @property
    def short_name(self):
        """Name without the project's key."""
        if self._resolved is None:
            self._resolved = resolve(self._asked, self._project_key, "dataset")
        return self._resolved

    @property
    def name(self):
        """Name with the project's key in front, when there is a project."""
        return full_name(self.short_name)

    @property
    def full_name(self):
        """The same as ``name``."""
        return self.name

    @property
    def project_key(self):
        """Key of the project; empty when the run belongs to none."""
        return default_project_key()

    def __repr__(self):
        return "Dataset(%r)" % self._asked

    # Schema

    def read_schema(self, raise_if_empty=True):
        """Columns of the dataset, as a ``Schema``; with ``raise_if_empty=False`` an empty one when there are none."""
        columns = self._columns
        if columns is None:
            try:
                answer = request_json("GET", encode("datasets", self.short_name, "schema"))
                columns = self._columns = check_columns(answer["columns"])
            except DataikuException as error:
                # An output that nobody has written yet has none.
                if error.code != "not-found" or not is_output(self.short_name, "dataset"):
                    raise
                columns = []
        if not columns and raise_if_empty:
            raise DataikuException("the dataset %s has no schema yet: use write_schema() first" % self.short_name)
        return Schema(dict(column) for column in columns)

    def write_schema(self, columns, drop_and_create=False, dropAndCreate=False):
        """Sets the columns of an output: a list of dicts with ``name`` and ``type``.

        Outputs are always written anew, so ``drop_and_create`` changes nothing.
        """
        require_output(self.short_name, "dataset")
        columns = check_columns(columns)
        if self._sent and columns == self._columns:
            # Recipes do that after their rows, to describe the columns; descriptions don't cross.
            return
        request_json("PUT", encode("datasets", self.short_name, "schema"), {"columns": columns})
        self._columns = columns
        self._sent = True

    def write_schema_from_dataframe(self, df, drop_and_create=False, dropAndCreate=False):
        """Sets the columns of an output to those of a dataframe.

        Integers keep their width, floats are ``double`` (32 bits: ``float``), booleans ``boolean``, dates with and
        without a zone ``date``; all else is ``string``.
        """
        self.write_schema(infer_columns(df))

    def has_schema(self):
        """Whether the dataset has columns already."""
        return bool(self.read_schema(raise_if_empty=False))

    def columns_to_write(self):
        """Columns of an output that is about to be written, made known to the host."""
        require_output(self.short_name, "dataset")
        if not self.has_schema():
            raise DataikuException(
                "the dataset %s has no schema yet: use write_schema() before its rows, or write_with_schema()"
                % self.short_name
            )
        if not self._sent:
            self.write_schema(self._columns)
        return self._columns

    # Dataframes

    def get_dataframe(
        self,
        columns=None,
        sampling="head",
        sampling_column=None,
        limit=None,
        ratio=None,
        infer_with_pandas=True,
        parse_dates=True,
        bool_as_str=False,
        float_precision=None,
        na_values=None,
        keep_default_na=True,
        print_deep_memory_usage=True,
        skip_additional_data_checks=False,
        date_parser=None,
        override_dtypes=None,
        pandas_read_kwargs=None,
        int_as_float=False,
        use_nullable_integers=False,
        categoricals=None,
        ascending=True
    ):
        """Reads the dataset into a dataframe of pandas.

        By default pandas finds the types itself, and columns of type ``date`` are read as dates in UTC. With
        ``infer_with_pandas=False`` the types are the schema's; integers and booleans with nulls are then pandas'
        own nullable types (``Int64``, ``boolean``), so that no digit is lost. A null and an empty text are both NaN;
        with ``keep_default_na=False`` an empty text stays one.

        Columns of integers are floats with ``int_as_float``, and always nullable with ``use_nullable_integers``.
        ``categoricals`` is a list of columns, or ``"all_strings"``. ``sampling`` is ``head`` (with ``limit``),
        ``random`` (with ``limit`` or ``ratio``) or ``random-column`` (with ``sampling_column`` and ``ratio``).
        ``print_deep_memory_usage``, ``skip_additional_data_checks`` and ``ascending`` change nothing here.
        """
        reading = self._reading(
            columns,
            infer_with_pandas=infer_with_pandas,
            parse_dates=parse_dates,
            bool_as_str=bool_as_str,
            float_precision=float_precision,
            na_values=na_values,
            keep_default_na=keep_default_na,
            date_parser=date_parser,
            override_dtypes=override_dtypes,
            pandas_read_kwargs=pandas_read_kwargs,
            int_as_float=int_as_float,
            use_nullable_integers=use_nullable_integers,
            categoricals=categoricals,
        )
        sample = Sampling(sampling, sampling_column, limit, ratio)
        if not sample.random:
            return self._whole(reading, columns, sample.head)
        self._check_sampled(sample, columns)
        parts = self._frames(reading, columns, None, _ROWS)
        return sample.frame(parts, lambda: self._whole(reading, columns, 0))

    def get_fast_path_dataframe(self, columns=None, pandas_read_kwargs=None, print_deep_memory_usage=True):
        """The same as ``get_dataframe``: all data crosses the same way here."""
        return self.get_dataframe(columns=columns, pandas_read_kwargs=pandas_read_kwargs)

    def iter_dataframes(
        self,
        chunksize=10000,
        infer_with_pandas=True,
        sampling="head",
        sampling_column=None,
        parse_dates=True,
        limit=None,
        ratio=None,
        columns=None,
        bool_as_str=False,
        float_precision=None,
        na_values=None,
        keep_default_na=True,
        date_parser=None,
        override_dtypes=None,
        pandas_read_kwargs=None,
        int_as_float=False,
        use_nullable_integers=False,
        categoricals=None,
        ascending=True
    ):
        """Reads the dataset as dataframes of at most ``chunksize`` rows each, in bounded memory.

        The arguments are those of ``get_dataframe``. Pandas finds the types of each part by itself.
        """
        if int(chunksize) < 1:
            raise DataikuException("chunksize must be at least 1, not %r" % chunksize)
        reading = self._reading(
            columns,
            infer_with_pandas=infer_with_pandas,
            parse_dates=parse_dates,
            bool_as_str=bool_as_str,
            float_precision=float_precision,
            na_values=na_values,
            keep_default_na=keep_default_na,
            date_parser=date_parser,
            override_dtypes=override_dtypes,
            pandas_read_kwargs=pandas_read_kwargs,
            int_as_float=int_as_float,
            use_nullable_integers=use_nullable_integers,
            categoricals=categoricals,
        )
        sample = Sampling(sampling, sampling_column, limit, ratio)
        self._check_sampled(sample, columns)
        return sample.parts(self._frames(reading, columns, sample.head, int(chunksize)), int(chunksize))

    def iter_dataframes_forced_types(self, names, dtypes, parse_date_columns, *args, **kwargs):
        """Not available here."""
        refuse("Dataset.iter_dataframes_forced_types", "use iter_dataframes() with override_dtypes")

    def write_with_schema(self, df, drop_and_create=False, dropAndCreate=False):
        """Writes a dataframe, its columns becoming the schema as in ``write_schema_from_dataframe``.

        The index isn't written. Null values (None, NaN, NaT, NA) are null, and empty texts stay empty texts.
        """
        self.write_schema_from_dataframe(df)
        self._write_frame(df)

    def write_from_dataframe(self, df, infer_schema=False, drop_and_create=False, dropAndCreate=False):
        """The same as ``write_dataframe``."""
        self.write_dataframe(df, infer_schema)

    def write_dataframe(self, df, infer_schema=False, drop_and_create=False, dropAndCreate=False):
        """Writes a dataframe with the schema that the dataset has; with ``infer_schema``, with its own.

        Its columns must be those of the schema, in any order. A dataset without a schema gets the dataframe's.
        """
        require_output(self.short_name, "dataset")
        if infer_schema or not self.has_schema():
            self.write_schema_from_dataframe(df)
        self._write_frame(df)

    def get_writer(self):
        """A ``DatasetWriter``, which writes row by row or dataframe by dataframe. Set the schema first."""
        require_output(self.short_name, "dataset")
        return DatasetWriter(self)

    # Rows

    def iter_rows(
        self,
        sampling="head",
        sampling_column=None,
        limit=None,
        ratio=None,
        log_every=-1,
        timeout=30,
        columns=None,
        ascending=True
    ):
        """Reads row by row: each is a mapping from column to value, typed by the schema.

        A null is None, an empty text is an empty text; dates are in UTC unless their text says another zone.
        """
        places = {name: at for at, name in enumerate(column["name"] for column in self._chosen(columns))}
        for values in self.iter_tuples(sampling, sampling_column, limit, ratio, log_every, timeout, columns):
            yield DatasetCursor(places, values)

    def iter_tuples(
        self,
        sampling="head",
        sampling_column=None,
        limit=None,
        ratio=None,
        log_every=-1,
        timeout=30,
        columns=None,
        ascending=True
    ):
        """Reads row by row: each is a tuple in the order of the columns, with the values of ``iter_rows``.

        With ``log_every`` a line says after so many rows how many there were. ``timeout`` and ``ascending`` change
        nothing here.
        """
        sample = Sampling(sampling, sampling_column, limit, ratio)
        place = self._check_sampled(sample, columns)
        for count, row in enumerate(sample.rows(self._tuples(columns, sample.head), place), 1):
            yield row
            if log_every > 0 and count % log_every == 0:
                print("%s: %d rows read" % (self.short_name, count), flush=True)

    def _tuples(self, columns, limit):
        kinds = [column["type"] for column in self._chosen(columns)]
        for row in self._texts(columns, limit):
            if len(row) != len(kinds):
                raise DataikuException(
                    "a row of %s has %d values for %d columns" % (self.short_name, len(row), len(kinds))
                )
            yield tuple([from_text(text, kind) for text, kind in zip(row, kinds)])

    def raw_formatted_data(
        self, sampling=None, columns=None, format="tsv-excel-noheader", format_params=None, read_session_id=None
    ):
        """Reads the dataset as text: a binary stream, to be used in a ``with`` block.

        ``format`` is ``csv`` (as it crosses: comma, double quotes, a header), ``csv-excel-header``,
        ``csv-excel-noheader``, ``tsv-excel-header`` or ``tsv-excel-noheader``. ``sampling`` may be a dict with
        ``samplingMethod`` (``FULL`` or ``HEAD_SEQUENTIAL``) and ``maxRecords``.
        """
        limit = None
        if sampling:
            method = sampling.get("samplingMethod", "FULL")
            if method not in ("FULL", "HEAD_SEQUENTIAL"):
                raise DataikuException("the sampling %s isn't available here: use FULL or HEAD_SEQUENTIAL" % method)
            limit = sampling.get("maxRecords") if method == "HEAD_SEQUENTIAL" else None
        if format in ("csv", "csv-excel-header"):
            return self._body(columns, limit, "csv")
        if format not in ("csv-excel-noheader", "tsv-excel-header", "tsv-excel-noheader"):
            raise DataikuException(
                "the format %r isn't available here: use csv, csv-excel-header, csv-excel-noheader, "
                "tsv-excel-header or tsv-excel-noheader" % format
            )
        rows = self._texts(columns, limit, with_header=format.endswith("-header"))
        return io.BufferedReader(Lines(rows, "\t" if format.startswith("tsv") else ","))

    # What is known of it

    def get_config(self):
        """What the run knows of the dataset: its name, its project, its schema.

        The settings that DSS keeps for a dataset (connection, format, parameters) don't cross into a container.
        """
        columns = self.read_schema(raise_if_empty=False) if self.has_schema() else Schema()
        what, hint = "the dataset " + self.short_name, "only its name, project and schema cross into one"
        return Known(
            {
                "projectKey": self.project_key,
                "name": self.short_name,
                "smartName": self.short_name,
                "type": "container",
                "managed": is_output(self.short_name, "dataset"),
                "params": Known({}, what, hint),
                "schema": {"columns": list(columns)},
                "partitioning": {"dimensions": []},
                "customFields": {},
            },
            what,
            hint,
        )

    def get_location_info(self, sensitive_info=False):
        """Where the data is: in a container nobody knows, and this says so."""
        return {
            "locationInfoType": "NONE",
            "info": Known(
                {}, "the place of dataset " + self.short_name, "it reads and writes the dataset through its runner"
            ),
            "message": "a container reads and writes this dataset through its runner, and doesn't know where it is",
        }

    def get_files_info(self, partitions=()):
        """Not available in a container."""
        refuse("Dataset.get_files_info", _FILES)

    def list_partitions(self, raise_if_empty=True):
        """Always ``["NP"]``: datasets aren't partitioned here."""
        return ["NP"]

    def add_read_partitions(self, spec):
        """Not available: datasets aren't partitioned here."""
        raise DataikuException(_PARTITIONS, "not-available")

    def set_write_partition(self, spec):
        """Not available: datasets aren't partitioned here."""
        raise DataikuException(_PARTITIONS, "not-available")

    def get_last_metric_values(self, partition=""):
        """How many rows and columns there are, a ``ComputedMetrics``; rows are counted by reading the dataset once."""
        check(self.short_name, partition)
        return ComputedMetrics(self)

    def get_metric_history(self, metric_lookup, partition=""):
        """Not available in a container."""
        refuse("Dataset.get_metric_history", METRICS)

    def save_external_metric_values(self, values_dict, partition=""):
        """Not available in a container."""
        refuse("Dataset.save_external_metric_values", METRICS)

    def save_external_check_values(self, values_dict, partition=""):
        """Not available in a container."""
        refuse("Dataset.save_external_check_values", METRICS)

    # How it is done

    def _count(self):
        """How many rows there are; only one column is read."""
        columns = self.read_schema(raise_if_empty=False)
        return sum(1 for _ in self._texts([columns[0]["name"]], None)) if columns else 0

    def _chosen(self, names):
        columns = self.read_schema(raise_if_empty=False)
        if not names:
            return columns
        known = {}
        for column in columns:
            known.setdefault(column["name"], column)
        for name in names:
            if name not in known:
                raise DataikuException(
                    "the dataset %s has no column %r; it has: %s" % (self.short_name, name, ", ".join(known))
                )
        return [known[name] for name in names]

    def _check_sampled(self, sample, names):
        """Where the column is by whose values rows are chosen; None when they are chosen otherwise."""
        if sample.column is None:
            return None
        chosen = [column["name"] for column in self._chosen(names)]
        if sample.column not in chosen:
            raise DataikuException(
                "the sampling_column %r isn't among the columns that are read: %s" % (sample.column, ", ".join(chosen))
            )
        return chosen.index(sample.column)

    def _reading(self, names, **options):
        pandas()
        return Reading(self._chosen(names), **options)

    def _body(self, names, limit, wire):
        path = encode("datasets", self.short_name, "data") + "?format=" + wire
        if names:
            path += "&columns=" + ",".join(quote(name, safe="") for name in names)
        if limit is not None:
            path += "&limit=%d" % limit
        return open_body(path, "the reading of dataset " + self.short_name)

    def _whole(self, reading, names, limit):
        with self._body(names, limit, reading.wire) as body:
            return reading.whole(body)

    def _frames(self, reading, names, limit, rows):
        with self._body(names, limit, reading.wire) as body:
            for part in reading.parts(body, rows):
                yield part

    def _texts(self, names, limit, with_header=False):
        single = len(self._chosen(names)) == 1
        rows = read_rows(self._body(names, limit, "csv"), "the dataset " + self.short_name, single)
        if not with_header:
            next(rows, None)
        for row in rows:
            yield row

    def _write_frame(self, df):
        columns = self.columns_to_write()
        frame = match_columns(df, columns)
        write = _way(frame, columns)
        arrow = write is not write_csv
        upload = Upload(
            encode("datasets", self.short_name, "data") + ("?format=arrow" if arrow else "?format=csv"),
            "the writing of dataset " + self.short_name,
            "application/vnd.apache.arrow.stream" if arrow else "text/csv",
        )
        try:
            write(frame, columns, upload)
            upload.finish()
        finally:
            upload.abort()


def _way(frame, columns):
    """How a dataframe crosses: as Arrow where that can be, which is by far the fastest."""
    if not columns:
        return write_csv
    if pyarrow() is not None:
        return write_arrow
    # It needs numpy, and so comes only with a dataframe.
    from dataiku.core.plain_frame import is_plain, write_plain

    return write_plain if is_plain(frame, columns) else write_csv
