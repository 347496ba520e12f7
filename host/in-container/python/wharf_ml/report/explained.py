"""What the predictions depend on, and how."""

from wharf_ml.report import wording
from wharf_ml.report.chart import Chart, Scale, key, row_bars, span
from wharf_ml.report.performance import absent
from wharf_ml.report.tables import figure

BARS = 20
FIGURES = 12


def importances(found):
    """The bars of the importances."""
    entries = [entry for entry in found.get("importances") or () if wording.is_number(entry.get("mean"))]
    if not entries:
        return None
    title = "Importance of columns"
    label = "Loss of %s" % (found.get("metric_label") or wording.metric(found.get("metric") or "the metric"))
    bars = []
    for entry in entries[:BARS]:
        mean, std = entry["mean"], entry.get("std") or 0.0
        bars.append((entry["feature"], mean, mean - std, mean + std, wording.number(mean, 2)))
    say = (
        "How much worse the model gets when a column's values are shuffled; the line is one standard "
        "deviation to both sides."
    )
    if len(entries) > BARS:
        say += " The %d most important of %d." % (BARS, len(entries))
    svg = row_bars(
        bars, title, "A bar for each of the most important columns.", label if len(label) < 44 else "Importance"
    )
    data = [[entry["feature"], entry["mean"], entry.get("std")] for entry in entries]
    return figure(
        title, say, svg, data=(["Column", "Mean", "Standard deviation"], data), class_="tall" if len(bars) > 8 else None
    )


def dependences(found):
    """One figure for each column whose partial dependence is known."""
    entries = (found.get("partial_dependence") or ())[:FIGURES]
    binary = found.get("prediction_type") == "binary"
    # One scale for all of them, so that steep ones look steep.
    low, high = span(*[column for entry in entries for column in entry.get("means") or ()])
    if found.get("prediction_type") in ("binary", "multiclass"):
        low, high = max(0.0, low), min(1.0, high)
    return [_dependence(entry, binary, low, high) for entry in entries]


def _dependence(entry, binary, low, high):
    title = wording.short(entry.get("feature"))
    if entry.get("why_not") or not entry.get("means"):
        return absent(title, entry.get("why_not") or "nothing was computed")
    values, outputs = entry["values"], entry.get("outputs") or ["prediction"]
    label = "Mean prediction" if outputs == ["prediction"] else "Mean probability"
    y = Scale(low, high, label, percent=label == "Mean probability")
    described = "%s by %s." % (label, wording.short(entry.get("feature")))
    if entry.get("kind") == "category":
        rows = []
        for at, value in enumerate(values):
            mean = entry["means"][0][at]
            rows.append(
                (
                    wording.short(value, 60),
                    mean,
                    None,
                    None,
                    wording.percent(mean, 0) if y.percent else wording.number(mean, 3),
                )
            )
        svg = row_bars(rows, wording.short(entry.get("feature")), described, label, y.percent)
    else:
        dates = entry.get("kind") == "date"
        places = list(range(len(values))) if dates else values
        x = Scale(*span(places), "%s → %s" % (values[0][:10], values[-1][:10]) if dates else "Value", exact=True)
        if dates:
            x.ticks = []
        chart = Chart(x, y, height=210, left=58)
        for at, means in enumerate(entry["means"]):
            chart.line(places, means, at + 1)
            chart.dots(places, means, at + 1, radius=2, faint=False)
        svg = chart.svg(wording.short(entry.get("feature")), described)
    several = len(outputs) > 1
    legend = key([(at + 1, wording.name(each)) for at, each in enumerate(outputs)]) if several else None
    say = None
    if several and entry.get("kind") == "category":
        legend, say = None, "Of the class %s." % wording.short(outputs[0], 40)
    elif binary:
        say = "Of the class %s." % wording.short(outputs[0], 40)
    names = [wording.short(each, 40) for each in outputs]
    return figure(
        title,
        say,
        svg,
        legend,
        data=(["Value"] + names, [[value, *means] for value, *means in zip(values, *entry["means"])]),
    )
