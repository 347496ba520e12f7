"""The headline: which model it is, how good, and what was tried."""

import math

from wharf_ml.report import wording
from wharf_ml.report.chart import drawing
from wharf_ml.report.markup import element, join
from wharf_ml.report.tables import table

#: Models of the search that are listed.
MODELS = 40
_HOLD_OUT = ("test", "hold-out", "holdout", "hold_out", "validation", "cross-validation", "k-fold")


def main_split(splits):
    """The split that says most: the hold-out where there is one, never the rows trained on if there are others."""
    by_name = {str(split.get("split", "")).lower(): split for split in splits if not split.get("why_not")}
    for name in _HOLD_OUT:
        if name in by_name:
            return by_name[name]
    others = [
        split for split in splits if not split.get("why_not") and "train" not in str(split.get("split", "")).lower()
    ]
    usable = [split for split in splits if not split.get("why_not")]
    return (others or usable or splits or [None])[0]


def chosen_model(models):
    """The chosen one of the search's results."""
    return next((model for model in models or () if model.get("chosen")), None)


def headline(task, main, models, comparison):
    """The first screen: title, a sentence, and tiles with the numbers that matter."""
    target = task.get("target")
    kind = wording.kind(task.get("prediction_type"))
    title = join("Predicting ", wording.name(target)) if target not in (None, "") else kind
    model = chosen_model(models)
    said = [kind]
    if model:
        said.append(" with ")
        said.append(element("strong", wording.algorithm(model.get("algorithm"))))
        said.append(", the best of %d models tried" % len(models) if len(models) > 1 else "")
    parts = [element("h1", title), element("p", *said, ".")]
    if main is not None and main.get("why_not"):
        parts.append(element("p", "Not evaluated: %s." % main["why_not"], class_="note"))
    tiles = _tiles(task, main, model, comparison)
    if tiles:
        parts.append(element("dl", tiles, class_="tiles"))
    if main is not None:
        sentence = _sentence(main)
        parts.append(element("p", sentence) if sentence else None)
        parts += [element("p", wording.short(note, 400), class_="note") for note in main.get("notes") or ()]
    return parts


def _tile(name, value, more=None, first=False):
    return element("div", element("dt", name), element("dd", value, more), class_="tile first" if first else "tile")


def _tiles(task, main, model, comparison):
    found = []
    if main is not None and not main.get("why_not"):
        entry = (main.get("metrics") or {}).get(main.get("main_metric")) or {}
        within = wording.interval(entry)
        level = wording.percent(entry.get("level"), 0)
        more = element("small", "%s interval: %s" % (level, within) if within else _none(entry))
        found.append(
            _tile(
                join(
                    entry.get("label") or wording.metric(main.get("main_metric")),
                    " on ",
                    wording.name(main.get("split")),
                ),
                wording.number(entry.get("value")),
                [more, _gauge(entry)],
                first=True,
            )
        )
        found.append(_tile("Rows it was measured on", wording.count(main.get("rows"))))
        if wording.is_number(main.get("threshold")):
            found.append(_tile("Threshold", wording.number(main["threshold"])))
        if main.get("classes") and len(main["classes"]) > 2:
            found.append(_tile("Classes", wording.number(len(main["classes"]))))
        if main.get("clusters"):
            found.append(_tile("Clusters", wording.number(main.get("clusters_in_all") or len(main["clusters"]))))
    if model and wording.is_number(model.get("seconds")):
        found.append(_tile("Training", "%s s" % wording.number(model["seconds"], 3)))
    entry = ((comparison or {}).get("metrics") or {}).get((comparison or {}).get("main_metric")) or {}
    if entry.get("verdict"):
        text, style = {"better": ("Better", "good"), "worse": ("Worse", "bad")}.get(
            entry["verdict"], ("No clear difference", "")
        )
        found.append(_tile("Beside the old model", element("span", text, class_=style)))
    return found


def _none(entry):
    reason = entry.get("why_no_interval") or entry.get("why_not")
    return "no interval: %s" % reason if reason else "no interval"


def _gauge(entry):
    """Where value and interval are between 0 and 1, for metrics that live there."""
    value, low, high = entry.get("value"), entry.get("low"), entry.get("high")
    if not all(map(wording.is_number, (value, low, high))) or not (0 <= low <= high <= 1 and 0 <= value <= 1):
        return None
    if entry.get("greater_is_better") is False:
        return None
    place = lambda share: 4 + 232 * share  # noqa: E731
    content = [
        element("line", x1=place(0), x2=place(1), y1=10, y2=10, class_="grid", stroke_width=4),
        element("line", x1=place(low), x2=place(high), y1=10, y2=10, class_="l1", stroke_width=4),
        element("circle", cx=place(value), cy=10, r=6, class_="mark f1"),
        element("text", "0", x=4, y=28, class_="tick"),
        element("text", "1", x=236, y=28, class_="tick end"),
    ]
    return drawing(240, 32, "Score", "The score and its interval between 0 and 1.", content)


def _sentence(main):
    if main.get("prediction_type") == "binary":
        entries = main.get("per_class") or ()
        positive = next((entry for entry in entries if entry["class"] == main.get("positive_class")), None)
        if positive and positive.get("recall") is not None and positive.get("precision") is not None:
            return join(
                "Of 100 rows of the class ",
                wording.name(positive["class"]),
                " it finds %.0f; of 100 rows that it puts there, %.0f belong there."
                % (100 * positive["recall"], 100 * positive["precision"]),
            )
    if main.get("prediction_type") == "multiclass":
        accuracy = ((main.get("metrics") or {}).get("accuracy") or {}).get("value")
        return (
            "It puts %s of the rows into the right class." % wording.percent(accuracy) if accuracy is not None else None
        )
    quantiles = (main.get("residuals") or {}).get("quantiles") or {}
    if wording.is_number(quantiles.get("0.25")) and wording.is_number(quantiles.get("0.75")):
        half = [wording.number(quantiles[name], 3) for name in ("0.25", "0.75")]
        return "Half of its errors (predicted minus true) lie between %s and %s." % tuple(half)
    return None


def models_table(models, main):
    """All models of the search, the best first."""
    greater = (
        ((main or {}).get("metrics") or {}).get((main or {}).get("main_metric"), {}).get("greater_is_better", True)
    )

    def order(model):
        score = model.get("score")
        known = wording.is_number(score)
        return (not known, (-score if greater else score) if known else 0.0)

    ordered = sorted(models, key=order)
    shown = ordered[:MODELS]
    # The chosen one is shown wherever it stands: a person may have chosen it for another reason.
    shown += [model for model in ordered[MODELS:] if model.get("chosen")]
    scores = [model["score"] for model in shown if wording.is_number(model.get("score"))]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    rows, classes = [], []
    for model in shown:
        score = model.get("score")
        name = wording.algorithm(model.get("algorithm"))
        about = model.get("failed") or model.get("error")
        rows.append(
            [
                join(name, " ", element("small", "chosen", class_="good")) if model.get("chosen") else name,
                [wording.number(score, 5), _spread(model.get("std"))],
                _bar(score, low, high, greater),
                "%s s" % wording.number(model.get("seconds"), 3) if wording.is_number(model.get("seconds")) else "–",
                element(
                    "bdi",
                    "failed: %s" % wording.short(about, 200) if about else wording.parameters(model.get("parameters")),
                ),
            ]
        )
        classes.append("chosen" if model.get("chosen") else None)
    caption = "Scores on validation rows; the best first."
    if len(shown) < len(models):
        caption += " %d of %d models." % (len(shown), len(models))
    heads = ["Algorithm", "Score", "", "Time", "Parameters"]
    return table(caption, heads, rows, [False, True, False, True, False], classes, wide=4)


def _spread(std):
    """How much the score differs between folds."""
    return (
        element("small", " ± %s" % wording.number(std, 2), class_="soft")
        if wording.is_number(std) and std > 0
        else None
    )


def _bar(score, low, high, greater):
    """How far a score is from the worst one to the best one shown."""
    if not wording.is_number(score):
        return ""
    share = (score - low) / (high - low) if high > low else 1.0
    share = share if greater else 1 - share if high > low else 1.0
    # The worst one keeps a bit, or it would look like one without a score.
    width = 4 + 56 * (share if math.isfinite(share) else 0.0)
    return element(
        "svg", element("rect", x=0, y=2, width=width, height=10, class_="f1"), width=60, height=14, aria_hidden="true"
    )


def metrics_table(splits):
    """Every metric of every split, with its interval."""
    shown = [split for split in splits if split.get("metrics")]
    if not shown:
        return None
    names = list(dict.fromkeys(name for split in shown for name in split["metrics"]))
    rows, classes = [], []
    for name in names:
        entries = [split["metrics"].get(name) or {} for split in shown]
        label = next((entry["label"] for entry in entries if entry.get("label")), wording.metric(name))
        main = any(split.get("main_metric") == name for split in shown)
        arrow = "↑" if next((e["greater_is_better"] for e in entries if "greater_is_better" in e), True) else "↓"
        classes.append("chosen" if main else None)
        rows.append(
            [
                [element("strong", label) if main else label, " ", element("span", arrow, class_="soft")],
                *map(_cell, entries),
            ]
        )
    heads = ["Metric"] + [wording.name(split.get("split")) for split in shown]
    caption = "With 95\u202f% intervals below, where they mean something. ↑: more is better, ↓: less is better."
    return table(caption, heads, rows, [False] + [True] * len(shown), classes)


def _cell(entry):
    if not wording.is_number(entry.get("value")):
        return element("small", entry.get("why_not") or "–", class_="soft")
    within = wording.interval(entry)
    return [
        wording.number(entry["value"], 5),
        [element("br"), element("small", within, class_="soft")] if within else None,
    ]
