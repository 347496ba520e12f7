"""What the task and the context say, with what holds where they are silent."""

import numpy as np

TYPES = ("binary", "multiclass", "regression", "clustering")


def prediction_type(task):
    """The prediction type; anything unknown is an error that names the known ones."""
    kind = (task or {}).get("prediction_type")
    if kind not in TYPES:
        raise ValueError("prediction_type is %r: use one of %s" % (kind, ", ".join(TYPES)))
    return kind


def seed(context):
    """The seed of everything random here."""
    value = getattr(context, "seed", None)
    return 0 if value is None else int(value) % 2**32


def generator(context, *purpose):
    """Random numbers for one purpose, so that one result doesn't depend on whether another was asked for."""
    return np.random.default_rng([seed(context)] + [sum(part.encode("utf-8")) for part in purpose])


def progress(context, text):
    """Tells who waits what is being done."""
    tell = getattr(context, "progress", None)
    if callable(tell):
        tell(text)


def features(task):
    """The task's features by column; the task has them as a table or as a list of tables with a name."""
    found = (task or {}).get("features")
    if isinstance(found, dict):
        return {name: value if isinstance(value, dict) else {} for name, value in found.items()}
    return {entry["name"]: entry for entry in found or () if isinstance(entry, dict) and "name" in entry}


def input_columns(X, task, predictor=None):
    """The columns of X that the model looks at, or could."""
    known = features(task)
    wanted = getattr(predictor, "feature_names", None)
    if wanted is not None:
        wanted = set(wanted)
    left_out = {(task or {}).get("target")}
    left_out.update(name for name, entry in known.items() if entry.get("role") in ("rejected", "reject", "weight"))
    return [name for name in X.columns if name not in left_out and (wanted is None or name in wanted)]
