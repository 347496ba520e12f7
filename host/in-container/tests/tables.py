"""Random tables of every type, for the tests that send them in and out again."""

import datetime
import json
import math
import os
import random
import struct

from dataiku.core.types import FLOATS, INTEGERS, NAMES, parse_date

from fake_runner import render

TEXTS = [
    "", " ", "NA", "null", "NaN", "None", "true", "01234", "1e5", "-", "#", "'", '"', '""', ",", ",,", "\n", "\r\n", "\r", "\t",
    'say "hi", now', "two\nlines", "\\", "\\n", "a\x0bb", "a\x1cb", "a\u2028b", "\ufeffbom", "\u0085", "\u00e9", "e\u0301",
    "\u65e5\u672c\u8a9e", "\u05e9\u05dc\u05d5\u05dd", "\U0001f600", "\u00a0", "=1+1", "2024-01-01", "%20", "&amp;", "x" * 3000,
]  # fmt: skip
NAMES_OF_COLUMNS = [
    "a", "B", "with space", "comma,", 'quote"', "line\nend", "\u00e9\u00fc", "\U0001f600", "1", "_", "a.b", "a/b", "a%2Cb", "NA", "class",
    "TRUE", " lead", "&x=1", "#", "\\",
]  # fmt: skip


def seed():
    """The seed of this run: from WHARF_TEST_SEED, else a new one. Tests print it, so that a failure can be had again."""
    return int(os.environ.get("WHARF_TEST_SEED") or random.SystemRandom().randrange(10**9))


def table(chance, without="", years=(1, 9999), small=False):
    """Columns as pairs of name and type, and rows of texts with None for null."""
    names = chance.sample(NAMES_OF_COLUMNS, chance.randint(1, 3 if small else 9))
    # Each type comes often enough: names are drawn without putting back.
    kinds = chance.sample(NAMES, len(names))
    nulls = [chance.choice([0, 0.1, 0.5, 1]) for _ in names]
    rows = []
    for _ in range(chance.choice([0, 1, 2, 30, 120])):
        rows.append([
            None if chance.random() < part else value(chance, kind, without, years) for kind, part in zip(kinds, nulls)
        ])  # fmt: skip
    return list(zip(names, kinds)), rows


def value(chance, kind, without, years):
    """A text that is a value of that type."""
    if kind in INTEGERS:
        limit = 2 ** (INTEGERS[kind] - 1)
        return str(chance.choice([-limit, limit - 1, 0, -1, chance.randrange(-limit, limit), chance.randrange(-9, 9)]))
    if kind == "float":
        # As a narrow float is written: with as few digits as give it back.
        return repr(struct.unpack("f", struct.pack("f", chance.choice([0.0, 0.5, -1.25, chance.uniform(-1e6, 1e6)])))[0])
    if kind == "double":
        any_bits = struct.unpack("d", struct.pack("Q", chance.getrandbits(64)))[0]
        return repr(chance.choice([0.1, -0.0, 1e300, 5e-324, 123456789012.0, any_bits if math.isfinite(any_bits) else 1.5]))
    if kind == "boolean":
        return chance.choice(["true", "false"])
    if kind == "date":
        first = datetime.datetime(years[0], 1, 2)
        seconds = int((datetime.datetime(years[1], 12, 30) - first).total_seconds())
        when = first + datetime.timedelta(seconds=chance.randrange(seconds), milliseconds=chance.choice([0, 1, 250, 999]))
        return "%04d" % when.year + when.strftime("-%m-%dT%H:%M:%S.") + "%03dZ" % (when.microsecond // 1000)
    if kind == "geopoint":
        return "POINT(%s %s)" % (chance.uniform(-180, 180), chance.uniform(-90, 90))
    if kind == "geometry":
        return "POLYGON((0 0, 1 0, 1 %d, 0 0))" % chance.randint(1, 9)
    text = "".join(chance.choice(TEXTS) for _ in range(chance.choice([1, 1, 2, 4])))
    text = "".join(letter for letter in text if letter not in without)
    if kind == "string":
        return text
    made = {"array": [text, 1, None], "map": {text: text}, "object": {"k": [1.5, {text: True}]}}[kind]
    return json.dumps(made, ensure_ascii=chance.random() < 0.5)


def csv_of(columns, rows):
    """The table as it crosses."""
    return render([[name for name, _ in columns]] + rows)


def meaning(columns, rows):
    """Rows of values that are equal when the texts mean the same."""
    return [[_meaning(text, kind) for text, (_, kind) in zip(row, columns)] for row in rows]


def _meaning(text, kind):
    if text is None:
        return None
    if kind in INTEGERS:
        return int(text)
    if kind in FLOATS:
        number = float(text)
        return struct.unpack("f", struct.pack("f", number))[0] if kind == "float" else number
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "date":
        return parse_date(text)
    return text
