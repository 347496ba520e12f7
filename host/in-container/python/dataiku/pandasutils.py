"""Imported by the code that DSS puts into every new recipe; its functions aren't available in a container.

``from dataiku import pandasutils as pdu`` works, and so do recipes that only import it.
"""

from dataiku.core.unavailable import refuse


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        refuse("pandasutils." + name, "use the functions of pandas itself")

    missing.__name__ = name
    return missing
