"""Rows on their way in: CSV, with null and the empty text told apart, which the module ``csv`` can't do."""

import csv
import io
import re

from dataiku.core.connection import DataikuException

_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=,|\Z)')


def read_rows(body, what, single=False):
    """Lists of texts, None for null, from a stream of CSV; the first one is the header.

    ``single`` says that there is one column: an empty line is then a row of one null, and else it is nothing.
    ``what`` names the data in an error.
    """
    lines = io.TextIOWrapper(body, encoding="utf-8", newline="\n")
    with lines:
        for line in lines:
            if '"' not in line:
                line = line.rstrip("\r\n")
                if line:
                    yield [text or None for text in line.split(",")]
                elif single:
                    yield [None]
                continue
            quotes = line.count('"')
            if quotes % 2:
                # The record goes on: a line ends inside of quotes.
                pieces = [line]
                for line in lines:
                    pieces.append(line)
                    quotes += line.count('"')
                    if quotes % 2 == 0:
                        break
                else:
                    raise DataikuException("%s isn't valid CSV: it ends inside of quotes" % what)
                line = "".join(pieces)
            yield _fields(line[: -2 if line.endswith("\r\n") else -1] if line.endswith("\n") else line, what)


def _fields(record, what):
    fields = []
    at = 0
    while True:
        if record.startswith('"', at):
            found = _QUOTED.match(record, at)
            if found is None:
                raise DataikuException("%s isn't valid CSV near %r" % (what, record[at : at + 60]))
            fields.append(found.group(1).replace('""', '"'))
            at = found.end()
        else:
            end = record.find(",", at)
            end = len(record) if end < 0 else end
            fields.append(record[at:end] or None)
            at = end
        if at >= len(record):
            return fields
        at += 1


class Lines(io.RawIOBase):
    """Rows of texts as a binary stream in one of Excel's dialects."""

    def __init__(self, rows, delimiter):
        super().__init__()
        self._rows = rows
        self._delimiter = delimiter
        self._rest = b""

    def readable(self):
        """Always."""
        return True

    def readinto(self, buffer):
        """Fills the buffer with as much as is ready."""
        if not self._rest:
            text = io.StringIO()
            writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
            for _, row in zip(range(1000), self._rows):
                writer.writerow(row)
            self._rest = text.getvalue().encode("utf-8")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self):
        """Ends the reading too."""
        if not self.closed:
            self._rows.close()
        super().close()
