"""A part of DSS's own module from which some plugins import."""
