"""Charts: drawings in SVG of lines, bars, points and cells, with axes that say what they are."""

import itertools
import math

from wharf_ml.report import wording
from wharf_ml.report.markup import element

SERIES = 8


class Scale:
    """One axis: from which value to which, where its ticks are and what it is called."""

    def __init__(self, low, high, label, percent=False, exact=False, ticks=5):
        if not high > low:
            room = abs(low) / 2 or 0.5
            low, high = low - room, high + room
        step = _step(low, high, ticks)
        if not exact:
            low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        self.low, self.high, self.label, self.percent = low, high, label, percent
        first = math.ceil(low / step - 1e-9)
        self.ticks = [(first + at) * step for at in range(int((high - first * step) / step + 1e-9) + 1)]

    def at(self, value):
        """Where a value is, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def text(self, value):
        return (
            wording.percent(value, 0)
            if self.percent
            else wording.number(0 if abs(value) < 1e-12 * self.high else value, 3)
        )


def _step(low, high, ticks):
    rough = (high - low) / max(1, ticks - 1)
    size = 10 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)


def span(*columns, zero=False):
    """The smallest and the largest of all numbers in columns."""
    values = [value for value in itertools.chain(*columns) if wording.is_number(value)]
    if zero:
        values.append(0.0)
    return (min(values), max(values)) if values else (0.0, 1.0)


class Chart:
    """A plane with two axes that marks are put on."""

    def __init__(self, x, y, width=360, height=250, left=50, right=20, top=8, bottom=40):
        self.x, self.y = x, y
        self.width, self.height = width, height
        self.left, self.right, self.top, self.bottom = left, width - right, top, height - bottom
        self._marks = []

    def px(self, value):
        return self.left + (self.right - self.left) * min(1.05, max(-0.05, self.x.at(value)))

    def py(self, value):
        return self.bottom - (self.bottom - self.top) * min(1.05, max(-0.05, self.y.at(value)))

    def line(self, xs, ys, series=1, thin=False, solid=False):
        """A line; it is broken where a value is missing."""
        style = "mark l%d%s%s" % (_series(series), " thin" if thin else "", " solid" if solid else "")
        part = []
        for x, y in itertools.chain(zip(xs, ys), [(None, None)]):
            if wording.is_number(x) and wording.is_number(y):
                part.append("%.1f,%.1f" % (self.px(x), self.py(y)))
            elif part:
                if len(part) == 1:
                    part = part * 2
                self._marks.append(element("polyline", points=" ".join(part), class_=style))
                part = []

    def steps(self, xs, ys, series=1):
        """A line that keeps each value until the next one."""
        wide = list(itertools.chain.from_iterable((x, x) for x in xs))[1:]
        high = list(itertools.chain.from_iterable((y, y) for y in ys))[:-1]
        self.line(wide, high, series)

    def reference(self, x1, y1, x2, y2):
        """A dashed line to compare with; it isn't data."""
        self._marks.append(
            element("line", x1=self.px(x1), y1=self.py(y1), x2=self.px(x2), y2=self.py(y2), class_="ref")
        )

    def bars(self, edges, heights, series=1, titles=None, pale=False):
        """Bars between neighbouring edges."""
        zero = self.py(max(self.y.low, 0.0))
        for at, height in enumerate(heights):
            if wording.is_number(height):
                left, right, top = self.px(edges[at]), self.px(edges[at + 1]), self.py(height)
                self._marks.append(
                    element(
                        "rect",
                        _title(titles, at),
                        x=left,
                        y=min(top, zero),
                        width=max(0.5, right - left - 0.6),
                        height=abs(zero - top),
                        class_="mark f%d%s" % (_series(series), " pale" if pale else ""),
                    )
                )

    def dots(self, xs, ys, series=1, titles=None, radius=2.4, faint=True):
        """Points; ``series`` is one for all or a list."""
        for at, (x, y) in enumerate(zip(xs, ys)):
            if wording.is_number(x) and wording.is_number(y):
                own = series[at] if isinstance(series, list) else series
                self._marks.append(
                    element(
                        "circle",
                        _title(titles, at),
                        cx=self.px(x),
                        cy=self.py(y),
                        r=radius,
                        class_="mark f%d%s" % (_series(own), " dot" if faint else ""),
                    )
                )

    def whiskers(self, xs, lows, highs):
        """Vertical intervals."""
        for x, low, high in zip(xs, lows, highs):
            if all(map(wording.is_number, (x, low, high))):
                self._marks.append(
                    element("line", x1=self.px(x), x2=self.px(x), y1=self.py(low), y2=self.py(high), class_="whisker")
                )

    def svg(self, title, description):
        """The drawing, with its axes."""
        grid, texts = [], []
        for tick in self.y.ticks:
            y = self.py(tick)
            grid.append(element("line", x1=self.left, x2=self.right, y1=y, y2=y, class_="grid"))
            texts.append(element("text", self.y.text(tick), x=self.left - 6, y=y + 3.8, class_="tick end"))
        for tick in self.x.ticks:
            x = self.px(tick)
            grid.append(element("line", x1=x, x2=x, y1=self.top, y2=self.bottom, class_="grid"))
            texts.append(element("text", self.x.text(tick), x=x, y=self.bottom + 15, class_="tick mid"))
        texts.append(
            element("text", self.x.label, x=(self.left + self.right) / 2, y=self.height - 6, class_="axis mid")
        )
        middle = (self.top + self.bottom) / 2
        texts.append(
            element("text", self.y.label, x=11, y=middle, transform="rotate(-90 11 %.0f)" % middle, class_="axis mid")
        )
        edge = element("line", x1=self.left, x2=self.right, y1=self.bottom, y2=self.bottom, class_="edge")
        return drawing(self.width, self.height, title, description, grid, edge, self._marks, texts)


def drawing(width, height, title, description, *content):
    """An SVG with a title and a description for who can't see it."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *content,
        viewBox="0 0 %d %d" % (width, height),
        role="img",
    )


def _series(at):
    return (at - 1) % SERIES + 1


def _title(titles, at):
    return element("title", titles[at]) if titles else None


def row_bars(rows, title, description, label, percent=False, series=1):
    """Horizontal bars with a name before each: rows of (name, value, low, high, text)."""
    height_of, names = 22, 132
    width, bottom = 360, 24 + height_of * len(rows)
    low, high = span(*[[row[1], row[2], row[3]] for row in rows], zero=True)
    scale = Scale(low, high, label, percent, exact=True, ticks=4)
    left, right = names + 6, width - 58
    place = lambda value: left + (right - left) * scale.at(value)  # noqa: E731
    content = []
    for tick in scale.ticks:
        content.append(element("line", x1=place(tick), x2=place(tick), y1=4, y2=bottom - 20, class_="grid"))
        content.append(element("text", scale.text(tick), x=place(tick), y=bottom - 6, class_="tick mid"))
    zero = place(0)
    for at, (name, value, low, high, text) in enumerate(rows):
        y = 4 + at * height_of
        content.append(element("text", wording.fitting(name, names - 2), x=names, y=y + 15, class_="end"))
        if not wording.is_number(value):
            continue
        content.append(
            element(
                "rect",
                element("title", "%s: %s" % (wording.short(name), text)),
                x=min(zero, place(value)),
                y=y + 4,
                width=max(0.6, abs(place(value) - zero)),
                height=height_of - 8,
                class_="mark f%d" % _series(series),
            )
        )
        if wording.is_number(low) and wording.is_number(high):
            middle = y + height_of / 2
            content.append(element("line", x1=place(low), x2=place(high), y1=middle, y2=middle, class_="whisker"))
        content.append(element("text", text, x=width - 4, y=y + 15, class_="end"))
    content.append(element("line", x1=zero, x2=zero, y1=4, y2=bottom - 20, class_="edge"))
    content.append(element("text", label, x=(left + right) / 2, y=bottom + 10, class_="axis mid"))
    return drawing(width, bottom + 16, title, description, content)


def cells(rows_of, columns_of, shares, texts, title, description, row_label, column_label):
    """A grid of cells, darker where the share is larger; ``texts`` may be None where there is no room."""
    size_x, size_y = len(columns_of), len(rows_of)
    width, left, top = 360, 92, 22
    side = min((width - left - 6) / size_x, 96)
    many = size_x > 12
    flat = side >= 50 or all(wording.fitting(name, side - 2) == name for name in columns_of)
    # Names below lie flat where there is room, and need more of it where there is none.
    height = top + side * size_y + (6 if many else 22 if flat else 66)
    content = [
        element(
            "text",
            row_label,
            x=11,
            y=top + side * size_y / 2,
            class_="axis mid",
            transform="rotate(-90 11 %.0f)" % (top + side * size_y / 2),
        ),
        element("text", column_label, x=left + side * size_x / 2, y=13, class_="axis mid"),
    ]
    for row, values in enumerate(shares):
        y = top + row * side
        if not many:
            content.append(
                element("text", wording.fitting(rows_of[row], left - 24), x=left - 5, y=y + side / 2 + 4, class_="end")
            )
        for column, share in enumerate(values):
            if many and not share:
                continue
            x = left + column * side
            content.append(
                element(
                    "rect",
                    element(
                        "title",
                        "%s → %s: %s"
                        % (
                            wording.short(rows_of[row], 40),
                            wording.short(columns_of[column], 40),
                            wording.percent(share),
                        ),
                    ),
                    x=x,
                    y=y,
                    width=side,
                    height=side,
                    class_="mark cell f%d" % (1 if row == column else 2),
                    fill_opacity=0.04 + 0.92 * share,
                )
            )
            if texts is not None:
                upper, lower = texts[row][column]
                style = "mid" + (" on" if share > 0.5 else "")
                large = " big" if side > 70 else ""
                content.append(
                    element("text", upper, x=x + side / 2, y=y + side / 2 + (0 if lower else 4), class_=style + large)
                )
                if lower:
                    content.append(element("text", lower, x=x + side / 2, y=y + side / 2 + 15, class_=style))
    if many:
        content.append(
            element("rect", x=left, y=top, width=side * size_x, height=side * size_y, class_="ref", fill="none")
        )
    else:
        for column, name in enumerate(columns_of):
            x, y = left + (column + 0.5) * side, top + side * size_y + 12
            if flat:
                content.append(element("text", wording.fitting(name, side - 2), x=x, y=y, class_="mid"))
            else:
                content.append(
                    element(
                        "text",
                        wording.fitting(name, 66),
                        x=x + 3,
                        y=y,
                        class_="end",
                        transform="rotate(-45 %.0f %.0f)" % (x + 3, y - 2),
                    )
                )
    return drawing(width, height, title, description, content)


def swatch(series, bar=False):
    """A piece of a series' line or bar, for the key."""
    series = _series(series)
    if bar:
        mark = element("rect", x=0, y=0, width=12, height=12, class_="f%d" % series)
        return element("svg", mark, width=12, height=12, aria_hidden="true")
    mark = element("line", x1=0, x2=24, y1=5, y2=5, class_="l%d" % series, stroke_width=3)
    return element("svg", mark, width=24, height=10, aria_hidden="true")


def key(entries, bar=False):
    """What the series of a chart are: pairs of series and text."""
    return element(
        "ul", [element("li", swatch(series, bar), element("span", text)) for series, text in entries], class_="key"
    )
