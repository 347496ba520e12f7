"""Metrics of a dataset that a run can compute itself: how many rows and columns it has."""

from dataiku.core.connection import DataikuException
from dataiku.core.unavailable import METRICS, unavailable

RECORDS = "records:COUNT_RECORDS"
COLUMNS = "basic:COUNT_COLUMNS"
#: The metrics that are there.
IDS = (RECORDS, COLUMNS)
# There are no partitions: these are the names for all of a dataset.
_WHOLE = ("", "NP", "ALL", None)


class ComputedMetrics:
    """The metrics of one dataset. Rows are counted when their number is asked for, by reading the dataset once."""

    def __init__(self, dataset):
        self._dataset = dataset
        self._found = {}

    @property
    def raw(self):
        """Everything, in the form in which DSS answers."""
        return {"metrics": [self.get_metric_by_id(metric_id) for metric_id in IDS]}

    def get_all_ids(self):
        """The identifiers of the metrics that are there."""
        return list(IDS)

    def get_metric_by_id(self, id):
        """What there is of one metric: ``metric`` and ``lastValues``."""
        data = self.get_global_data(id)
        return {"metric": {"id": id, "type": id.partition(":")[0], "dataType": "BIGINT"}, "lastValues": [data]}

    def get_global_data(self, metric_id):
        """The value for the whole dataset, as a dict; ``get_value_from_data`` takes it out."""
        check(self._dataset.short_name, metric_ids=[metric_id])
        if metric_id not in self._found:
            count = self._dataset._count if metric_id == RECORDS else lambda: len(self._dataset.read_schema())
            self._found[metric_id] = count()
        return {"metricId": metric_id, "partition": "NP", "dataType": "BIGINT", "value": str(self._found[metric_id])}

    def get_global_value(self, metric_id):
        """The value for the whole dataset, a number."""
        return self.get_value_from_data(self.get_global_data(metric_id))

    def get_first_partition_data(self, metric_id):
        """The same as ``get_global_data``, for the one partition that there is."""
        return self.get_global_data(metric_id)

    def get_partition_data(self, metric_id, partition):
        """The same as ``get_global_data``; ``partition`` can only be ``NP``."""
        check(self._dataset.short_name, partition)
        return self.get_global_data(metric_id)

    def get_partition_value(self, metric_id, partition):
        """The same as ``get_global_value``; ``partition`` can only be ``NP``."""
        return self.get_value_from_data(self.get_partition_data(metric_id, partition))

    @staticmethod
    def get_value_from_data(data):
        """The value in what ``get_global_data`` gave."""
        return int(data["value"])


def check(name, partition="", metric_ids=None):
    """Raises for a partition, and for metrics that a run can't compute."""
    if partition not in _WHOLE:
        raise DataikuException(
            "datasets aren't partitioned here: %s has no partition %r" % (name, partition), "not-available"
        )
    for metric_id in metric_ids or ():
        if metric_id not in IDS:
            raise DataikuException(
                "the metric %s of %s isn't available here; there are %s" % (metric_id, name, " and ".join(IDS)),
                "not-available",
            )


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return unavailable("core.metrics." + name, METRICS)
