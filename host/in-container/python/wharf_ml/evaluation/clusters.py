"""Clusters: how well they are apart, how large they are, and what is special about each."""

import numpy as np
import pandas as pd
from scipy import sparse

from wharf_ml.evaluation import intervals, metrics, outcomes, plain, settings

POINTS = 600
#: Clusters that are described, the largest first, and columns that each is described by.
MOST_CLUSTERS = 50
COLUMNS_OF_CLUSTER = 8
#: Columns that are looked at; more would be as slow as reading them is useless.
MOST_COLUMNS = 500
_ROWS_AT_ONCE = 50_000


def cluster(predictor, X_transformed, labels, task, context, X=None):
    """Silhouette, inertia and sizes, a profile of each cluster, and a map of the rows.

    ``X_transformed`` are the rows as the algorithm sees them; with ``X``, profiles are of the input columns.
    """
    labels = np.asarray(labels)
    settings.progress(context, "describing the clusters of %d rows" % len(labels))
    matrix = (
        X_transformed if sparse.issparse(X_transformed) or hasattr(X_transformed, "iloc") else np.asarray(X_transformed)
    )
    if matrix.shape[0] != len(labels):
        raise ValueError("there are %d labels for %d rows" % (len(labels), matrix.shape[0]))
    found = {
        "split": "train",
        "prediction_type": "clustering",
        "rows": len(labels),
        "main_metric": metrics.main_metric(task).name,
        "why_not": None,
        "notes": [],
        "metrics": {},
        "clusters": [],
    }
    if not len(labels):
        found["why_not"] = "there are no rows"
        return plain.clean(found)
    made = outcomes.Outcomes("clustering", None, labels, matrix=matrix)
    made.seed = settings.seed(context)
    found["metrics"] = {metric.name: intervals.describe(metric, made) for metric in metrics.metrics_of("clustering")}
    intervals.add(found["metrics"], made, context)
    if len(labels) > metrics.SILHOUETTE_ROWS:
        found["notes"].append("The silhouette is that of %d rows chosen at random." % metrics.SILHOUETTE_ROWS)
    noise = int((labels == -1).sum())
    if noise:
        found["notes"].append("%d rows are in no cluster (label -1); metrics leave them out." % noise)
    found["clusters"], found["clusters_in_all"] = _profiles(predictor, matrix, labels, X)
    found["map"] = _map(matrix, labels, context)
    return plain.clean(found)


def inertia(matrix, labels):
    """The squared distances of rows to the mean of their cluster, in all."""
    total = 0.0
    for label in np.unique(labels):
        rows = metrics.take_rows(matrix.tocsr() if sparse.issparse(matrix) else matrix, np.flatnonzero(labels == label))
        if sparse.issparse(rows):
            mean = np.asarray(rows.mean(axis=0)).ravel()
            total += float(rows.multiply(rows).sum() - rows.shape[0] * (mean**2).sum())
            continue
        rows = np.asarray(rows, dtype=float)
        mean = rows.mean(axis=0)
        for at in range(0, len(rows), _ROWS_AT_ONCE):
            total += float(((rows[at : at + _ROWS_AT_ONCE] - mean) ** 2).sum())
    return total


def _profiles(predictor, matrix, labels, X):
    names, sizes = np.unique(labels, return_counts=True)
    kept = names[np.argsort(-sizes, kind="stable")][:MOST_CLUSTERS]
    columns = list(_columns(predictor, matrix, X))
    found = []
    for name in sorted(kept):
        within = labels == name
        entry = {"cluster": plain.label(name), "rows": int(within.sum()), "share": float(within.mean())}
        found.append(dict(entry, columns=_special(columns, within)))
    return found, len(names)


def _columns(predictor, matrix, X):
    """Name, kind and values of columns: those of the input where there is one, else those of the matrix."""
    table = X if X is not None else matrix if hasattr(matrix, "iloc") else None
    if table is not None:
        wanted = getattr(predictor, "feature_names", None) if X is not None else None
        names = [name for name in table.columns if wanted is None or name in set(wanted)]
        for name in names[:MOST_COLUMNS]:
            values = table[name]
            if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
                yield plain.text(name), "numeric", values.to_numpy(dtype=float, na_value=np.nan)
            elif not pd.api.types.is_datetime64_any_dtype(values):
                texts = values.astype(object).where(values.notna(), "(missing)").astype(str)
                codes, categories = pd.factorize(texts)
                yield plain.text(name), "category", (codes, [plain.text(category) for category in categories])
        return
    width = min(matrix.shape[1] if matrix.ndim > 1 else 1, MOST_COLUMNS)
    names = getattr(predictor, "transformed_names", None)
    names = names if names is not None and len(names) >= width else ["column %d" % (at + 1) for at in range(width)]
    some = matrix[:, :width]
    some = some.toarray() if sparse.issparse(some) and some.shape[0] * width <= 20_000_000 else some
    for at in range(width):
        column = some[:, [at]].toarray().ravel() if sparse.issparse(some) else some[:, at]
        yield plain.text(names[at]), "numeric", np.asarray(column, dtype=float)


def _special(columns, within):
    """The columns in which a cluster differs most from all rows, in standard deviations."""
    found = []
    for name, kind, values in columns:
        if kind == "numeric":
            known = np.isfinite(values)
            here = values[within & known]
            spread = values[known].std() if known.any() else 0.0
            if not len(here) or not spread > 0:
                continue
            mean, overall = here.mean(), values[known].mean()
            found.append(
                {
                    "column": name,
                    "kind": kind,
                    "mean": mean,
                    "overall": overall,
                    "difference": (mean - overall) / spread,
                }
            )
            continue
        codes, categories = values
        overall = np.bincount(codes, minlength=len(categories)) / len(codes)
        here = np.bincount(codes[within], minlength=len(categories)) / within.sum()
        apart = (here - overall) / np.sqrt(np.maximum(overall * (1 - overall), 1e-12))
        at = int(np.argmax(np.abs(apart)))
        if len(categories) > 1:
            found.append(
                {
                    "column": name, "kind": kind, "category": categories[at], "mean": here[at], "overall": overall[at],
                    "difference": apart[at],
                }
            )  # fmt: skip
    found.sort(key=lambda entry: -abs(entry["difference"]))
    return found[:COLUMNS_OF_CLUSTER]


def _map(matrix, labels, context):
    """Rows in the plane of their first two principal components."""
    from sklearn.decomposition import PCA, TruncatedSVD

    if matrix.shape[0] < 3 or matrix.ndim < 2 or matrix.shape[1] < 2:
        return {"why_not": "a map needs at least three rows and two columns"}
    generator = settings.generator(context, "map")
    rows = np.arange(len(labels))
    if len(labels) > 5_000:
        rows = np.sort(generator.choice(len(labels), 5_000, replace=False))
    some = metrics.take_rows(matrix.tocsr() if sparse.issparse(matrix) else matrix, rows)
    if sparse.issparse(some):
        if some.shape[1] < 3:
            some = some.toarray()
        else:
            fitted = TruncatedSVD(2, random_state=settings.seed(context))
    if not sparse.issparse(some):
        some = np.asarray(some, dtype=float)
        fitted = PCA(2, random_state=settings.seed(context))
    try:
        with np.errstate(all="ignore"):
            places = fitted.fit_transform(some)
    except ValueError as error:
        return {"why_not": "the rows have no principal components: %s" % plain.text(error)}
    kept = plain.thin(len(rows), POINTS) if len(rows) > POINTS else np.arange(len(rows))
    share = fitted.explained_variance_ratio_
    return {
        "x": plain.numbers(places[kept, 0], 5),
        "y": plain.numbers(places[kept, 1], 5),
        "cluster": [plain.label(labels[row]) for row in rows[kept]],
        "explained": [plain.number(part) for part in share],
    }
