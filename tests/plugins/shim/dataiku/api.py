"""The few questions about an example's own datasets and folders that recipes ask the public API."""

import pandas

from dataiku.example import EXAMPLE, find, name


class api_client:
    def get_project(self, key):
        return Project()

    get_default_project = lambda self: Project()


class Project:
    def get_dataset(self, lookup):
        return ApiDataset(lookup)

    def get_managed_folder(self, lookup):
        return ApiFolder(lookup)

    def list_datasets(self):
        return [{"name": n, "projectKey": EXAMPLE["project"]} for n in _bound(False)]

    def list_managed_folders(self):
        return [{"id": n, "name": n, "projectKey": EXAMPLE["project"]} for n in _bound(True)]

    def get_variables(self):
        return {"standard": dict(EXAMPLE["variables"]), "local": {}}


def _bound(folders):
    paths = [path for side in ("inputs", "outputs") for role in EXAMPLE[side].values() for path in role]
    return [name(path) for path in paths if path.endswith("/") == folders]


class ApiDataset:
    def __init__(self, lookup):
        self.path, _ = find(lookup)

    def _values(self):
        rows = str(len(pandas.read_csv(self.path)))
        return [{"metricId": "records:COUNT_RECORDS", "value": rows, "partition": "NP", "dataType": "BIGINT"}]

    def compute_metrics(self, partition="", metric_ids=None, probes=None):
        return {"result": {"computed": self._values()}}

    def get_last_metric_values(self, partition=""):
        return Values(self._values())


class Values:
    def __init__(self, values):
        self.values = values

    def get_global_value(self, metric):
        return int(self.values[0]["value"])


class ApiFolder:
    def __init__(self, lookup):
        self.lookup = lookup

    def get_definition(self):
        return {"id": self.lookup, "name": self.lookup, "type": "Filesystem", "params": {}}
