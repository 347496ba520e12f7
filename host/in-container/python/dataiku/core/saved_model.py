"""Saved models: a handle can be made, and everything that is asked of it says that they aren't here."""

from dataiku.core.unavailable import MODEL, Refusing, refuse


class Model(metaclass=Refusing):
    """A saved model of DSS, by name or identifier: not available in a container."""

    why = MODEL

    def __init__(self, lookup, project_key=None, ignore_flow=False):
        self._lookup = lookup

    def __repr__(self):
        return "Model(%r)" % self._lookup

    def __getattr__(self, attribute):
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        refuse("Model." + attribute, self.why)
