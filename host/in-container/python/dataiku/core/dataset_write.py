"""Writing a dataset: row by row, or dataframe by dataframe, in bounded memory."""

import sys

from dataiku.core import at_exit
from dataiku.core.connection import PIECE, DataikuException, Upload, encode
from dataiku.core.frame_write import match_columns, write_csv
from dataiku.core.row_text import header, line


class DatasetWriter:
    """Writes the rows of an output, replacing what the run wrote there before.

    Use it in a ``with`` block: an exception in the block breaks the writing off, and nothing of it counts. One that has
    rows and isn't closed is closed when the process ends.
    """

    def __init__(self, dataset):
        self._dataset = dataset
        self._columns = None
        self._upload = None
        self._lines = []
        self._size = 0
        self._closed = False
        self._warned = False

    def write_tuple(self, row):
        """Writes one row, its values in the order of the schema."""
        self._open()
        if len(row) != len(self._columns):
            raise DataikuException(
                "a row with %d values doesn't fit the %d columns of %s"
                % (len(row), len(self._columns), self._dataset.name)
            )
        text = line(row, self._kinds)
        self._lines.append(text)
        self._size += len(text)
        if self._size >= PIECE:
            self._flush()

    def write_row_array(self, row):
        """The same as ``write_tuple``."""
        self.write_tuple(row)

    def write_row_dict(self, row_dict):
        """Writes one row from a dict: a column that isn't in it is null.

        A key that isn't a column is left out, as in DSS; a warning says so once.
        """
        self._open()
        if not self._warned:
            unknown = [key for key in row_dict if key not in self._places]
            if unknown:
                self._warned = True
                sys.stdout.flush()
                sys.stderr.write(
                    "warning: %r isn't a column of %s and isn't written; it has: %s\n"
                    % (unknown[0], self._dataset.name, ", ".join(column["name"] for column in self._columns))
                )
        self.write_tuple([row_dict.get(column["name"]) for column in self._columns])

    def write_dataframe(self, df):
        """Writes the rows of a dataframe. Without a schema before it, the first one sets the schema."""
        if self._columns is None and not self._dataset.has_schema():
            self._dataset.write_schema_from_dataframe(df)
        self._open()
        self._flush()
        write_csv(match_columns(df, self._columns), self._columns, self._upload, with_header=False)

    def close(self):
        """Ends the writing; only then do its rows count. Closing twice is no error."""
        if self._closed:
            return
        self._open()
        self._flush()
        self._closed = True
        at_exit.forget(self)
        self._upload.finish()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.close()
        else:
            self._abort()

    def _open(self):
        if self._closed:
            raise DataikuException("the writer of %s is already closed" % self._dataset.name)
        if self._upload is None:
            self._columns = self._dataset.columns_to_write()
            self._kinds = [column["type"] for column in self._columns]
            self._places = {column["name"] for column in self._columns}
            self._upload = Upload(
                encode("datasets", self._dataset.short_name, "data") + "?format=csv",
                "the writing of dataset " + self._dataset.short_name,
                "text/csv",
            )
            at_exit.send_at_exit(self, "close")
            self._upload.write(header(self._columns).encode("utf-8"))

    def _flush(self):
        if self._lines:
            text = "".join(self._lines)
            self._lines = []
            self._size = 0
            self._upload.write(text.encode("utf-8"))

    def _abort(self):
        self._closed = True
        at_exit.forget(self)
        if self._upload is not None:
            self._upload.abort()
