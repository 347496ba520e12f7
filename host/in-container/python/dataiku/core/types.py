"""The column types of DSS, and what a value of each looks like as text and in Python."""

import datetime
import json
import math

from dataiku.core.connection import DataikuException

INTEGERS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
FLOATS = {"float": 32, "double": 64}
STRUCTURES = ("array", "map", "object", "geopoint", "geometry")
NAMES = ("string",) + tuple(INTEGERS) + tuple(FLOATS) + ("boolean", "date") + STRUCTURES


def check_columns(columns):
    """The columns as the protocol wants them: name and type, nothing else."""
    checked = []
    for column in columns:
        try:
            name, kind = column["name"], column.get("type", "string")
        except (TypeError, KeyError, AttributeError):
            raise DataikuException(
                "a schema is a list of dicts with 'name' and 'type', and this isn't one: %r" % (column,)
            ) from None
        if kind not in NAMES:
            raise DataikuException(
                "column %r has the type %r, which doesn't exist; there are %s" % (name, kind, ", ".join(NAMES))
            )
        checked.append({"name": str(name), "type": kind})
    return checked


def to_text(value, kind):
    """A value as it crosses in CSV; None is null.

    Dates are in UTC with milliseconds, as DSS writes them, or with microseconds when they have any; one without a zone
    is taken for UTC.
    """
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        # A number of numpy. Its date can't be a date of Python in nanoseconds, so it is asked for microseconds.
        value = value.astype("datetime64[us]").item() if value.dtype.kind == "M" else value.item()
        if value is None or isinstance(value, str):
            return value
    if (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if kind == "boolean" and isinstance(value, (int, float)):
        value = bool(value)
    if isinstance(value, bool):
        if kind in INTEGERS or kind in FLOATS:
            return str(int(value))
        return ("true" if value else "false") if kind == "boolean" else str(value)
    if isinstance(value, float):
        if kind in INTEGERS:
            if not math.isfinite(value) or value != int(value):
                raise DataikuException("%r isn't a whole number" % value)
            return str(int(value))
        return repr(value)
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc)
        micros = value.microsecond
        fraction = "%06d" % micros if micros % 1000 else "%03d" % (micros // 1000)
        return value.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + fraction + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat() + ("T00:00:00.000Z" if kind == "date" else "")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8")
    if kind in STRUCTURES:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, (dict, list, tuple)):
            return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def from_text(text, kind):
    """A value of Python from its text in CSV, None for null; an empty text is one only where texts are."""
    if not text:
        return text if kind == "string" else None
    if kind in INTEGERS:
        try:
            return int(text)
        except ValueError:
            return int(float(text)) if float(text).is_integer() else _bad(text, kind)
    if kind in FLOATS:
        return float(text)
    if kind == "boolean":
        lower = text.lower()
        return lower == "true" if lower in ("true", "false") else _bad(text, kind)
    if kind == "date":
        return parse_date(text)
    return text


def parse_date(text):
    """A date and time with its zone, UTC when the text has none."""
    plain = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    try:
        date = datetime.datetime.fromisoformat(plain)
    except ValueError:
        _bad(text, "date")
    return date if date.tzinfo is not None else date.replace(tzinfo=datetime.timezone.utc)


def _bad(text, kind):
    raise DataikuException("%r isn't a value of type %s" % (text, kind))
