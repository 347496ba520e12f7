"""The module as a whole: what a recipe knows of its run, what isn't there, and how a process ends."""

import datetime
import json
import os
import subprocess
import unittest
from unittest import mock

from case import PYTHON, RunnerCase, needs_pandas

import dataiku
from dataiku import customrecipe, pandasutils as pdu


class Context(RunnerCase):
    def test_roles_and_parameters(self):
        self.runner.input("a", [("x", "int")], "x\n", role="left")
        self.runner.input("b", [("x", "int")], "x\n", role="right")
        self.runner.folder("f", {}, role="right")
        self.runner.output("o", role="result")
        self.assertEqual(customrecipe.get_input_names_for_role("right"), ["PROJ.b", "PROJ.f"])
        self.assertEqual(customrecipe.get_input_names_for_role("none"), [])
        self.assertEqual(customrecipe.get_input_names(), ["PROJ.a", "PROJ.b", "PROJ.f"])
        self.assertEqual(customrecipe.get_output_names_for_role("result"), ["PROJ.o"])
        self.assertEqual(customrecipe.get_output_names(full=False), ["o"])
        config = customrecipe.get_recipe_config()
        self.assertEqual(config, self.runner.parameters)
        config["nested"]["a"].append(2)
        self.assertEqual(customrecipe.get_recipe_config(), self.runner.parameters)
        self.assertEqual(dataiku.Dataset.list(), ["a", "b", "o"])

    def test_star_import(self):
        names = {}
        exec("from dataiku.customrecipe import *", names)
        for name in (
            "get_recipe_config", "get_plugin_config", "get_recipe_resource", "get_input_names", "get_output_names",
            "get_input_names_for_role", "get_output_names_for_role",
        ):  # fmt: skip
            self.assertTrue(callable(names[name]))
        # Some recipes take these from there as well.
        self.assertEqual(names["json"].loads("[]"), [])
        self.assertTrue(names["os"].getcwd())

    def test_secret_parameters(self):
        self.runner.parameters = {
            "user": "ana", "password": None, "preset": {"url": "u", "token": None}, "a/b~": None, "list": [{"key": None}],
        }  # fmt: skip
        names = {"/password": "PW", "/preset/token": "TOKEN", "/a~1b~0": "PW", "/list/0/key": "PW"}
        environment = {"WHARF_SECRET_PARAMETERS": json.dumps(names), "PW": "p\u00e4ss", "TOKEN": ""}
        with mock.patch.dict(os.environ, environment):
            config = customrecipe.get_recipe_config()
        want = {
            "user": "ana", "password": "p\u00e4ss", "preset": {"url": "u", "token": ""}, "a/b~": "p\u00e4ss",
            "list": [{"key": "p\u00e4ss"}],
        }  # fmt: skip
        self.assertEqual(config, want)
        with mock.patch.dict(os.environ, WHARF_SECRET_PARAMETERS='{"/password": "NOPE"}'):
            with self.fails("/password", "NOPE", "isn't set"):
                customrecipe.get_recipe_config()
        with mock.patch.dict(os.environ, WHARF_SECRET_PARAMETERS="s3cret"):
            with self.assertRaises(dataiku.DataikuException) as caught:
                customrecipe.get_recipe_config()
        self.assertIn("WHARF_SECRET_PARAMETERS isn't valid JSON", str(caught.exception))
        self.assertNotIn("s3cret", str(caught.exception))

    def test_variables(self):
        self.assertEqual(dataiku.get_custom_variables()["threshold"], "42")
        typed = dataiku.get_custom_variables(typed=True)
        self.assertEqual((typed["threshold"], typed["who"], typed["list"]), (42, "ana", [1, 2]))
        self.assertEqual(dataiku.dku_flow_variables["who"], "ana")
        self.assertEqual(dataiku.dku_custom_variables["who"], "ana")
        self.assertEqual(dataiku.get_flow_variables()["who"], "ana")
        self.assertEqual(dataiku.default_project_key(), "PROJ")
        with self.fails("OTHER"):
            dataiku.get_custom_variables(project_key="OTHER")

    def test_resources_and_plugin_settings(self):
        with self.fails("resource"):
            customrecipe.get_recipe_resource()
        self.assertEqual(customrecipe.get_plugin_config(), {})
        os.environ.update(WHARF_RECIPE_RESOURCE="/r", WHARF_PLUGIN_CONFIG='{"a": 1}')
        self.addCleanup(os.environ.pop, "WHARF_RECIPE_RESOURCE")
        self.addCleanup(os.environ.pop, "WHARF_PLUGIN_CONFIG")
        self.assertEqual(customrecipe.get_recipe_resource(), "/r")
        self.assertEqual(customrecipe.get_plugin_config(), {"a": 1})


class NotHere(RunnerCase):
    def test_it_is_said_at_the_call(self):
        import dataiku.insights
        import dataikuapi
        from dataiku import HiveExecutor, Model, SQLExecutor2
        from dataiku.base.utils import safe_exception
        from dataiku.core.intercom import backend_json_call
        from dataiku.core.metrics import MetricsAndChecks
        from dataiku.core.sql import SQLExecutor2 as Same
        from dataiku.doctor.prediction import common
        from dataiku.runnables import Runnable
        from dataiku.sql import Column

        class Mine(Runnable):
            pass

        for call, word in (
            (lambda: SQLExecutor2(connection="x"), "SQL"),
            (lambda: Same(dataset="x"), "SQL"),
            (lambda: SQLExecutor2.exec_recipe_fragment("x"), "exec_recipe_fragment"),
            (lambda: HiveExecutor(), "SQL"),
            (lambda: Model("m").activate_version("1"), "among its inputs"),
            (lambda: Model.list_models(), "Model.list_models"),
            (lambda: MetricsAndChecks("d"), "metrics"),
            (lambda: dataiku.Folder("d").get_last_metric_values(), "metrics"),
            (lambda: Column("a"), "dataiku.sql.Column"),
            (lambda: common.make_lift_score(), "dataiku.doctor.prediction"),
            (lambda: backend_json_call("x"), "dataiku.core.intercom.backend_json_call"),
            (lambda: dataiku.insights.save_figure("x"), "insights.save_figure"),
            (lambda: dataikuapi.DSSClient("x", "y"), "dataikuapi.DSSClient isn't"),
            (lambda: dataikuapi.dss.project.DSSProject(), "dataikuapi.dss"),
            (lambda: Mine(), "only recipes run here"),
            (lambda: dataiku.get_dss_settings(), "DSS"),
            (lambda: pdu.split_dates(None), "pandasutils.split_dates"),
        ):
            with self.fails("isn't available here", word):
                call()
        self.assertIsInstance(safe_exception(ValueError, "no"), ValueError)

    def test_the_real_package_of_the_api_is_taken_where_it_is(self):
        with open(os.path.join(self.runner.directory, "dataikuapi.py"), "w") as stream:
            stream.write("DSSClient = 'real'\n")
        code = "import dataiku, dataikuapi; print(dataikuapi.DSSClient)"
        result = self.recipe("import sys; sys.path.append(%r); %s" % (self.runner.directory, code))
        os.unlink(os.path.join(self.runner.directory, "dataikuapi.py"))
        self.assertEqual(result.stdout, "real\n", result.stderr)

    def test_other_ways_to_the_same(self):
        from dataiku.core import default_project_key, dkujson, flow
        from dataiku.core.dataset import Dataset, Schema
        from dataiku.core.dataset_write import DatasetWriter
        from dataiku.core.managed_folder import Folder
        from dataikuapi.utils import DataikuException

        self.runner.input("a", [("x", "int")], "x\n", role="left")
        self.assertIs(Dataset, dataiku.Dataset)
        self.assertIs(Schema, dataiku.Schema)
        self.assertIs(DatasetWriter, dataiku.DatasetWriter)
        self.assertIs(Folder, dataiku.Folder)
        self.assertIs(DataikuException, dataiku.DataikuException)
        self.assertEqual(default_project_key(), "PROJ")
        self.assertEqual([each["fullName"] for each in flow.FLOW["in"]], ["PROJ.a"])
        self.assertEqual(flow.FLOW["in"][0]["partitions"], ["NP"])
        self.assertEqual(dkujson.loads(dkujson.dumps({"a": [1, {"b": datetime.date(2024, 1, 2)}]}))["a"][1]["b"], "2024-01-02")

    def test_unknown_names_are_unknown(self):
        with self.assertRaises(AttributeError):
            dataiku.nope
        self.assertFalse(hasattr(pdu, "__path__"))

    def test_outside_of_a_run(self):
        result = self.recipe("import dataiku; dataiku.Dataset('a').read_schema()", WHARF_SOCKET="")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("WHARF_SOCKET isn't set", result.stderr)

    def test_a_runner_that_is_gone(self):
        result = self.recipe("import dataiku; dataiku.Dataset('a').read_schema()", WHARF_SOCKET="/nope")
        self.assertIn("can't reach the runner", result.stderr)

    def test_importing_needs_no_pandas(self):
        self.runner.input("a", [("x", "int")], "x\n1\n")
        code = """
            import sys
            sys.modules["pandas"] = None
            sys.modules["pyarrow"] = None
            import dataiku, dataiku.customrecipe, dataiku.core.sql
            print(list(dataiku.Dataset("a").iter_tuples()))
            dataiku.Dataset("a").get_dataframe()
        """
        result = self.recipe(code)
        self.assertEqual(result.stdout, "[(1,)]\n")
        self.assertIn("ImportError: dataframes need pandas", result.stderr)

    @unittest.skipUnless(os.environ.get("WHARF_TEST_PYTHON2"), "WHARF_TEST_PYTHON2 names no Python 2")
    def test_python_2_is_told_plainly(self):
        result = subprocess.run(
            [os.environ["WHARF_TEST_PYTHON2"], "-B", "-c", "import dataiku"],
            env=dict(os.environ, PYTHONPATH=PYTHON),
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self.assertIn("needs Python 3.7 or newer", result.stderr)


class Ends(RunnerCase):
    """What is sent when a recipe's process ends, and what isn't."""

    def setUp(self):
        super().setUp()
        self.runner.output("out")
        self.runner.output("files", kind="folder")
        self.runner.folders["files"] = {"old.txt": b"old", "sub/keep.txt": b"keep"}

    WRITES = """
        import os, dataiku
        path = dataiku.Folder("files").get_path()
        os.remove(os.path.join(path, "old.txt"))
        os.makedirs(os.path.join(path, "new/deep"))
        open(os.path.join(path, "new/deep/é.txt"), "w").write("new")
        dataset = dataiku.Dataset("out")
        dataset.write_schema([{"name": "a", "type": "int"}])
        dataset.get_writer().write_tuple([1])
        dataiku.Folder("files").get_writer("w.txt").write(b"w")
    """

    def test_what_is_open_is_sent_at_the_end(self):
        result = self.recipe(self.WRITES)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(
            self.runner.folders["files"], {"sub/keep.txt": b"keep", "new/deep/é.txt": b"new", "w.txt": b"w"}
        )
        self.assertEqual(self.runner.data["out"], "a\n1\n")
        self.assertNotIn("/v1/folders/files/files/sub/keep.txt", [p for m, p in self.runner.requests if m == "PUT"])

    def test_a_failed_recipe_sends_nothing(self):
        result = self.recipe(self.WRITES + "\n        raise ValueError('no')\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn("ValueError: no", result.stderr)
        self.assertIn("old.txt", self.runner.folders["files"])
        self.assertNotIn("out", self.runner.data)

    def test_a_failure_at_the_end_fails_the_process(self):
        code = """
            import os, dataiku
            path = dataiku.Folder("files").get_path()
            os.symlink("/etc", os.path.join(path, "link"))
            print("done")
        """
        result = self.recipe(code)
        self.assertEqual((result.returncode, result.stdout), (1, "done\n"))
        self.assertIn("link to a directory", result.stderr)

    def test_a_forked_child_sends_nothing(self):
        code = """
            import os, sys, dataiku
            path = dataiku.Folder("files").get_path()
            open(os.path.join(path, "new.txt"), "w").write("new")
            if os.fork() == 0:
                os.remove(os.path.join(path, "new.txt"))
                sys.exit(0)
            os.wait()
            print(os.listdir(path))
        """
        self.recipe(code)
        self.assertEqual([r for r in self.runner.requests if r[0] != "GET"], [])

    @needs_pandas
    def test_a_whole_recipe(self):
        self.runner.input("in", [("a", "int"), ("b", "string")], "a,b\n1,x\n2,\n")
        code = """
            # -*- coding: utf-8 -*-
            import dataiku
            import pandas as pd, numpy as np
            from dataiku import pandasutils as pdu
            df = dataiku.Dataset("PROJ.in").get_dataframe()
            df["double"] = df["a"] * 2
            dataiku.Dataset("out").write_with_schema(df)
        """
        result = self.recipe(code)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.rows("out"), [["1", "x", "2"], ["2", None, "4"]])


if __name__ == "__main__":
    unittest.main()
