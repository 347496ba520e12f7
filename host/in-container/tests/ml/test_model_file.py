"""Hostile model files are refused, and nothing in them runs."""

import io
import json
import os
import pickle
import shutil
import tempfile
import unittest
import zipfile

from ml.ml_case import MlCase, numpy

if numpy is not None:
    import skops.io
    from ml import every_model
    from threadpoolctl import threadpool_limits
    from wharf_ml import fitted_check, model_file
    from wharf_ml.refusal import Refused
    from wharf_ml.trusted_types import BY_LOADER


class Bomb:
    """What a pickle would run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@unittest.skipIf(numpy is None, "scikit-learn, skops or pandas isn't installed")
class ModelFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.file = os.path.join(cls.folder, "model.skops")
        # Small fits in many threads mostly wait for each other.
        limited = threadpool_limits(1)
        cls.addClassCleanup(limited.restore_original_limits)
        cls.every = list(every_model.fitted())
        forest = next(pipeline for name, pipeline, _, _ in cls.every if name == "random_forest binary")
        model_file.dump(forest, cls.file)

    def parts(self):
        with zipfile.ZipFile(self.file) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def refused(self, parts, *words, compression=zipfile.ZIP_STORED):
        path = os.path.join(self.folder, "hostile.skops")
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
        self.refused_file(path, *words)

    def refused_file(self, path, *words):
        with self.assertRaises(Refused) as caught:
            model_file.load(path)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def changed(self, change):
        parts = self.parts()
        tree = json.loads(parts["schema.json"])
        change(tree)
        parts["schema.json"] = json.dumps(tree)
        return parts

    def test_every_model_is_read_again(self):
        for name, pipeline, X, _ in self.every:
            with self.subTest(name):
                path = os.path.join(self.folder, "again.skops")
                model_file.dump(pipeline, path)
                again = model_file.load(path)
                X = X[list(pipeline.feature_names_in_)]
                ask = "predict_proba" if hasattr(pipeline, "predict_proba") else "predict"
                numpy.testing.assert_array_equal(getattr(again, ask)(X), getattr(pipeline, ask)(X))

    def test_the_lists_have_nothing_that_no_model_has(self):
        found = set().union(*(model_file.type_names(skops.io.dumps(pipeline)) for _, pipeline, _, _ in self.every))
        listed = {
            (loader, kind) for loader, kinds in BY_LOADER.items() for kind in kinds if not kind.startswith("numpy.")
        }
        found |= {
            ("ObjectNode", kind) for kind in BY_LOADER["ObjectNode"] if kind.startswith(("lightgbm.", "xgboost."))
        }
        spare = {pair for pair in listed - found if not pair[1].startswith(("builtins.", "collections."))}
        self.assertLessEqual(len(spare), 3, spare)

    def test_a_pickle_in_disguise(self):
        ran = os.path.join(self.folder, "ran")
        data = pickle.dumps(Bomb(ran))
        path = os.path.join(self.folder, "pickle.skops")
        with open(path, "wb") as stream:
            stream.write(data)
        self.refused_file(path, "isn't a whole archive")
        # In an array of objects, under the name of one that the tree uses.
        parts = self.parts()
        name = next(name for name in parts if name.endswith(".npy"))
        out = io.BytesIO()
        numpy.save(out, numpy.array([Bomb(ran)], dtype=object), allow_pickle=True)
        self.refused(dict(parts, **{name: out.getvalue()}), "has objects in it, which only a pickle can hold")
        self.refused(dict(parts, **{name: data}), "isn't an array of numpy")
        self.assertFalse(os.path.exists(ran))

    def test_sizes_that_are_claimed(self):
        parts = self.parts()
        name = next(name for name in parts if name.endswith(".npy"))
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }".ljust(117) + b"\n"
        array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 16
        self.refused(dict(parts, **{name: array}), "claims a shape of (1000000000, 1000000)")
        self.refused(dict(parts, **{name: array[:60]}), "can't be read")
        self.refused(dict(parts, **{name: b"\x93NUMPY\x02\x00\xff\xff\xff\x7f"}), "has 2147483647 bytes")
        self.refused(dict(parts, big=b"\0" * 10), "isn't one of a model")
        self.refused(dict(parts, **{"bomb.bin": b"\0" * 10**7}), "is compressed", compression=zipfile.ZIP_DEFLATED)
        with self.assertRaises(Refused) as caught:
            model_file.check(self.file, left=1000)
        self.assertIn("doesn't fit into the container's memory", str(caught.exception))
        with open(self.file, "rb") as stream:
            data = stream.read()
        path = os.path.join(self.folder, "cut.skops")
        with open(path, "wb") as stream:
            stream.write(data[: len(data) // 2])
        self.refused_file(path, "isn't a whole archive")

    def test_types_and_loaders(self):
        def put(**node):
            return self.changed(lambda tree: tree["content"]["content"].update(memory=dict({"__id__": 1}, **node)))

        call = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}
        self.refused(put(**call), 'the loader "FunctionNode"')
        self.refused(
            put(__class__="Popen", __module__="subprocess", __loader__="ObjectNode"),
            "subprocess.Popen, which isn't trusted",
        )
        self.refused(
            put(__class__="Popen", __module__="subprocess", __loader__="TypeNode"),
            "subprocess.Popen, which isn't trusted",
        )
        for loader in (
            "MethodNode",
            "PartialNode",
            "OperatorFuncNode",
            "ConstructorFromReduceNode",
            "SparseMatrixNode",
            "Own",
        ):
            self.refused(
                put(__class__="Pipeline", __module__="sklearn.pipeline", __loader__=loader), 'the loader "%s"' % loader
            )
        # A list that is made by calling something else than a list.
        size = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1000000000"}
        self.refused(
            put(__class__="ndarray", __module__="numpy", __loader__="ListNode", content=[size, size]), "isn't trusted"
        )
        self.refused(
            put(__class__="dict", __module__="builtins", __loader__="DictNode", content=3, key_types=size), "damaged"
        )
        self.refused(self.changed(lambda tree: tree.update(protocol=0)), "isn't of the protocol")
        self.refused(dict(self.parts(), **{"schema.json": "[" * 5000}), "can't be read")

    def test_trees_that_lead_out(self):
        for name, change, word in (
            ("children_left", lambda values: values.__setitem__(0, 10**6), "lead out of it"),
            ("feature", lambda values: values.__setitem__(0, 10**6), "lead out of it"),
            ("children_right", lambda values: values.__setitem__(0, 0), "lead out of it"),
        ):
            parts = self.parts()
            for file, data in parts.items():
                if file.endswith(".npy"):
                    array = numpy.load(io.BytesIO(data))
                    if (
                        array.dtype.names
                        and {"left_child", "feature"} <= set(array.dtype.names)
                        and array["left_child"][0] != -1
                    ):
                        field = {"children_left": "left_child", "children_right": "right_child"}.get(name, name)
                        change(array[field])
                        out = io.BytesIO()
                        numpy.save(out, array)
                        parts[file] = out.getvalue()
                        break
            else:
                self.fail("no array of nodes was found")
            self.refused(parts, word)
        for name, pipeline, _, _ in self.every:
            if name.startswith("hist_gradient_boosting regression"):
                nodes = pipeline.named_steps["model"]._predictors[0][0].nodes
                nodes["feature_idx"][0] = 10**6 if nodes.dtype["feature_idx"].itemsize > 2 else 999
                nodes["is_leaf"][0] = 0
                with self.assertRaises(ValueError):
                    fitted_check.check_fitted(pipeline)
                break

    def test_not_a_pipeline_of_ours(self):
        from sklearn.linear_model import LogisticRegression

        path = os.path.join(self.folder, "other.skops")
        skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), path)
        self.refused_file(path, "no pipeline with the steps features and model")


class SavedModel(MlCase):
    def test_a_folder_that_was_changed(self):
        self.table("rows", [("x", "double"), ("y", "double")], [[float(n), float(n * 2)] for n in range(40)])
        self.train_setup()
        task = {
            "prediction_type": "regression",
            "target": "y",
            "algorithms": [{"name": "ridge"}],
            "explanations": False,
        }
        self.task("train", task, WHARF_CODE_ENV="ml-one")
        self.use_model()
        files = self.runner.folders["model"]
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["name"] == "model"]
        self.table("in", [("x", "double")], [[1.0]])
        self.runner.output("out")
        good = dict(files)

        def refused(change, *words):
            files.clear()
            files.update(good)
            change()
            self.refused(self.task("score", {}, 2), *words)

        made = json.loads(good["versions/1/versions.json"])
        self.assertEqual((made["code_env"], made["packages"]["skops"]), ("ml-one", skops.__version__))
        made["packages"]["scikit-learn"] = "0.24.2"
        data = json.dumps(made).encode()

        def older():
            import hashlib

            manifest = json.loads(good["versions/1/manifest.json"])
            manifest["files"]["versions.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            files["versions/1/versions.json"] = data
            files["versions/1/manifest.json"] = json.dumps(manifest).encode()

        refused(older, "made with scikit-learn 0.24.2", 'the code environment that made it, "ml-one"')
        refused(
            lambda: files.update({"versions/1/model.skops": good["versions/1/model.skops"][:-1] + b"x"}),
            "model.skops isn't the one that its manifest lists",
        )
        refused(lambda: files.pop("versions/1/schema.json"), "lacks its file versions/1/schema.json")
        refused(lambda: files.pop("current.json"), "has no saved model")
        files.clear()
        files.update(good)
        self.task("score", {})
        self.assertAlmostEqual(float(self.column("out", "prediction")[0]), 2.0, delta=3)


if __name__ == "__main__":
    unittest.main()
