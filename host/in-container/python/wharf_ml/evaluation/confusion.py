"""The confusion matrix, and what it says of each class."""

import numpy as np

from wharf_ml.evaluation import intervals, plain

#: Classes that a matrix has at most; all smaller ones are one, "(other)".
MOST_CLASSES = 100
WORST = 20


def matrix(made):
    """Rows (by weight, where there are weights) by true class and predicted class."""
    if not made.rows:
        return {"why_not": "there are no rows"}
    size = len(made.labels)
    pairs = made.truth * size + made.predicted
    table = np.bincount(pairs, weights=made.weight, minlength=size * size).reshape(size, size)
    labels = [plain.label(name) for name in made.labels]
    found = {"labels": labels, "matrix": table, "known": made.known, "other": None, "worst": _worst(table, labels)}
    if size > MOST_CLASSES:
        kept = np.sort(np.argsort(-(table.sum(axis=0) + table.sum(axis=1)), kind="stable")[: MOST_CLASSES - 1])
        place = np.full(size, MOST_CLASSES - 1)
        place[kept] = np.arange(len(kept))
        small = np.zeros((MOST_CLASSES, MOST_CLASSES))
        np.add.at(small, (place[:, None], place[None, :]), table)
        found.update(matrix=small, labels=[labels[code] for code in kept] + ["(other)"], other=size - len(kept))
    # Counts stay whole numbers.
    found["matrix"] = found["matrix"].astype(int) if made.weight is None else found["matrix"]
    return found


def _worst(table, labels):
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    pairs = [(code // len(labels), code % len(labels)) for code in order]
    return [
        {"true": labels[true], "predicted": labels[said], "rows": plain.number(wrong[true, said])}
        for true, said in pairs
        if wrong[true, said] > 0
    ]


def per_class(made, curves):
    """Precision, recall, F1 and the area under the ROC curve of each class."""
    from sklearn import metrics as sk

    if not made.rows:
        return []
    codes = np.arange(len(made.labels))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        made.truth, made.predicted, labels=codes, sample_weight=made.weight, zero_division=0
    )
    table = np.bincount(made.truth * len(codes) + made.predicted, minlength=len(codes) ** 2).reshape(len(codes), -1)
    found = []
    for code in codes:
        rows, said, both = table[code].sum(), table[:, code].sum(), table[code, code]
        exact = made.weight is None
        entry = {
            "class": plain.label(made.labels[code]),
            "known": bool(code < made.known),
            "rows": plain.number(support[code]),
            "precision": plain.number(precision[code]) if said else None,
            "precision_interval": intervals.wilson(both, said) if exact else None,
            "recall": plain.number(recall[code]) if rows else None,
            "recall_interval": intervals.wilson(both, rows) if exact else None,
            "f1": plain.number(f1[code]) if rows or said else None,
            "roc_auc": None,
        }
        if made.proba is not None and code < made.known:
            known = ~made.unknown
            hit = made.truth[known] == code
            if 0 < hit.sum() < len(hit):
                weight = None if made.weight is None else made.weight[known]
                entry["roc_auc"] = plain.number(sk.roc_auc_score(hit, made.proba[known, code], sample_weight=weight))
        entry.update(curves.get(int(code), {}))
        found.append(entry)
    return found
