"""How good a classification is: matrix, curves and classes."""

from wharf_ml.report import wording
from wharf_ml.report.chart import Chart, Scale, cells, key
from wharf_ml.report.markup import element, join
from wharf_ml.report.tables import figure, table

#: Splits that are drawn over each other.
SPLITS = 3
_SHARE = {"percent": True, "exact": True}


def _unit(label):
    return Scale(0.0, 1.0, label, percent=True, exact=True, ticks=6)


def figures(main, splits):
    """The figures of a classification: of its main split, with the other splits' curves beside it."""
    found = [_confusion(main)]
    # The main split is the first series, whatever its name.
    others = [split for split in splits if split is not main][: SPLITS - 1]
    if main.get("prediction_type") == "binary":
        shown = [main] + [split for split in others if split.get("curves")]
        found += [
            _roc(shown),
            _precision_recall(shown),
            _gain(shown),
            _calibration(shown),
            _thresholds(main),
            _scores(main),
        ]
    else:
        found += _of_classes(main)
    return [each for each in found if each is not None]


def absent(title, why_not):
    """The place of a figure that there is none of, with the reason."""
    return element(
        "figure", element("figcaption", element("h3", title)), element("p", "Not drawn: %s." % why_not, class_="soft")
    )


def _curve(split, name):
    found = (split.get("curves") or {}).get(name) or {}
    return found if found and not found.get("why_not") else None


def _drawn(shown, name, title):
    """The splits that have this curve; or the figure that says why the main one hasn't."""
    if _curve(shown[0], name) is None:
        why_not = ((shown[0].get("curves") or {}).get(name) or {}).get("why_not")
        return None, absent(title, why_not) if why_not else None
    return [(split, _curve(split, name)) for split in shown if _curve(split, name)], None


def _split_key(drawn):
    return key([(at + 1, wording.short(split["split"])) for at, (split, _) in enumerate(drawn)])


def _roc(shown):
    title = "ROC curve"
    drawn, instead = _drawn(shown, "roc", title)
    if drawn is None:
        return instead
    chart = Chart(_unit("False positive rate"), _unit("True positive rate"))
    chart.reference(0, 0, 1, 1)
    for at, (_, curve) in enumerate(drawn):
        chart.line(curve["false_positive_rate"], curve["true_positive_rate"], at + 1, thin=at > 0)
    area = ((drawn[0][0].get("metrics") or {}).get("roc_auc")) or {}
    say = "The nearer to the upper left corner the better; the dashed line is guessing. Area: %s%s." % (
        wording.number(area.get("value")),
        " (%s)" % wording.interval(area) if wording.interval(area) else "",
    )
    svg = chart.svg(title, "True positive rate by false positive rate on %s." % drawn[0][0]["split"])
    curve = drawn[0][1]
    data = zip(curve["threshold"], curve["false_positive_rate"], curve["true_positive_rate"])
    return figure(
        title, say, svg, _split_key(drawn), data=(["Threshold", "False positive rate", "True positive rate"], data)
    )


def _precision_recall(shown):
    title = "Precision and recall"
    drawn, instead = _drawn(shown, "pr", title)
    if drawn is None:
        return instead
    chart = Chart(_unit("Recall"), _unit("Precision"))
    share = drawn[0][1].get("share_of_positives")
    if wording.is_number(share):
        chart.reference(0, share, 1, share)
    for at, (_, curve) in enumerate(drawn):
        chart.line(curve["recall"], curve["precision"], at + 1, thin=at > 0)
    say = "How many of the rows that it names are right, by how many it finds. The dashed line is guessing (%s)." % (
        wording.percent(share)
    )
    svg = chart.svg(title, "Precision by recall on %s." % drawn[0][0]["split"])
    curve = drawn[0][1]
    data = zip(curve["threshold"], curve["recall"], curve["precision"])
    return figure(title, say, svg, _split_key(drawn), data=(["Threshold", "Recall", "Precision"], data))


def _gain(shown):
    title = "Cumulative gain and lift"
    drawn, instead = _drawn(shown, "lift", title)
    if drawn is None:
        return instead
    chart = Chart(_unit("Rows, surest first"), _unit("Share of the class found"))
    chart.reference(0, 0, 1, 1)
    for at, (_, curve) in enumerate(drawn):
        chart.line(curve["share_of_rows"], curve["gain"], at + 1, thin=at > 0)
    curve = drawn[0][1]
    lift = ((drawn[0][0].get("metrics") or {}).get("lift") or {}).get("value")
    say = (
        "How much of the class is among the rows that the model is surest of. The first 10\u202f%% have %s "
        "times their share." % (wording.number(lift, 3))
    )
    svg = chart.svg(title, "Share of the positive class found, by share of rows looked at.")
    data = zip(curve["share_of_rows"], curve["gain"], curve["lift"])
    return figure(title, say, svg, _split_key(drawn), data=(["Share of rows", "Gain", "Lift"], data))


def _calibration(shown):
    title = "Calibration"
    drawn, instead = _drawn(shown, "calibration", title)
    if drawn is None:
        return instead
    chart = Chart(_unit("Predicted probability"), _unit("Observed share"))
    chart.reference(0, 0, 1, 1)
    curve = drawn[0][1]
    chart.whiskers(curve["predicted"], curve["low"], curve["high"])
    for at, (_, each) in enumerate(drawn):
        chart.line(each["predicted"], each["observed"], at + 1, thin=at > 0)
    chart.dots(
        curve["predicted"],
        curve["observed"],
        radius=3.4,
        faint=False,
        titles=["%s rows" % wording.count(rows) for rows in curve["rows"]],
    )
    say = (
        "Of rows with a probability of 30\u202f%%, 30\u202f%% should be of the class: points on the dashed "
        "line. Mean distance: %s." % (wording.percent(curve.get("expected_calibration_error")))
    )
    svg = chart.svg(title, "Observed share of the positive class by predicted probability, in ten bins.")
    data = zip(curve["predicted"], curve["observed"], curve["low"], curve["high"], curve["rows"])
    return figure(title, say, svg, _split_key(drawn), data=(["Predicted", "Observed", "Low", "High", "Rows"], data))


def _thresholds(main):
    title = "Thresholds"
    curve = _curve(main, "thresholds")
    if curve is None:
        return None
    chart = Chart(_unit("Threshold"), _unit("Value"))
    chosen = curve.get("chosen")
    if wording.is_number(chosen):
        chart.reference(chosen, 0, chosen, 1)
    names = (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1 score"))
    for at, (name, _) in enumerate(names):
        chart.line(curve["threshold"], curve[name], at + 1)
    say = (
        "A row is of the class from this probability on. The dashed line is the threshold in use: %s."
        % wording.number(chosen)
    )
    svg = chart.svg(title, "Precision, recall and F1 score by threshold.")
    data = zip(*[curve[name] for name in ("threshold", "precision", "recall", "f1", "cost")])
    legend = key([(at + 1, text) for at, (_, text) in enumerate(names)])
    return figure(title, say, svg, legend, data=(["Threshold", "Precision", "Recall", "F1", "Cost per row"], data))


def _scores(main):
    title = "Predicted probabilities"
    curve = _curve(main, "scores")
    if curve is None:
        return None
    top = max([value for name in ("positive", "negative") for value in curve[name] if value] or [1.0])
    chart = Chart(_unit("Predicted probability"), Scale(0.0, top, "Share of the class", percent=True))
    for name, series in (("negative", 2), ("positive", 1)):
        # Half seen through, since they lie over each other.
        chart.bars(curve["edges"], curve[name], series, pale=True)
        chart.steps(curve["edges"], curve[name] + curve[name][-1:], series)
    labels = main.get("classes") or ["", ""]
    legend = key([(1, wording.name(labels[-1])), (2, wording.name(labels[0]))])
    svg = chart.svg(title, "Histograms of the predicted probability of both classes.")
    data = zip(curve["edges"][:-1], curve["edges"][1:], curve["positive"], curve["negative"])
    say = "The less both classes overlap, the better the model tells them apart."
    return figure(title, say, svg, legend, data=(["From", "To", "Positive class", "Other class"], data))


def _confusion(main):
    title = "Confusion matrix"
    found = main.get("confusion") or {}
    if found.get("why_not"):
        return absent(title, found["why_not"])
    matrix, labels = found.get("matrix"), found.get("labels")
    if not matrix:
        return None
    totals = [sum(row) for row in matrix]
    shares = [[value / total if total else 0.0 for value in row] for row, total in zip(matrix, totals)]
    texts = None
    if len(labels) <= 12:
        roomy = len(labels) <= 5
        texts = [
            [(wording.number(value, 3), wording.percent(share, 0) if roomy else "") for value, share in zip(*pair)]
            for pair in zip(matrix, shares)
        ]
    names = [wording.short(label, 60) for label in labels]
    svg = cells(
        names,
        names,
        shares,
        texts,
        title,
        "Rows by true class (down) and predicted class (across).",
        "True class",
        "Predicted class",
    )
    say = "Blue: right, orange: wrong; darker where it is a larger share of the true class."
    more = None
    if len(labels) > 5 and found.get("worst"):
        rows = [
            [wording.name(e["true"]), wording.name(e["predicted"]), wording.count(e["rows"])]
            for e in found["worst"][:4]
        ]
        more = table("Most frequent confusions", ["True", "Predicted", "Rows"], rows, [False, False, True])
    data = None
    if len(labels) <= 30:
        data = (["True \\ predicted"] + names, [[name] + row for name, row in zip(names, matrix)])
    return figure(title, say, svg, more, data=data)


def _of_classes(main):
    classes = [entry for entry in main.get("per_class") or () if entry.get("roc")][:8]
    if not classes:
        return []
    title, chart = (
        "ROC curves, each class against the rest",
        Chart(_unit("False positive rate"), _unit("True positive rate")),
    )
    chart.reference(0, 0, 1, 1)
    calibration = Chart(_unit("Predicted probability"), _unit("Observed share"))
    calibration.reference(0, 0, 1, 1)
    for at, entry in enumerate(classes):
        chart.line(entry["roc"]["false_positive_rate"], entry["roc"]["true_positive_rate"], at + 1, thin=True)
        calibration.line(entry["calibration"]["predicted"], entry["calibration"]["observed"], at + 1, thin=True)
    legend = key([(at + 1, wording.name(entry["class"])) for at, entry in enumerate(classes)])
    say = (
        "The nearer to the upper left corner the better; the dashed line is guessing. Of the largest "
        "classes, eight at most."
    )
    data = ["Class", "Rows", "Area"], [[entry["class"], entry["rows"], entry["roc_auc"]] for entry in classes]
    bins = [
        [entry["class"], *values]
        for entry in classes
        for values in zip(*[entry["calibration"][name] for name in ("predicted", "observed", "rows")])
    ]
    return [
        figure(title, say, chart.svg(title, "One curve for each class."), legend, data=data),
        figure(
            "Calibration of each class",
            "Points on the dashed line are right: so many rows are of the class as it says.",
            calibration.svg("Calibration of each class", "Observed share by predicted probability for each class."),
            legend,
            data=(["Class", "Predicted", "Observed", "Rows"], bins),
        ),
    ]


def classes_table(main):
    """What the model does with each class, as a table."""
    entries = main.get("per_class") or ()
    if not entries:
        return None

    def share(entry, name):
        bounds = entry.get(name + "_interval")
        within = "%s to %s" % (wording.percent(bounds[0], 0), wording.percent(bounds[1], 0)) if bounds else None
        value = wording.percent(entry.get(name))
        return join(value, element("br"), element("small", within, class_="soft")) if within and value != "–" else value

    rows = [
        [
            wording.name(entry["class"]),
            wording.count(entry["rows"]),
            share(entry, "precision"),
            share(entry, "recall"),
            wording.percent(entry.get("f1")),
            wording.number(entry.get("roc_auc")),
        ]
        for entry in entries[:100]
    ]
    more = "" if len(entries) <= 100 else " (100 of %d)" % len(entries)
    return element(
        "div",
        element("h3", "Classes"),
        table(
            "Each class%s: precision is how many of the rows it is said of are right, recall how many of its "
            "rows are found." % more,
            ["Class", "Rows", "Precision", "Recall", "F1", "ROC AUC"],
            rows,
            [False] + [True] * 5,
        ),
        class_="card",
    )
