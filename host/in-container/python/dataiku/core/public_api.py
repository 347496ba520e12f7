"""The part of DSS's public API that a run can answer from its own inputs and outputs. Nothing can be changed by it.

Everything else that these objects have in DSS raises at the call a sentence that says what isn't there.
"""

from dataiku.core.connection import DataikuException
from dataiku.core.context import context, default_project_key, full_name, get_custom_variables
from dataiku.core.dataset import Dataset
from dataiku.core.folder_copy import list_files
from dataiku.core.managed_folder import Folder
from dataiku.core.metrics import IDS, ComputedMetrics, check
from dataiku.core.unavailable import API, refuse
from dataiku.core.unknown import Known


class _Partly:
    """An object with fewer functions than in DSS."""

    #: What it is called in the errors.
    _shown = ""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        shown = "%s.%s" % (self._shown, name)
        return lambda *args, **kwargs: refuse(shown, API)


class ApiClient(_Partly):
    """What ``dataiku.api_client()`` gives: it knows the run's own project, and of that what the run has."""

    _shown = "api_client()"

    def get_default_project(self):
        """The run's own project."""
        return ApiProject()

    def get_project(self, project_key):
        """The run's own project, by its key, which is empty when the run belongs to none."""
        own = default_project_key()
        if project_key != own:
            which = "which is %r" % own if own else "and this one belongs to none"
            raise DataikuException(
                "the project %r isn't here: a run only knows its own, %s" % (project_key, which), "unknown-project"
            )
        return ApiProject()

    def list_project_keys(self):
        """The key of the run's own project, in a list; empty when it has none."""
        return [key for key in [default_project_key()] if key]


class ApiProject(_Partly):
    """The run's own project, with the inputs and outputs of the run and nothing else."""

    _shown = "api_client().get_project()"

    @property
    def project_key(self):
        """Key of the project; empty when the run belongs to none."""
        return default_project_key()

    def get_dataset(self, dataset_name):
        """An input or output of the run, by its name."""
        return ApiDataset(dataset_name)

    def list_datasets(self, as_type="listitems", **_):
        """The datasets of the run: dicts with ``name``, ``projectKey`` and ``schema``, or with ``as_type="objects"`` handles."""
        if as_type in ("objects", "object"):
            return [ApiDataset(name) for name in Dataset.list()]
        return [ApiDatasetItem(name) for name in Dataset.list()]

    def get_managed_folder(self, odb_id):
        """An input or output of the run, by its identifier, which here is its name."""
        return ApiFolder(odb_id)

    def list_managed_folders(self):
        """The managed folders of the run: dicts with ``id``, ``name`` and ``projectKey``."""
        names = [b["name"] for side in ("inputs", "outputs") for b in context()[side] if b["kind"] == "folder"]
        return [ApiFolder(name).get_definition() for name in dict.fromkeys(names)]

    def get_variables(self):
        """The project's variables: ``standard`` has them, each that is JSON as its value; ``local`` is empty."""
        return {"standard": get_custom_variables(typed=True), "local": {}}


class ApiDatasetItem(Known):
    """A dataset in a list."""

    def __init__(self, name):
        dataset = Dataset(name)
        super().__init__(dataset.get_config(), "the dataset " + name, "only its name, project and schema cross into one")
        self.name = self.id = name
        self.project_key = dataset.project_key

    def to_dataset(self):
        """A handle of the dataset."""
        return ApiDataset(self.name)


class ApiDataset(_Partly):
    """An input or output of the run, as the public API shows it."""

    _shown = "api_client().get_project().get_dataset()"

    def __init__(self, name):
        self._dataset = Dataset(name)

    @property
    def name(self):
        """Name without the project's key."""
        return self._dataset.short_name

    dataset_name = id = name

    @property
    def project_key(self):
        """Key of the project; empty when the run belongs to none."""
        return default_project_key()

    @property
    def full_name(self):
        """Name with the project's key in front, when there is a project."""
        return full_name(self.name)

    def get_schema(self):
        """The columns: ``{"columns": [{"name": …, "type": …}]}``."""
        return {"columns": list(self._dataset.read_schema(raise_if_empty=False)), "userModified": False}

    def get_definition(self):
        """The same as ``dataiku.Dataset.get_config()``."""
        return self._dataset.get_config()

    def get_as_core_dataset(self):
        """The same dataset as a ``dataiku.Dataset``."""
        return Dataset(self.name)

    def list_partitions(self):
        """Always ``["NP"]``: datasets aren't partitioned here."""
        return ["NP"]

    def compute_metrics(self, partition="", metric_ids=None, probes=None):
        """Counts rows and columns, which are the metrics that are there; all of them when ``metric_ids`` names none."""
        if probes:
            refuse(self._shown + ".compute_metrics(probes=…)", "name metric_ids: " + " or ".join(IDS))
        check(self.name, partition, metric_ids)
        metrics = ComputedMetrics(self._dataset)
        return {"result": {"computed": [metrics.get_global_data(each) for each in metric_ids or IDS], "skipped": []}}

    def get_last_metric_values(self, partition=""):
        """How many rows and columns there are, a ``ComputedMetrics``."""
        check(self.name, partition)
        return ComputedMetrics(self._dataset)


class ApiFolder(_Partly):
    """A managed folder of the run, as the public API shows it."""

    _shown = "api_client().get_project().get_managed_folder()"

    def __init__(self, name):
        self._folder = Folder(name)

    @property
    def name(self):
        """Name of the folder."""
        return self._folder.short_name

    id = odb_id = name

    def get_definition(self):
        """What ``dataiku.Folder.get_info()`` knows, with empty ``params``; folders aren't partitioned here."""
        info = self._folder.get_info()
        what, hint = "the folder " + self.name, "dataiku.Folder reads and writes its files"
        known = {key: info[key] for key in ("id", "projectKey", "name", "type")}
        return Known(dict(known, params=Known({}, what, hint)), what, hint)

    def list_contents(self):
        """The files: ``{"items": [{"path": …, "size": …, "lastModified": …}]}``."""
        self._folder.flush()
        files = sorted(list_files(self.name), key=lambda info: info["path"])
        items = [{"path": "/" + f["path"], "size": f["size"], "lastModified": f["modified"]} for f in files]
        return {"items": items}


def api_client():
    """A client of DSS's public API that knows what the run itself knows, and changes nothing."""
    return ApiClient()
