"""A dataset that is a CSV file, with its columns in ``FILE.schema.json``."""

import csv
import json

import numpy
import pandas

from dataiku.example import EXAMPLE, find

INTEGERS = ("tinyint", "smallint", "int", "bigint")
KINDS = {"i1": "tinyint", "i2": "smallint", "i4": "int", "i8": "bigint", "f4": "float", "f8": "double", "b1": "boolean"}


class Schema(list):
    pass


def kind_of(dtype):
    if pandas.api.types.is_datetime64_any_dtype(dtype):
        return "date"
    return KINDS.get(getattr(dtype, "str", "")[1:], "string")


class Dataset:
    def __init__(self, lookup, project_key=None, ignore_flow=False):
        self.path, self.written = find(lookup)
        self.short_name = lookup.split(".")[-1] if EXAMPLE["project"] else lookup
        self.project_key = EXAMPLE["project"]
        self.name = self.full_name = (self.project_key + "." if self.project_key else "") + self.short_name
        self.read_partitions = ["NP"]
        self.writePartition = None
        self.spec_item = {"appendMode": False}
        self.columns = None

    def list_partitions(self, raise_if_empty=True):
        return ["NP"]

    def read_schema(self, raise_if_empty=True):
        if self.columns is not None:
            return Schema(self.columns)
        if self.written and not raise_if_empty:
            return Schema()
        return Schema(json.loads(self.path.with_name(self.path.name + ".schema.json").read_text())["columns"])

    def get_config(self):
        config = {"projectKey": self.project_key, "name": self.short_name, "type": "container", "params": {}}
        return dict(config, schema={"columns": self.read_schema()}, partitioning={"dimensions": []})

    def get_location_info(self, sensitive_info=False):
        return {"locationInfoType": "NONE", "info": {}}

    def get_last_metric_values(self, partition=""):
        return ComputedMetrics(self)

    def get_dataframe(self, columns=None, sampling="head", limit=None, infer_with_pandas=True, parse_dates=True, **more):
        schema = self.read_schema()
        dates = [c["name"] for c in schema if c["type"] == "date" and (columns is None or c["name"] in columns)]
        options = {"nrows": limit, "usecols": columns}
        if not infer_with_pandas:
            texts = [c["name"] for c in schema if c["type"] not in KINDS.values()]
            options["dtype"] = {name: str for name in texts if name not in dates}
        for key in ("keep_default_na", "na_values", "float_precision"):
            if key in more:
                options[key] = more[key]
        frame = pandas.read_csv(self.path, **options)
        for name in dates if parse_dates else []:
            frame[name] = pandas.to_datetime(frame[name], utc=True)
        if more.get("bool_as_str"):
            for name in frame.columns[frame.dtypes == bool]:
                frame[name] = frame[name].map({True: "true", False: "false"})
        return frame[columns] if columns else frame

    def iter_dataframes(self, chunksize=10000, **more):
        frame = self.get_dataframe(**more)
        for at in range(0, len(frame), chunksize):
            yield frame.iloc[at : at + chunksize].reset_index(drop=True)

    def iter_rows(self, limit=None, columns=None, **_):
        for row in self.get_dataframe(columns=columns, limit=limit, infer_with_pandas=False).to_dict("records"):
            yield {key: None if value is None or value != value else value for key, value in row.items()}

    def iter_tuples(self, limit=None, columns=None, **_):
        for row in self.iter_rows(limit=limit, columns=columns):
            yield tuple(row.values())

    def write_schema(self, columns, **_):
        self.columns = [{"name": c["name"], "type": c.get("type", "string")} for c in columns]

    def write_schema_from_dataframe(self, frame, **_):
        self.columns = [{"name": str(name), "type": kind_of(frame[name].dtype)} for name in frame.columns]

    def write_with_schema(self, frame, **_):
        self.write_schema_from_dataframe(frame)
        self.write_dataframe(frame)

    def write_dataframe(self, frame, infer_schema=False, **_):
        if infer_schema or self.columns is None:
            self.write_schema_from_dataframe(frame)
        with self.get_writer() as writer:
            writer.write_dataframe(frame)

    write_from_dataframe = write_dataframe

    def get_writer(self):
        return Writer(self)


class ComputedMetrics:
    """How many rows a dataset has."""

    def __init__(self, dataset):
        self.dataset = dataset

    def get_global_data(self, metric_id):
        return {"metricId": metric_id, "value": str(len(pandas.read_csv(self.dataset.path, skip_blank_lines=False)))}

    def get_partition_data(self, metric_id, partition):
        return self.get_global_data(metric_id)

    @staticmethod
    def get_value_from_data(data):
        return int(data["value"])


class Writer:
    """Keeps the rows, for a writer may get its schema after it was made."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.rows = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()

    def _columns(self):
        return [column["name"] for column in self.dataset.read_schema()]

    def write_row_dict(self, row):
        self.rows.append([text(row.get(name)) for name in self._columns()])

    def write_row_array(self, row):
        self.rows.append([text(value) for value in row])

    write_tuple = write_row_array

    def write_dataframe(self, frame):
        names = self._columns() if set(self._columns()) == set(map(str, frame.columns)) else list(frame.columns)
        for row in frame[names].itertuples(index=False, name=None):
            self.write_row_array(row)

    def close(self):
        with open(self.dataset.path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(self._columns())
            writer.writerows(self.rows)


def text(value):
    if isinstance(value, (list, tuple, dict, numpy.ndarray)):
        return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
    if value is None or value is pandas.NaT or (isinstance(value, float) and value != value) or value is pandas.NA:
        return ""
    if isinstance(value, numpy.datetime64):
        value = pandas.Timestamp(value)
    if isinstance(value, pandas.Timestamp):
        value = value.tz_convert("UTC").tz_localize(None) if value.tzinfo else value
        return value.isoformat(timespec="milliseconds" if value.microsecond % 1000 == 0 else "microseconds") + "Z"
    if isinstance(value, (bool, numpy.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, numpy.floating)):
        return repr(float(value))
    return str(value)
