"""A runner for the tests: the protocol's paths over a Unix socket, with everything in memory.

It holds datasets as CSV text and converts to and from Arrow: with pyarrow where that is, else with the module that is
tested. `tear` breaks bodies off.
"""

import datetime
import hashlib
import http.server
import io
import json
import os
import shutil
import socketserver
import tempfile
import threading
from urllib.parse import unquote, urlsplit


class Runner:
    """The state that tests set and look at."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="fake-runner-")
        self.socket = os.path.join(self.directory, "runner.sock")
        self.project = "PROJ"
        self.variables = {"threshold": "42", "who": "ana", "list": "[1, 2]"}
        self.parameters = {"column": "x", "n": 3, "nested": {"a": [1]}}
        self.inputs = []
        self.outputs = []
        self.schemas = {}
        self.data = {}
        self.folders = {}
        # Inputs too large to keep: functions from a format to an iterator of bytes.
        self.generated = {}
        # Outputs too large to keep: how many lines arrived.
        self.counted = {}
        self.requests = []
        # What the recipe said of how far it has come.
        self.advances = []
        self.tear = None
        self.refuse_data = None
        # A real run's names never change; a test's may, and then the module has to ask again.
        self.changed = lambda: None
        self._server = _Server(self.socket, _Handler)
        self._server.runner = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.directory)

    def input(self, name, columns, text, role="main"):
        """An input dataset from pairs of name and type, and CSV with its header."""
        self.inputs.append({"name": name, "role": role, "kind": "dataset"})
        self.changed()
        self.schemas[name] = [{"name": n, "type": t} for n, t in columns]
        self.data[name] = text

    def output(self, name, role="main", kind="dataset"):
        self.outputs.append({"name": name, "role": role, "kind": kind})
        self.changed()
        if kind == "folder":
            self.folders.setdefault(name, {})

    def folder(self, name, files, role="main"):
        self.inputs.append({"name": name, "role": role, "kind": "folder"})
        self.changed()
        self.folders[name] = dict(files)

    def context(self):
        return {
            "run": "r1",
            "project": self.project,
            "configuration": "docker-local",
            "variables": self.variables,
            "parameters": self.parameters,
            "inputs": self.inputs,
            "outputs": self.outputs,
        }


class Refused(Exception):
    def __init__(self, status, code, message):
        self.status = status
        self.body = {"code": code, "message": message}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "unix"

    def do_GET(self):
        self._answer(self._get)

    def do_PUT(self):
        self._answer(self._put)

    def do_POST(self):
        self._answer(self._post)

    def _post(self, runner, parts, query):
        if parts != ["progress"]:
            raise Refused(404, "unknown-request", "there is no such request")
        runner.advances.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_DELETE(self):
        self._answer(self._delete)

    def _answer(self, work):
        runner = self.server.runner
        runner.requests.append((self.command, self.path))
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")[2:]]
        # Split before decoding, so that a comma in a column's name survives.
        query = dict(pair.split("=", 1) for pair in url.query.split("&") if pair)
        try:
            body = work(runner, parts, query)
            status, kind = 200, "application/octet-stream"
        except Refused as refused:
            body, status, kind = json.dumps(refused.body).encode(), refused.status, "application/json"
        except ConnectionError:
            self.close_connection = True
            return
        if body is None:
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if runner.tear == "length" and parts[-1] == "data":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if runner.tear == "chunked" and parts[-1] == "data":
            self._chunk(body[: len(body) // 2])
            self.close_connection = True
            return
        for piece in body if not isinstance(body, bytes) else (body[at : at + 50000] for at in range(0, len(body), 50000)):
            self._chunk(piece)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _body(self, take=None):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while True:
            size_line = self.rfile.readline()
            if not size_line.strip():
                raise ConnectionError("broken off")
            size = int(size_line, 16)
            piece = self.rfile.read(size)
            if len(piece) < size:
                raise ConnectionError("broken off")
            self.rfile.readline()
            if size == 0:
                return b"".join(pieces)
            (take or pieces.append)(piece)

    def _get(self, runner, parts, query):
        if parts == ["context"]:
            return json.dumps(runner.context()).encode()
        if parts[0] == "datasets":
            if parts[1] not in runner.schemas:
                raise Refused(404, "not-found", "the dataset %s has no schema" % parts[1])
            if parts[2] == "schema":
                return json.dumps({"columns": runner.schemas[parts[1]]}).encode()
            if parts[1] in runner.generated:
                return runner.generated[parts[1]](query["format"])
            return _read(runner, parts[1], query)
        files = runner.folders[parts[1]]
        if len(parts) == 3:
            sizes = {path: 0 if callable(body) else len(body) for path, body in files.items()}
            listed = [{"path": p, "size": size, "modified": 1700000000000} for p, size in sizes.items()]
            return json.dumps(listed).encode()
        path = "/".join(parts[3:])
        if path not in files:
            raise Refused(404, "unknown-file", "there is no file %s in the folder %s" % (path, parts[1]))
        return files[path]() if callable(files[path]) else files[path]

    def _put(self, runner, parts, query):
        if runner.refuse_data and parts[-1] == "data":
            # Answers before it has read the body, and stops listening, as a proxy may.
            self.close_connection = True
            self.rfile.read1(1000)
            raise Refused(*runner.refuse_data)
        if parts[1] in runner.counted and parts[2] != "schema":
            return self._count(runner, parts[1])
        body = self._body()
        if parts[1] not in [b["name"] for b in runner.outputs]:
            raise Refused(403, "not-an-output", "%s isn't an output" % parts[1])
        if parts[-1] == "schema" and parts[0] == "datasets":
            runner.schemas[parts[1]] = json.loads(body.decode())["columns"]
            return None
        if parts[0] == "datasets":
            runner.data[parts[1]] = _store(body, query)
        else:
            runner.folders[parts[1]]["/".join(parts[3:])] = body
        received = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "rows": None}
        return json.dumps(received).encode()

    def _count(self, runner, name):
        def take(piece):
            runner.counted[name] += piece.count(b"\n")

        self._body(take)
        return json.dumps({"bytes": 0, "sha256": "", "rows": None}).encode()

    def _delete(self, runner, parts, query):
        path = "/".join(parts[3:])
        if path not in runner.folders[parts[1]]:
            raise Refused(404, "unknown-file", "there is no file %s in the folder %s" % (path, parts[1]))
        del runner.folders[parts[1]][path]
        return None


def _read(runner, name, query):
    text = runner.data[name]
    columns = runner.schemas[name]
    if "columns" in query or "limit" in query or query["format"] == "arrow":
        rows = parse(text)
        head, rows = rows[0], rows[1:]
        if "limit" in query:
            rows = rows[: int(query["limit"])]
        if "columns" in query:
            places = [head.index(unquote(c)) for c in query["columns"].split(",")]
            head = [head[p] for p in places]
            columns = [columns[p] for p in places]
            rows = [[row[p] for p in places] for row in rows]
        if query["format"] == "arrow":
            return _to_arrow(columns, rows)
        text = render([head] + rows)
    return text.encode("utf-8")


def _to_arrow(columns, rows):
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        return _to_plain_arrow(columns, rows)

    kinds = {
        "tinyint": pyarrow.int8(), "smallint": pyarrow.int16(), "int": pyarrow.int32(), "bigint": pyarrow.int64(),
        "float": pyarrow.float32(), "double": pyarrow.float64(), "boolean": pyarrow.bool_(),
        "date": pyarrow.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    schema = pyarrow.schema([(c["name"], kinds.get(c["type"], pyarrow.string())) for c in columns])
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, schema) as writer:
        # Several batches, none of them as large as anybody's part.
        for at in range(0, max(len(rows), 1), 7000):
            arrays = []
            for position, field in enumerate(schema):
                texts = pyarrow.array([row[position] for row in rows[at : at + 7000]], pyarrow.string())
                arrays.append(texts if field.type == pyarrow.string() else texts.cast(field.type))
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return sink.getvalue()


def _store(body, query):
    if query["format"] == "csv":
        return body.decode("utf-8")
    try:
        import pyarrow.compute
        import pyarrow.ipc
    except ImportError:
        return _from_plain_arrow(body)

    table = pyarrow.ipc.open_stream(body).read_all()
    columns = []
    for column in table.columns:
        if pyarrow.types.is_timestamp(column.type):
            texts = pyarrow.compute.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
            # As the host writes them: milliseconds unless there are microseconds.
            whole = not any((v.value or 0) % 1000 for v in column if v.is_valid)
            column = pyarrow.array([t and (t[:23] + "Z" if whole else t) for t in texts.to_pylist()], pyarrow.string())
        columns.append(column.cast(pyarrow.string()).to_pylist())
    return render([table.column_names] + [list(row) for row in zip(*columns)])


def _to_plain_arrow(columns, rows):
    import numpy
    from dataiku.core.plain_arrow import Writer
    from dataiku.core.types import parse_date

    kinds = {
        "tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": "int64", "float": "float32", "double": "float64",
        "boolean": "bool", "date": "date",
    }  # fmt: skip

    def micros(text):
        return (parse_date(text) - parse_date("1970-01-01T00:00:00Z")) // datetime.timedelta(microseconds=1)

    read = {"float32": float, "float64": float, "bool": lambda text: text == "true", "date": micros}
    sink = io.BytesIO()
    writer = Writer(sink, [(column["name"], kinds.get(column["type"], "text")) for column in columns])
    for at in range(0, max(len(rows), 1), 7000):
        part, values = rows[at : at + 7000], []
        for place, column in enumerate(columns):
            kind = kinds.get(column["type"], "text")
            texts = [row[place] for row in part]
            valid = numpy.array([text is not None for text in texts], bool)
            if kind != "text":
                dtype = {"float32": "f8", "float64": "f8", "bool": bool}.get(kind, "i8")
                texts = numpy.array([0 if text is None else read.get(kind, int)(text) for text in texts], dtype)
            values.append((texts, None if valid.all() else valid))
        writer.write(len(part), values)
    writer.close()
    return sink.getvalue()


def _from_plain_arrow(body):
    import numpy
    from dataiku.core.plain_arrow import Reader

    class Named(Reader):
        def _type(self, field):
            at, size = field._target(0), int.from_bytes(field._buffer[field._target(0) :][:4], "little")
            names.append(bytes(field._buffer[at + 4 : at + 4 + size]).decode("utf-8"))
            return super()._type(field)

    def text(value, unit):
        if isinstance(value, numpy.datetime64):
            return str(numpy.datetime_as_string(value, unit=unit)) + "Z"
        if isinstance(value, (bool, numpy.bool_)):
            return "true" if value else "false"
        return value if isinstance(value, str) else repr(value.item())

    names, rows = [], []
    for count, columns in Named(io.BytesIO(body), "the upload"):
        texts = []
        for values, valid in columns:
            there = [valid is None or valid[n] for n in range(count)]
            # As the host writes them: milliseconds unless there are microseconds.
            dates = not isinstance(values, list) and values.dtype.kind == "M"
            unit = "us" if dates and any(values[there].astype("int64") % 1000) else "ms"
            texts.append([text(values[n], unit) if there[n] else None for n in range(count)])
        rows.extend(list(row) for row in zip(*texts))
    return render([names] + rows)


def parse(text):
    """Rows of CSV with None for null: what the module csv can't tell apart."""
    rows, row, field, quoted, was_quoted = [], [], [], False, False
    at = 0
    while at < len(text):
        char = text[at]
        if quoted:
            if char == '"' and text[at + 1 : at + 2] == '"':
                field.append('"')
                at += 1
            elif char == '"':
                quoted = False
            else:
                field.append(char)
        elif char == '"':
            quoted = was_quoted = True
        elif char in ",\n":
            row.append("".join(field) if field or was_quoted else None)
            field, was_quoted = [], False
            if char == "\n":
                rows.append(row)
                row = []
        else:
            field.append(char)
        at += 1
    assert not quoted and not row and not field, "the CSV doesn't end with a whole line"
    return rows


def render(rows):
    """The reverse of `parse`."""
    out = []
    for row in rows:
        fields = []
        for text in row:
            if text is None:
                fields.append("")
            elif text == "" or any(c in text for c in ',"\r\n'):
                fields.append('"' + text.replace('"', '""') + '"')
            else:
                fields.append(text)
        out.append(",".join(fields) + "\n")
    return "".join(out)
