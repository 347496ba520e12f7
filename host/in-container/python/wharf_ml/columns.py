"""The columns of a dataset as features: what each is to the model, and whether another dataset has the same."""

from wharf_ml.batches import NUMBERS
from wharf_ml.fields import shown
from wharf_ml.refusal import Refused
from wharf_ml.task import FEATURE

# The types of a dataset that each type of feature is made of.
_FITTING = {
    "numeric": NUMBERS + ("boolean",),
    "category": NUMBERS + ("boolean", "string"),
    "text": ("string",),
    "date": ("date",),
}


def kind_of(column_type):
    """What a type of a column is like: types of one kind stand for each other."""
    if column_type in NUMBERS:
        return "number"
    return column_type if column_type in ("boolean", "date") else "text"


def _default_type(column_type):
    if column_type in NUMBERS or column_type == "boolean":
        return "numeric"
    if column_type == "date":
        return "date"
    return "category" if column_type == "string" else None


def describe(task, columns, dataset):
    """The schema of a model: for each column of the dataset its role, and for inputs their type and handling.

    Raises Refused with everything in which the task and the dataset don't fit together.
    """
    problems, found = [], []
    known = {column["name"]: column["type"] for column in columns}
    if len(known) < len(columns):
        names = [column["name"] for column in columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Refused("the dataset %s has two columns with one name: %s" % (dataset, ", ".join(map(shown, twice))))
    named = dict(task["features"])
    wanted = [("target", task["target"])] + [("features", name) for name in named]
    split = task["split"]
    if split.get("column") and task["prediction_type"] != "clustering":
        wanted.append(("split.column", split["column"]))
    for path, name in wanted:
        if name is not None and name not in known:
            problems.append("%s: there is no column %s" % (path, shown(name)))
    for column in columns:
        name, column_type = column["name"], column["type"]
        entry = {"name": name, "type": column_type, "role": "rejected"}
        if name == task["target"]:
            entry["role"] = "target"
            if task["prediction_type"] == "regression" and column_type not in NUMBERS + ("boolean",):
                problems.append("target: column %s is %s, and a regression needs a number" % (shown(name), column_type))
        elif name in named or task["other_features"] == "auto":
            _describe_feature(entry, named.get(name), split, problems)
        found.append(entry)
    if problems:
        text = "the dataset %s doesn't fit the task:" % dataset
        raise Refused("\n  ".join([text] + problems + ["it has: " + ", ".join(map(shown, known))]))
    if not any(entry["role"] == "input" for entry in found):
        raise Refused("no column of the dataset %s is used as a feature: name some in features" % dataset)
    return found


def _describe_feature(entry, feature, split, problems):
    name, column_type = entry["name"], entry["type"]
    asked = dict(feature or {})
    if asked.get("role") in ("rejected", "weight"):
        entry["role"] = asked["role"]
        if entry["role"] == "weight" and column_type not in NUMBERS:
            problems.append(
                "features: column %s of role weight is %s, and must be a number" % (shown(name), column_type)
            )
        return
    if feature is None and name == split.get("column") and split["method"] == "column":
        # What says which rows are the hold-out tells nothing about the target.
        return
    feature_type = asked.get("type") or _default_type(column_type)
    if feature_type is None:
        if feature is not None:
            problems.append(
                "features: column %s is %s, which can't be a feature: reject it" % (shown(name), column_type)
            )
        return
    if column_type not in _FITTING[feature_type]:
        problems.append(
            "features: column %s is %s in the dataset, and a %s feature is made of %s"
            % (shown(name), column_type, feature_type, ", ".join(_FITTING[feature_type]))
        )
    defaults = FEATURE.records[feature_type].read({}, "", [])
    entry["role"] = "input"
    entry["feature"] = dict(defaults, **{key: value for key, value in asked.items() if key != "role"})
    entry["feature"]["type"] = feature_type
    entry["feature"].pop("role", None)


def inputs(schema):
    """The columns that the model uses."""
    return [entry for entry in schema if entry["role"] == "input"]


def with_role(schema, role):
    """The name of the column of that role, or None."""
    return next((entry["name"] for entry in schema if entry["role"] == role), None)


def require_same(schema, columns, dataset, roles, extra=()):
    """Checks that a dataset has the columns of a model; gives the names of columns that the model doesn't know.

    Raises Refused with each column that is missing or has a type of another kind. ``extra`` are more names that must be
    there.
    """
    known = {column["name"]: column["type"] for column in columns}
    missing, retyped = [], []
    for entry in schema:
        if entry["role"] not in roles and entry["name"] not in extra:
            continue
        name = entry["name"]
        if name not in known:
            missing.append("%s (%s)" % (shown(name), entry["type"]))
        elif kind_of(known[name]) != kind_of(entry["type"]):
            retyped.append("%s (%s in training, now %s)" % (shown(name), entry["type"], known[name]))
    new = [name for name in known if name not in {entry["name"] for entry in schema}]
    if missing or retyped:
        parts = [("missing", missing), ("retyped", retyped), ("new", list(map(shown, new)))]
        text = "; ".join("%s: %s" % (what, ", ".join(names)) for what, names in parts if names)
        raise Refused(
            "the dataset %s isn't like the one that the model was trained on. %s. Give it these columns, or train a "
            "new model" % (dataset, text)
        )
    return new
