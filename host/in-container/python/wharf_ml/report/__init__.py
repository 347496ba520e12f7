"""The report of a model: one HTML page with the plots that a person would rather look at."""

from wharf_ml.report.page import write

__all__ = ["write"]
