"""Fits in processes of their own, so many at once: each can be stopped at any moment, and dies alone.

A worker is forked and sees the rows of its parent without a copy. That only works while the parent has never run a
parallel region of OpenMP itself: everything that fits or scores before the last worker has ended runs in a worker.
"""

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import wait

_POLL = 0.2


class WorkerFailed(Exception):
    """A worker ended without its result; its text says how."""


class Workers:
    """Runs functions in processes; results come back through files of a directory that goes with it."""

    def __init__(self, jobs, threads):
        self.jobs, self.threads = max(1, jobs), max(1, threads)
        self._context = multiprocessing.get_context("fork")
        self._running = {}
        self._count = 0
        self.directory = tempfile.mkdtemp(prefix="wharf-ml-")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        """Kills what still runs."""
        for process, _, _ in self._running.values():
            process.kill()
        for process, _, _ in self._running.values():
            process.join()
        self._running.clear()

    def new_file(self, ending):
        """A path in the directory."""
        self._count += 1
        return os.path.join(self.directory, "%d.%s" % (self._count, ending))

    def run(self, tasks, stopping=lambda: False):
        """Yields a key and its function's result, or the `WorkerFailed` of it, in the order in which they end.

        ``tasks`` are pairs of a key and a function; they are taken one by one, when there is room. ``stopping`` is
        asked often: when it says so, what runs is killed and nothing more comes.
        """
        tasks = iter(tasks)
        more = True
        while not stopping():
            while more and len(self._running) < self.jobs:
                task = next(tasks, None)
                if task is None:
                    more = False
                else:
                    self._start(*task)
            if not self._running:
                return
            for sentinel in wait(list(self._running), timeout=_POLL):
                process, key, path = self._running.pop(sentinel)
                process.join()
                yield key, _result(process, path)
        self.stop()

    def one(self, function, stopping=lambda: False):
        """The result of one function; None when it was stopped before."""
        for _, result in self.run([(None, function)], stopping):
            if isinstance(result, WorkerFailed):
                raise result
            return result
        return None

    def _start(self, key, function):
        path = self.new_file("result")
        process = self._context.Process(target=_work, args=(function, path, self.threads), daemon=True)
        with warnings.catch_warnings():
            # The threads that the parent has belong to Arrow, which a worker doesn't use.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._running[process.sentinel] = (process, key, path)


def _work(function, path, threads):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
        # When memory runs out it is a worker that goes, and its parent says so.
        stream.write("1000")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(threads):
            outcome = (True, function())
    except MemoryError:
        outcome = (False, "it ran out of memory")
    except Exception as error:
        outcome = (False, "%s: %s" % (type(error).__name__, error), traceback.format_exc())
    with open(path + ".part", "wb") as stream:
        pickle.dump(outcome, stream, protocol=5)
    os.rename(path + ".part", path)


def _result(process, path):
    if process.exitcode == -signal.SIGKILL:
        return WorkerFailed("its process was killed, as happens when the container's memory runs out")
    if not os.path.exists(path):
        return WorkerFailed("its process ended with the exit code %s" % process.exitcode)
    # A worker wrote it: a process of this very program.
    with open(path, "rb") as stream:
        outcome = pickle.load(stream)
    os.unlink(path)
    return outcome[1] if outcome[0] else WorkerFailed(outcome[1])


class StopFlag:
    """Whether somebody asked the process to end; the second time it ends at once."""

    def __init__(self):
        self.asked = False
        self.at = None

    def install(self):
        """Takes SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number, frame):
        if self.asked:
            raise SystemExit(143)
        self.asked = True
        self.at = time.monotonic()
        if self.interrupts:
            raise Interrupted()

    #: Whether the request interrupts what the process does itself, outside of workers.
    interrupts = False

    @contextlib.contextmanager
    def interrupting(self):
        """Within, a request raises `Interrupted`."""
        if self.asked:
            raise Interrupted()
        self.interrupts = True
        try:
            yield
        finally:
            self.interrupts = False


class Interrupted(BaseException):
    """The request to end came while the process did something that can be left out or is worth nothing by itself."""
