"""What the run tells its recipe about itself: the project, the variables, the names it may use."""

import json
import os

from dataiku.core.connection import DataikuException, request_json, socket_path

# By socket, which is one per run.
_contexts = {}


def context():
    """The run's context, asked for once."""
    path = socket_path()
    if path not in _contexts:
        _contexts[path] = request_json("GET", "/v1/context")
    return _contexts[path]


def parameters():
    """The recipe's parameters, as a new dict.

    Those that are secrets come as variables of the environment, which ``WHARF_SECRET_PARAMETERS`` names.
    """
    values = json.loads(json.dumps(context().get("parameters") or {}))
    put_secrets(values, "WHARF_SECRET_PARAMETERS")
    return values


def put_secrets(values, variable):
    """Puts secrets in their places.

    The variable holds a JSON object from JSON pointers (RFC 6901), such as ``/preset/password``, to the names of the variables that
    have the values.
    """
    for pointer, holder in (environment_json(variable) or {}).items():
        if holder not in os.environ:
            raise DataikuException(
                "the parameter %s of this recipe is a secret, and its variable %s isn't set" % (pointer, holder),
                "secret-missing",
            )
        keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
        place = values
        for key in keys[:-1]:
            place = place[int(key)] if isinstance(place, list) else place[key]
        last = keys[-1]
        place[int(last) if isinstance(place, list) else last] = os.environ[holder]


def environment_json(variable):
    """The value of a variable of the environment that holds JSON; None when it isn't set."""
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        # Without the text: it may hold what nobody is to read.
        raise DataikuException("the variable %s isn't valid JSON: %s" % (variable, error)) from None


def default_project_key():
    """Key of the project that the run belongs to; empty when it belongs to none."""
    return context().get("project") or os.environ.get("DKU_CURRENT_PROJECT_KEY", "")


def get_custom_variables(project_key=None, typed=False):
    """Variables of the project, as a new dict.

    They are texts, as in DSS; with ``typed`` each one that is JSON is given as the value it stands for.
    ``project_key`` can only be the run's own project.
    """
    if project_key is not None and project_key != default_project_key():
        raise DataikuException(
            "the variables of project %s aren't here: a run only has those of its own project" % project_key
        )
    variables = dict(context().get("variables") or {})
    return {name: _typed(text) for name, text in variables.items()} if typed else variables


def get_flow_variables():
    """Variables of the flow, which here are the project's variables, as a new dict.

    ``dataiku.dku_flow_variables`` is the same.
    """
    return get_custom_variables()


def full_name(name):
    """The name with the project's key in front, when there is a project."""
    project = default_project_key()
    return project + "." + name if project else name


def resolve(name, project_key, kind):
    """The name as the run spells it, from a name with or without the project's key.

    Raises an error that lists the names there are.
    """
    bindings = [b for side in ("inputs", "outputs") for b in context().get(side) or []]
    known = {b["name"] for b in bindings if b["kind"] == kind}
    project = default_project_key()
    if project_key is not None and project_key != project:
        raise DataikuException(
            "the %s %s of project %s isn't here: %s" % (kind, name, project_key, _only(kind)), "unknown-" + kind
        )
    if name in known:
        return name
    prefix, dot, rest = name.partition(".")
    if dot and rest in known:
        if prefix == project:
            return rest
        raise DataikuException(
            "there is no project %s here; for the %s of this run write %r" % (prefix, kind, rest), "unknown-" + kind
        )
    if name in {b["name"] for b in bindings}:
        other = "dataiku.Folder" if kind == "dataset" else "dataiku.Dataset"
        raise DataikuException("%r isn't a %s in this run: use %s" % (name, kind, other), "unknown-" + kind)
    raise DataikuException("there is no %s %r in this run: %s" % (kind, name, _only(kind)), "unknown-" + kind)


def require_output(name, kind):
    """Raises unless the run may write that name."""
    outputs = _names("outputs", kind)
    if name not in outputs:
        where = ", ".join(outputs) if outputs else "none"
        raise DataikuException(
            "%r is an input of this run and can't be written; its %s outputs: %s" % (name, kind, where),
            "not-an-output",
        )


def is_output(name, kind):
    """Whether the run may write that name."""
    return name in _names("outputs", kind)


def is_input(name, kind):
    """Whether the run reads that name."""
    return name in _names("inputs", kind)


def _names(side, kind):
    return [b["name"] for b in context().get(side) or [] if b["kind"] == kind]


def _only(kind):
    inputs, outputs = _names("inputs", kind), _names("outputs", kind)
    if not inputs and not outputs:
        return "it has no %ss" % kind
    return "its %s inputs are: %s; its %s outputs are: %s" % (
        kind,
        ", ".join(inputs) or "none",
        kind,
        ", ".join(outputs) or "none",
    )


def _typed(text):
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return text
