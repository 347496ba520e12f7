from dataiku.dataset import Dataset, Schema  # noqa: F401
