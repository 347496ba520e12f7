"""How a task ends other than well: refused, or stopped."""


class Refused(Exception):
    """The task, the data or the saved model can't be worked with; its text says what, where, and what to do."""


class Stopped(Exception):
    """Somebody asked the process to end."""
