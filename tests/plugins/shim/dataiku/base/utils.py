"""Exceptions with texts."""


def safe_unicode_str(value):
    return str(value)


def safe_exception(kind, text):
    return kind(text)
