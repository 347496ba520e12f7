"""A test case with a fake runner of its own, and recipes in processes of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(HERE), "python")
R = os.path.join(os.path.dirname(HERE), "r")
sys.path[:0] = [HERE, PYTHON]

from dataiku.core import at_exit, context  # noqa: E402
from fake_runner import Runner, parse  # noqa: E402

try:
    import pandas
except ImportError:
    pandas = None
try:
    import pyarrow
except ImportError:
    pyarrow = None

needs_pandas = unittest.skipIf(pandas is None, "pandas isn't installed")


class RunnerCase(unittest.TestCase):
    """Each test has `self.runner`, and WHARF_SOCKET leads to it."""

    def setUp(self):
        # Copies of folders stay in the temporary directory until the container goes: here, until the test ends.
        scratch = tempfile.mkdtemp(prefix="wharf-test-")
        self.addCleanup(shutil.rmtree, scratch)
        for patch in (mock.patch.object(tempfile, "tempdir", scratch), mock.patch.dict(os.environ, TMPDIR=scratch)):
            patch.start()
            self.addCleanup(patch.stop)
        self.runner = Runner()
        self.runner.changed = context._contexts.clear
        os.environ["WHARF_SOCKET"] = self.runner.socket
        self.addCleanup(self.runner.close)
        # This process isn't a recipe's: at its end there is no runner to send anything to.
        self.addCleanup(at_exit._pending.clear)
        self.addCleanup(os.environ.pop, "WHARF_SOCKET")

    def rows(self, name):
        """Rows that the run wrote, without the header; null is None."""
        return parse(self.runner.data[name])[1:]

    def header(self, name):
        return parse(self.runner.data[name])[0]

    def types(self, name):
        return {column["name"]: column["type"] for column in self.runner.schemas[name]}

    def fails(self, *words):
        """A context that wants a DataikuException with these words in its text."""
        import dataiku

        case = self

        class Want:
            def __enter__(self):
                return self

            def __exit__(self, kind, value, traceback):
                case.assertIsInstance(value, dataiku.DataikuException)
                for word in words:
                    case.assertIn(word, str(value))
                return True

        return Want()

    def recipe(self, code, limit=60, **environment):
        """Runs a Python recipe as a run would, for so many seconds at most."""
        env = dict(os.environ, PYTHONPATH=PYTHON, PYTHONDONTWRITEBYTECODE="1", **environment)
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=limit,
        )


@unittest.skipUnless(shutil.which("Rscript"), "Rscript isn't installed")
class RCase(RunnerCase):
    """Runs recipes in R, through a stand-in for the runner's program."""

    def runner_program(self):
        """The stand-in, run by this very Python; a recipe starts it for every call."""
        if "WHARF_TEST_RUNNER" in os.environ:
            return os.environ["WHARF_TEST_RUNNER"]
        program = os.path.join(os.environ["TMPDIR"], "fake_call")
        if not os.path.exists(program):
            with open(program, "w") as stream:
                stream.write('#!/bin/sh\nexec "%s" -I -S "%s" "$@"\n' % (sys.executable, os.path.join(HERE, "fake_call")))
            os.chmod(program, 0o755)
        return program

    def r(self, code, ok=True, **environment):
        """Runs an R recipe as a run would; gives what it printed."""
        file = os.path.join(self.runner.directory, "recipe.R")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write("library(dataiku)\n" + code)
        self.addCleanup(lambda: os.path.exists(file) and os.unlink(file))
        env = dict(os.environ, R_PROFILE_USER=os.path.join(R, "profile.R"), WHARF_RUNNER=self.runner_program())
        env.update(environment)
        result = subprocess.run(
            ["Rscript", file], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=600
        )
        os.unlink(file)
        if ok:
            self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
            return result.stdout
        self.assertNotEqual(result.returncode, 0, result.stdout)
        return result.stderr
