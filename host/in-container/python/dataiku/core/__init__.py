"""The parts of the module, under the names that DSS documents for them."""


def __getattr__(name):
    # Some plugins import these from here. Not at once: the module that has them imports this one.
    if name in ("default_project_key", "get_custom_variables", "get_flow_variables"):
        from dataiku.core import context

        return getattr(context, name)
    raise AttributeError("module 'dataiku.core' has no attribute %r" % name)
