"""The few questions about an example's own datasets and folders that recipes ask the public API."""

from dataiku.dataset import Dataset
from dataiku.example import EXAMPLE, name


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
        self.dataset = Dataset(lookup)

    def compute_metrics(self, partition="", metric_ids=None, probes=None):
        return {"result": {"computed": []}}


class ApiFolder:
    def __init__(self, lookup):
        self.lookup = lookup

    def get_definition(self):
        return {"id": self.lookup, "name": self.lookup, "type": "Filesystem", "params": {}}
