"""What a recipe's run reads and writes, under the name that some plugins ask for."""

from dataiku.core.context import context, full_name


def __getattr__(name):
    # Asked for at the use, not at the import, which must not need a runner.
    if name != "FLOW":
        raise AttributeError("module 'dataiku.core.flow' has no attribute %r" % name)
    return {"in": _items("inputs"), "out": _items("outputs")}


def _items(side):
    return [
        {
            "fullName": full_name(binding["name"]),
            "smartName": binding["name"],
            "role": binding.get("role"),
            "type": "MANAGED_FOLDER" if binding["kind"] == "folder" else "DATASET",
            "partitions": ["NP"],
        }
        for binding in context().get(side) or []
    ]
