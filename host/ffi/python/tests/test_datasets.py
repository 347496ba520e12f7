"""Recipes in containers that read and write tables of a database, through a store in this process."""

import io
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import wharf
import wharf.aio
from wharf.datasets import DatasetError, read_rows, write_rows

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))
from sqlite_store import SqliteStore  # noqa: E402

HOME = os.environ["WHARF_TEST_HOME"]
DOUBLING = """
import dataiku
frame = dataiku.Dataset("numbers").get_dataframe()
frame["twice"] = frame["n"] * 2
dataiku.Dataset("doubled").write_with_schema(frame)
"""


def dataset(name):
    return {"name": name, "role": "main", "kind": "dataset", "place": {"path": name}}


def recipe(code, inputs=("numbers",), outputs=("doubled",)):
    return {
        "kind": "python",
        "requester": {"user": "ana", "groups": ["analysts"]},
        "configuration": "docker-local",
        "code": code,
        "inputs": [dataset(name) for name in inputs],
        "outputs": [dataset(name) for name in outputs],
    }


class Datasets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "tables.db")
        database = sqlite3.connect(self.file)
        database.execute("CREATE TABLE numbers (n BIGINT, word TEXT, even BOOLEAN)")
        rows = [(n, None if n % 3 == 0 else f'w, "{n}', n % 2 == 0) for n in range(1, 20001)]
        database.executemany("INSERT INTO numbers VALUES (?, ?, ?)", rows)
        database.commit()
        database.close()

    def rows(self, sql):
        database = sqlite3.connect(self.file)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def test_a_recipe_reads_and_writes_tables(self):
        with wharf.Host.embedded(HOME, datasets=SqliteStore(self.file)) as host:
            self.assertEqual(host.submit(recipe(DOUBLING)).wait()["sentence"], "the recipe succeeded")
            self.assertTrue(host.close(wait=None))
        sums = "SELECT count(*), sum(twice), sum(word IS NULL), sum(even) FROM doubled"
        self.assertEqual(self.rows(sums), [(20000, 400020000, 6666, 10000)])
        self.assertEqual(self.rows("SELECT word FROM doubled WHERE n = 2"), [('w, "2',)])
        self.assertEqual(self.rows("SELECT * FROM wharf_staged UNION ALL SELECT token, 1, 1, 1 FROM wharf_tokens"), [])

    def test_a_recipe_that_fails_leaves_nothing(self):
        with wharf.Host.embedded(HOME, datasets=SqliteStore(self.file)) as host:
            self.assertEqual(host.submit(recipe(DOUBLING + "raise ValueError('no')")).wait()["cause"], "recipe-failed")
            self.assertTrue(host.close(wait=None))
        tables = self.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        self.assertEqual(tables, [("numbers",), ("wharf_staged",), ("wharf_tokens",)])

    def test_what_the_store_says_reaches_who_asked(self):
        class Closed(SqliteStore):
            def read(self, binding, token, csv):
                raise DatasetError("unusable", "the warehouse is closed on Sundays")

        class Failing(SqliteStore):
            def check(self, binding, access):
                raise ZeroDivisionError("a mistake of the store's")

        with wharf.Host.embedded(HOME, datasets=Closed(self.file)) as host:
            with self.assertRaises(wharf.Fault) as raised:
                host.submit(recipe("", inputs=["nothing"]))
            self.assertIn("the table nothing does not exist", raised.exception.message)
            outcome = host.submit(recipe(DOUBLING)).wait()
            self.assertIn("the warehouse is closed on Sundays", str(outcome))
            self.assertTrue(host.close(wait=None))
        with wharf.Host.embedded(HOME, datasets=Failing(self.file)) as host, self.assertLogs("wharf"):
            with self.assertRaises(wharf.Fault) as raised:
                host.submit(recipe(DOUBLING))
            self.assertIn("a mistake of the store's", raised.exception.message)

    def test_a_slow_container_costs_no_memory_and_a_stopped_one_ends_its_stream(self):
        """The store could write for ever; the recipe takes one row and sleeps."""
        written, ended = [0], threading.Event()

        class Endless(SqliteStore):
            def read(self, binding, token, csv):
                def rows():
                    while True:
                        written[0] += 1
                        yield [written[0], "x" * 100, True]

                try:
                    write_rows(csv, self.schema(binding), rows())
                finally:
                    ended.set()

        code = """
import dataiku, time
for row in dataiku.Dataset("numbers").iter_rows():
    print("a row", flush=True)
    time.sleep(60)
"""
        with wharf.Host.embedded(HOME, datasets=Endless(self.file)) as host:
            run = host.submit(recipe(code, outputs=[]))
            for event in run.follow():
                if event["event"] == "log" and event["text"] == "a row":
                    break
            # What is on its way, in the host, the runner and their buffers: far less than it would be without a bound.
            before = -1
            while before != written[0]:
                before = written[0]
                ended.wait(1)
            self.assertLess(written[0] * 110, 64 << 20)
            self.assertFalse(ended.is_set())
            run.stop("ana")
            self.assertEqual(run.wait()["cause"], "stopped")
            self.assertTrue(ended.wait(10))

    def test_a_process_killed_at_its_commit_leaves_it_to_the_next(self):
        code = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import wharf
from sqlite_store import SqliteStore
class Dying(SqliteStore):
    def commit(self, token):
        os.kill(os.getpid(), signal.SIGKILL)
host = wharf.Host.embedded({HOME!r}, datasets=Dying({self.file!r}))
run = host.submit({recipe(DOUBLING)!r})
print(run.id, flush=True)
run.wait()
"""
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        self.assertEqual(said.returncode, -9, said.stderr)
        self.assertEqual(self.rows("SELECT target FROM wharf_staged"), [("doubled",)])
        with wharf.Host.embedded(HOME, datasets=SqliteStore(self.file)) as host:
            self.assertEqual(host.run(said.stdout.strip()).wait()["sentence"], "the recipe succeeded")
            self.assertEqual(self.rows("SELECT count(*) FROM doubled"), [(20000,)])
            self.assertTrue(host.close(wait=None))

    def test_rows_cross(self):
        schema = {"columns": [{"name": "n", "type": "bigint"}, {"name": 'a "b"', "type": "string"}, {"name": "x", "type": "double"}]}
        rows = [[1, None, 0.1], [None, "", None], [-3, 'x, "y"\r\nz', 1e300]]
        csv = io.BytesIO()
        self.assertEqual(write_rows(csv, schema, rows), 3)
        csv.seek(0)
        self.assertEqual(list(read_rows(csv, schema)), rows)
        for bad in [b'n\n"1', b"n\n1,2\n", b'n\n"1"x\n']:
            with self.assertRaises(DatasetError):
                list(read_rows(io.BytesIO(bad), {"columns": [{"name": "n", "type": "string"}]}))


class AwaitingDatasets(unittest.IsolatedAsyncioTestCase):
    setUp = Datasets.setUp
    rows = Datasets.rows

    async def test_a_store_serves_a_host_that_is_awaited(self):
        async with await wharf.aio.Host.embedded(HOME, datasets=SqliteStore(self.file)) as host:
            run = await host.submit(recipe(DOUBLING))
            self.assertEqual((await run.wait())["sentence"], "the recipe succeeded")
        self.assertEqual(self.rows("SELECT count(*) FROM doubled"), [(20000,)])


if __name__ == "__main__":
    unittest.main()
