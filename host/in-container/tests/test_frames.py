"""Dataframes: over CSV, over Arrow with numpy alone, and where pyarrow is, with that. All must give the same."""

import datetime
import decimal
import json
import unittest
from unittest import mock

from case import RunnerCase, needs_pandas, pandas as pd, pyarrow

import dataiku
from dataiku.core import dataset as dataset_module, frame_read

BIG = 2**63 - 1
COLUMNS = [
    ("t", "tinyint"), ("i", "int"), ("big", "bigint"), ("f", "float"), ("d", "double"), ("ok", "boolean"),
    ("when", "date"), ("s", "string"), ("zip", "string"), ("m", "map"),
]  # fmt: skip
TEXT = (
    "t,i,big,f,d,ok,when,s,zip,m\n"
    '1,100000,9223372036854775807,0.5,0.1,true,2024-01-01T00:00:00.000Z,a,01234,"{""k"": 1}"\n'
    '-2,-7,-9007199254740993,1.25,1e300,false,2024-06-01T12:30:00.250Z,"é, ""q""\n",00001,[]\n'
    "3,5,3,-1,2,true,1969-12-31T23:59:59.999Z,NA,9,x\n"
)
NULLS = "t,i,big,f,d,ok,when,s,zip,m\n1,2,9007199254740993,0.5,0.1,true,2024-01-01T00:00:00.000Z,a,1,b\n,,,,,,,,,\n"


def same(test, got, want):
    pd.testing.assert_frame_equal(got, want)
    test.assertEqual([str(t) for t in got.dtypes], [str(t) for t in want.dtypes])


@needs_pandas
class Reading(RunnerCase):
    """Over Arrow, with pyarrow where it is installed."""

    wire = "arrow"

    def setUp(self):
        super().setUp()
        self.runner.input("in", COLUMNS, TEXT)
        self.runner.input("nulls", COLUMNS, NULLS)

    def read(self, name, **options):
        frame = dataiku.Dataset(name).get_dataframe(**options)
        asked = [path for _, path in self.runner.requests if "/data?" in path][-1]
        self.assertIn("format=" + self.wire, asked)
        return frame

    def test_inferred(self):
        frame = self.read("in")
        kinds = {name: dtype.kind for name, dtype in frame.dtypes.items() if name not in ("s", "m", "when")}
        self.assertEqual(kinds, {"t": "i", "i": "i", "big": "i", "f": "f", "d": "f", "ok": "b", "zip": "i"})
        self.assertEqual(list(frame["big"]), [BIG, -9007199254740993, 3])
        # As pandas does: texts that are numbers become numbers, and "NA" is null.
        self.assertEqual(list(frame["zip"]), [1234, 1, 9])
        self.assertEqual(str(frame["zip"].dtype), "int64")
        self.assertEqual(str(frame["f"].dtype), "float64")
        self.assertTrue(pd.isna(frame["s"][2]))
        self.assertEqual(frame["s"][1], 'é, "q"\n')
        self.assertEqual(str(frame["when"].dtype.tz), "UTC")
        self.assertEqual(
            list(frame["when"]),
            [pd.Timestamp(t) for t in ("2024-01-01T00:00Z", "2024-06-01T12:30:00.250Z", "1969-12-31T23:59:59.999Z")],
        )

    def test_typed_by_the_schema(self):
        frame = self.read("in", infer_with_pandas=False)
        kinds = {name: str(dtype) for name, dtype in frame.dtypes.items() if name not in ("s", "m", "when", "zip")}
        self.assertEqual(
            kinds,
            {"t": "int8", "i": "int32", "big": "int64", "f": "float32", "d": "float64", "ok": "bool"},
        )
        self.assertEqual(list(frame["zip"]), ["01234", "00001", "9"])
        self.assertEqual(list(frame["big"]), [BIG, -9007199254740993, 3])

    def test_nulls_keep_every_digit(self):
        frame = self.read("nulls", infer_with_pandas=False)
        kinds = {name: str(dtype) for name, dtype in frame.dtypes.items() if name not in ("s", "m", "when", "zip")}
        self.assertEqual(
            kinds, {"t": "Int8", "i": "Int32", "big": "Int64", "f": "float32", "d": "float64", "ok": "boolean"}
        )
        self.assertEqual(frame["big"][0], 9007199254740993)
        self.assertTrue(frame.iloc[1].isna().all())

    def test_nulls_inferred(self):
        frame = self.read("nulls")
        self.assertEqual(str(frame["i"].dtype), "float64")
        self.assertTrue(frame.iloc[1].isna().all())
        self.assertIs(frame["ok"][0], True)
        self.assertEqual(frame["s"][0], "a")

    def test_columns_and_limit(self):
        frame = self.read("in", columns=["s", "t"], limit=2)
        self.assertEqual((list(frame.columns), len(frame)), (["s", "t"], 2))
        self.assertEqual(len(self.read("in", limit=0)), 0)
        with self.fails("'nope'"):
            self.read("in", columns=["nope"])

    def test_arguments(self):
        frame = self.read("in", parse_dates=False)
        self.assertTrue(isinstance(frame["when"][0], str) and frame["when"][0].startswith("2024-01-01T00:00:00"))
        frame = self.read("in", bool_as_str=True)
        self.assertEqual(list(frame["ok"]), ["true", "false", "true"])
        frame = self.read("in", keep_default_na=False)
        self.assertEqual(frame["s"][2], "NA")
        frame = self.read("in", na_values=["a"])
        self.assertTrue(pd.isna(frame["s"][0]))
        frame = self.read("in", na_values={"s": ["a"]})
        self.assertTrue(pd.isna(frame["s"][0]))
        frame = self.read("in", override_dtypes={"zip": "object", "i": "float64"})
        self.assertEqual((frame["zip"][0], str(frame["i"].dtype)), ("01234", "float64"))

    def test_integers_as_asked(self):
        for name, infer in (("in", True), ("in", False), ("nulls", True), ("nulls", False)):
            frame = self.read(name, infer_with_pandas=infer, use_nullable_integers=True)
            self.assertEqual([str(frame[n].dtype) for n in ("t", "i", "big")], ["Int8", "Int32", "Int64"])
            frame = self.read(name, infer_with_pandas=infer, int_as_float=True)
            self.assertEqual([str(frame[n].dtype) for n in ("t", "i", "big")], ["float64"] * 3)
        # Not a digit is lost, which it is as soon as they are floats.
        self.assertEqual(self.read("nulls", use_nullable_integers=True)["big"][0], 9007199254740993)
        with self.fails("int_as_float"):
            self.read("in", int_as_float=True, use_nullable_integers=True)
        import inspect

        # Some plugins look whether the argument is there.
        self.assertIn("use_nullable_integers", inspect.signature(dataiku.Dataset("in").get_dataframe).parameters)

    def test_categoricals(self):
        frame = self.read("in", categoricals=["zip"])
        self.assertEqual(str(frame["zip"].dtype), "category")
        self.assertEqual(list(frame["zip"]), ["01234", "00001", "9"])
        frame = self.read("in", infer_with_pandas=False, categoricals="all_strings")
        self.assertEqual([n for n in frame if str(frame[n].dtype) == "category"], ["s", "zip"])
        with self.fails("categoricals", "'nope'"):
            self.read("in", categoricals=["nope"])

    def test_names_of_any_text(self):
        columns = [("a", "int"), ("a", "string"), ("a.1", "int"), ('q,"é', "string"), ("", "int")]
        self.runner.input("names", columns, 'a,a,a.1,"q,""é",""\n1,x,2,y,3\n')
        frame = self.read("names")
        self.assertEqual(list(frame.columns), [name for name, _ in columns])
        self.assertEqual([str(v) for v in frame.iloc[0]], ["1", "x", "2", "y", "3"])

    def test_no_rows(self):
        self.runner.input("none", COLUMNS, TEXT.split("\n")[0] + "\n")
        for infer in (True, False):
            frame = self.read("none", infer_with_pandas=infer)
            self.assertEqual((list(frame.columns), len(frame)), ([n for n, _ in COLUMNS], 0))

    def test_one_column_of_nulls(self):
        self.runner.input("one", [("s", "string")], 's\nx\n""\ny\n')
        frame = self.read("one")
        self.assertEqual([None if pd.isna(v) else v for v in frame["s"]], ["x", None, "y"])

    def test_mixed_texts_stay_texts(self):
        self.runner.input("mixed", [("s", "string")], "s\n" + "1\n" * 1500 + "x\n")
        frame = self.read("mixed")
        self.assertEqual((frame["s"][0], frame["s"][1500]), ("1", "x"))
        self.runner.input("truths", [("s", "string")], "s\ntrue\nFalse\n")
        self.assertEqual(str(self.read("truths")["s"].dtype), "bool")
        self.runner.input("na", [("s", "string"), ("n", "int")], "s,n\n1,1\nNA,2\n")
        self.assertEqual(list(self.read("na", keep_default_na=False)["s"]), ["1", "NA"])
        self.assertEqual(str(self.read("na")["s"].dtype), "float64")
        self.runner.input("quoted", [("s", "string")], 's\n1\n"1""2"\n')
        self.assertEqual(list(self.read("quoted")["s"]), ["1", '1"2'])

    def test_parts(self):
        rows = "".join("%d,t%d\n" % (n, n) for n in range(25000))
        self.runner.input("many", [("n", "int"), ("s", "string")], "n,s\n" + rows)
        parts = list(dataiku.Dataset("many").iter_dataframes(chunksize=6000))
        self.assertEqual([len(part) for part in parts], [6000] * 4 + [1000])
        self.assertEqual(list(pd.concat(parts)["n"]), list(range(25000)))
        self.assertEqual(list(parts[1].index[:2]), [0, 1])
        self.assertEqual(sum(len(p) for p in dataiku.Dataset("many").iter_dataframes(limit=7, columns=["s"])), 7)

    def test_random(self):
        self.runner.input("many", [("n", "int")], "n\n" + "".join("%d\n" % n for n in range(3000)))
        dataset = dataiku.Dataset("many")
        for frame in (
            dataset.get_dataframe(sampling="random", limit=100),
            pd.concat(dataset.iter_dataframes(chunksize=30, sampling="random", limit=100)),
        ):
            self.assertEqual(len(set(frame["n"])), 100)
            self.assertEqual(list(frame["n"]), sorted(frame["n"]))
        self.assertTrue(1000 < len(dataset.get_dataframe(sampling="random", ratio=0.5)) < 2000)
        self.assertTrue(1000 < sum(map(len, dataset.iter_dataframes(sampling="random", ratio=0.5))) < 2000)
        text = "".join("%s,%d\n" % (n % 50 or "", n) for n in range(3000))
        self.runner.input("users", [("user", "int"), ("n", "int")], "user,n\n" + text)
        asked = {"sampling": "random-column", "sampling_column": "user", "ratio": 0.5}
        for frame in (
            dataiku.Dataset("users").get_dataframe(**asked),
            # In some parts the column is of whole numbers, in others it has nulls.
            pd.concat(dataiku.Dataset("users").iter_dataframes(chunksize=7, **asked)),
        ):
            self.assertEqual(len(frame), 60 * len(set(frame["user"].fillna(0))))
            self.assertTrue(8 < len(set(frame["user"].fillna(0))) < 42)

    def test_a_body_that_breaks_off_is_an_error(self):
        self.runner.input("many", [("n", "int")], "n\n" + "".join("%d\n" % n for n in range(100000)))
        for how in ("chunked", "length"):
            self.runner.tear = how
            with self.subTest(how), self.assertRaisesRegex(Exception, "broke off"):
                dataiku.Dataset("many").get_dataframe()
            with self.subTest(how), self.assertRaisesRegex(Exception, "broke off"):
                list(dataiku.Dataset("many").iter_dataframes())


@needs_pandas
class ReadingPlain(Reading):
    """Over Arrow, without pyarrow whatever is installed."""

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(frame_read, "pyarrow", lambda: None)
        patch.start()
        self.addCleanup(patch.stop)

    def test_texts_of_any_letters(self):
        texts = ["a", "é", "日本", "😀 \"x\"", "a", "NA", "", None] * 3000
        quoted = ["" if text is None else '"%s"' % text.replace('"', '""') for text in texts]
        self.runner.input("in", [("s", "string"), ("n", "int")], "s,n\n" + "".join(text + ",1\n" for text in quoted))
        frame = self.read("in", keep_default_na=False)
        self.assertEqual([text if isinstance(text, str) else None for text in frame["s"]], texts)
        frame.loc[0, "n"] = 5
        self.assertEqual(frame["n"].sum(), len(texts) + 4)


@needs_pandas
class ReadingCsv(Reading):
    """Over CSV, whatever is installed."""

    wire = "csv"

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(frame_read.Reading, "wire", "csv")
        patch.start()
        self.addCleanup(patch.stop)

    def test_values_that_are_not_of_their_type(self):
        for kind, text, word in (("bigint", "x", "'c'"), ("tinyint", "300", "too large"), ("boolean", "2", "boolean")):
            self.runner.input("bad", [("c", kind), ("d", "int")], "c,d\n%s,1\n" % text)
            with self.fails(word):
                self.read("bad", infer_with_pandas=False)

    def test_dates_of_other_spellings(self):
        text = "c,d\n2013-01-01 05:00:00,1\n2013-01-01T10:00:00Z,1\n2013-01-01T10:00:00+01:00,1\n"
        self.runner.input("dates", [("c", "date"), ("d", "int")], text)
        self.assertEqual([t.hour for t in self.read("dates")["c"]], [5, 10, 9])
        self.runner.input("words", [("c", "date"), ("d", "int")], "c,d\nsoon,1\n")
        self.assertEqual(list(self.read("words")["c"]), ["soon"])

    def test_options_of_pandas(self):
        frame = self.read("in", pandas_read_kwargs={"nrows": 1}, float_precision="round_trip")
        self.assertEqual((len(frame), frame["d"][0]), (1, 0.1))


@needs_pandas
class AllWays(RunnerCase):
    def test_all_ways_give_the_same(self):
        self.runner.input("in", COLUMNS, TEXT)
        self.runner.input("nulls", COLUMNS, NULLS)
        for name in ("in", "nulls"):
            for options in ({}, {"infer_with_pandas": False}, {"bool_as_str": True}, {"keep_default_na": False}):
                with self.subTest(name, **options):
                    arrow = dataiku.Dataset(name).get_dataframe(**options)
                    with mock.patch.object(frame_read, "pyarrow", lambda: None):
                        same(self, dataiku.Dataset(name).get_dataframe(**options), arrow)
                    with mock.patch.object(frame_read.Reading, "wire", "csv"):
                        csv = dataiku.Dataset(name).get_dataframe(**options)
                    if name == "nulls" and options == {"keep_default_na": False}:
                        # Without default nulls an empty number is a text for pandas, in CSV alone.
                        csv, arrow = csv[["s"]].fillna("").astype(str), arrow[["s"]].fillna("").astype(str)
                    same(self, arrow, csv)


@needs_pandas
class Writing(RunnerCase):
    """Over Arrow, with pyarrow where it is installed."""

    wire = "arrow"

    def setUp(self):
        super().setUp()
        self.runner.output("out")
        self.dataset = dataiku.Dataset("out")

    def write(self, frame):
        self.dataset.write_with_schema(frame)
        self.assertIn("format=" + self.wire, self.runner.requests[-1][1])
        return self.rows("out")

    def test_types(self):
        frame = pd.DataFrame(
            {
                "i8": pd.array([1, 2], dtype="int8"),
                "i16": pd.array([1, 2], dtype="int16"),
                "i32": pd.array([1, 2], dtype="int32"),
                "i64": [BIG, -1],
                "I64": pd.array([9007199254740993, None], dtype="Int64"),
                "u8": pd.array([255, 0], dtype="uint8"),
                "f32": pd.array([0.5, None], dtype="Float32").to_numpy("float32", na_value=float("nan")),
                "f64": [0.1, float("nan")],
                "b": [True, False],
                "B": pd.array([True, None], dtype="boolean"),
                "naive": pd.to_datetime(["2024-01-01", None]),
                "zone": pd.to_datetime(["2024-01-01T01:00", None]).tz_localize("Europe/Paris"),
                "o": ["x", None],
                "S": pd.array(["x", None], dtype="string"),
                "cat": pd.Categorical(["x", None]),
                "catb": pd.Categorical([True, None]),
                "mix": [1, "two"],
                "dict": [{"a": 1}, None],
                "day": [datetime.date(2024, 1, 1), None],
                "dec": [decimal.Decimal("1.50"), None],
                "delta": pd.to_timedelta([1, None], unit="s"),
            }
        )
        rows = self.write(frame)
        self.assertEqual(
            self.types("out"),
            {
                "i8": "tinyint", "i16": "smallint", "i32": "int", "i64": "bigint", "I64": "bigint", "u8": "smallint",
                "f32": "float", "f64": "double", "b": "boolean", "B": "boolean", "naive": "date", "zone": "date",
                "o": "string", "S": "string", "cat": "string", "catb": "string", "mix": "string", "dict": "string",
                "day": "string", "dec": "string", "delta": "string",
            },
        )  # fmt: skip
        got = dict(zip(frame.columns, zip(*rows)))
        self.assertEqual(got["i64"], (str(BIG), "-1"))
        self.assertEqual(got["I64"], ("9007199254740993", None))
        self.assertEqual((float(got["f64"][0]), got["f64"][1]), (0.1, None))
        self.assertEqual((float(got["f32"][0]), got["f32"][1]), (0.5, None))
        self.assertEqual(got["b"], ("true", "false"))
        self.assertEqual(got["B"], ("true", None))
        self.assertEqual(got["naive"], ("2024-01-01T00:00:00.000Z", None))
        self.assertEqual(got["zone"], ("2024-01-01T00:00:00.000Z", None))
        for name in ("o", "S", "cat"):
            self.assertEqual(got[name], ("x", None))
        self.assertEqual(got["catb"], ("True", None))
        self.assertEqual(got["mix"], ("1", "two"))
        self.assertEqual(got["dict"], ("{'a': 1}", None))
        self.assertEqual(got["day"], ("2024-01-01", None))
        self.assertEqual(got["dec"], ("1.50", None))

    def test_null_and_the_empty_text_are_told_apart(self):
        frame = pd.DataFrame({"a": ["", None, 'q"', "\n", " ", "NA"], "b": ["x", "", None, "", "y", ""]})
        self.assertEqual(
            self.write(frame), [["", "x"], [None, ""], ['q"', None], ["\n", ""], [" ", "y"], ["NA", ""]]
        )

    def test_one_column_keeps_its_rows(self):
        self.assertEqual(self.write(pd.DataFrame({"a": [None, "x", ""]})), [[None], ["x"], [""]])
        self.assertEqual([a for (a,) in self.write(pd.DataFrame({"a": [None, 1]}, dtype="Int64"))], [None, "1"])

    def test_names_and_indexes(self):
        frame = pd.DataFrame([[1, "x", 2]], columns=["a", "a", 'é,"\n'], index=["row"])
        self.write(frame)
        self.assertEqual((self.header("out"), self.rows("out")), (["a", "a", 'é,"\n'], [["1", "x", "2"]]))
        frame = pd.DataFrame([[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]), index=[7, 7])
        self.write(frame)
        self.assertEqual(self.header("out"), ["('x', 1)", "('y', 2)"])
        self.write(pd.DataFrame({0: [1]}))
        self.assertEqual(self.header("out"), ["0"])

    def test_no_rows(self):
        self.write(pd.DataFrame({"a": pd.Series([], dtype="int64")}))
        self.assertEqual((self.header("out"), self.rows("out")), (["a"], []))

    def test_dates_at_the_edges(self):
        dates = ["1677-09-22", "2262-04-11", "1969-12-31T23:59:59.9999"]
        frame = pd.DataFrame({"t": [pd.Timestamp(date) for date in dates]})
        zeros = "000000"
        self.assertEqual(
            [row[0] for row in self.write(frame)],
            ["1677-09-22T00:00:00.%sZ" % zeros, "2262-04-11T00:00:00.%sZ" % zeros, "1969-12-31T23:59:59.999900Z"],
        )

    def test_a_schema_of_the_recipes_own(self):
        kinds = ["bigint", "boolean", "date", "string", "map", "double"]
        self.dataset.write_schema([{"name": k, "type": k} for k in kinds])
        frame = pd.DataFrame(
            {
                "double": [1, 2],
                "bigint": [5.0, float("nan")],
                "boolean": [1, 0],
                "date": ["2024-01-01T00:00:00.000Z", None],
                "string": [1.5, 2.0],
                "map": [{"é": [1]}, None],
            }
        )
        self.dataset.write_dataframe(frame)
        self.assertEqual(self.header("out"), kinds)
        rows = self.rows("out")
        self.assertEqual(rows[0][:4], ["5", "true", "2024-01-01T00:00:00.000Z", "1.5"])
        self.assertEqual(json.loads(rows[0][4]), {"é": [1]})
        self.assertEqual(rows[1][:3], [None, "false", None])
        self.assertEqual(self.types("out")["bigint"], "bigint")

    def test_what_does_not_fit(self):
        self.dataset.write_schema([{"name": "a", "type": "bigint"}])
        with self.fails("'a'", "bigint"):
            self.dataset.write_dataframe(pd.DataFrame({"a": [1.5]}))
        with self.fails("missing: a", "not in the schema: b"):
            self.dataset.write_dataframe(pd.DataFrame({"b": [1]}))
        self.assertNotIn("out", self.runner.data)
        self.dataset.write_dataframe(pd.DataFrame({"b": [1]}), infer_schema=True)
        self.assertEqual(self.header("out"), ["b"])

    def test_without_a_schema_the_frame_gives_it(self):
        self.dataset.write_from_dataframe(pd.DataFrame({"b": [1]}))
        self.assertEqual(self.types("out"), {"b": "bigint"})

    def test_a_schema_that_the_host_knows_is_kept(self):
        self.runner.schemas["out"] = [{"name": "b", "type": "string"}]
        self.dataset.write_dataframe(pd.DataFrame({"b": [1]}))
        self.assertEqual((self.types("out"), self.rows("out")), ({"b": "string"}, [["1"]]))

    def test_an_input_is_not_written(self):
        self.runner.input("in", [("a", "int")], "a\n")
        with self.fails("'in'", "out"):
            dataiku.Dataset("in").write_with_schema(pd.DataFrame({"a": [1]}))

    def test_many_rows(self):
        frame = pd.DataFrame({"n": range(120000), "s": ["é" * (n % 7) for n in range(120000)]})
        rows = self.write(frame)
        self.assertEqual(rows, [[str(n), "é" * (n % 7)] for n in range(120000)])

    def test_uint64(self):
        self.write(pd.DataFrame({"u": pd.array([2**64 - 1], dtype="uint64")}))
        self.assertEqual((self.types("out"), self.rows("out")), ({"u": "string"}, [[str(2**64 - 1)]]))

    def test_a_round_trip(self):
        self.runner.input("in", COLUMNS, TEXT)
        frame = dataiku.Dataset("in").get_dataframe(infer_with_pandas=False, keep_default_na=False)
        self.dataset.write_with_schema(frame)
        self.runner.inputs.append({"name": "out", "role": "main", "kind": "dataset"})
        again = dataiku.Dataset("out").get_dataframe(infer_with_pandas=False, keep_default_na=False)
        same(self, again, frame)


@needs_pandas
class WritingPlain(Writing):
    """Without pyarrow, whatever is installed: over Arrow where the values are of their types already, else over CSV."""

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(dataset_module, "pyarrow", lambda: None)
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, frame):
        self.dataset.write_with_schema(frame)
        return self.rows("out")

    def test_what_has_its_types_goes_over_arrow(self):
        frame = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "s": ["é", None], "b": [True, False]})
        frame["d"] = pd.to_datetime(["2024-01-01T10:00:00+02:00", None], utc=True)
        rows = self.write(frame)
        self.assertIn("format=arrow", self.runner.requests[-1][1])
        self.assertEqual(
            rows, [["1", "0.5", "é", "true", "2024-01-01T08:00:00.000Z"], ["2", None, None, "false", None]]
        )

    def test_more_bytes_than_one_message_takes(self):
        frame = pd.DataFrame({"n": range(100), "s": ["x" * n or None for n in range(100)]})
        with mock.patch("dataiku.core.plain_arrow._LARGEST", 300):
            rows = self.write(frame)
        self.assertEqual(rows, [[str(n), "x" * n or None] for n in range(100)])


@needs_pandas
class WritingCsv(Writing):
    """Over CSV, whatever is installed."""

    wire = "csv"

    def setUp(self):
        super().setUp()
        patch = mock.patch.object(dataset_module, "_way", lambda frame, columns: dataset_module.write_csv)
        patch.start()
        self.addCleanup(patch.stop)

    def test_dataframes_through_a_writer(self):
        frame = pd.DataFrame({"a": [1, 2], "b": ["", None]})
        with self.dataset.get_writer() as writer:
            writer.write_dataframe(frame)
            writer.write_tuple([3, "x"])
            writer.write_dataframe(frame[["b", "a"]])
        self.assertEqual(
            self.rows("out"), [["1", ""], ["2", None], ["3", "x"], ["1", ""], ["2", None]]
        )
        self.assertEqual(self.types("out")["a"], "bigint")

    def test_parts_through_a_writer(self):
        self.runner.input("in", [("n", "int")], "n\n" + "".join("%d\n" % n for n in range(25000)))
        with self.dataset.get_writer() as writer:
            for part in dataiku.Dataset("in").iter_dataframes(chunksize=1000):
                writer.write_dataframe(part)
        self.assertEqual([int(n) for (n,) in self.rows("out")], list(range(25000)))


if __name__ == "__main__":
    unittest.main()
