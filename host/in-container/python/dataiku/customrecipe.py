"""What a plugin's recipe asks about itself: its roles, its parameters, its resources."""

import json
import os

from dataiku.core.connection import DataikuException
from dataiku.core.context import context, full_name

__all__ = [
    "get_input_names",
    "get_input_names_for_role",
    "get_output_names",
    "get_output_names_for_role",
    "get_plugin_config",
    "get_recipe_config",
    "get_recipe_resource",
]


def get_input_names(full=True):
    """Names of everything that the recipe reads.

    With the project's key in front, as DSS gives them, when the run belongs to a project.
    """
    return _names("inputs", None, full)


def get_output_names(full=True):
    """Names of everything that the recipe writes."""
    return _names("outputs", None, full)


def get_input_names_for_role(role, full=True):
    """Names of what the recipe reads in one role; an empty list when the role is empty or unknown."""
    return _names("inputs", role, full)


def get_output_names_for_role(role, full=True):
    """Names of what the recipe writes in one role; an empty list when the role is empty or unknown."""
    return _names("outputs", role, full)


def get_recipe_config():
    """Parameters of the recipe: a new dict at each call."""
    return json.loads(json.dumps(context().get("parameters") or {}))


def get_plugin_config():
    """Settings of the plugin, from ``WHARF_PLUGIN_CONFIG`` (JSON), which the recipe's adapter sets; else empty."""
    text = os.environ.get("WHARF_PLUGIN_CONFIG")
    return json.loads(text) if text else {}


def get_recipe_resource():
    """Folder of the plugin's resources, from ``WHARF_RECIPE_RESOURCE``, which the recipe's adapter sets."""
    path = os.environ.get("WHARF_RECIPE_RESOURCE")
    if not path:
        raise DataikuException("this recipe has no resource folder: it doesn't come from a plugin that has one")
    return path


def _names(side, role, full):
    names = [b["name"] for b in context().get(side) or [] if role is None or b.get("role") == role]
    return [full_name(name) for name in names] if full else names
