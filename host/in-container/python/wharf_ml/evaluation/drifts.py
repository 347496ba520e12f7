"""Drift: how far the columns of new data are from those that a model was trained on."""

import numpy as np
import pandas as pd
from scipy import stats

from wharf_ml.evaluation import columns, plain, settings

BINS = 10
CATEGORIES = 100
#: Points of the distribution that a profile keeps of each column; fewer where there are many columns.
POINTS = 400
POINTS_IN_ALL = 100_000
NEW_CATEGORIES = 20
#: What a population stability index means, as the field reads it.
SOME, STRONG = 0.1, 0.25
#: A share of nothing has no logarithm.
_SMALLEST = 1e-4


def _as_numbers(values):
    """Finite numbers of a column, and how many of its values weren't any."""
    if pd.api.types.is_datetime64_any_dtype(values):
        found = values.dropna()
        found = (
            (found.dt.tz_localize(None) if found.dt.tz is not None else found).astype("datetime64[s]").astype("int64")
        )
        return found.to_numpy(dtype=float), 0
    found = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(found)
    return found[finite], int(values.notna().sum() - finite.sum())


def _as_texts(values):
    return values.dropna().astype(object).map(lambda value: str(plain.label(value)))


def profile(X, task):
    """What `drift` must know of the training data: shares of bins and categories of each column, never rows."""
    known = settings.features(task)
    names = settings.input_columns(X, task)
    points = int(np.clip(POINTS_IN_ALL // max(1, len(names)), 20, POINTS))
    found = {}
    for name in names:
        kind = columns.kind_of(X[name], known.get(name))
        found[str(name)] = _profile(X[name], kind, points)
    # Names of columns stay whole, since they are looked up again.
    return {"rows": len(X), "features": {name: plain.clean(entry) for name, entry in found.items()}}


def _profile(values, kind, points):
    entry = {"kind": kind, "missing": float(values.isna().mean()) if len(values) else None}
    if kind in ("numeric", "date"):
        found, _ = _as_numbers(values)
        entry["values"] = len(found)
        if len(found):
            entry["mean"], entry["std"] = found.mean(), found.std()
            entry["quantiles"] = np.quantile(found, np.linspace(0, 1, points))
            inner = np.unique(np.quantile(found, np.linspace(0, 1, BINS + 1)[1:-1]))
            entry["edges"], entry["shares"] = inner, _shares(found, inner)
    elif kind == "category":
        texts = _as_texts(values)
        counts = texts.value_counts()
        counts = counts.iloc[np.lexsort((counts.index.astype(str), -counts.to_numpy()))]
        entry["values"], entry["distinct"] = len(texts), len(counts)
        top = counts.iloc[:CATEGORIES]
        entry["categories"] = [[name, rows / len(texts)] for name, rows in top.items()]
        entry["complete"] = len(counts) <= CATEGORIES
    else:
        lengths = _lengths(values)
        entry["values"] = len(lengths)
        if len(lengths):
            entry["quantiles"] = np.quantile(lengths, np.linspace(0, 1, points))
            inner = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)[1:-1]))
            entry["edges"], entry["shares"] = inner, _shares(lengths, inner)
    return entry


def _lengths(values):
    return values.dropna().astype(str).str.len().to_numpy(dtype=float)


def _shares(values, inner):
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1) / len(values)


def drift(old_profile, X, task):
    """For each column of the profile: how far the new values are from the old ones, the farthest first."""
    old = (old_profile or {}).get("features") or {}
    by_text = {str(name): name for name in X.columns}
    found = {
        "rows_old": (old_profile or {}).get("rows"),
        "rows": len(X),
        "why_not": None,
        "features": [],
        "new_columns": [plain.text(name) for name in settings.input_columns(X, task) if str(name) not in old][:200],
    }
    if not old:
        found["why_not"] = "the old model has no profile of its training data"
    elif not len(X):
        found["why_not"] = "there are no new rows"
    else:
        for name, entry in old.items():
            column = X[by_text[name]] if name in by_text else None
            found["features"].append(dict(_drift(entry, column, old_profile.get("rows")), feature=plain.text(name)))
        order = {"strong": 0, "some": 1, None: 2, "none": 3}
        found["features"].sort(key=lambda entry: (order[entry["drift"]], -(entry["psi"] or 0)))
    return plain.clean(found)


def _drift(old, values, rows):
    kind = old.get("kind")
    entry = {
        "kind": kind,
        "drift": None,
        "psi": None,
        "psi_by_chance": None,
        "test": None,
        "statistic": None,
        "p_value": None,
        "missing_old": old.get("missing"),
        "missing": None,
        "new_categories": [],
        "share_of_new_categories": None,
        "not_numbers": None,
        "why_not": None,
        "bins": None,
    }
    if values is None:
        return dict(entry, why_not="the new data doesn't have this column")
    entry["missing"] = float(values.isna().mean())
    if not old.get("values"):
        return dict(entry, why_not="the training data had no values of it")
    if kind == "category":
        _of_categories(entry, old, values)
    else:
        found, odd = (_lengths(values), 0) if kind == "text" else _as_numbers(values)
        entry["not_numbers"] = odd / len(values) if odd else None
        if len(found):
            _of_numbers(entry, old, found)
        else:
            entry["why_not"] = "no new value is a number" if odd else "the new data has no values of it"
    moved = abs(entry["missing"] - (entry["missing_old"] or 0.0))
    if entry["psi"] is not None:
        strong, some = (entry["psi"] > max(limit, entry["psi_by_chance"]) for limit in (STRONG, SOME))
        entry["drift"] = "strong" if strong else "some" if some else "none"
    # A column that is half empty now has drifted, however its other values are spread.
    if moved > 0.25 or (entry["not_numbers"] or 0) > 0.25:
        entry["drift"] = "strong"
    elif moved > 0.1 and entry["drift"] != "strong":
        entry["drift"] = "some"
    return entry


def psi(old, new):
    """The population stability index of shares of the same bins."""
    old, new = np.maximum(old, _SMALLEST), np.maximum(new, _SMALLEST)
    return float(((new - old) * np.log(new / old)).sum())


def _by_chance(bins, old_rows, new_rows):
    """What the index exceeds once in a hundred times when nothing has changed: few rows differ by chance alone."""
    return float(stats.chi2.ppf(0.99, max(1, bins - 1)) * (1 / old_rows + 1 / new_rows))


def _of_numbers(entry, old, found):
    inner = np.asarray(old["edges"], dtype=float)
    before, after = np.asarray(old["shares"], dtype=float), _shares(found, inner)
    entry["psi"] = psi(before, after)
    entry["psi_by_chance"] = _by_chance(len(before), old["values"], len(found))
    entry["bins"] = {"edges": plain.numbers(inner), "old": plain.numbers(before), "new": plain.numbers(after)}
    grid = np.asarray(old["quantiles"], dtype=float)
    statistic = _kolmogorov_smirnov(grid, np.sort(found))
    size = old["values"] * len(found) / (old["values"] + len(found))
    entry.update(
        test="Kolmogorov–Smirnov", statistic=statistic, p_value=float(stats.kstwobign.sf(statistic * np.sqrt(size)))
    )


def _kolmogorov_smirnov(grid, found):
    """The largest distance of both distributions, of which the old one is known by its quantiles."""
    levels = np.linspace(0, 1, len(grid))
    at = np.unique(np.concatenate([grid, found[plain.thin(len(found), 5_000)]]))
    # A value that many old rows have is several quantiles: the distribution steps there.
    after_step = np.interp(at, *_last_of(grid, levels, "right"), left=0.0, right=1.0)
    before_step = np.interp(at, *_last_of(grid, levels, "left"), left=0.0, right=1.0)
    new_after = np.searchsorted(found, at, side="right") / len(found)
    new_before = np.searchsorted(found, at, side="left") / len(found)
    return float(max(np.abs(after_step - new_after).max(), np.abs(before_step - new_before).max()))


def _last_of(grid, levels, side):
    values = np.unique(grid)
    if side == "right":
        return values, levels[np.searchsorted(grid, values, side="right") - 1]
    return values, levels[np.searchsorted(grid, values, side="left")]


def _of_categories(entry, old, values):
    texts = _as_texts(values)
    if not len(texts):
        entry["why_not"] = "the new data has no values of it"
        return
    names = [name for name, _ in old["categories"]]
    before = np.array([share for _, share in old["categories"]], dtype=float)
    counts = texts.value_counts()
    after = counts.reindex(names).fillna(0).to_numpy(dtype=float)
    rest = counts[~counts.index.isin(names)]
    # Beyond the categories that a profile keeps nobody knows whether one is new.
    if old.get("complete", True):
        entry["new_categories"] = [plain.text(name) for name in rest.index[:NEW_CATEGORIES]]
        entry["share_of_new_categories"] = float(rest.sum() / len(texts))
    before = np.append(before, max(0.0, 1.0 - before.sum()) if not old.get("complete", True) else 0.0)
    after = np.append(after, rest.sum())
    entry["psi"] = psi(before, after / len(texts))
    entry["psi_by_chance"] = _by_chance(len(before), old["values"], len(texts))
    shown = np.argsort(-(before + after / len(texts)), kind="stable")[:12]
    entry["bins"] = {
        "categories": [(names + ["(other)"])[at] for at in shown],
        "old": plain.numbers(before[shown]),
        "new": plain.numbers(after[shown] / len(texts)),
    }
    _chi_square(entry, before * old["values"], after)


def _chi_square(entry, before, after):
    table = np.stack([before, after])
    total = table.sum()
    expected = table.sum(axis=0) * table.sum(axis=1).min() / total
    # The test isn't one of cells in which next to nothing is expected: they are one together.
    rare = expected < 5
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) <= 0).any():
        return
    statistic, p_value, _, _ = stats.chi2_contingency(table, correction=False)
    entry.update(test="chi²", statistic=float(statistic), p_value=float(p_value))
