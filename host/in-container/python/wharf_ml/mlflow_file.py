"""The file `MLmodel`, by which MLflow and tools that know its form find the model."""

import json
import uuid

from wharf_ml.trusted_types import TYPES


def text(model_path, parts, entry):
    """The file's text: the flavours `sklearn` and `python_function` of the model at that path. JSON values are YAML."""
    versions, task = parts["versions"], parts["task"]
    inputs = [
        {"name": column["name"], "type": _input_type(column), "required": True}
        for column in parts["schema"]["columns"]
        if column["role"] == "input"
    ]
    sklearn_version = versions["packages"].get("scikit-learn")
    lines = [
        "flavors:",
        "  python_function:",
        "    loader_module: mlflow.sklearn",
        "    model_path: %s" % _scalar(model_path),
        "    predict_fn: predict",
        "    python_version: %s" % _scalar(versions["python"]),
        "  sklearn:",
        "    code: null",
        "    pickled_model: %s" % _scalar(model_path),
        "    serialization_format: skops",
        "    skops_trusted_types: %s" % json.dumps(sorted(TYPES)),
        "    sklearn_version: %s" % _scalar(sklearn_version),
        "metadata: %s" % json.dumps({"prediction_type": task["prediction_type"], "code_env": versions["code_env"]}),
        "model_size_bytes: %d" % entry["bytes"],
        "model_uuid: %s" % uuid.uuid5(uuid.NAMESPACE_OID, entry["sha256"]).hex,
        "signature:",
        "  inputs: %s" % _scalar(json.dumps(inputs)),
        "  outputs: null",
        "  params: null",
    ]
    return "\n".join(lines) + "\n"


def _input_type(column):
    if column["feature"]["type"] == "numeric":
        return "double"
    return "datetime" if column["feature"]["type"] == "date" else "string"


def _scalar(value):
    # A JSON text is a YAML scalar in double quotes.
    return json.dumps(value)
