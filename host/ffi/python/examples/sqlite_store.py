"""Datasets in the tables of an SQLite database: a binding's place is the name of a table.

What a run stages is a table of its own, named for its token, and noted in the table ``wharf_staged``. A commit renames those in one
transaction that also notes the token in ``wharf_tokens``: whoever is killed before the end of it has changed nothing, and who comes
again after it finds that all is done.
"""

import json
import sqlite3

from wharf.datasets import DatasetError, DatasetStore, read_rows, write_rows

TYPES = {
    **dict.fromkeys(["tinyint", "smallint", "int", "bigint"], "BIGINT"),
    **dict.fromkeys(["float", "double"], "DOUBLE"),
    "boolean": "BOOLEAN",
    "date": "TIMESTAMP",
}
KINDS = {"INTEGER": "bigint", "BIGINT": "bigint", "REAL": "double", "DOUBLE": "double", "BOOLEAN": "boolean", "TIMESTAMP": "date"}


class SqliteStore(DatasetStore):
    def __init__(self, file):
        self.file = file
        with self.open() as database:
            database.execute("CREATE TABLE IF NOT EXISTS wharf_staged (token, binding, target, staged, PRIMARY KEY (token, binding))")
            database.execute("CREATE TABLE IF NOT EXISTS wharf_tokens (token PRIMARY KEY, bindings)")

    def open(self):
        """A connection whose ``with`` is a transaction. Each thread has its own."""
        database = sqlite3.connect(self.file, timeout=60)
        database.execute("PRAGMA journal_mode = WAL")
        return database

    def check(self, binding, access):
        if binding["kind"] != "dataset":
            raise DatasetError("unusable", "this store has tables alone")
        if access == "read":
            self.schema(binding)

    def schema(self, binding):
        with self.open() as database:
            return schema_of(database, binding["place"]["path"])

    def read(self, binding, token, csv):
        with self.open() as database:
            table = (token and staged(database, token, binding)) or binding["place"]["path"]
            schema = schema_of(database, table)
            truths = [column["type"] == "boolean" for column in schema["columns"]]
            rows = database.execute(f"SELECT * FROM {quoted(table)}")
            # One row after the other: nothing here grows with the table.
            write_rows(csv, schema, ([bool(v) if t and v is not None else v for t, v in zip(truths, row)] for row in rows))

    def staged_schema(self, token, binding):
        with self.open() as database:
            table = staged(database, token, binding)
            return schema_of(database, table) if table else None

    def stage(self, token, binding, schema, csv, limit):
        table = f"wharf_{token.run}_{token.attempt}_{binding['name']}"
        columns = ", ".join(f"{quoted(column['name'])} {TYPES.get(column['type'], 'TEXT')}" for column in schema["columns"])
        marks = ", ".join("?" * len(schema["columns"]))
        # What fails before the end, the container's data included, leaves nothing.
        with self.open() as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"DROP TABLE IF EXISTS {quoted(table)}")
            database.execute(f"CREATE TABLE {quoted(table)} ({columns})")
            count = database.executemany(f"INSERT INTO {quoted(table)} VALUES ({marks})", read_rows(csv, schema)).rowcount
            database.execute(
                "INSERT OR REPLACE INTO wharf_staged VALUES (?, ?, ?, ?)", (key(token), binding["name"], binding["place"]["path"], table)
            )
            return max(count, 0)

    def commit(self, token):
        with self.open() as database:
            database.execute("BEGIN IMMEDIATE")
            done = database.execute("SELECT bindings FROM wharf_tokens WHERE token = ?", (key(token),)).fetchone()
            if done:
                bindings = json.loads(done[0])
            else:
                bindings = []
                rows = database.execute("SELECT binding, target, staged FROM wharf_staged WHERE token = ?", (key(token),)).fetchall()
                for binding, target, table in rows:
                    database.execute(f"DROP TABLE IF EXISTS {quoted(target)}")
                    database.execute(f"ALTER TABLE {quoted(table)} RENAME TO {quoted(target)}")
                    bindings.append(binding)
                database.execute("DELETE FROM wharf_staged WHERE token = ?", (key(token),))
                database.execute("INSERT INTO wharf_tokens VALUES (?, ?)", (key(token), json.dumps(bindings)))
            return {"bindings": bindings, "changes": len(bindings)}

    def abort(self, token):
        with self.open() as database:
            database.execute("BEGIN IMMEDIATE")
            for (table,) in database.execute("SELECT staged FROM wharf_staged WHERE token = ?", (key(token),)).fetchall():
                database.execute(f"DROP TABLE IF EXISTS {quoted(table)}")
            database.execute("DELETE FROM wharf_staged WHERE token = ?", (key(token),))

    def status(self, token):
        with self.open() as database:
            if database.execute("SELECT 1 FROM wharf_tokens WHERE token = ?", (key(token),)).fetchone():
                return "committed"
            found = database.execute("SELECT 1 FROM wharf_staged WHERE token = ?", (key(token),)).fetchone()
            return "staged" if found else "unknown"

    def forget(self, token):
        with self.open() as database:
            database.execute("DELETE FROM wharf_tokens WHERE token = ?", (key(token),))


def key(token):
    return f"{token.run}.{token.attempt}"


def staged(database, token, binding):
    found = database.execute("SELECT staged FROM wharf_staged WHERE token = ? AND binding = ?", (key(token), binding["name"])).fetchone()
    return found[0] if found else None


def schema_of(database, table):
    """The types that a table was declared with, as a dataset has them."""
    columns = database.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    if not columns:
        raise DatasetError("not-found", f"the table {table}")
    return {"columns": [{"name": name, "type": KINDS.get(kind, "string")} for name, kind in columns]}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'
