"""Tells whether an error comes from code that was written for Python 2."""

import re

_MODULES = {
    "__builtin__", "BaseHTTPServer", "ConfigParser", "Cookie", "cookielib", "copy_reg", "cPickle", "cStringIO", "htmlentitydefs",
    "HTMLParser", "httplib", "Queue", "SocketServer", "StringIO", "Tkinter", "urllib2", "urlparse", "UserDict", "xmlrpclib",
}  # fmt: skip
_NAMES = {
    "basestring", "cmp", "execfile", "file", "long", "raw_input", "reduce", "reload", "unichr", "unicode", "xrange",
}  # fmt: skip
_ATTRIBUTES = {"has_key", "iteritems", "iterkeys", "itervalues", "viewitems", "viewkeys", "viewvalues"}
# Statements and literals that Python 3 doesn't have. The messages of some versions of Python say nothing of it.
_LINES = [
    (r"^\s*(?:.*[:;]\s*)?print\b(?!\s*(?:\(|=|$|[.,)\]]))", "print is a function in Python 3"),
    (r"^\s*(?:.*[:;]\s*)?exec\s+[^\s(=]", "exec is a function in Python 3"),
    (r"^\s*except\s+[^:#]+?,\s*\w+\s*:", "except takes its name after `as` in Python 3"),
    (r"^\s*raise\s+[\w.]+\s*,", "raise takes no comma in Python 3"),
    (r"<>", "<> is != in Python 3"),
    (r"`[^`]+`", "backquotes are repr() in Python 3"),
    (r"(?<![\w.])0[0-7]+(?![\w.])", "octal numbers begin with 0o in Python 3"),
    (r"(?<![\w.])(?:0[xX][0-9a-fA-F]+|\d+)[lL]\b", "numbers have no L in Python 3"),
    (r"\b[uU][rR]['\"]", "ur'' doesn't exist in Python 3"),
    (r"^\s*def\s+\w+\(.*\([\w\s,]+\).*\)\s*:", "arguments can't be unpacked in a def in Python 3"),
]


def written_for_python_2(error):
    """What of it Python 3 doesn't have, as a short clause; None when nothing says so."""
    if isinstance(error, TabError):
        return "it mixes tabs and spaces"
    if isinstance(error, SyntaxError):
        message = error.msg or ""
        if "Missing parentheses in call to" in message:
            return "print is a function in Python 3" if "print" in message else "exec is a function in Python 3"
        if "octal" in message or "leading zeros in decimal" in message:
            return "octal numbers begin with 0o in Python 3"
        line = error.text or ""
        for pattern, clause in _LINES:
            if re.search(pattern, line):
                return clause
    if isinstance(error, ModuleNotFoundError) and error.name in _MODULES:
        return "the module %s exists in Python 2 only" % error.name
    if isinstance(error, NameError):
        found = re.match(r"(?:global )?name '(\w+)' is not defined", str(error))
        if found and found.group(1) in _NAMES:
            return "%s exists in Python 2 only" % found.group(1)
    if isinstance(error, AttributeError):
        found = re.search(r"'dict' object has no attribute '(\w+)'", str(error))
        if found and found.group(1) in _ATTRIBUTES:
            return "dictionaries have no %s in Python 3" % found.group(1)
    return None
