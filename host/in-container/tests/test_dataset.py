"""Datasets without dataframes: names, schemas, rows, text."""

import datetime
import io
import unittest
from unittest import mock

from case import RunnerCase

import dataiku

UTC = datetime.timezone.utc
ODD = [("id", "bigint"), ("x,y", "double"), ('q"', "string"), ("é ü", "date"), ("ok", "boolean")]
ODD_TEXT = (
    'id,"x,y","q""",é ü,ok\n'
    '9223372036854775807,1.5,"a ""quoted"", text",2024-01-01T00:00:00.000Z,true\n'
    "-9223372036854775808,,NA,2024-06-01T12:30:00.250+02:00,false\n"
    ',0.1,"two\nlines",,\n'
)


class Names(RunnerCase):
    def test_a_name_may_have_the_projects_key(self):
        self.runner.input("flights", [("a", "string")], "a\nx\n")
        for name in ("flights", "PROJ.flights"):
            dataset = dataiku.Dataset(name)
            self.assertEqual(
                (dataset.name, dataset.full_name, dataset.short_name, dataset.project_key),
                ("PROJ.flights", "PROJ.flights", "flights", "PROJ"),
            )
        self.assertEqual(dataiku.Dataset("flights", project_key="PROJ").short_name, "flights")

    def test_without_a_project_names_are_plain(self):
        self.runner.project = ""
        self.runner.input("a.b", [("a", "string")], "a\nx\n")
        self.assertEqual(dataiku.Dataset("a.b").name, "a.b")
        self.assertEqual(dataiku.default_project_key(), "")

    def test_an_unknown_name_lists_those_that_exist(self):
        self.runner.input("flights", [("a", "string")], "a\n")
        self.runner.output("late")
        with self.fails("'nope'", "flights", "late"):
            dataiku.Dataset("nope").get_dataframe
            dataiku.Dataset("nope").read_schema()
        with self.fails("OTHER", "'flights'"):
            dataiku.Dataset("OTHER.flights").read_schema()
        with self.fails("OTHER"):
            dataiku.Dataset("flights", project_key="OTHER").read_schema()

    def test_a_folder_is_not_a_dataset(self):
        self.runner.folder("files", {})
        with self.fails("dataiku.Folder"):
            dataiku.Dataset("files").read_schema()

    def test_nothing_is_asked_before_the_first_use(self):
        dataiku.Dataset("nope")
        self.assertEqual(self.runner.requests, [])

    def test_partitions(self):
        self.runner.input("flights", [("a", "string")], "a\n")
        dataset = dataiku.Dataset("flights")
        self.assertEqual((dataset.read_partitions, dataset.list_partitions()), (["NP"], ["NP"]))
        self.assertEqual(dataset.writePartition, "")
        with self.fails("partitioned"):
            dataset.add_read_partitions("2024")


class Schemas(RunnerCase):
    def test_read_schema(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        schema = dataiku.Dataset("odd").read_schema()
        self.assertEqual([(c["name"], c["type"]) for c in schema], ODD)
        self.assertEqual(schema.columns[0], {"name": "id", "type": "bigint"})

    def test_a_schema_that_is_changed_stays_the_callers(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        dataset = dataiku.Dataset("odd")
        dataset.read_schema()[0]["name"] = "changed"
        self.assertEqual(dataset.read_schema()[0]["name"], "id")

    def test_write_schema(self):
        self.runner.output("out")
        dataset = dataiku.Dataset("out")
        dataset.write_schema([{"name": "a", "type": "int", "maxLength": -1, "comment": "x"}, {"name": "b"}])
        self.assertEqual(self.runner.schemas["out"], [{"name": "a", "type": "int"}, {"name": "b", "type": "string"}])

    def test_a_type_that_does_not_exist(self):
        self.runner.output("out")
        with self.fails("'integer'", "bigint"):
            dataiku.Dataset("out").write_schema([{"name": "a", "type": "integer"}])
        self.assertNotIn("out", self.runner.schemas)

    def test_an_input_is_not_written(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        self.runner.output("out")
        for write in (
            lambda d: d.write_schema([{"name": "a", "type": "int"}]),
            lambda d: d.get_writer(),
        ):
            with self.fails("'odd'", "input", "out"):
                write(dataiku.Dataset("odd"))

    def test_an_output_without_a_schema(self):
        self.runner.output("out")
        dataset = dataiku.Dataset("out")
        self.assertEqual(dataset.read_schema(raise_if_empty=False), [])
        with self.fails("the dataset out has no schema yet"):
            dataset.read_schema()
        dataset.write_schema([{"name": "x", "type": "int"}])
        self.assertEqual(dataset.read_schema(), [{"name": "x", "type": "int"}])

    def test_the_same_schema_again_is_not_sent(self):
        self.runner.output("out")
        dataset = dataiku.Dataset("out")
        dataset.write_schema([{"name": "x", "type": "int"}])
        with dataset.get_writer() as writer:
            writer.write_tuple((1,))
        described = dataset.read_schema()
        described[0]["comment"] = "what it is"
        dataset.write_schema(described)
        sent = [path for method, path in self.runner.requests if method == "PUT"]
        self.assertEqual(sent, ["/v1/datasets/out/schema", "/v1/datasets/out/data?format=csv"])
        dataset.write_schema([{"name": "y", "type": "int"}])
        self.assertEqual(self.types("out"), {"y": "int"})

    def test_an_empty_schema(self):
        self.runner.input("empty", [], "\n")
        self.assertEqual(dataiku.Dataset("empty").read_schema(raise_if_empty=False), [])
        with self.fails("no schema"):
            dataiku.Dataset("empty").read_schema()

    def test_config_and_location_are_dicts(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        self.runner.output("out")
        config = dataiku.Dataset("odd").get_config()
        self.assertEqual((config["name"], config["projectKey"], config["managed"]), ("odd", "PROJ", False))
        self.assertEqual(len(config["schema"]["columns"]), len(ODD))
        self.assertEqual(dataiku.Dataset("out").get_config()["schema"], {"columns": []})
        self.assertEqual(dataiku.Dataset("odd").get_location_info()["info"], {})

    def test_what_is_not_known_is_said(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        dataset = dataiku.Dataset("odd")
        for ask, word in (
            (lambda: dataset.get_location_info()["info"]["table"], "'table'"),
            (lambda: dataset.get_config()["params"]["connection"], "'connection'"),
            (lambda: dataset.get_config()["formatType"], "'formatType'"),
            (lambda: dataset.get_files_info(), "get_files_info"),
        ):
            with self.fails(word, "a container d"):
                ask()
        self.assertIsNone(dataset.get_config().get("params").get("connection"))
        self.assertEqual(dataset.get_location_info()["info"].get("table", "t"), "t")
        with self.assertRaises(KeyError):
            dataset.get_config()["nope"]

    def test_appending_is_refused(self):
        self.runner.output("out")
        with self.fails("appendMode"):
            dataiku.Dataset("out").spec_item["appendMode"] = True
        dataiku.Dataset("out").spec_item["appendMode"] = False

    def test_unknown_arguments_are_errors(self):
        self.runner.input("odd", ODD, ODD_TEXT)
        for call in (dataiku.Dataset("odd").get_dataframe, dataiku.Dataset("odd").write_with_schema):
            with self.assertRaisesRegex(TypeError, "infer_with_panda"):
                call(infer_with_panda=False)


class Rows(RunnerCase):
    def setUp(self):
        super().setUp()
        self.runner.input("odd", ODD, ODD_TEXT)
        self.runner.output("out")

    def test_rows_are_typed(self):
        rows = list(dataiku.Dataset("odd").iter_rows())
        self.assertEqual(
            [dict(row) for row in rows],
            [
                {
                    "id": 2**63 - 1,
                    "x,y": 1.5,
                    'q"': 'a "quoted", text',
                    "é ü": datetime.datetime(2024, 1, 1, tzinfo=UTC),
                    "ok": True,
                },
                {
                    "id": -(2**63),
                    "x,y": None,
                    'q"': "NA",
                    "é ü": datetime.datetime(2024, 6, 1, 10, 30, 0, 250000, tzinfo=UTC),
                    "ok": False,
                },
                {"id": None, "x,y": 0.1, 'q"': "two\nlines", "é ü": None, "ok": None},
            ],
        )
        self.assertEqual(rows[0].column_id("x,y"), 1)
        self.assertEqual(rows[0].get("nope", 7), 7)
        with self.assertRaises(KeyError):
            rows[0]["nope"]

    def test_tuples_with_columns_and_limit(self):
        dataset = dataiku.Dataset("odd")
        self.assertEqual(list(dataset.iter_tuples(columns=["ok", "x,y"], limit=2)), [(True, 1.5), (False, None)])
        self.assertIn("columns=ok,x%2Cy&limit=2", self.runner.requests[-1][1])
        with self.fails("'nope'", "x,y"):
            list(dataset.iter_tuples(columns=["nope"]))

    def test_random_rows(self):
        self.runner.input("many", [("n", "int")], "n\n" + "".join("%d\n" % n for n in range(1000)))
        dataset = dataiku.Dataset("many")
        some = [n for (n,) in dataset.iter_tuples(sampling="random", limit=50)]
        self.assertEqual(len(set(some)), 50)
        self.assertEqual(some, sorted(some))
        self.assertTrue(300 < len(list(dataset.iter_tuples(sampling="random", ratio=0.5))) < 700)
        with self.fails("random"):
            list(dataset.iter_tuples(sampling="random"))
        with self.fails("'head'", "no ratio"):
            list(dataset.iter_tuples(ratio=0.5))
        with self.fails("stratified"):
            list(dataset.iter_tuples(sampling="stratified"))

    def test_rows_of_random_values(self):
        text = "".join("%d,%d\n" % (n % 100, n) for n in range(3000))
        self.runner.input("users", [("user", "int"), ("n", "int")], "user,n\n" + text)
        dataset = dataiku.Dataset("users")
        rows = list(dataset.iter_tuples(sampling="random-column", sampling_column="user", ratio=0.5))
        users = {user for user, _ in rows}
        self.assertTrue(20 < len(users) < 80, users)
        # All rows of each value that was chosen.
        self.assertEqual(len(rows), 30 * len(users))
        with self.fails("sampling_column"):
            list(dataset.iter_tuples(sampling="random-column", ratio=0.5))
        with self.fails("'user'", "n"):
            list(dataset.iter_tuples(sampling="random-column", sampling_column="user", ratio=0.5, columns=["n"]))

    def test_log_every(self):
        result = self.recipe(
            "import dataiku; print(len(list(dataiku.Dataset('odd').iter_rows(log_every=2, columns=['id']))))"
        )
        self.assertEqual(result.stdout, "odd: 2 rows read\n3\n")

    def test_a_long_field(self):
        self.runner.input("long", [("t", "string")], "t\n" + "x" * 500000 + "\n")
        self.assertEqual(len(next(dataiku.Dataset("long").iter_tuples())[0]), 500000)

    def test_null_and_the_empty_text(self):
        self.runner.input("two", [("t", "string"), ("n", "int"), ("m", "map")], 't,n,m\n"",1,\n,,""\n"a""b,\n""",2,{}\n')
        self.assertEqual(
            list(dataiku.Dataset("two").iter_tuples()), [("", 1, None), (None, None, None), ('a"b,\n"', 2, "{}")]
        )

    def test_csv_that_is_not_valid(self):
        for text in ('t,n\n"a,1\n', 't,n\n"a"b,1\n', "t,n\na\n"):
            self.runner.input("bad", [("t", "string"), ("n", "int")], text)
            with self.subTest(text), self.fails("bad"):
                list(dataiku.Dataset("bad").iter_tuples())

    def test_one_column_of_nulls(self):
        self.runner.input("one", [("t", "string")], 't\n\n""\nx\n')
        self.assertEqual(list(dataiku.Dataset("one").iter_tuples()), [(None,), ("",), ("x",)])

    def test_raw_data(self):
        dataset = dataiku.Dataset("odd")
        with dataset.raw_formatted_data(format="csv") as stream:
            self.assertEqual(stream.read().decode(), ODD_TEXT)
        with dataset.raw_formatted_data(columns=["id", "ok"]) as stream:
            self.assertEqual(
                stream.read().decode(), "9223372036854775807\ttrue\n-9223372036854775808\tfalse\n\t\n"
            )
        with dataset.raw_formatted_data(columns=["id"], format="tsv-excel-header") as stream:
            self.assertEqual(stream.readline(), b"id\n")
        sampling = {"samplingMethod": "HEAD_SEQUENTIAL", "maxRecords": 1}
        with dataset.raw_formatted_data(sampling=sampling, columns=["ok"], format="csv") as stream:
            self.assertEqual(stream.read(), b"ok\ntrue\n")
        with self.fails("parquet"):
            dataset.raw_formatted_data(format="parquet")

    def test_a_body_that_breaks_off_is_an_error(self):
        self.runner.input("many", [("n", "int")], "n\n" + "".join("%d\n" % n for n in range(100000)))
        for how in ("chunked", "length"):
            self.runner.tear = how
            with self.subTest(how), self.fails("dataset many", "broke off"):
                list(dataiku.Dataset("many").iter_tuples())

    def test_the_hosts_sentence_is_the_error(self):
        self.runner.input("gone", [], "")
        del self.runner.schemas["gone"]
        with self.assertRaises(dataiku.DataikuException) as caught:
            dataiku.Dataset("gone").read_schema()
        self.assertEqual(str(caught.exception), "the dataset gone has no schema")
        self.assertEqual(caught.exception.code, "not-found")


class Writer(RunnerCase):
    def setUp(self):
        super().setUp()
        self.runner.output("out")
        self.dataset = dataiku.Dataset("out")

    def schema(self, *pairs):
        self.dataset.write_schema([{"name": n, "type": t} for n, t in pairs])

    def test_rows_of_all_kinds(self):
        self.schema(("s", "string"), ("i", "bigint"), ("d", "double"), ("b", "boolean"), ("t", "date"), ("m", "map"))
        zone = datetime.timezone(datetime.timedelta(hours=2))
        with self.dataset.get_writer() as writer:
            writer.write_tuple(("a", 2**63 - 1, 0.1, True, datetime.datetime(2024, 1, 2, 3, 4, 5, 678901), {"é": [1]}))
            writer.write_row_array(["", -1.0, float("nan"), False, datetime.datetime(2024, 1, 1, 1, tzinfo=zone), None])
            writer.write_row_dict({"s": 'q",\n', "t": datetime.date(2024, 1, 1)})
            writer.write_row_dict({"s": True, "b": 1, "t": "2024-01-01T00:00:00.000Z"})
        self.assertEqual(self.header("out"), ["s", "i", "d", "b", "t", "m"])
        self.assertEqual(
            self.rows("out"),
            [
                ["a", "9223372036854775807", "0.1", "true", "2024-01-02T03:04:05.678901Z", '{"é": [1]}'],
                ["", "-1", None, "false", "2023-12-31T23:00:00.000Z", None],
                ['q",\n', None, None, None, "2024-01-01T00:00:00.000Z", None],
                ["True", None, None, "true", "2024-01-01T00:00:00.000Z", None],
            ],
        )

    def test_names_of_any_text(self):
        names = ['a,"b"', "", "é\nü", "same", "same"]
        self.schema(*[(name, "string") for name in names])
        with self.dataset.get_writer() as writer:
            writer.write_tuple(["1", "2", "3", "4", "5"])
        self.assertEqual(self.header("out"), names)
        self.assertEqual(self.rows("out"), [["1", "2", "3", "4", "5"]])

    def test_no_rows_is_a_header(self):
        self.schema(("a", "int"))
        self.dataset.get_writer().close()
        self.assertEqual(self.runner.data["out"], "a\n")

    def test_a_row_of_one_null_is_a_row(self):
        self.schema(("a", "string"))
        with self.dataset.get_writer() as writer:
            writer.write_tuple([None])
            writer.write_tuple(["x"])
        self.assertEqual(self.rows("out"), [[None], ["x"]])

    def test_many_rows_stream(self):
        self.schema(("n", "int"), ("t", "string"))
        with self.dataset.get_writer() as writer:
            for n in range(100000):
                writer.write_row_dict({"n": n, "t": "x" * 20})
                self.assertLess(writer._size, 300000)
        rows = self.rows("out")
        self.assertEqual([int(n) for n, _ in rows], list(range(100000)))

    def test_an_exception_leaves_nothing(self):
        self.schema(("n", "int"))
        with self.assertRaises(ZeroDivisionError):
            with self.dataset.get_writer() as writer:
                for n in range(200000):
                    writer.write_tuple([n])
                1 / 0
        self.assertNotIn("out", self.runner.data)

    def test_rows_that_do_not_fit(self):
        self.schema(("n", "int"), ("m", "int"))
        writer = self.dataset.get_writer()
        with self.fails("3 values", "2 columns"):
            writer.write_tuple([1, 2, 3])
        with self.fails("1.5"):
            writer.write_tuple([1.5, 1])
        writer.close()
        writer.close()
        with self.fails("closed"):
            writer.write_tuple([1, 2])

    def test_keys_that_are_no_columns_are_left_out(self):
        self.schema(("n", "int"), ("m", "int"))
        with mock.patch("sys.stderr", io.StringIO()) as said:
            with self.dataset.get_writer() as writer:
                for n in range(3):
                    writer.write_row_dict({"z": 1, "n": n})
        self.assertEqual(self.rows("out"), [["0", None], ["1", None], ["2", None]])
        self.assertEqual(said.getvalue().count("\n"), 1)
        self.assertIn("'z' isn't a column of PROJ.out and isn't written; it has: n, m", said.getvalue())

    def test_without_a_schema(self):
        with self.fails("write_schema"):
            self.dataset.get_writer().write_tuple([1])

    def test_a_refusal_in_mid_stream_is_the_error(self):
        self.schema(("t", "string"))
        self.runner.refuse_data = (400, "bad-rows", "row 7 isn't a row")
        with self.assertRaises(dataiku.DataikuException) as caught:
            with self.dataset.get_writer() as writer:
                for _ in range(100000):
                    writer.write_tuple(["x" * 100])
        # The kernel may drop an answer when the connection is reset; the writing fails either way.
        self.assertRegex(str(caught.exception), "row 7 isn't a row|broke off")


if __name__ == "__main__":
    unittest.main()
