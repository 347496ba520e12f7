"""Tables, and figures with the tables of their data."""

from wharf_ml.report import wording
from wharf_ml.report.markup import element, join


def figure(title, say, svg, *more, data=None, class_=None):
    """A drawing with a heading, a sentence, and its data as a table: (headings, rows)."""
    details = None
    if data is not None:
        details = element("details", element("summary", "Data of this plot"), numbers_table(title, data[0], data[1]))
    caption = element("figcaption", element("h3", title), element("p", say) if say else None)
    return element("figure", caption, svg, *more, details, class_=class_)


#: Rows of a table of a plot's data; curves are thinned, since the JSON files beside the report have all points.
DATA_ROWS = 40


def numbers_table(caption, headings, rows):
    """A plain table of a plot's data."""
    rows = list(rows)
    if len(rows) > DATA_ROWS:
        rows = [rows[round(at * (len(rows) - 1) / (DATA_ROWS - 1))] for at in range(DATA_ROWS)]
    numeric = [all(row[at] is None or wording.is_number(row[at]) for row in rows) for at in range(len(headings))]
    return table(
        caption,
        headings,
        [[wording.number(cell) if numeric[at] else wording.name(cell) for at, cell in enumerate(row)] for row in rows],
        numeric,
    )


def table(caption, headings, rows, numeric=None, classes=None, wide=None):
    """A table that scrolls by itself where the screen is narrow; its first column names the row."""
    numeric = numeric or [False] * len(headings)
    style = ["n" if is_numeric else "w" if wide == at else None for at, is_numeric in enumerate(numeric)]
    head = element("tr", [element("th", text, scope="col", class_=style[at]) for at, text in enumerate(headings)])
    body = []
    for place, row in enumerate(rows):
        cells_of_row = [
            element("th" if at == 0 else "td", cell, class_=style[at], scope="row" if at == 0 else None)
            for at, cell in enumerate(row)
        ]
        body.append(element("tr", cells_of_row, class_=classes[place] if classes else None))
    whole = element("table", element("thead", head), element("tbody", body), aria_label=caption)
    scrolls = element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)
    # Not a caption of the table: it would be as wide as that, and scroll with it.
    return join(element("p", caption, class_="caption"), scrolls)
