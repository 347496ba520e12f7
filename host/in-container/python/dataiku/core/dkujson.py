"""JSON, also of what numpy and pandas have."""

import datetime
import json


def dump(obj, stream, **arguments):
    """Writes a value as JSON to a stream of text."""
    stream.write(dumps(obj, **arguments))


def dumps(obj, **arguments):
    """A value as JSON. Numbers, arrays and dates of numpy and pandas are numbers, lists and texts."""
    arguments.setdefault("default", _plain)
    return json.dumps(obj, **arguments)


def load(stream, **arguments):
    """The value in a stream of JSON."""
    return json.load(stream, **arguments)


def loads(text, **arguments):
    """The value in a text of JSON."""
    return json.loads(text, **arguments)


def _plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError("%s can't be written as JSON" % type(value).__name__)
