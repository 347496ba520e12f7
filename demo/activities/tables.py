"""Writes the tables that scikit-learn carries along."""

import dataiku
from sklearn import datasets

for name in ("wine", "breast_cancer", "digits", "diabetes"):
    table = getattr(datasets, "load_" + name)(as_frame=True)
    frame = table.frame.rename(columns=lambda column: column.replace(" ", "_").replace("/", "_"))
    if "target_names" in table and name != "digits":
        frame["target"] = frame["target"].map(dict(enumerate(table.target_names)))
    dataiku.Dataset(name).write_with_schema(frame)
    print(f"{name}: {len(frame)} rows, {len(frame.columns)} columns")
