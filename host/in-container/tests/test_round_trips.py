"""Properties: random tables of every type go in and out equal."""

import os
import random
import unittest
from unittest import mock

from case import RCase, RunnerCase, needs_pandas, pandas as pd, pyarrow
from fake_runner import parse, render
from tables import csv_of, meaning, seed, table

import dataiku
from dataiku.core import dataset as dataset_module, frame_read

#: How many tables each test sends, and half of them where that takes R.
TABLES = int(os.environ.get("WHARF_TEST_TABLES") or (240 if os.environ.get("WHARF_TEST_LONG") else 24))


class RoundTrips(RunnerCase):
    def setUp(self):
        super().setUp()
        self.seed = seed()
        self.chance = random.Random(self.seed)
        # Read only when something failed.
        self.what = "WHARF_TEST_SEED=%d" % self.seed

    def each(self, copy, equal=None, **options):
        """Sends tables through `copy(input, output)`, which gets two datasets with the same schema."""
        for number in range(TABLES):
            columns, rows = table(self.chance, **options)
            what = "%s, table %d: %r" % (self.what, number, columns)
            self.runner.inputs, self.runner.outputs = [], []
            self.runner.input("in", columns, csv_of(columns, rows))
            self.runner.output("out")
            self.runner.schemas["out"] = [dict(column) for column in self.runner.schemas["in"]]
            self.runner.data.pop("out", None)
            try:
                copy(dataiku.Dataset("in"), dataiku.Dataset("out"))
                got = self.rows("out")
            except Exception as error:
                raise AssertionError(what) from error
            self.assertEqual(self.header("out"), [name for name, _ in columns], what)
            self.assertEqual(self.runner.schemas["out"], self.runner.schemas["in"], what)
            want = meaning(columns, rows)
            self.assertEqual(meaning(columns, got), equal(want) if equal else want, what)

    def test_rows(self):
        def copy(source, target):
            with target.get_writer() as writer:
                for row in source.iter_rows():
                    writer.write_row_dict(row)

        self.each(copy)

    def test_tuples(self):
        def copy(source, target):
            with target.get_writer() as writer:
                for row in source.iter_tuples():
                    writer.write_tuple(row)

        self.each(copy)

    def test_text(self):
        def copy(source, target):
            with source.raw_formatted_data(format="csv") as stream:
                self.assertEqual(stream.read().decode("utf-8"), self.runner.data["in"])
            self.runner.data["out"] = self.runner.data["in"]

        self.each(copy)


# What pandas before 2 can hold.
YEARS = (1, 9999) if pd is not None and int(pd.__version__.split(".")[0]) >= 2 else (1700, 2200)
TYPED = {"infer_with_pandas": False, "keep_default_na": False}


@needs_pandas
class RoundTripsOfFrames(RoundTrips):
    """In the way that is taken here: with pyarrow where it is installed, else with numpy alone."""

    test_rows = test_tuples = test_text = None

    def test_whole(self):
        self.each(lambda source, target: target.write_dataframe(source.get_dataframe(**TYPED)), years=YEARS)

    def test_whole_with_nullable_integers(self):
        def copy(source, target):
            target.write_dataframe(source.get_dataframe(use_nullable_integers=True, **TYPED))

        self.each(copy, years=YEARS)

    def test_in_parts(self):
        def copy(source, target):
            with target.get_writer() as writer:
                for part in source.iter_dataframes(chunksize=self.chance.choice([1, 7, 100]), **TYPED):
                    writer.write_dataframe(part)

        self.each(copy, years=YEARS)

    def test_with_their_own_schema(self):
        # Columns of texts stay what they are; the schema is the dataframe's, so only the texts are compared.
        def copy(source, target):
            target.write_with_schema(source.get_dataframe(**TYPED))
            for got, want in zip(self.runner.schemas["out"], self.runner.schemas["in"]):
                self.assertEqual(got["name"], want["name"])
                empty = all(value is None for value in source_column(source, want["name"]))
                if want["type"] in ("tinyint", "smallint", "int", "bigint", "boolean", "date", "string", "double", "float"):
                    # A column without a value has no type that its dataframe could keep.
                    self.assertTrue(got["type"] == want["type"] or empty, (got, want))
            self.runner.schemas["out"] = [dict(column) for column in self.runner.schemas["in"]]

        self.each(copy, years=YEARS)


def source_column(dataset, name):
    return [row[0] for row in dataset.iter_tuples(columns=[name])]


@needs_pandas
@unittest.skipIf(pyarrow is None, "pyarrow isn't installed, and the way without it is tested already")
class RoundTripsWithoutPyarrow(RoundTripsOfFrames):
    def setUp(self):
        super().setUp()
        for module in (frame_read, dataset_module):
            patch = mock.patch.object(module, "pyarrow", lambda: None)
            patch.start()
            self.addCleanup(patch.stop)


@needs_pandas
class RoundTripsOverCsv(RoundTripsOfFrames):
    """Where a null and an empty text are the same when they are read."""

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(frame_read.Reading, "wire", "csv")
        patch.start()
        self.addCleanup(patch.stop)
        patch = mock.patch.object(dataset_module, "_way", lambda frame, columns: dataset_module.write_csv)
        patch.start()
        self.addCleanup(patch.stop)

    def each(self, copy, equal=None, **options):
        def plain(rows):
            return [[None if value == "" else value for value in row] for row in rows]

        def copy_and_forget(source, target):
            copy(source, target)
            # What was null is the empty text now.
            rows = parse(self.runner.data["out"])
            self.runner.data["out"] = render([rows[0]] + plain(rows[1:]))

        # Pandas reads numbers faster than exactly, unless it is told to.
        with mock.patch.dict(TYPED, float_precision="round_trip"):
            super().each(copy_and_forget, equal=plain, **options)


class RoundTripsInR(RCase):
    """All tables go through one process, because starting R takes longer than the rest."""

    def each(self, copy):
        used = seed()
        chance = random.Random(used)
        want = {}
        for number in range(TABLES // 2):
            # No text of R can have that letter.
            columns, rows = table(chance, without="\0", small=number % 3 == 0)
            source, target = "in%d" % number, "out%d" % number
            self.runner.input(source, columns, csv_of(columns, rows))
            self.runner.output(target)
            self.runner.schemas[target] = [dict(column) for column in self.runner.schemas[source]]
            want[target] = (columns, rows)
        code = """
            for (number in 0:%d) {
              source <- paste0("in", number)
              target <- paste0("out", number)
              schema <- dkuReadSchema(source)
              # R's numbers hold 15 digits.
              long <- schema$name[schema$type == "bigint"]
              classes <- if (length(long)) setNames(rep("character", length(long)), long) else NA
              %s
            }
        """
        try:
            self.r(code % (TABLES // 2 - 1, copy))
        except AssertionError as error:
            raise AssertionError("WHARF_TEST_SEED=%d" % used) from error
        for target, (columns, rows) in want.items():
            what = "WHARF_TEST_SEED=%d, %s: %r" % (used, target, columns)
            self.assertEqual(self.header(target), [name for name, _ in columns], what)
            self.assertEqual(meaning(columns, self.rows(target)), meaning(columns, rows), what)

    def test_whole(self):
        self.each(
            """
            d <- dkuReadDataset(source, colClasses = classes, inferColClassesFromData = FALSE,
                                convertEmptyStrings = FALSE, na.strings = character())
            dkuWriteDataset(d, target, schema = FALSE)
            """
        )

    def test_in_chunks(self):
        self.each(
            """
            writer <- dkuDatasetWriter(target, schema = FALSE)
            dkuReadDatasetByChunks(source, writer$write, chunkSize = 7, colClasses = classes,
                                   convertEmptyStrings = FALSE, na.strings = character())
            writer$close()
            """
        )


if __name__ == "__main__":
    unittest.main()
