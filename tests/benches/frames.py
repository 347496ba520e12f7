"""What the benchmark `data` times inside: a recipe, which prints `TIME NAME SECONDS`.

``DATE`` stands in front of it: the column of dates, or an empty text.
"""

import os
import shutil
import sys
import tempfile
import time

import dataiku
import pandas
from dataiku.core.connection import Upload, encode, open_body

PIECE = 1 << 20


def timed(name, work):
    started = time.perf_counter()
    done = work()
    print("TIME", name, time.perf_counter() - started, flush=True)
    return done


def body(name, form):
    return open_body(encode("datasets", name, "data") + "?format=" + form, "the dataset " + name)


def drain(stream):
    with stream:
        while stream.read(PIECE):
            pass


def send(name, form, path):
    upload = Upload(encode("datasets", name, "data") + "?format=" + form, "the dataset " + name)
    with open(path, "rb") as stream:
        shutil.copyfileobj(stream, upload, PIECE)
    upload.finish()


try:
    import pyarrow
    print("pandas", pandas.__version__, "with pyarrow", pyarrow.__version__)
except ImportError:
    pyarrow = None
    print("pandas", pandas.__version__, "without pyarrow")

folder = tempfile.mkdtemp()
local, arrow, written = (os.path.join(folder, name) for name in ("table.csv", "table.arrow", "written.csv"))
table, out = dataiku.Dataset("table"), dataiku.Dataset("out")

# The first request for the types of a foreign CSV file reads all of it.
timed("types", table.read_schema)
for name, form, path in (("table", "csv", local), ("table", "arrow", arrow)):
    with body(name, form) as stream, open(path, "wb") as to:
        shutil.copyfileobj(stream, to, PIECE)
out.write_schema(table.read_schema())

for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
    timed("csv in", lambda: drain(body("table", "csv")))
    timed("arrow in", lambda: drain(body("table", "arrow")))
    timed("csv out", lambda: send("out", "csv", local))
    timed("arrow out", lambda: send("out", "arrow", arrow))
    timed("parquet out", lambda: (dataiku.Dataset("packed").write_schema(table.read_schema()),
                                  send("packed", "arrow", arrow)))
    timed("parquet in", lambda: drain(body("packed", "arrow")))
    frame = timed("read_csv", lambda: pandas.read_csv(local))
    frame = None
    if DATE:
        frame = timed("read_csv, dates", lambda: pandas.read_csv(local, parse_dates=[DATE]))
        frame = None
    if pyarrow:
        # The fastest that pandas has.
        frame = timed("read_csv, pyarrow", lambda: pandas.read_csv(local, engine="pyarrow"))
        frame = None
    frame = timed("get_dataframe", table.get_dataframe)
    timed("to_csv", lambda: frame.to_csv(written, index=False))
    timed("write_with_schema", lambda: out.write_with_schema(frame))
    frame = None
shutil.rmtree(folder)
