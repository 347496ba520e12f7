"""The datasets and folders of the run, by their roles."""

import dataiku

from wharf_ml.refusal import Refused


def _one(names, side, role, kind):
    if len(names) != 1:
        raise Refused("the run must have one %s of role %s among its %ss, and has %d" % (kind, role, side, len(names)))
    return names[0]


def _names(side, role, kind):
    from dataiku.core.context import context

    return [b["name"] for b in context().get(side) or [] if b.get("role") == role and b["kind"] == kind]


def input_dataset():
    """The dataset that is read."""
    return dataiku.Dataset(_one(_names("inputs", "main", "dataset"), "input", "main", "dataset"))


def output_dataset():
    """The dataset that is written."""
    return dataiku.Dataset(_one(_names("outputs", "main", "dataset"), "output", "main", "dataset"))


def input_model():
    """The folder of the saved model that is read."""
    return dataiku.Folder(_one(_names("inputs", "model", "folder"), "input", "model", "folder"))


def output_model():
    """The folder of the saved model that is written."""
    return dataiku.Folder(_one(_names("outputs", "model", "folder"), "output", "model", "folder"))
