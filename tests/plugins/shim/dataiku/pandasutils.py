"""Imported by the code that DSS puts into new recipes."""
