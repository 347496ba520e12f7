"""Datasets that the embedder has: what a store implements, and its rows as Python's values.

A store is given to ``wharf.Host.embedded(home, datasets=store)``. From then on the host asks it for all that concerns data, whatever
the places of datasets look like: ``examples/sqlite_store.py`` has tables of a database.

A run goes through a store in phases. Before it begins, ``check`` is called for each of its datasets and folders. While it runs, its
inputs are read, and its outputs are *staged* under the run's token: nobody but the run sees them. At the end either ``commit``
puts all of them in place or ``abort`` throws them away. The process may be killed between any two steps: what was staged must
still be found by its token in the next one, and ``commit`` and ``abort`` may come again.

Methods are called on threads of their own, for different runs and datasets at the same time. Whatever one raises fails what was
asked; ``DatasetError`` says why in words that reach the person who started the run.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Literal, NamedTuple, Sequence, TypedDict, Union

from wharf.messages import Binding

Access = Literal["read", "write"]
Status = Literal["unknown", "staged", "committing", "committed"]
Value = Union[None, str, int, float, bool]


class Token(NamedTuple):
    """What all outputs of one attempt of a run are committed under."""

    run: str
    attempt: int


_ColumnHas = TypedDict("_ColumnHas", {"name": str, "type": str})


class Column(_ColumnHas):
    """A column: its type is one of ``string``, ``tinyint``, ``smallint``, ``int``, ``bigint``, ``float``, ``double``, ``boolean``,
    ``date``, ``array``, ``map``, ``object``, ``geopoint`` and ``geometry``."""


class Schema(TypedDict):
    """The columns of a dataset, in order."""

    columns: List[Column]


class FileInfo(TypedDict):
    """A file of a folder; ``modified`` in milliseconds since 1970."""

    path: str
    size: int
    modified: int


class Committed(TypedDict):
    """What a commit put in place: the names of the bindings, and how many changes that were."""

    bindings: List[str]
    changes: int


class DatasetError(Exception):
    """Why a store doesn't do as asked.

    ``code`` is ``not-found`` (the message names what isn't there), ``unusable``, ``bad-rows``, ``full`` or ``closed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DatasetStore:
    """Where datasets and folders are. A store without folders leaves the last four methods as they are."""

    def check(self, binding: Binding, access: Access) -> None:
        """Raises when a run that wants to read or write this can't begin."""

    def schema(self, binding: Binding) -> Schema:
        """The columns of the data in place."""
        raise NotImplementedError

    def read(self, binding: Binding, token: Token | None, csv: BinaryIO) -> None:
        """Writes all rows to ``csv``: those that the token staged, else those in place. ``write_rows`` does it."""
        raise NotImplementedError

    def staged_schema(self, token: Token, binding: Binding) -> Schema | None:
        """The columns of what the token staged."""
        raise NotImplementedError

    def stage(self, token: Token, binding: Binding, schema: Schema, csv: BinaryIO, limit: int | None) -> int:
        """Stages the rows in ``csv``, in place of those that the token staged before; returns how many. ``read_rows`` reads them.

        ``csv`` raises when the run breaks off: then nothing of it may stay. ``limit`` is how many bytes the token may have staged.
        """
        raise NotImplementedError

    def commit(self, token: Token) -> Committed:
        """Puts all that the token staged in place, or nothing of it. One that did so already answers the same again."""
        raise NotImplementedError

    def abort(self, token: Token) -> None:
        """Throws away what the token staged."""
        raise NotImplementedError

    def status(self, token: Token) -> Status:
        """How far the token's outputs are."""
        raise NotImplementedError

    def forget(self, token: Token) -> None:
        """The outcome is in the record: nobody asks for this token again."""

    def list(self, binding: Binding, token: Token | None) -> List[FileInfo]:
        """The files of a folder, by their paths; with a token as they will be once it is committed."""
        raise DatasetError("unusable", "this store has no folders")

    def read_file(self, binding: Binding, path: str, token: Token | None, file: BinaryIO) -> None:
        """Writes a file of a folder to ``file``."""
        raise DatasetError("unusable", "this store has no folders")

    def stage_file(self, token: Token, binding: Binding, path: str, file: BinaryIO, limit: int | None) -> None:
        """Stages a file of a folder."""
        raise DatasetError("unusable", "this store has no folders")

    def stage_delete(self, token: Token, binding: Binding, path: str) -> None:
        """Stages the removal of a file of a folder."""
        raise DatasetError("unusable", "this store has no folders")


_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)')
_SPECIAL = re.compile(r'[",\r\n]')
_READ: Dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(["tinyint", "smallint", "int", "bigint"], int),
    **dict.fromkeys(["float", "double"], float),
    "boolean": lambda text: text == "true",
}


def read_rows(csv: BinaryIO, schema: Schema) -> Iterator[List[Value]]:
    """The rows of a CSV stream, one by one, as values of their columns' types. Dates, and what is nested, are texts."""
    lines = io.TextIOWrapper(csv, "utf-8", newline="\n")
    read = [_READ.get(column["type"], str) for column in schema["columns"]]
    try:
        for number, record in enumerate(_records(lines)):
            if number == 0:
                continue
            if len(record) != len(read):
                raise DatasetError("bad-rows", f"row {number} has {len(record)} values for {len(read)} columns")
            yield [None if text is None else value(text) for value, text in zip(read, record)]
    finally:
        lines.detach()


def _records(lines: Iterable[str]) -> Iterator[List[str | None]]:
    """The fields of each row: none where nothing stands, and the empty text where it is quoted."""
    text = ""
    for line in lines:
        text += line
        # A line break in quotes belongs to the value.
        if text.count('"') % 2:
            continue
        record: List[str | None] = []
        at = 0
        while True:
            field = _FIELD.match(text, at)
            if field is None:
                raise DatasetError("bad-rows", f"this isn't CSV: {text[at : at + 80]!r}")
            quoted, plain, end = field.groups()
            record.append(quoted.replace('""', '"') if quoted is not None else plain or None)
            at = field.end()
            if end != ",":
                break
        yield record
        text = ""
    if text:
        raise DatasetError("bad-rows", "the last row has no end")


def write_rows(csv: BinaryIO, schema: Schema, rows: Iterable[Sequence[Any]]) -> int:
    """Writes a header line and rows as CSV, and returns how many rows."""
    csv.write((",".join(_text(column["name"]) for column in schema["columns"]) + "\n").encode())
    count = 0
    for row in rows:
        csv.write((",".join(map(_text, row)) + "\n").encode())
        count += 1
    return count


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        value = value.isoformat() if hasattr(value, "isoformat") else repr(value) if isinstance(value, float) else str(value)
    if value == "" or _SPECIAL.search(value):
        return '"' + value.replace('"', '""') + '"'
    return value


class Border(NamedTuple):
    """The library's functions for data, of one host."""

    read: Callable[[int, Any, int], int]
    write: Callable[[int, bytes], int]
    answer: Callable[[int, bytes], None]


class _Reader(io.RawIOBase):
    """What a container sends."""

    def __init__(self, border: Border, ask: int) -> None:
        self._border, self._ask = border, ask

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._border.read(self._ask, buffer, len(buffer))
        if count < 0:
            raise ConnectionAbortedError("the run broke off in the middle of its data")
        return count


class _Writer(io.RawIOBase):
    """What a container gets."""

    def __init__(self, border: Border, ask: int) -> None:
        self._border, self._ask = border, ask

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._border.write(self._ask, bytes(data)) < 0:
            raise BrokenPipeError("nobody wants the data any more")
        return len(data)


_BUFFER = 256 << 10


class Server:
    """Answers what a host asks of a store, each ask on a thread of its own."""

    def __init__(self, store: DatasetStore, border: Border) -> None:
        self._store, self._border = store, border

    def take(self, ask: Dict[str, Any], done: Callable[[], None]) -> None:
        """Begins to answer; ``done`` is called after that."""

        def work() -> None:
            try:
                self._border.answer(ask["id"], json.dumps(self._answer(ask)).encode())
            finally:
                done()

        threading.Thread(target=work, name=f"wharf-{ask['ask']}", daemon=True).start()

    def _answer(self, ask: Dict[str, Any]) -> Dict[str, Any]:
        try:
            return {"value": self._do(ask)}
        except DatasetError as error:
            return {"fault": {"code": error.code, "message": error.message}}
        except (ConnectionAbortedError, BrokenPipeError) as error:
            return {"fault": {"code": "broken", "message": str(error)}}
        except Exception as error:
            logging.getLogger("wharf").exception("the dataset store failed at %s", ask["ask"])
            return {"fault": {"code": "store-failed", "message": f"{type(error).__name__}: {error}"}}

    def _do(self, ask: Dict[str, Any]) -> Any:
        store, name = self._store, ask["ask"]
        binding: Any = ask.get("binding")
        path = ask.get("path", "")
        limit = ask.get("limit")
        some = ask.get("token")
        token = Token(some["run"], some["attempt"]) if some else None
        if name == "check":
            return store.check(binding, ask["access"])
        if name == "schema":
            return store.schema(binding)
        if name == "list":
            return store.list(binding, token)
        if name in ("read", "read-file"):
            out = io.BufferedWriter(_Writer(self._border, ask["id"]), _BUFFER)
            # The buffer must not be written by whoever collects it once the ask is over.
            try:
                if name == "read":
                    store.read(binding, token, out)
                else:
                    store.read_file(binding, path, token, out)
                out.flush()
            finally:
                _discard(out)
            return None
        if token is None:
            raise DatasetError("unusable", f"{name} came without a token")
        if name == "staged-schema":
            return store.staged_schema(token, binding)
        if name == "stage":
            return store.stage(token, binding, ask["schema"], io.BufferedReader(_Reader(self._border, ask["id"]), _BUFFER), limit)
        if name == "stage-file":
            return store.stage_file(token, binding, path, io.BufferedReader(_Reader(self._border, ask["id"]), _BUFFER), limit)
        if name == "stage-delete":
            return store.stage_delete(token, binding, path)
        if name == "commit":
            return store.commit(token)
        if name == "abort":
            return store.abort(token)
        if name == "status":
            return store.status(token)
        if name == "forget":
            return store.forget(token)
        raise DatasetError("unusable", f"this package doesn't know what {name} is: use library and package of one version")


def _discard(out: Any) -> None:
    try:
        out.detach()
    except OSError:
        pass
