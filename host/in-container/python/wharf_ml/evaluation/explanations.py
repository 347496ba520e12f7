"""Explanations: which columns the predictions depend on, and how."""

import functools
import time

import numpy as np
import pandas as pd

from wharf_ml.evaluation import metrics, outcomes, partial_dependence, plain, replicas, settings

ROWS = 10_000
FEATURES = 200
REPEATS = 5
#: Seconds for permuting, after which what is there must do. Results depend on it only where they say so.
SECONDS = 300
#: Rows, and columns at most, of the first look that chooses among too many columns.
ROWS_OF_FIRST_LOOK = 1_000
COLUMNS_OF_FIRST_LOOK = 2_000


def explain(predictor, X, y, task, context):
    """Permutation importances of the input columns, and the partial dependence of the most important ones.

    Importance is how much worse the task's metric gets when a column's values are shuffled between rows.
    """
    kind = settings.prediction_type(task)
    X, y, notes = _sample(X, y, kind, context)
    found = {
        "prediction_type": kind,
        "rows": len(X),
        "notes": notes,
        "why_not": None,
        "importances": [],
        "partial_dependence": [],
    }
    names = settings.input_columns(X, task, predictor)
    if not len(X) or not names:
        found["why_not"] = (
            "there are no rows" if not len(X) else "the model has no input columns among those of the rows"
        )
        return plain.clean(found)
    found["importances"], about = _importances(predictor, X, y, names, task, context, notes)
    found.update(about)
    order = [entry["feature"] for entry in found["importances"]] or names
    by_text = {plain.text(name): name for name in names}
    found["partial_dependence"] = partial_dependence.of(
        predictor, X, [by_text[name] for name in order if name in by_text], task, context
    )
    return plain.clean(found)


def _sample(X, y, kind, context):
    notes = []
    if kind != "clustering":
        y = pd.Series(np.asarray(y, dtype=object))
        kept = y.notna().to_numpy()
        if not kept.all():
            X, y = X[kept], y[kept]
    if len(X) > ROWS:
        rows = np.sort(settings.generator(context, "explain").choice(len(X), ROWS, replace=False))
        notes.append("Computed on %d of %d rows, chosen at random." % (ROWS, len(X)))
        X, y = X.iloc[rows], None if kind == "clustering" else y.iloc[rows]
    return X, None if kind == "clustering" else y, notes


class _Scorer:
    """The task's metric of the model's answers, always as "greater is better"."""

    def __init__(self, predictor, X, y, task):
        self._predictor = predictor
        self.name, self.label, self.why_not, self.sign = None, None, None, 1
        if task["prediction_type"] == "clustering":
            self._labels = outcomes.labels_of(predictor, X)
            self.name, self.label = "stability", "Share of rows that stay in their cluster"
            self._score = lambda rows: float((outcomes.labels_of(predictor, rows) == self._labels).mean())
            return
        # A metric that these rows have no value for is replaced by one that nearly all rows have.
        spare = {"regression": "mse"}.get(task["prediction_type"], "accuracy")
        for name in (metrics.main_metric(task).name, spare):
            chosen = metrics.metric(name, task)
            made = outcomes.of(predictor, X, y, None, task, chosen.needs)
            try:
                chosen.value(made)
            except metrics.Unavailable as error:
                self.why_not = "%s has no value for these rows (%s)." % (chosen.label, error)
                continue
            self.name, self.label = chosen.name, chosen.label
            self.sign = 1 if chosen.greater_is_better else -1
            self._score = functools.partial(self._changed, chosen, made)
            return

    def _changed(self, metric, made, rows):
        return self.sign * replicas.once(metric.name, outcomes.again(made, self._predictor, rows, metric.needs))

    def __call__(self, rows):
        return self._score(rows)


def _importances(predictor, X, y, names, task, context, notes):
    score = _Scorer(predictor, X, y, task)
    about = {"metric": score.name, "metric_label": score.label, "repeats": REPEATS, "features_in_all": len(names)}
    if score.why_not:
        notes.append(score.why_not)
    if score.name is None:
        return [], about
    generator = settings.generator(context, "importances")
    end = time.monotonic() + SECONDS
    if len(names) > FEATURES:
        names = _first_look(predictor, X, y, names, task, generator, end)
        notes.append("Importances are of %d of %d columns." % (len(names), about["features_in_all"]))
    baseline = score(X)
    about["baseline"] = baseline * score.sign
    drops = {name: [] for name in names}
    settings.progress(context, "permuting %d columns of %d rows, %d times" % (len(names), len(X), REPEATS))
    for _ in range(REPEATS):
        for name in names:
            # Drawn in any case, so that one column's time doesn't change another column's numbers.
            order = generator.permutation(len(X))
            if time.monotonic() < end:
                drops[name].append(baseline - score(_shuffled(X, name, order)))
    short = sum(len(found) < REPEATS for found in drops.values())
    if short:
        notes.append("After %d seconds %d columns had been permuted less than %d times." % (SECONDS, short, REPEATS))
    found = [
        {"feature": plain.text(name), "mean": _level(np.mean(drop)), "std": np.std(drop), "repeats": len(drop)}
        for name, drop in drops.items()
        if drop and np.isfinite(drop).all()
    ]
    return sorted(found, key=lambda entry: -entry["mean"]), about


def _level(mean):
    # What rounding leaves of two equal scores is nothing.
    return 0.0 if abs(mean) < 1e-12 else float(mean)


def _shuffled(X, name, order):
    # A shallow copy: the other columns are shared, whatever their size.
    changed = X.copy(deep=False)
    changed[name] = X[name].iloc[order].set_axis(X.index)
    return changed


def _first_look(predictor, X, y, names, task, generator, end):
    """The columns that change most when they are shuffled once, of a few rows; in the order of the table."""
    few = X.iloc[:ROWS_OF_FIRST_LOOK]
    score = _Scorer(predictor, few, None if y is None else y.iloc[:ROWS_OF_FIRST_LOOK], task)
    if score.name is None:
        return names[:FEATURES]
    baseline, drops = score(few), []
    for name in names[:COLUMNS_OF_FIRST_LOOK]:
        order = generator.permutation(len(few))
        # Half of the time is for the permutations that count.
        drops.append(baseline - score(_shuffled(few, name, order)) if time.monotonic() < end - SECONDS / 2 else 0.0)
    chosen = np.argsort(-np.nan_to_num(np.asarray(drops)), kind="stable")[:FEATURES]
    return [names[at] for at in sorted(chosen)]
