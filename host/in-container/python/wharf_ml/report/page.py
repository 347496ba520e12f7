"""The report: one page that needs nothing but itself."""

import base64
import hashlib
import json

from wharf_ml.report import changes, explained, headline, performance, style, values, wording
from wharf_ml.report.markup import document, element, join
from wharf_ml.report.markup import style as style_element
from wharf_ml.report.tables import table

#: Characters of a JSON text that are shown.
DETAILS_LIMIT = 20_000


def write(saved):
    """The report of a saved model, as one HTML text.

    ``saved`` has ``task``, ``schema``, ``versions``, ``metrics`` (of each split what `evaluation.evaluate` gave),
    ``explanations``, ``comparison``, ``drift`` and ``models``; each may be missing or None.
    """
    task = saved.get("task") or {}
    splits = [
        dict(found, split=found.get("split") or name) for name, found in (saved.get("metrics") or {}).items() if found
    ]
    if not task.get("prediction_type") and splits:
        task = dict(task, prediction_type=splits[0].get("prediction_type"))
    main = headline.main_split(splits)
    models = [model for model in saved.get("models") or () if isinstance(model, dict)]
    comparison = saved.get("comparison")
    sections = [section for section in _sections(saved, task, splits, main, models) if section[2]]
    links = [element("li", element("a", title, href="#" + anchor)) for anchor, title, _ in sections]
    top = element(
        "header",
        headline.headline(task, main, models, comparison),
        element("nav", element("ul", links), aria_label="Contents") if links else None,
    )
    body = [element("section", element("h2", title, id=anchor), content) for anchor, title, content in sections]
    foot = element("footer", "All numbers, with every digit, are in the JSON files beside this page.")
    title = (
        "Model of %s" % wording.short(task["target"])
        if task.get("target") not in (None, "")
        else wording.kind(task.get("prediction_type"))
    )
    return document(_head(title), join(top, element("main", body), foot))


def _head(title):
    # Nothing is loaded and nothing runs, whatever a name of data tries: only this very style sheet counts.
    digest = base64.b64encode(hashlib.sha256(style.CSS.encode("utf-8")).digest()).decode("ascii")
    policy = "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'" % digest
    return join(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        style_element(style.CSS),
    )


def _sections(saved, task, splits, main, models):
    explanations = saved.get("explanations")
    if saved.get("comparison"):
        yield "comparison", "New and old model", changes.comparison(saved["comparison"])
    if models:
        yield "models", "Models tried", element("div", headline.models_table(models, main), class_="card")
    yield "quality", "How good it is", _quality(splits, main)
    if explanations:
        yield "explanations", "What it goes by", _explanations(explanations)
    if saved.get("drift"):
        yield "drift", "Drift of the data", changes.drift(saved["drift"])
    yield "details", "Details", _details(saved, task)


def _quality(splits, main):
    if main is None:
        return None
    kind = main.get("prediction_type")
    drawn, more = [], None
    if not main.get("why_not"):
        if kind in ("binary", "multiclass"):
            drawn, more = performance.figures(main, splits), performance.classes_table(main)
        elif kind == "regression":
            drawn = values.residuals(main)
        elif kind == "clustering":
            drawn, more = values.clusters(main), values.profiles(main)
    metrics = headline.metrics_table(sorted(splits, key=lambda split: split is not main))
    notes = [
        element("p", "%s: %s." % (wording.short(split["split"]), split["why_not"]), class_="note")
        for split in splits
        if split.get("why_not") and split is not main
    ]
    return [
        notes,
        element("div", drawn, class_="figures") if drawn else None,
        element("div", element("h3", "Metrics"), metrics, class_="card") if metrics else None,
        more,
    ]


def _explanations(found):
    if found.get("why_not"):
        return element("p", "Not explained: %s." % found["why_not"])
    notes = [element("p", wording.short(note, 400), class_="soft") for note in found.get("notes") or ()]
    bars = explained.importances(found)
    dependences = explained.dependences(found)
    if dependences:
        text = (
            "Beside the importances, partial dependence: the mean prediction when one column has the same "
            "value in every row."
        )
        notes.append(element("p", text, class_="soft"))
    return [notes, element("div", bars, dependences, class_="figures") if bars is not None or dependences else None]


def _details(saved, task):
    parts = []
    versions = _flat(saved.get("versions"))
    if versions:
        rows = [[element("bdi", name), element("bdi", wording.short(value, 200))] for name, value in versions[:200]]
        parts.append(
            element(
                "details",
                element("summary", "Versions"),
                table("What the model was made with.", ["What", "Version"], rows),
            )
        )
    columns = _columns(saved.get("schema"))
    if columns:
        rows = [[wording.name(name), wording.name(kind)] for name, kind in columns[:500]]
        text = "The input's columns." if len(columns) <= 500 else "The first 500 of %d columns." % len(columns)
        parts.append(element("details", element("summary", "Schema"), table(text, ["Column", "Type"], rows)))
    if task:
        shown = json.dumps(task, indent=2, ensure_ascii=False, default=str)
        cut = (
            "\n… (%d more characters: see task.json)" % (len(shown) - DETAILS_LIMIT)
            if len(shown) > DETAILS_LIMIT
            else ""
        )
        parts.append(element("details", element("summary", "Task"), element("pre", shown[:DETAILS_LIMIT] + cut)))
    return element("div", parts, class_="card") if parts else None


def _flat(value, prefix=""):
    """Nested tables as pairs of name and value."""
    if not isinstance(value, dict):
        return [] if value is None or not prefix else [(prefix, wording.value_of(value))]
    found = []
    for name, inner in value.items():
        found += _flat(inner, "%s %s" % (prefix, name) if prefix else str(name))
    return found


def _columns(schema):
    """Name and type of each column, of the forms that a schema has."""
    if isinstance(schema, dict):
        schema = schema.get("columns", schema)
    if isinstance(schema, dict):
        return [(name, found.get("type") if isinstance(found, dict) else found) for name, found in schema.items()]
    return [(entry.get("name"), entry.get("type")) for entry in schema or () if isinstance(entry, dict)]
