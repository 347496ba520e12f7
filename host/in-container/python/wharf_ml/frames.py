"""Dataframes as a model takes them: the same features as in a scoring, from the columns of pandas."""

import numpy
import pandas

from wharf_ml.batches import text_of
from wharf_ml.columns import inputs
from wharf_ml.fields import shown
from wharf_ml.refusal import Refused
from wharf_ml.table import frame


def features_of(given, columns):
    """The features of a dataframe's rows, in their order; raises Refused with every column that doesn't fit.

    ``columns`` are those of a model, and the dataframe may have others.
    """
    wanted = inputs(columns)
    names = list(given.columns)
    missing = ["%s (%s)" % (shown(e["name"]), e["type"]) for e in wanted if e["name"] not in names]
    twice = [shown(e["name"]) for e in wanted if names.count(e["name"]) > 1]
    for what, found in (("lacks columns of the model", missing), ("has more than one column of a name", twice)):
        if found:
            raise Refused("the dataframe %s: %s" % (what, ", ".join(found)))
    values, wrong = {}, []
    for entry in wanted:
        try:
            values[entry["name"]] = _READERS.get(entry["feature"]["type"], _texts)(given[entry["name"]])
        except (ValueError, TypeError, OverflowError):
            wrong.append(
                "%s has values that aren't %s" % (shown(entry["name"]), _WORDS.get(entry["feature"]["type"], "texts"))
            )
    if wrong:
        raise Refused("the dataframe doesn't fit the model: " + "; ".join(wrong))
    return frame(values)


def _numbers(series):
    if series.dtype == object:
        # Texts such as "true" are no numbers; booleans beside missing values are objects.
        series = series.map(lambda value: float(value) if not _is_missing(value) else numpy.nan)
    values = numpy.array(series.to_numpy(dtype=float, na_value=numpy.nan))
    values[numpy.isinf(values)] = numpy.nan
    return values


def _dates(series):
    return pandas.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[ms]")


def _texts(series):
    places, found = pandas.factorize(series)
    texts = numpy.empty(len(found) + 1, dtype=object)
    texts[:-1] = [text_of(value.item() if isinstance(value, numpy.generic) else value) or numpy.nan for value in found]
    # Missing values have the place -1.
    texts[-1] = numpy.nan
    return texts[places]


def _is_missing(value):
    return value is None or value is pandas.NA or value != value


_READERS = {"numeric": _numbers, "date": _dates}
_WORDS = {"numeric": "numbers", "date": "dates"}
