"""SQL executors: importable from here as in DSS, not available in a container."""

from dataiku.core.unavailable import SQL, unavailable

SQLExecutor = unavailable("SQLExecutor")
SQLExecutor2 = unavailable("SQLExecutor2")
HiveExecutor = unavailable("HiveExecutor")
ImpalaExecutor = unavailable("ImpalaExecutor")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return unavailable("core.sql." + name, SQL)
