"""What a plugin's recipe asks about itself: its roles, its parameters, its resources."""

import json
import logging
import os
import sys

from dataiku.core.connection import DataikuException
from dataiku.core.context import context, environment_json, full_name, parameters, put_secrets

__all__ = [
    # Some recipes use these modules and import them with `from dataiku.customrecipe import *` only.
    "json",
    "logging",
    "os",
    "sys",
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
    """Parameters of the recipe, with the values of those that are secrets: a new dict at each call."""
    return parameters()


def get_plugin_config():
    """Settings of the plugin, from ``WHARF_PLUGIN_CONFIG`` (JSON), which the recipe's adapter sets; else empty."""
    settings = environment_json("WHARF_PLUGIN_CONFIG") or {}
    put_secrets(settings, "WHARF_SECRET_PLUGIN_CONFIG")
    return settings


def get_recipe_resource():
    """Folder of the plugin's resources, from ``WHARF_RECIPE_RESOURCE``, which the recipe's adapter sets."""
    path = os.environ.get("WHARF_RECIPE_RESOURCE")
    if not path:
        raise DataikuException("this recipe has no resource folder: it doesn't come from a plugin that has one")
    return path


def _names(side, role, full):
    names = [b["name"] for b in context().get(side) or [] if role is None or b.get("role") == role]
    return [full_name(name) for name in names] if full else names
