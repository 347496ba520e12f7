"""SQL executors: importable from here as in DSS, not available in a container."""

from dataiku.core.unavailable import unavailable

SQLExecutor = unavailable("SQLExecutor")
SQLExecutor2 = unavailable("SQLExecutor2")
HiveExecutor = unavailable("HiveExecutor")
ImpalaExecutor = unavailable("ImpalaExecutor")
