"""What public recipes call of DSS, over local files: pandas and CSV, nothing else.

It is the yardstick for wharf's own libraries, so it shares no code with them. ``expect.py`` sets the variables that
``dataiku.example`` reads.
"""

from dataiku.api import api_client
from dataiku.dataset import ComputedMetrics, Dataset
from dataiku.example import EXAMPLE
from dataiku.folder import Folder


def default_project_key():
    return EXAMPLE["project"]


def get_custom_variables(project_key=None, typed=False):
    return dict(EXAMPLE["variables"])


get_flow_variables = get_custom_variables
dku_flow_variables = dict(EXAMPLE["variables"])
dku_custom_variables = dict(EXAMPLE["variables"])


class Model:
    def __init__(self, lookup, **_):
        raise NotImplementedError("the shim has no saved models")


class SQLExecutor2:
    def __init__(self, **_):
        raise NotImplementedError("the shim has no SQL")


def import_from_plugin(*_):
    raise NotImplementedError("the shim has one plugin")


use_plugin_libs = import_from_plugin
