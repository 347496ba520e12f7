"""The part of DSS's public API that a run answers from its own inputs and outputs."""

import unittest

from case import RunnerCase

import dataiku


class PublicApi(RunnerCase):
    def setUp(self):
        super().setUp()
        self.runner.input("sales", [("x", "int"), ("y", "string")], 'x,y\n1,a\n,"b\nc"\n,\n', role="left")
        self.runner.folder("photos", {"b/two.txt": b"22", "one.txt": b"1"})
        self.runner.output("out")
        self.runner.output("made", kind="folder")
        self.project = dataiku.api_client().get_default_project()

    def test_only_the_own_project(self):
        client = dataiku.api_client()
        self.assertEqual(client.list_project_keys(), ["PROJ"])
        self.assertEqual(client.get_project("PROJ").project_key, "PROJ")
        with self.fails("'OTHER' isn't here", "which is 'PROJ'"):
            client.get_project("OTHER")

    def test_without_a_project(self):
        self.runner.project = ""
        self.runner.changed()
        client = dataiku.api_client()
        self.assertEqual(client.list_project_keys(), [])
        self.assertEqual(client.get_project(dataiku.default_project_key()).get_dataset("sales").full_name, "sales")
        with self.fails("'OTHER' isn't here", "belongs to none"):
            client.get_project("OTHER")

    def test_datasets(self):
        items = self.project.list_datasets()
        self.assertEqual([item["name"] for item in items], ["sales", "out"])
        self.assertEqual((items[0].name, items[0]["projectKey"]), ("sales", "PROJ"))
        with self.fails("doesn't know 'connection' of the dataset sales"):
            items[0]["connection"]
        self.assertEqual([each.name for each in self.project.list_datasets(as_type="objects")], ["sales", "out"])
        dataset = items[0].to_dataset()
        self.assertEqual((dataset.dataset_name, dataset.full_name, dataset.list_partitions()), ("sales", "PROJ.sales", ["NP"]))
        columns = [{"name": "x", "type": "int"}, {"name": "y", "type": "string"}]
        self.assertEqual(dataset.get_schema()["columns"], columns)
        self.assertEqual(dataset.get_definition()["schema"], {"columns": columns})
        self.assertEqual(len(list(dataset.get_as_core_dataset().iter_tuples())), 3)
        with self.fails("there is no dataset 'nope' in this run", "sales"):
            self.project.get_dataset("nope").get_schema()

    def test_counts(self):
        dataset = self.project.get_dataset("PROJ.sales")
        computed = dataset.compute_metrics(metric_ids=["records:COUNT_RECORDS"])["result"]["computed"]
        self.assertEqual([(each["metricId"], each["value"]) for each in computed], [("records:COUNT_RECORDS", "3")])
        self.assertEqual(len(dataset.compute_metrics(partition="NP")["result"]["computed"]), 2)
        for values in (dataset.get_last_metric_values(), dataiku.Dataset("sales").get_last_metric_values("NP")):
            self.assertEqual(values.get_global_value("records:COUNT_RECORDS"), 3)
            self.assertEqual(values.get_partition_value("basic:COUNT_COLUMNS", "NP"), 2)
            data = values.get_partition_data(partition="NP", metric_id="records:COUNT_RECORDS")
            self.assertEqual(dataiku.ComputedMetrics.get_value_from_data(data), 3)
            self.assertEqual(values.get_all_ids(), ["records:COUNT_RECORDS", "basic:COUNT_COLUMNS"])
            self.assertEqual(values.raw["metrics"][0]["lastValues"][0]["value"], "3")

    def test_rows_are_counted_once_and_of_one_column(self):
        values = dataiku.Dataset("sales").get_last_metric_values()
        self.assertNotIn("data", str(self.runner.requests))
        self.assertEqual({values.get_global_value("records:COUNT_RECORDS") for _ in range(3)}, {3})
        read = [path for _, path in self.runner.requests if "/data?" in path]
        self.assertEqual(read, ["/v1/datasets/sales/data?format=csv&columns=x"])

    def test_metrics_that_are_not_there(self):
        dataset = self.project.get_dataset("sales")
        with self.fails("the metric col_stats:MIN:x of sales isn't available here", "records:COUNT_RECORDS"):
            dataset.compute_metrics(metric_ids=["col_stats:MIN:x"])
        with self.fails("the metric col_stats:MIN:x of sales isn't available here"):
            dataset.get_last_metric_values().get_global_value("col_stats:MIN:x")
        with self.fails("sales has no partition '2024'"):
            dataset.compute_metrics(partition="2024", metric_ids=["records:COUNT_RECORDS"])
        with self.fails("probes", "isn't available here"):
            dataset.compute_metrics(probes={"a": 1})

    def test_folders(self):
        folders = self.project.list_managed_folders()
        self.assertEqual([(each["id"], each["name"]) for each in folders], [("photos", "photos"), ("made", "made")])
        folder = self.project.get_managed_folder("PROJ.photos")
        self.assertEqual((folder.id, folder.name), ("photos", "photos"))
        definition = folder.get_definition()
        self.assertEqual((definition["projectKey"], definition.get("partitioning")), ("PROJ", None))
        with self.fails("doesn't know 'path' of the folder photos"):
            definition["params"]["path"]
        contents = [(item["path"], item["size"]) for item in folder.list_contents()["items"]]
        self.assertEqual(contents, [("/b/two.txt", 2), ("/one.txt", 1)])

    def test_variables(self):
        variables = self.project.get_variables()
        self.assertEqual((variables["standard"]["threshold"], variables["standard"]["who"]), (42, "ana"))
        self.assertEqual(variables["local"], {})

    def test_all_else_is_said_at_the_call(self):
        client = dataiku.api_client()
        for call, word in (
            (lambda: client.list_users(), "dataiku.api_client().list_users isn't available here"),
            (lambda: self.project.set_variables({}), "get_project().set_variables isn't available here"),
            (lambda: self.project.get_dataset("sales").clear(), "get_dataset().clear isn't available here"),
            (lambda: self.project.get_managed_folder("made").put_file("a", b""), "put_file isn't available here"),
        ):
            with self.fails(word, "no API key"):
                call()
        self.assertEqual(list(self.runner.data), ["sales"])
        self.assertFalse(hasattr(client, "__len__"))


if __name__ == "__main__":
    unittest.main()
