"""Rows as lines of CSV, with null and the empty text told apart."""

from dataiku.core.types import to_text

_SPECIAL = set(',"\r\n')


def field(text):
    """One field: nothing for null, a pair of quotes for the empty text."""
    if text is None:
        return ""
    if text == "":
        return '""'
    if _SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def line(values, kinds):
    """One line with its end."""
    return ",".join([field(to_text(value, kind)) for value, kind in zip(values, kinds)]) + "\n"


def header(columns):
    """The header line of a dataset."""
    return line([column["name"] for column in columns], ["string"] * len(columns))
