"""Datasets as batches of columns: straight from Arrow to numpy and back, without dataframes between.

With pyarrow where it is installed, else with the module of `dataiku` that reads the same streams with numpy alone.
"""

from urllib.parse import quote

import numpy

from dataiku.core.connection import Upload, encode, open_body
from dataiku.core.frame_write import arrow_type, pyarrow
from dataiku.core.types import FLOATS, INTEGERS

#: Types of datasets that are numbers.
NUMBERS = tuple(INTEGERS) + tuple(FLOATS)
# What a column of each type is in a stream, as the module without pyarrow calls it.
_PLAIN = dict({kind: "int%d" % bits for kind, bits in INTEGERS.items()})
_PLAIN.update({kind: "float%d" % bits for kind, bits in FLOATS.items()})
_PLAIN.update({"boolean": "bool", "date": "date"})


def read_batches(dataset, columns):
    """The batches of a dataset, as they come: of any number of rows, with these columns (dicts of name and type)."""
    path = encode("datasets", dataset.short_name, "data") + "?format=arrow&columns="
    path += ",".join(quote(column["name"], safe="") for column in columns)
    what = "the reading of dataset " + dataset.short_name
    with open_body(path, what) as body:
        if pyarrow() is not None:
            for batch in pyarrow().ipc.open_stream(body):
                if batch.num_rows:
                    yield ArrowBatch(batch, columns)
        else:
            from dataiku.core.plain_arrow import Reader

            for rows, arrays in Reader(body, what):
                if rows:
                    yield PlainBatch(rows, arrays, columns)


def chunks(batches, rows):
    """The same rows in batches of at most so many: large ones in equal parts, without a copy; small ones put together."""
    waiting, count = [], 0
    for batch in batches:
        if batch.rows * 4 < rows:
            waiting.append(batch)
            count += batch.rows
            if count < rows * 3 // 4:
                continue
        if waiting:
            yield waiting[0].join(waiting[1:])
            small = waiting[-1] is batch
            waiting, count = [], 0
            if small:
                continue
        parts = -(-batch.rows // rows)
        for part in range(parts):
            yield batch.slice(batch.rows * part // parts, batch.rows * (part + 1) // parts)
    if waiting:
        yield waiting[0].join(waiting[1:])


class _Batch:
    """Rows of a dataset: what both kinds have in common."""

    def __init__(self, rows, columns):
        self.rows = rows
        self.columns = columns
        self.places = {column["name"]: at for at, column in enumerate(columns)}

    def categories(self, name, known=None):
        """A column as texts with NaN for missing, as an array of objects; empty texts are missing.

        ``known`` keeps each text once over many batches.
        """
        found, inverse = self.distinct(name)
        known = {} if known is None else known
        texts = numpy.empty(len(found) + 1, dtype=object)
        texts[:-1] = [known.setdefault(text, text) for text in found]
        texts[-1] = numpy.nan
        return texts[inverse]


class ArrowBatch(_Batch):
    """Rows as Arrow has them."""

    def __init__(self, batch, columns):
        super().__init__(batch.num_rows, columns)
        self._batch = batch

    @property
    def size(self):
        """Bytes of the rows."""
        return self._batch.nbytes

    def slice(self, start, stop):
        """Rows from one place to another."""
        if start == 0 and stop == self.rows:
            return self
        return ArrowBatch(self._batch.slice(start, stop - start), self.columns)

    def join(self, others):
        """These rows and others behind them."""
        if not others:
            return self
        table = pyarrow().Table.from_batches([self._batch] + [other._batch for other in others]).combine_chunks()
        return ArrowBatch(table.to_batches()[0], self.columns)

    def filter(self, mask):
        """The rows where the mask is True."""
        return ArrowBatch(self._batch.filter(pyarrow().array(mask)), self.columns)

    def _column(self, name):
        data = self._batch.column(self.places[name])
        if pyarrow().types.is_dictionary(data.type):
            data = data.cast(data.type.value_type)
        return data

    def numbers(self, name):
        """A column as float64 with NaN for missing."""
        arrow, data = pyarrow(), self._column(name)
        if arrow.types.is_boolean(data.type):
            data = data.cast(arrow.int8())
        if not arrow.types.is_float64(data.type):
            data = data.cast(arrow.float64(), safe=False)
        return data.to_numpy(zero_copy_only=False)

    def dates(self, name):
        """A column as datetime64[ms] in UTC with NaT for missing."""
        arrow = pyarrow()
        data = self._column(name).cast(arrow.timestamp("ms"), safe=False)
        return data.to_numpy(zero_copy_only=False).astype("datetime64[ms]")

    def raw(self, name):
        """A column as numpy has it by itself, and which values are there (None for all)."""
        arrow, data = pyarrow(), self._column(name)
        valid = data.is_valid().to_numpy(zero_copy_only=False) if data.null_count else None
        if arrow.types.is_integer(data.type) and valid is not None:
            data = data.fill_null(0)
        elif arrow.types.is_boolean(data.type):
            data = data.fill_null(False)
        return data.to_numpy(zero_copy_only=False), valid

    def distinct(self, name):
        """The texts of a column that are there at all, and for each row the place of its own; -1 for missing."""
        arrow, data = pyarrow(), self._column(name)
        if not (arrow.types.is_string(data.type) or arrow.types.is_large_string(data.type)):
            return _distinct(*self.raw(name))
        data = data.dictionary_encode()
        texts = data.dictionary.to_pylist()
        places = data.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return _without_empty(texts, places)


class PlainBatch(_Batch):
    """Rows as numpy has them."""

    def __init__(self, rows, arrays, columns):
        super().__init__(rows, columns)
        self._arrays = arrays

    @property
    def size(self):
        """Bytes of the rows, about."""
        return sum(getattr(values, "nbytes", 60 * self.rows) for values, _ in self._arrays)

    def slice(self, start, stop):
        """Rows from one place to another."""
        part = slice(start, stop)
        arrays = [(values[part], None if valid is None else valid[part]) for values, valid in self._arrays]
        return PlainBatch(stop - start, arrays, self.columns)

    def join(self, others):
        """These rows and others behind them."""
        if not others:
            return self
        every = [self] + others
        arrays = []
        for at in range(len(self._arrays)):
            parts = [batch._arrays[at] for batch in every]
            lists = isinstance(parts[0][0], list)
            values = sum((part for part, _ in parts), []) if lists else numpy.concatenate([part for part, _ in parts])
            masks = [numpy.ones(batch.rows, bool) if part[1] is None else part[1] for batch, part in zip(every, parts)]
            arrays.append((values, None if all(part[1] is None for part in parts) else numpy.concatenate(masks)))
        return PlainBatch(sum(batch.rows for batch in every), arrays, self.columns)

    def filter(self, mask):
        """The rows where the mask is True."""
        places = numpy.flatnonzero(mask)
        arrays = []
        for values, valid in self._arrays:
            chosen = [values[at] for at in places] if isinstance(values, list) else values[places]
            arrays.append((chosen, None if valid is None else valid[places]))
        return PlainBatch(len(places), arrays, self.columns)

    def numbers(self, name):
        """A column as float64 with NaN for missing."""
        values, valid = self._arrays[self.places[name]]
        found = numpy.asarray(values, dtype=float)
        if valid is not None:
            found = numpy.where(valid, found, numpy.nan)
        return found

    def dates(self, name):
        """A column as datetime64[ms] in UTC with NaT for missing."""
        values, valid = self._arrays[self.places[name]]
        found = numpy.asarray(values).astype("datetime64[ms]")
        return found if valid is None else numpy.where(valid, found, numpy.datetime64("NaT", "ms"))

    def raw(self, name):
        """A column as numpy has it by itself, and which values are there (None for all)."""
        values, valid = self._arrays[self.places[name]]
        if isinstance(values, list):
            texts = numpy.empty(len(values), dtype=object)
            texts[:] = values
            return texts, valid
        return values, valid

    def distinct(self, name):
        """The texts of a column that are there at all, and for each row the place of its own; -1 for missing."""
        values, valid = self._arrays[self.places[name]]
        if not isinstance(values, list):
            return _distinct(numpy.asarray(values), valid)
        known = {}
        places = numpy.array([-1 if v is None else known.setdefault(v, len(known)) for v in values], dtype=numpy.int64)
        return _without_empty(list(known), places)


def _distinct(values, valid):
    found, places = numpy.unique(values, return_inverse=True)
    places = places.astype(numpy.int64)
    if valid is not None:
        places[~valid] = -1
    texts = [text_of(value) for value in found.tolist()]
    return _without_empty(texts, places)


def text_of(value):
    """A value as the text of its category; None is one, too: empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value != value:
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return str(value)


def _without_empty(texts, places):
    if "" in texts:
        empty = texts.index("")
        places = numpy.where(places == empty, -1, places)
    return texts, places


class BatchWriter:
    """Writes a dataset: the columns of batches with others behind them, in bounded memory."""

    def __init__(self, dataset, passed, added):
        # `added` are dicts of name and type; `passed` are columns of the batches.
        self._passed, self._added = passed, added
        dataset.write_schema(passed + added)
        what = "the writing of dataset " + dataset.short_name
        path = encode("datasets", dataset.short_name, "data") + "?format=arrow"
        self._upload = Upload(path, what, "application/vnd.apache.arrow.stream")
        self._writer = None
        columns = passed + added
        if pyarrow() is not None:
            self._schema = pyarrow().schema([(c["name"], arrow_type(c["type"])) for c in columns])
            self._writer = pyarrow().ipc.new_stream(self._upload, self._schema)
        else:
            from dataiku.core.plain_arrow import Writer

            self._writer = Writer(self._upload, [(c["name"], _PLAIN.get(c["type"], "text")) for c in columns])

    def write(self, batch, values):
        """Writes a batch, with an array or a list of texts for each added column."""
        if pyarrow() is not None:
            self._write_arrow(batch, values)
            return
        arrays = [batch._arrays[batch.places[column["name"]]] for column in self._passed]
        arrays = [_micros(pair) if column["type"] == "date" else pair for column, pair in zip(self._passed, arrays)]
        arrays += [(each if isinstance(each, list) else numpy.asarray(each), None) for each in values]
        self._writer.write(batch.rows, arrays)

    def _write_arrow(self, batch, values):
        arrow = pyarrow()
        arrays = []
        for field, column in zip(self._schema, self._passed):
            data = batch._column(column["name"])
            arrays.append(data if data.type == field.type else data.cast(field.type, safe=False))
        for field, each in zip(list(self._schema)[len(self._passed) :], values):
            arrays.append(each if isinstance(each, arrow.Array) else arrow.array(each, field.type))
        self._writer.write_batch(arrow.record_batch(arrays, schema=self._schema))

    def finish(self):
        """Ends the dataset; only then does it count."""
        self._writer.close()
        self._upload.finish()

    def abort(self):
        """Breaks it off, if it hasn't been finished: nothing of it counts then."""
        self._upload.abort()


def _micros(pair):
    values, valid = pair
    return numpy.asarray(values).astype("datetime64[us]").astype("int64"), valid
