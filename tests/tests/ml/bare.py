"""The work of a scoring as a plain script does it: reads the file, predicts, writes a file. Says how fast it was."""

import os
import shutil
import sys
import tempfile
import time

started = time.monotonic()

import dataiku
import pandas
from wharf_ml import model_file

CHUNK = 100_000
features = list("abcde")
folder = tempfile.mkdtemp()
source, target = os.path.join(folder, "many.csv"), os.path.join(folder, "scored.csv")
waiting = time.monotonic()
with dataiku.Folder("table").get_download_stream("many.csv") as stream, open(source, "wb") as to:
    shutil.copyfileobj(stream, to, 1 << 20)
# A script has its file.
started += time.monotonic() - waiting
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
ended = time.monotonic()

# Without reading and writing: what the pipeline alone takes.
alone = time.monotonic()
for _ in range(10):
    pipeline.predict_proba(chunk[features])
alone = time.monotonic() - alone
print("bare", round(rows / (ended - begun)), round(rows / (ended - started)), round(10 * len(chunk) / alone), rows, high)
