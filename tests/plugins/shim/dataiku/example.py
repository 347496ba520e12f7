"""The example that runs: its bindings, its parameters, and where its files are."""

import json
import os
import pathlib

FOLDER = pathlib.Path(os.environ["SHIM_EXAMPLE"])
OUT = pathlib.Path(os.environ["SHIM_OUT"])
PLUGIN = pathlib.Path(os.environ["SHIM_PLUGIN"])

EXAMPLE = {"project": "", "variables": {}, "parameters": {}, "inputs": {}, "outputs": {}}
EXAMPLE.update(json.loads((FOLDER / "example.json").read_text()))


def name(path):
    """A binding's name: its file's without the extension."""
    return pathlib.PurePath(path).name.rsplit(".", 1)[0] if not path.endswith("/") else pathlib.PurePath(path).name


def names(side, role=None):
    prefix = EXAMPLE["project"] + "." if EXAMPLE["project"] else ""
    return [prefix + name(path) for key, paths in EXAMPLE[side].items() if role in (None, key) for path in paths]


def find(lookup):
    """Where a binding's file or folder is, and whether it is written."""
    short = lookup.split(".")[-1] if EXAMPLE["project"] else lookup
    for side, base in (("inputs", FOLDER), ("outputs", OUT)):
        for paths in EXAMPLE[side].values():
            for path in paths:
                if name(path) == short:
                    return base / path, side == "outputs"
    raise KeyError("the example has no %s" % lookup)
