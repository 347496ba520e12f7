"""Partial dependence: the mean prediction when one column has the same value in every row."""

import time

import numpy as np
import pandas as pd

from wharf_ml.evaluation import columns, outcomes, plain, settings

ROWS = 1_000
FEATURES = 10
GRID = 20
CATEGORIES = 12
#: Classes of a multiclass model that are shown: the most frequent ones.
CLASSES = 5
#: Rows that are given to the model at once.
ROWS_AT_ONCE = 20_000
SECONDS = 120


def of(predictor, X, names, task, context):
    """For each of the first few columns: its values, and the mean prediction at each."""
    kind = settings.prediction_type(task)
    if kind == "clustering":
        return []
    if len(X) > ROWS:
        X = X.iloc[np.sort(settings.generator(context, "partial").choice(len(X), ROWS, replace=False))]
    ask, outputs = _answer(predictor, X, kind)
    settings.progress(context, "partial dependence of %d columns" % min(len(names), FEATURES))
    end = time.monotonic() + SECONDS
    found = []
    for name in names[:FEATURES]:
        if time.monotonic() > end:
            found.append({"feature": plain.text(name), "why_not": "there was no time left for it"})
            continue
        found.append(dict(_of_column(ask, X, name, task), feature=plain.text(name), rows=len(X), outputs=outputs))
    return found


def _answer(predictor, X, kind):
    """A function from rows to numbers, and what its columns are."""
    if kind == "regression":
        return (lambda rows: np.asarray(predictor.predict(rows), dtype=float)[:, None]), ["prediction"]
    classes = list(predictor.classes_)
    first = outcomes.probabilities(predictor, X)
    if first is None:
        said = pd.Index(classes, dtype=object).get_indexer(pd.Index(np.asarray(predictor.predict(X), dtype=object)))
        sizes = np.bincount(said[said >= 0], minlength=len(classes))
    else:
        sizes = first.sum(axis=0)
    chosen = [len(classes) - 1] if kind == "binary" else np.sort(np.argsort(-sizes, kind="stable")[:CLASSES])
    labels = [plain.label(classes[code]) for code in chosen]
    if first is not None:
        return (lambda rows: outcomes.probabilities(predictor, rows)[:, chosen]), labels

    def shares(rows):
        said = np.asarray(predictor.predict(rows), dtype=object)
        return np.stack([said == classes[code] for code in chosen], axis=1).astype(float)

    return shares, labels


def _of_column(ask, X, name, task):
    values = X[name].dropna()
    kind = columns.kind_of(X[name], settings.features(task).get(name))
    if not len(values):
        return {"why_not": "the column has no values in these rows"}
    if kind == "text":
        return {"why_not": "the column is text"}
    if kind in ("numeric", "date"):
        # Values that are there, so that whole numbers stay whole and dates stay dates.
        ordered = values.sort_values(kind="stable").reset_index(drop=True)
        at = np.unique(np.round(np.linspace(0.02, 0.98, GRID) * (len(ordered) - 1)).astype(int))
        grid = ordered.iloc[at].drop_duplicates()
        shown = plain.numbers(pd.to_numeric(grid)) if kind == "numeric" else [plain.text(value) for value in grid]
        share = None
    else:
        counts = values.astype(object).value_counts()
        # Of equally frequent ones always the same: by name.
        counts = counts.iloc[np.lexsort((counts.index.astype(str), -counts.to_numpy()))].iloc[:CATEGORIES]
        if not counts.index.is_unique or counts.iloc[0] <= 1 and len(values) > CATEGORIES:
            return {"why_not": "nearly every row has a value of its own"}
        grid = pd.Series(counts.index, dtype=object)
        shown = [plain.label(value) for value in counts.index]
        share = plain.numbers(counts / len(X))
    means = _means(ask, X, name, grid)
    return {
        "kind": kind,
        "values": shown,
        "share": share,
        "means": [plain.numbers(column) for column in means.T],
        "why_not": None,
    }


def _means(ask, X, name, grid):
    at_once = max(1, ROWS_AT_ONCE // len(X))
    found = []
    for start in range(0, len(grid), at_once):
        part = grid.iloc[start : start + at_once]
        # Rows keep their index: a model of folds knows its rows by it.
        stacked = pd.concat([X] * len(part))
        column = pd.Series(part.repeat(len(X)).to_numpy(), index=stacked.index)
        try:
            stacked[name] = column.astype(X[name].dtype)
        except (TypeError, ValueError):
            stacked[name] = column
        found.append(np.asarray(ask(stacked)).reshape(len(part), len(X), -1).mean(axis=1))
    return np.concatenate(found)
