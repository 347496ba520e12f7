"""A test case that runs machine-learning tasks as a run would: as processes, with the fake runner at their border."""

import contextlib
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from case import PYTHON, RunnerCase, pandas

try:
    import numpy
    import sklearn
    import skops
except ImportError:
    numpy = sklearn = skops = None

# Loaded once by the process that all tasks are forked from: importing them takes longer than most tasks.
_PRELOAD = ["sklearn.ensemble", "sklearn.linear_model", "sklearn.cluster", "skops.io", "pandas", "wharf_ml.train"]
_context = None


def _server():
    global _context
    if _context is None:
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(_PRELOAD)
    return _context


def _main(arguments, environment, out):
    """What runs in the process of a task."""
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(os.path.join(out, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
    sys.stdout, sys.stderr = io.TextIOWrapper(io.FileIO(1, "w"), "utf-8"), io.TextIOWrapper(io.FileIO(2, "w"), "utf-8")
    from wharf_ml.__main__ import main

    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Result:
    """How a task ended, and what it said."""

    def __init__(self, code, out, err, events):
        self.code, self.out, self.err, self.events = code, out, err, events

    def kind(self, name):
        """The events of one kind."""
        return [event for event in self.events if event["event"] == name]


@unittest.skipIf(pandas is None or sklearn is None or skops is None, "scikit-learn, skops or pandas isn't installed")
class MlCase(RunnerCase):
    """`self.task(kind, task)` runs one, with the datasets and folders of the fake runner."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Before a test has a temporary directory of its own, in which the server's socket would go away with it.
        from multiprocessing import forkserver

        with unittest.mock.patch.dict(os.environ, PYTHONPATH=PYTHON):
            _server()
            forkserver.ensure_running()

    def setUp(self):
        super().setUp()
        self.scratch = tempfile.gettempdir()

    def table(self, name, columns, rows, role="main"):
        """An input dataset from columns (pairs of name and type) and rows."""
        from fake_runner import render

        texts = [[_text(value) for value in row] for row in rows]
        self.runner.input(name, columns, render([[n for n, _ in columns]] + texts), role)

    def frame(self, name, frame, types=None, role="main"):
        """The same from a dataframe; floats and integers have the types of their dtypes."""
        types = types or {}
        kinds = {"f": "double", "i": "bigint", "b": "boolean"}
        columns = [(str(c), types.get(c) or kinds.get(frame[c].dtype.kind, "string")) for c in frame.columns]
        self.table(name, columns, frame.astype(object).where(frame.notna(), None).itertuples(index=False), role)

    def train_setup(self):
        """The folder that a training writes."""
        self.runner.output("model", role="model", kind="folder")

    def use_model(self, files=None):
        """What a training wrote becomes an input, and there are no outputs any more."""
        files = dict(self.runner.folders["model"] if files is None else files)
        self.runner.outputs.clear()
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["kind"] == "dataset"]
        self.runner.folder("model", files, role="model")

    def start(self, kind, task, **environment):
        """Begins a task; gives its process and a function that waits for its `Result`."""
        out = tempfile.mkdtemp(dir=self.scratch)
        file = os.path.join(out, "task.json")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(task if isinstance(task, str) else json.dumps(task))
        env = dict(
            os.environ, PYTHONPATH=PYTHON, PYTHONDONTWRITEBYTECODE="1", WHARF_ML_EVENTS=os.path.join(out, "events")
        )
        env.setdefault("WHARF_ML_CPUS", "2")
        env.update(environment)
        process = _server().Process(target=_main, args=([kind, file], env, out))
        process.start()

        def result(limit=120):
            process.join(limit)
            if process.exitcode is None:
                process.kill()
                raise AssertionError("the task didn't end within %d seconds:\n%s" % (limit, _read(out, "stdout")))
            events = [json.loads(line) for line in _read(out, "events").splitlines()]
            return Result(process.exitcode, _read(out, "stdout"), _read(out, "stderr"), events)

        result.events = lambda: _read(out, "events")
        return process, result

    def task(self, kind, task, code=0, **environment):
        """Runs a task to its end, which must have that exit code."""
        _, result = self.start(kind, task, **environment)
        found = result()
        self.assertEqual(found.code, code, found.out + found.err)
        return found

    def command(self, arguments, **environment):
        """Runs the command itself, in a new interpreter."""
        env = dict(os.environ, PYTHONPATH=PYTHON, PYTHONDONTWRITEBYTECODE="1", **environment)
        return subprocess.run(
            [sys.executable, "-u", "-m", "wharf_ml"] + arguments, env=env, capture_output=True, text=True, timeout=120
        )

    def saved(self, path):
        """A JSON file of the saved model, of version 1 unless the path says another."""
        path = path if path.startswith("versions/") or path == "current.json" else "versions/1/" + path
        return json.loads(self.runner.folders["model"][path])

    def column(self, name, column):
        """A column of a dataset that was written."""
        place = self.header(name).index(column)
        return [row[place] for row in self.rows(name)]

    def refused(self, result, *words):
        """Checks that a refusal says these words."""
        for word in words:
            self.assertRegex(result.err, re.escape(word))


def _text(value):
    if value is None or value != value:
        return None
    if isinstance(value, (bool, numpy.bool_)):
        return "true" if value else "false"
    return repr(value.item() if isinstance(value, numpy.generic) else value) if not isinstance(value, str) else value


def _read(folder, name):
    with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, name), encoding="utf-8") as stream:
        return stream.read()
    return ""
