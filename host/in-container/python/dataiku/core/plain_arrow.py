"""Arrow IPC streams with numpy alone, for images without pyarrow: the types of datasets, and nothing else.

The form is that of Arrow's columnar format, version 5: messages in flatbuffers, each followed by the buffers of its columns.
"""

import struct

import numpy

from dataiku.core.connection import DataikuException

# What announces a message, and an end.
_MARK = b"\xff\xff\xff\xff"
_VERSION = 4
_SCHEMA, _RECORD_BATCH = 1, 3
_INT, _FLOAT, _TEXT, _BOOLEAN, _TIMESTAMP = 2, 3, 5, 6, 10
_UNITS = ("s", "ms", "us", "ns")
# A message that is larger is split, as far as its rows can be.
_LARGEST = 64 << 20


class Reader:
    """Reads a stream, batch by batch: for each column its values, and which of them are there (None for all).

    Values are an array of numpy, or a list of texts with None for null.
    """

    def __init__(self, stream, what):
        self._stream = stream
        self._what = what
        kind, header, _ = self._message() or (0, None, 0)
        if kind != _SCHEMA:
            raise self._bad()
        self._types = [self._type(field) for field in header.tables(1)]
        self._known = [{} for _ in self._types]

    def __iter__(self):
        while True:
            message = self._message()
            if message is None:
                return
            kind, header, size = message
            if kind != _RECORD_BATCH:
                raise self._bad()
            yield self._batch(header, self._take(size))

    def nothing(self):
        """The columns of no row."""
        return [([], None) if kind == _TEXT else (numpy.empty(0, dtype or bool), None) for kind, dtype in self._types]

    def _batch(self, header, body):
        rows = header.number(0, "q", 0)
        nodes = iter(header.structs(1))
        buffers = (body[at : at + size] for at, size in header.structs(2))
        columns = []
        for at, (kind, dtype) in enumerate(self._types):
            _, nulls = next(nodes)
            present = next(buffers)
            valid = _bits(present, rows) if nulls else None
            if kind == _TEXT:
                offsets, data = next(buffers), next(buffers)
                columns.append((self._texts(at, rows, offsets, data, valid), valid))
            elif kind == _BOOLEAN:
                columns.append((_bits(next(buffers), rows), valid))
            else:
                columns.append((numpy.frombuffer(next(buffers), dtype, rows), valid))
        return rows, columns

    def _texts(self, at, rows, offsets, data, valid):
        if rows == 0:
            return []
        places = numpy.frombuffer(offsets, "<i4", rows + 1).tolist()
        text = str(data, "utf-8")
        if len(text) == len(data):
            # Places of bytes are places of characters.
            values = [text[start:end] for start, end in zip(places, places[1:])]
        else:
            data = bytes(data)
            values = [data[start:end].decode("utf-8") for start, end in zip(places, places[1:])]
        # The few texts of a column that repeats them are kept once.
        if len(set(values)) * 4 < rows:
            known = self._known[at]
            values = list(map(known.setdefault, values, values))
        if valid is not None:
            for place in numpy.flatnonzero(~valid).tolist():
                values[place] = None
        return values

    def _type(self, field):
        kind, details = field.number(2, "B", 0), field.table(3)
        if kind == _INT and details.number(1, "B", 0):
            return kind, "<i%d" % (details.number(0, "i", 0) // 8)
        if kind == _FLOAT and details.number(0, "h", 0) in (1, 2):
            return kind, "<f%d" % (4 * details.number(0, "h", 0))
        if kind == _TIMESTAMP:
            return kind, "<M8[%s]" % _UNITS[details.number(0, "h", 0)]
        if kind in (_TEXT, _BOOLEAN):
            return kind, None
        raise self._bad()

    def _message(self):
        """Kind, header and size of the body of the next message; None at the end of the stream."""
        start = self._take(8)
        size = struct.unpack_from("<i", start, 4)[0]
        if start[:4] != _MARK:
            raise self._bad()
        if size == 0:
            # Whatever breaks off behind the last row is found here.
            if self._stream.read(1):
                raise self._bad()
            return None
        message = _Table.root(self._take(size))
        return message.number(1, "B", 0), message.table(2), message.number(3, "q", 0)

    def _take(self, size):
        data = self._stream.read(size)
        if len(data) < size:
            raise DataikuException("%s broke off in the middle" % self._what)
        return memoryview(data)

    def _bad(self):
        return DataikuException("%s is not the Arrow stream that it should be" % self._what)


class Writer:
    """Writes a stream of columns with these names and these types of DSS (`int8` to `int64`, ...)."""

    def __init__(self, sink, fields):
        self._sink = sink
        self._types = [_SPELLED[kind] for _, kind in fields]
        children = [_field(name, spelled) for (name, _), spelled in zip(fields, self._types)]
        self._send(_SCHEMA, lambda out: _table(out, [None, lambda out: _tables(out, children)]), b"")

    def write(self, rows, columns):
        """Writes a batch: for each column its values, and which of them are there (None for all)."""
        nodes, buffers, body, size = [], [], [], 0

        def add(data):
            nonlocal size
            buffers.append((size, len(data)))
            padding = -len(data) % 8
            body.append(data)
            body.append(b"\0" * padding)
            size += len(data) + padding

        for (kind, dtype, _), (values, valid) in zip(self._types, columns):
            nodes.append((rows, 0 if valid is None else int(rows - numpy.count_nonzero(valid))))
            add(b"" if valid is None else numpy.packbits(valid, bitorder="little").tobytes())
            if kind == _TEXT:
                offsets, data = _encoded(values)
                add(offsets.tobytes())
                add(data)
            elif kind == _BOOLEAN:
                add(numpy.packbits(values, bitorder="little").tobytes())
            else:
                add(numpy.ascontiguousarray(values, dtype).tobytes())
        if size > _LARGEST and rows > 1:
            half = rows // 2
            for part in (slice(0, half), slice(half, rows)):
                count = len(range(rows)[part])
                self.write(count, [(values[part], None if valid is None else valid[part]) for values, valid in columns])
            return

        def header(out):
            slots = [("q", rows), lambda out: _structs(out, nodes), lambda out: _structs(out, buffers)]
            return _table(out, slots)

        self._send(_RECORD_BATCH, header, b"".join(body))

    def close(self):
        """Writes the end of the stream."""
        self._sink.write(_MARK + b"\0\0\0\0")

    def _send(self, kind, header, body):
        out = bytearray(8)
        root = _table(out, [("h", _VERSION), ("B", kind), header, ("q", len(body))])
        struct.pack_into("<I", out, 0, root)
        out.extend(b"\0" * (-len(out) % 8))
        self._sink.write(_MARK + struct.pack("<i", len(out)) + bytes(out))
        if body:
            self._sink.write(body)


def _encoded(values):
    """Offsets and bytes of texts; None is as empty as the empty text."""
    texts = ["" if value is None else value for value in values]
    data = "".join(texts).encode("utf-8")
    lengths = numpy.fromiter(map(len, texts), numpy.int64, len(texts))
    if int(lengths.sum()) != len(data):
        lengths = numpy.fromiter((len(text.encode("utf-8")) for text in texts), numpy.int64, len(texts))
    offsets = numpy.zeros(len(texts) + 1, "<i4")
    numpy.cumsum(lengths, out=offsets[1:])
    return offsets, data


def _bits(data, count):
    return numpy.unpackbits(numpy.frombuffer(data, numpy.uint8), count=count, bitorder="little").view(bool)


# Flatbuffers, as far as they are needed: https://flatbuffers.dev/internals/


class _Table:
    """A table in a buffer: its fields by their numbers."""

    def __init__(self, buffer, at):
        self._buffer = buffer
        self._at = at
        self._fields = at - struct.unpack_from("<i", buffer, at)[0]
        self._count = (struct.unpack_from("<H", buffer, self._fields)[0] - 4) // 2

    @classmethod
    def root(cls, buffer):
        return cls(buffer, struct.unpack_from("<I", buffer, 0)[0])

    def _place(self, number):
        offset = struct.unpack_from("<H", self._buffer, self._fields + 4 + 2 * number)[0] if number < self._count else 0
        return self._at + offset if offset else None

    def _target(self, number):
        place = self._place(number)
        return None if place is None else place + struct.unpack_from("<I", self._buffer, place)[0]

    def number(self, number, form, default):
        place = self._place(number)
        return default if place is None else struct.unpack_from("<" + form, self._buffer, place)[0]

    def table(self, number):
        return _Table(self._buffer, self._target(number))

    def tables(self, number):
        at = self._target(number)
        places = range(at + 4, at + 4 + 4 * struct.unpack_from("<I", self._buffer, at)[0], 4)
        return [_Table(self._buffer, place + struct.unpack_from("<I", self._buffer, place)[0]) for place in places]

    def structs(self, number):
        at = self._target(number)
        count = struct.unpack_from("<I", self._buffer, at)[0]
        return list(struct.iter_unpack("<qq", self._buffer[at + 4 : at + 4 + 16 * count]))


def _table(out, slots):
    """Appends a table: numbers with their form, or functions that append what the field leads to. Gives its place."""
    sizes = [0 if slot is None else 4 if callable(slot) else struct.calcsize(slot[0]) for slot in slots]
    # The largest first, behind the four bytes of the table itself: so each is at a multiple of its size.
    offsets, end = [0] * len(slots), 4
    for number in sorted(range(len(slots)), key=lambda number: -sizes[number]):
        if sizes[number]:
            offsets[number] = end
            end += sizes[number]
    out.extend(b"\0" * (len(out) % 2))
    fields = len(out)
    out.extend(struct.pack("<HH%dH" % len(slots), 4 + 2 * len(slots), end, *offsets))
    out.extend(b"\0" * ((4 - len(out)) % 8))
    at = len(out)
    out.extend(struct.pack("<i", at - fields) + b"\0" * (end - 4))
    for slot, offset in zip(slots, offsets):
        if callable(slot):
            struct.pack_into("<I", out, at + offset, slot(out) - (at + offset))
        elif slot is not None:
            struct.pack_into("<" + slot[0], out, at + offset, slot[1])
    return at


def _tables(out, tables):
    out.extend(b"\0" * (-len(out) % 4))
    at = len(out)
    out.extend(struct.pack("<I", len(tables)) + b"\0" * (4 * len(tables)))
    for number, table in enumerate(tables):
        place = at + 4 + 4 * number
        struct.pack_into("<I", out, place, table(out) - place)
    return at


def _structs(out, pairs):
    out.extend(b"\0" * ((4 - len(out)) % 8))
    at = len(out)
    out.extend(struct.pack("<I", len(pairs)) + b"".join(struct.pack("<qq", *pair) for pair in pairs))
    return at


def _string(text):
    data = text.encode("utf-8")

    def append(out):
        out.extend(b"\0" * (-len(out) % 4))
        at = len(out)
        out.extend(struct.pack("<I", len(data)) + data + b"\0")
        return at

    return append


def _field(name, spelled):
    kind, _, details = spelled

    def append(out):
        slots = [_string(name), ("B", 1), ("B", kind), lambda out: _table(out, details), None, lambda out: _tables(out, [])]
        return _table(out, slots)

    return append


# Type, type of numpy, and what its flatbuffer says, for each type in which a column may cross.
_SPELLED = {
    "int8": (_INT, "<i1", [("i", 8), ("B", 1)]),
    "int16": (_INT, "<i2", [("i", 16), ("B", 1)]),
    "int32": (_INT, "<i4", [("i", 32), ("B", 1)]),
    "int64": (_INT, "<i8", [("i", 64), ("B", 1)]),
    "float32": (_FLOAT, "<f4", [("h", 1)]),
    "float64": (_FLOAT, "<f8", [("h", 2)]),
    "bool": (_BOOLEAN, None, []),
    "date": (_TIMESTAMP, "<i8", [("h", 2), _string("UTC")]),
    "text": (_TEXT, None, []),
}
