"""Roles, parameters and resources of the example."""

import copy
import json
import logging
import os
import sys

from dataiku.example import EXAMPLE, PLUGIN, names


def get_input_names(full=True):
    return names("inputs")


def get_output_names(full=True):
    return names("outputs")


def get_input_names_for_role(role, full=True):
    return names("inputs", role)


def get_output_names_for_role(role, full=True):
    return names("outputs", role)


def get_recipe_config():
    return copy.deepcopy(EXAMPLE["parameters"])


def get_plugin_config():
    return {}


def get_recipe_resource():
    return str(PLUGIN / "resource")
