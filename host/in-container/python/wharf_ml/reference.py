"""The reference of tasks for the guide, made of the reader's own shapes."""

import json

from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.fields import REQUIRED, Either, Record, Tagged
from wharf_ml.task import FEATURE, RETRAIN, SCORE, TRAIN


def reference():
    """The tables, in Markdown."""
    lines = []
    lines += ["### `train`", ""] + _table(TRAIN)
    for name, title in (("sampling", "Sampling"), ("split", "Split"), ("search", "Search")):
        shape = TRAIN.fields[name].shape
        lines += ["### `%s`: %s" % (name, title.lower()), ""] + _any(shape)
    lines += ["### `search.validation`", ""] + _any(TRAIN.fields["search"].shape.fields["validation"].shape.shapes[0])
    lines += ["### `features.COLUMN`", ""] + _any(FEATURE)
    lines += ["### `algorithms`: names and `parameters`", ""]
    lines += ["| name | for | parameters | package |", "| --- | --- | --- | --- |"]
    for algorithm in ALGORITHMS.values():
        parameters = "; ".join(
            "`%s` %s" % (name, _cell(shape.accepts())) for name, shape in algorithm.parameters.items()
        )
        kinds = ", ".join(algorithm.prediction_types)
        lines.append("| `%s` | %s | %s | %s |" % (algorithm.name, kinds, parameters, algorithm.package))
    lines += ["", "### `retrain`", ""] + _table(RETRAIN)
    lines += ["### `score`", ""] + _table(SCORE)
    return "\n".join(lines).rstrip() + "\n"


def _any(shape):
    if isinstance(shape, Record):
        return _table(shape)
    lines = []
    for key, record in shape.records.items():
        if key is not None:
            lines += ["`%s = %s`%s" % (shape.tag, json.dumps(key), ":" if record.fields else ": no other keys."), ""]
        else:
            lines += ["Without `%s`:" % shape.tag, ""]
        if record.fields:
            lines += _table(record)
    return lines


def _table(record):
    lines = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for field in record.fields.values():
        default = (
            "required"
            if field.default is REQUIRED
            else ""
            if field.default is None
            else "`%s`" % json.dumps(field.default)
        )
        lines.append(
            "| `%s` | %s | %s | %s |" % (field.name, _cell(_accepts(field.shape)), _cell(default), _cell(field.about))
        )
    return lines + [""]


def _accepts(shape):
    if isinstance(shape, Either):
        return ", or ".join(dict.fromkeys(_accepts(each) for each in shape.shapes))
    if isinstance(shape, (Record, Tagged)):
        return "an object: below" if len(shape.accepts()) > 120 or isinstance(shape, Tagged) else shape.accepts()
    text = shape.accepts()
    if text.startswith("an object from columns"):
        return "an object from columns to objects: below"
    return "a list of objects with `name` and `parameters`: below" if "key name (random_forest" in text else text


def _cell(text):
    return text.replace("|", "\\|")
