"""What a model's file may name. Made of the files of all algorithms and handlings; a test makes them again."""

TYPES = frozenset()
FUNCTIONS = frozenset()
