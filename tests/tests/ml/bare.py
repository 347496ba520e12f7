"""The work of a scoring as plain scripts do it: reads the file, predicts, writes a file. Says how fast that was.

With pandas, as most are written; and with what is fastest of pyarrow, which few take the trouble for.
"""

import os
import shutil
import sys
import tempfile
import time

import dataiku
import numpy
import pandas
import pyarrow
import pyarrow.csv
from wharf_ml import model_file

CHUNK = 100_000
features = list("abcde")
folder = tempfile.mkdtemp()
source, target = os.path.join(folder, "many.csv"), os.path.join(folder, "scored.csv")
with dataiku.Folder("table").get_download_stream("many.csv") as stream, open(source, "wb") as to:
    shutil.copyfileobj(stream, to, 1 << 20)
pipeline = model_file.load(dataiku.Folder("model").get_path() + "/versions/1/model.skops")

begun = time.monotonic()
rows = high = 0
for chunk in pandas.read_csv(source, chunksize=CHUNK):
    probabilities = pipeline.predict_proba(chunk[features])
    chunk["prediction"] = pipeline.classes_[probabilities.argmax(axis=1)]
    for at, name in enumerate(pipeline.classes_):
        chunk["proba_" + name] = probabilities[:, at]
    chunk.to_csv(target, index=False, mode="a", header=rows == 0)
    rows += len(chunk)
    high += int((chunk["prediction"] == "high").sum())
pandas_speed = rows / (time.monotonic() - begun)

# The same with Arrow from end to end.
arrow = time.monotonic()
# Reading ahead in threads takes more memory than there is.
options = pyarrow.csv.ReadOptions(block_size=2 << 20, use_threads=False)
writer = None
for batch in pyarrow.csv.open_csv(source, read_options=options):
    frame = pandas.DataFrame({name: batch.column(name).to_numpy() for name in features}, copy=False)
    probabilities = pipeline.predict_proba(frame)
    texts = pyarrow.array(pipeline.classes_.tolist()).take(pyarrow.array(probabilities.argmax(axis=1)))
    columns = batch.columns + [texts] + [pyarrow.array(numpy.ascontiguousarray(each)) for each in probabilities.T]
    names = batch.schema.names + ["prediction"] + ["proba_" + name for name in pipeline.classes_]
    scored = pyarrow.RecordBatch.from_arrays(columns, names=names)
    writer = writer or pyarrow.csv.CSVWriter(target, scored.schema)
    writer.write_batch(scored)
writer.close()
arrow = time.monotonic() - arrow

# Without reading and writing: what the pipeline alone takes.
alone = time.monotonic()
for _ in range(10):
    pipeline.predict_proba(chunk[features])
alone = time.monotonic() - alone
print("bare", *map(round, [pandas_speed, rows / arrow, 10 * len(chunk) / alone]), rows, high)
