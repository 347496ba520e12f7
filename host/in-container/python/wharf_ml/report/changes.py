"""What has changed: the new model beside the old one, and new data beside what the old one was trained on."""

from wharf_ml.report import wording
from wharf_ml.report.chart import Scale, drawing, key, span
from wharf_ml.report.markup import element, join
from wharf_ml.report.tables import figure, table

_VERDICTS = {"better": ("better", "good"), "worse": ("worse", "bad"), "unclear": ("no clear difference", "soft")}
#: Columns in the table, and those that have drifted most in drawings.
FEATURES = 60
DRAWN = 6


def comparison(found):
    """The section of the comparison with the old model."""
    if found.get("why_not"):
        return [element("p", "Not compared: %s." % found["why_not"])]
    entries = list((found.get("metrics") or {}).items())
    main = (found.get("metrics") or {}).get(found.get("main_metric")) or {}
    parts = []
    if main.get("verdict"):
        text, style = _VERDICTS[main["verdict"]]
        between = " (95\u202f%% interval of the difference: %s to %s)" % (
            wording.signed(main["low"]),
            wording.signed(main["high"]),
        )
        parts.append(
            element(
                "p",
                "By %s the new model is: " % main.get("label"),
                element("span", text, class_=style),
                between,
                ", both on the same %s rows." % wording.count(found.get("rows")),
            )
        )
    agreement = found.get("agreement") or {}
    if wording.is_number(agreement.get("value")):
        shown = (
            wording.percent(agreement["value"]) if "share" in agreement["kind"] else wording.number(agreement["value"])
        )
        parts.append(element("p", "%s of both models: %s." % (agreement["kind"].capitalize(), shown), class_="soft"))
    parts += [element("p", note, class_="note") for note in found.get("notes") or ()]
    rows = []
    for _, entry in entries:
        text, style = _VERDICTS.get(entry.get("verdict"), (entry.get("why_not") or "–", "soft"))
        bounds = (
            "%s to %s" % (wording.signed(entry["low"]), wording.signed(entry["high"]))
            if wording.is_number(entry.get("low"))
            else "–"
        )
        rows.append(
            [
                entry.get("label"),
                wording.number(entry.get("old")),
                wording.number(entry.get("new")),
                wording.signed(entry.get("difference")),
                bounds,
                element("span", text, class_=style),
            ]
        )
    if rows:
        heads = ["Metric", "Old", "New", "Difference", "95\u202f% interval", "New model is"]
        whole = table(
            "Both models on the same rows; intervals by a paired bootstrap.",
            heads,
            rows,
            [False, True, True, True, True, False],
            wide=5,
        )
        parts.append(element("div", _forest(entries), element("div", whole, class_="card"), class_="pair"))
    return parts


def _forest(entries):
    """Differences as shares of their own interval, so that metrics of any unit stand below each other."""
    shown = [
        entry
        for _, entry in entries
        if wording.is_number(entry.get("difference")) and wording.is_number(entry.get("low"))
    ]
    if not shown:
        return None
    title, row, names, width = "Differences", 24, 150, 360
    scale = Scale(-1.0, 1.0, "", exact=True)
    place = lambda value: names + 8 + (width - names - 20) * scale.at(max(-1.0, min(1.0, value)))  # noqa: E731
    height = 34 + row * len(shown)
    content = [element("line", x1=place(0), x2=place(0), y1=4, y2=height - 26, class_="ref")]
    for at, entry in enumerate(shown):
        sign = 1 if entry.get("greater_is_better") else -1
        low, high = sorted((sign * entry["low"], sign * entry["high"]))
        # The sentence says that lengths can't be compared between rows: a metric's unit is its own.
        unit = max(abs(low), abs(high)) or 1.0
        y = 4 + row * at + row / 2
        series = {"better": 3, "worse": 7}.get(entry.get("verdict"), 8)
        content.append(element("text", wording.fitting(entry.get("label"), names - 2), x=names, y=y + 4, class_="end"))
        content.append(element("line", x1=place(low / unit), x2=place(high / unit), y1=y, y2=y, class_="whisker"))
        about = "%s: %s" % (entry.get("label"), wording.signed(entry["difference"]))
        content.append(
            element(
                "circle",
                element("title", about),
                cx=place(sign * entry["difference"] / unit),
                cy=y,
                r=5,
                class_="mark f%d" % series,
            )
        )
    content.append(element("text", "← worse", x=place(-1), y=height - 8, class_="tick"))
    content.append(element("text", "better →", x=place(1), y=height - 8, class_="tick end"))
    say = (
        "Each line is an interval: where it crosses the dashed line, the difference may be chance. Every "
        "metric has a scale of its own."
    )
    return figure(
        title, say, drawing(width, height, title, "The difference of each metric with its interval.", content)
    )


def drift(found):
    """The section of the drift of the data."""
    if found.get("why_not"):
        return [element("p", "Not computed: %s." % found["why_not"])]
    entries = found.get("features") or []
    levels = {level: sum(entry.get("drift") == level for entry in entries) for level in ("strong", "some", "none")}
    parts = [
        element(
            "p",
            "%s new rows beside %s that the old model was trained on. Columns that have drifted: "
            % (wording.count(found.get("rows")), wording.count(found.get("rows_old"))),
            element("span", "%d strongly" % levels["strong"], class_="bad" if levels["strong"] else None),
            ", %d somewhat, %d not; %d in all." % (levels["some"], levels["none"], len(entries)),
        )
    ]
    if found.get("new_columns"):
        names = join([[", " if at else "", wording.name(name)] for at, name in enumerate(found["new_columns"][:20])])
        parts.append(element("p", "Columns that the old model doesn't know: ", names, "."))
    rows = []
    for entry in entries[:FEATURES]:
        level = entry.get("drift")
        style = {"strong": "bad", "some": "", "none": "soft"}.get(level, "soft")
        test = "%s, %s" % (entry["test"], wording.p_value(entry.get("p_value"))) if entry.get("test") else "–"
        rows.append(
            [
                wording.name(entry.get("feature")),
                element("span", level or "–", class_=style),
                wording.number(entry.get("psi"), 3),
                test,
                _missing(entry),
                _remark(entry),
            ]
        )
    if rows:
        heads = ["Column", "Drift", "PSI", "Test, p-value", "Missing", "Remarks"]
        text = (
            "Columns, the farthest from before first. PSI: population stability index; above 0.1 is some "
            "drift, above 0.25 strong."
        )
        if len(entries) > FEATURES:
            text += " The first %d of %d." % (FEATURES, len(entries))
        parts.append(element("div", table(text, heads, rows, [False, False, True, False, False, False]), class_="card"))
    drifted = [entry for entry in entries if entry.get("bins") and entry.get("drift") in ("strong", "some")]
    drawn = [_bins(entry) for entry in drifted[:DRAWN]]
    if drawn:
        parts.append(element("div", drawn, class_="figures small"))
    return parts


def _missing(entry):
    before, now = wording.percent(entry.get("missing_old")), wording.percent(entry.get("missing"))
    return now if before == now else "%s → %s" % (before, now)


def _remark(entry):
    parts = [entry.get("why_not")]
    if entry.get("new_categories"):
        few = entry["new_categories"][:5]
        names = join([[", " if at else "", wording.name(name)] for at, name in enumerate(few)])
        more = " and others" if len(entry["new_categories"]) > len(few) else ""
        parts.append(
            join("new: ", names, more, " (%s of the rows)" % wording.percent(entry.get("share_of_new_categories")))
        )
    if wording.is_number(entry.get("not_numbers")):
        parts.append("%s aren't numbers" % wording.percent(entry["not_numbers"]))
    found = [part for part in parts if part]
    return join([["; " if at else "", part] for at, part in enumerate(found)]) if found else ""


def _bins(entry):
    bins = entry["bins"]
    if "categories" in bins:
        names = [wording.short(name, 40) for name in bins["categories"]]
    else:
        edges = [wording.number(edge, 3) for edge in bins["edges"]]
        names = ["below %s" % edges[0]] if edges else ["all"]
        names += ["%s to %s" % pair for pair in zip(edges, edges[1:])] + (["from %s" % edges[-1]] if edges else [])
    title, row, left, width = wording.short(entry.get("feature")), 26, 132, 360
    scale = Scale(0.0, span(bins["old"], bins["new"])[1] or 1.0, "", percent=True, exact=True)
    long = lambda value: (width - left - 84) * scale.at(value or 0.0)  # noqa: E731
    content, height = [], 8 + row * len(names)
    for at, (name, old, new) in enumerate(zip(names, bins["old"], bins["new"])):
        y = 4 + row * at
        content.append(element("text", wording.fitting(name, left - 8), x=left - 6, y=y + 15, class_="end"))
        content.append(element("rect", x=left, y=y + 2, width=max(0.6, long(old)), height=9.0, class_="mark f8"))
        content.append(element("rect", x=left, y=y + 12, width=max(0.6, long(new)), height=9.0, class_="mark f2"))
        text = "%s → %s" % (wording.percent(old, 0), wording.percent(new, 0))
        content.append(element("text", text, x=width - 2, y=y + 15, class_="end tick"))
    return figure(
        title,
        None,
        drawing(width, height, title, "Shares before and now.", content),
        key([(8, "training data"), (2, "new data")], bar=True),
        data=(["Values", "Before", "Now"], zip(names, bins["old"], bins["new"])),
    )
