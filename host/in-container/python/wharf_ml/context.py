"""What an evaluation is told about the run: seed, processors, memory, and where to say what it does."""

from wharf_ml import limits


class Context:
    """The run as evaluations see it."""

    def __init__(self, seed, n_jobs, progress):
        self.seed, self.n_jobs = seed, n_jobs
        self._progress = progress

    @property
    def memory(self):
        """Bytes that are left; None where nothing limits them."""
        return limits.memory_left()

    def progress(self, text):
        """Says what is being done."""
        self._progress.line(text)
        self._progress.event("note", text=text)
