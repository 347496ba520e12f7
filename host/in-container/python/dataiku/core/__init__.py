"""The parts of the module, under the names that DSS documents for them."""
