"""DSS's own code for machine learning: recipes import names of it that they don't use."""
