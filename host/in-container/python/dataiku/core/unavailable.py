"""What DSS has and a run in a container doesn't: importable, and an error at the call."""

import importlib.abc
import importlib.machinery
import sys

from dataiku.core.connection import DataikuException

API = "a container has no connection to DSS and no API key: do that in a recipe that runs on the DSS server"
SQL = (
    "a container has no access to SQL connections: read the table as an input dataset, "
    "or do the query in an SQL recipe before this one"
)
MODEL = (
    "a container has the saved models among its inputs, with dataiku.Model(NAME).get_predictor().predict(df), and "
    "nothing else of machine learning on the DSS server"
)
FLOW = "a container only has the inputs and outputs of its own recipe"
METRICS = "metrics and checks belong to the DSS server, which a container can't reach, except for the counts of a dataset"
SPARK = "a container has no Spark and no access to connections: read the data as an input dataset"
INSIGHTS = "insights belong to the DSS server, which a container can't reach: write the file to a managed folder"
KINDS = "only recipes run here, and no other parts of plugins"

#: The names of the module ``dataiku`` that aren't available, and why.
NAMES = {
    "Project": API,
    "get_auth_info": API,
    "get_dss_settings": API,
    "get_connection": SQL,
    "SQLExecutor": SQL,
    "SQLExecutor2": SQL,
    "HiveExecutor": SQL,
    "ImpalaExecutor": SQL,
    "Predictor": MODEL,
    "ModelEvaluationStore": MODEL,
    "StreamingEndpoint": FLOW,
    "KnowledgeBank": FLOW,
    "import_from_plugin": FLOW,
    "use_plugin_libs": FLOW,
}

#: Modules, each with all that is below it, whose names can be imported and aren't available, and why.
MODULES = {
    "dataiku.base": API,
    "dataiku.connector": KINDS,
    "dataiku.core.base": API,
    "dataiku.core.continuous_write": FLOW,
    "dataiku.core.intercom": API,
    "dataiku.core.model_provider": MODEL,
    "dataiku.core.plugin": API,
    "dataiku.core.project": API,
    "dataiku.core.schema_handling": API,
    "dataiku.customformat": KINDS,
    "dataiku.customui": KINDS,
    "dataiku.customwebapp": KINDS,
    "dataiku.doctor": MODEL,
    "dataiku.exporter": KINDS,
    "dataiku.fsprovider": KINDS,
    "dataiku.insights": INSIGHTS,
    "dataiku.metric": METRICS,
    "dataiku.runnables": KINDS,
    "dataiku.scenario": API,
    "dataiku.snowpark": SPARK,
    "dataiku.spark": SPARK,
    "dataiku.sql": SQL,
    # The public package of DSS's API: only where the code environment doesn't have it.
    "dataikuapi": API,
}


class Refusing(type):
    """Raises for class attributes too, because some of these classes are used without an object."""

    def __getattr__(cls, attribute):
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        refuse(cls.__name__ + "." + attribute, cls.why)


def unavailable(name, why=None):
    """Makes a class of that name whose every use raises the reason."""
    why = why or NAMES[name]

    def refuse_to_be(self, *args, **kwargs):
        refuse(name, why)

    doc = "Not available in a container: %s." % why
    return Refusing(name, (object,), {"__init__": refuse_to_be, "__doc__": doc, "why": why})


def refuse(name, why):
    """Raises the sentence for a name that isn't available."""
    prefix = "" if name.startswith("dataikuapi") else "dataiku."
    raise DataikuException("%s%s isn't available here: %s" % (prefix, name, why), code="not-available")


class _Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of ``MODULES``, after everything else: one that is installed is taken as it is."""

    def find_spec(self, fullname, path=None, target=None):
        if _why(fullname) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin="not available here", is_package=True)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        why = _why(module.__name__)
        module.__doc__ = "Not available in a container: %s." % why
        name = module.__name__[len("dataiku.") :] if module.__name__.startswith("dataiku.") else module.__name__

        def missing(attribute):
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return unavailable(name + "." + attribute, why)

        module.__getattr__ = missing
        if module.__name__ == "dataikuapi.utils":
            # Recipes catch it, and raise it themselves.
            module.DataikuException = DataikuException


def _why(fullname):
    while fullname:
        if fullname in MODULES:
            return MODULES[fullname]
        fullname = fullname.rpartition(".")[0]
    return None


def install():
    """Makes the modules of ``MODULES`` importable."""
    if not any(isinstance(finder, _Modules) for finder in sys.meta_path):
        sys.meta_path.append(_Modules())
