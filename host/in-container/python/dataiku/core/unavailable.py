"""What DSS has and a run in a container doesn't: importable, and an error at the call."""

from dataiku.core.connection import DataikuException

_API = "a container has no connection to DSS and no API key: do that in a recipe that runs on the DSS server"
_SQL = (
    "a container has no access to SQL connections: read the table as an input dataset, "
    "or do the query in an SQL recipe before this one"
)
_MODEL = "saved models don't cross into a container: give the recipe what it needs in a managed folder"
_FLOW = "a container only has the inputs and outputs of its own recipe"

#: The names of the module ``dataiku`` that aren't available, and why.
NAMES = {
    "api_client": _API,
    "Project": _API,
    "get_connection": _SQL,
    "SQLExecutor": _SQL,
    "SQLExecutor2": _SQL,
    "HiveExecutor": _SQL,
    "ImpalaExecutor": _SQL,
    "Model": _MODEL,
    "Predictor": _MODEL,
    "ModelEvaluationStore": _MODEL,
    "StreamingEndpoint": _FLOW,
    "KnowledgeBank": _FLOW,
    "import_from_plugin": _FLOW,
    "use_plugin_libs": _FLOW,
    "get_auth_info": _API,
}


class _Refusing(type):
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
    return _Refusing(name, (object,), {"__init__": refuse_to_be, "__doc__": doc, "why": why})


def refuse(name, why):
    """Raises the sentence for a name that isn't available."""
    raise DataikuException("dataiku.%s isn't available here: %s" % (name, why), code="not-available")
