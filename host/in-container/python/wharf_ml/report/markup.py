"""Markup: elements whose texts are escaped because there is no other way to put them in."""

import html
import re

#: Characters that HTML has no place for, and those that turn the direction of what follows.
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_VOID = frozenset(["meta", "br", "hr", "col"])


class Markup(str):
    """A text that is HTML already. Only this module makes it, of escaped parts."""

    __slots__ = ()


def text(value):
    """Any value as escaped text."""
    return Markup(html.escape(_ODD.sub("\ufffd", str(value)), quote=True))


def join(*parts):
    """Parts one after the other; texts are escaped, lists are joined, None is nothing."""
    found = []
    for part in parts:
        if isinstance(part, (list, tuple)):
            found.append(join(*part))
        elif part is not None:
            found.append(part if isinstance(part, Markup) else text(part))
    return Markup("".join(found))


def element(name, /, *children, **attributes):
    """An element; an attribute's name may end with ``_`` (``class_``), and its other ``_`` become ``-``.

    Attributes of None are left out. Numbers are written as short as their place on a screen needs.
    """
    given = []
    for key, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, float):
            value = ("%.2f" % value).rstrip("0").rstrip(".")
        given.append(' %s="%s"' % (key.rstrip("_").replace("_", "-"), text(value)))
    if name in _VOID:
        return Markup("<%s%s>" % (name, "".join(given)))
    return Markup("<%s%s>%s</%s>" % (name, "".join(given), join(*children), name))


def style(css):
    """A style sheet of the report's own; nothing of data may go in."""
    return Markup("<style>%s</style>" % css)


def document(head, body):
    """The whole page."""
    return str(Markup('<!doctype html>\n<html lang="en">\n<head>%s</head>\n<body>%s</body>\n</html>\n' % (head, body)))
