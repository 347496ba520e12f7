"""Small functions that some plugins import from here."""

from dataiku.core.unavailable import API, unavailable


def safe_exception(kind, message):
    """An exception of that class with that message."""
    return kind(message)


def safe_unicode_str(value):
    """A value as text; bytes are read as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return unavailable("base.utils." + name, API)
