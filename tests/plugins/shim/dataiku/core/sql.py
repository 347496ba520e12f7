"""Imported by recipes that can also work in a database."""

from dataiku import SQLExecutor2  # noqa: F401

SQLExecutor = HiveExecutor = SQLExecutor2
