"""How good a regression is, and what clusters are like."""

from wharf_ml.report import wording
from wharf_ml.report.chart import Chart, Scale, key, row_bars, span
from wharf_ml.report.markup import element
from wharf_ml.report.performance import absent
from wharf_ml.report.tables import figure, table


def residuals(main):
    """The figures of a regression."""
    found = main.get("residuals") or {}
    if not found or found.get("why_not"):
        return [absent("Residuals", found["why_not"])] if found else []
    return [_against_true(found), _residuals(found), _histogram(found)]


def _against_true(found):
    title, sample = "Predicted and true values", found["sample"]
    low, high = span(sample["true"], sample["predicted"])
    chart = Chart(Scale(low, high, "True value"), Scale(low, high, "Predicted value"), left=58)
    chart.reference(chart.x.low, chart.x.low, chart.x.high, chart.x.high)
    chart.dots(sample["true"], sample["predicted"])
    say = "Each point is a row; on the dashed line the prediction is right."
    return figure(
        title,
        say,
        chart.svg(title, "Predicted values by true values of %d rows." % len(sample["true"])),
        data=(["True", "Predicted"], zip(sample["true"], sample["predicted"])),
    )


def _residuals(found):
    title, sample = "Residuals", found["sample"]
    errors = [said - true for true, said in zip(sample["true"], sample["predicted"])]
    chart = Chart(
        Scale(*span(sample["predicted"]), "Predicted value"),
        Scale(*span(errors, zero=True), "Predicted − true"),
        left=58,
    )
    chart.reference(chart.x.low, 0, chart.x.high, 0)
    chart.dots(sample["predicted"], errors, 2)
    say = "A good model leaves no shape here: a funnel or a bend is something it hasn't learnt."
    return figure(
        title,
        say,
        chart.svg(title, "Residuals by predicted value of %d rows." % len(errors)),
        data=(["Predicted", "Residual"], zip(sample["predicted"], errors)),
    )


def _histogram(found):
    title, bins = "Distribution of residuals", found["histogram"]
    chart = Chart(
        Scale(bins["edges"][0], bins["edges"][-1], "Predicted − true", exact=True),
        Scale(0.0, max(bins["rows"]), "Rows"),
        left=58,
    )
    chart.bars(bins["edges"], bins["rows"], titles=[wording.count(rows) for rows in bins["rows"]])
    if bins["edges"][0] < 0 < bins["edges"][-1]:
        chart.reference(0, chart.y.low, 0, chart.y.high)
    q = found["quantiles"]
    say = "Half of the errors lie between %s and %s, nine of ten between %s and %s." % tuple(
        wording.number(q.get(name), 3) for name in ("0.25", "0.75", "0.05", "0.95")
    )
    return figure(
        title,
        say,
        chart.svg(title, "Histogram of residuals."),
        data=(["From", "To", "Rows"], zip(bins["edges"][:-1], bins["edges"][1:], bins["rows"])),
    )


def clusters(main):
    """The figures of a clustering."""
    entries = main.get("clusters") or []
    if not entries:
        return []
    order = [entry["cluster"] for entry in entries]
    name = {label: "no cluster" if label == -1 else "cluster %s" % wording.short(label, 12) for label in order}
    bars = [
        (name[entry["cluster"]], entry["share"], None, None, wording.count(entry["rows"])) for entry in entries[:30]
    ]
    title = "Sizes of clusters"
    found = [
        figure(
            title,
            "Share of the rows; the number is how many.",
            row_bars(bars, title, "A bar for each cluster.", "Share of rows", True),
            data=(["Cluster", "Rows", "Share"], [[name[e["cluster"]], e["rows"], e["share"]] for e in entries]),
        )
    ]
    places = main.get("map") or {}
    if places.get("why_not"):
        found.append(absent("Map of the rows", places["why_not"]))
    elif places.get("x"):
        series = {label: at + 1 for at, label in enumerate(order)}
        share = sum(part for part in places.get("explained") or () if part)
        chart = Chart(Scale(*span(places["x"]), "First component"), Scale(*span(places["y"]), "Second component"))
        chart.dots(places["x"], places["y"], [series.get(label, 8) for label in places["cluster"]])
        say = (
            "Rows in the plane of their first two principal components, which hold %s of their differences."
            % wording.percent(share, 0)
        )
        shown = zip([name.get(label, label) for label in places["cluster"]], places["x"], places["y"])
        found.append(
            figure(
                "Map of the rows",
                say,
                chart.svg("Map of the rows", "A point for each row, coloured by cluster."),
                key([(series[label], name[label]) for label in order[:8]], bar=True),
                data=(["Cluster", "x", "y"], shown),
            )
        )
    return found


def profiles(main):
    """What is special about each cluster, as a table."""
    rows = []
    for entry in (main.get("clusters") or ())[:50]:
        special = [
            element("li", wording.name(column["column"]), ": ", _special(column))
            for column in entry.get("columns", ())[:5]
        ]
        title = "no cluster" if entry["cluster"] == -1 else wording.name(entry["cluster"])
        rows.append([title, wording.count(entry["rows"]), element("ul", special, class_="plain") if special else "–"])
    if not rows:
        return None
    return element(
        "div",
        element("h3", "What is special about each cluster"),
        table(
            "Columns that differ most from the mean of all rows.",
            ["Cluster", "Rows", "Columns"],
            rows,
            [False, True, False],
            wide=2,
        ),
        class_="card",
    )


def _special(column):
    if column.get("kind") == "category":
        return [
            wording.name(column.get("category")),
            " in ",
            wording.percent(column["mean"], 0),
            " of its rows (all: ",
            wording.percent(column["overall"], 0),
            ")",
        ]
    higher = "higher" if column["difference"] > 0 else "lower"
    return "%s, %s in the mean (all: %s)" % (
        higher,
        wording.number(column["mean"], 3),
        wording.number(column["overall"], 3),
    )
