"""The functions of DSS that recipes call, for a recipe that wharf runs.

Everything here asks the runner of this run over the Unix socket in ``WHARF_SOCKET``. Importing asks nothing and needs
nothing but Python itself; the functions that give or take dataframes need pandas, and use pyarrow when it is there.

What DSS has and a run doesn't (SQL connections, saved models, most of its public API) can be imported, and says at the call
that it isn't available here. ``python -m dataiku.recipe FILE`` runs a recipe and says in one sentence how it failed.
"""

import sys

if sys.version_info < (3, 7):
    # Written so that an old Python can still parse it and say what is wrong.
    raise ImportError(
        "the dataiku module of wharf needs Python 3.7 or newer, and this is Python %d.%d: "
        "choose a code environment with a newer Python" % (sys.version_info[0], sys.version_info[1])
    )

from dataiku.core.connection import DataikuException  # noqa: E402
from dataiku.core.context import (  # noqa: E402
    default_project_key,
    get_custom_variables,
    get_flow_variables,
)
from dataiku.core.dataset import Dataset, DatasetCursor, Schema  # noqa: E402
from dataiku.core.dataset_write import DatasetWriter  # noqa: E402
from dataiku.core.managed_folder import Folder, ManagedFolderWriter  # noqa: E402
from dataiku.core.metrics import ComputedMetrics  # noqa: E402
from dataiku.core.public_api import api_client  # noqa: E402
from dataiku.core.saved_model import Model  # noqa: E402
from dataiku.core.unavailable import NAMES as _UNAVAILABLE, install as _install, unavailable as _unavailable  # noqa: E402

_install()

__all__ = [
    "ComputedMetrics",
    "DataikuException",
    "Dataset",
    "DatasetCursor",
    "DatasetWriter",
    "Folder",
    "ManagedFolderWriter",
    "Model",
    "Schema",
    "api_client",
    "default_project_key",
    "get_custom_variables",
    "get_flow_variables",
]


def __getattr__(name):
    # Looked up only when asked for: `import dataiku` must not need a runner.
    if name == "dku_flow_variables":
        return get_flow_variables()
    if name == "dku_custom_variables":
        return get_custom_variables()
    if name in _UNAVAILABLE:
        return _unavailable(name)
    raise AttributeError("module 'dataiku' has no attribute %r" % name)
