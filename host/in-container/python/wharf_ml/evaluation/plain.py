"""Plain values: what JSON can hold, with null where a number isn't finite."""

import math

import numpy as np

#: Names, categories and sentences of data are cut at this length: a cell may hold megabytes.
TEXT_LIMIT = 200


def number(value):
    """A finite float, or None."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def numbers(values, digits=None):
    """A list of finite floats; with ``digits``, of so many significant ones."""
    if digits is not None:
        return [number("%.*g" % (digits, value)) for value in np.asarray(values, dtype=float)]
    return [number(value) for value in np.asarray(values, dtype=float)]


def text(value):
    """A text of data, cut where it is too long to be shown."""
    value = str(value)
    return value if len(value) <= TEXT_LIMIT else value[: TEXT_LIMIT - 1] + "…"


def label(value):
    """A class or category as JSON has it: a text, a boolean or a number."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        value = number(value)
        return int(value) if value is not None and value.is_integer() and abs(value) < 2**53 else value
    return text(value)


def clean(value):
    """The same structure, made of what JSON can hold."""
    if isinstance(value, dict):
        return {text(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return clean(value.tolist())
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return number(value)
    return text(value)


def thin(count, limit):
    """Which of ``count`` points to keep, at most ``limit`` of them, the first and the last among them."""
    if count <= limit:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, limit).round().astype(int))


def thin_along(x, y, limit):
    """Which points of a curve to keep, evenly along its length, so that steep parts keep their shape."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) <= limit:
        return np.arange(len(x))
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
    if length[-1] == 0:
        return thin(len(x), limit)
    kept = np.searchsorted(length, np.linspace(0, length[-1], limit))
    return np.unique(np.concatenate(([0], np.minimum(kept, len(x) - 1)[:-1], [len(x) - 1])))
