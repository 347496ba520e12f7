"""Answers that a container can give in part only."""

from dataiku.core.connection import DataikuException


class NotKnown(DataikuException, KeyError):
    """Asked for something that only the DSS server knows."""

    # That of KeyError would put the sentence in quotes.
    __str__ = DataikuException.__str__


class Known(dict):
    """A dict of what is known. A key that isn't in it raises a sentence, and ``get`` gives the default."""

    def __init__(self, values, what, hint):
        super().__init__(values)
        self._what = what
        self._hint = hint

    def __missing__(self, key):
        raise NotKnown("a container doesn't know %r of %s: %s" % (key, self._what, self._hint), "not-available")
