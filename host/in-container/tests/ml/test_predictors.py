"""Saved models as recipes use them: `dataiku.Model`."""

from ml.ml_case import MlCase, numpy, pandas
from ml.test_models import COLUMNS, SPLIT, rows


class Predictors(MlCase):
    def setUp(self):
        super().setUp()
        self.table("cases", COLUMNS, rows(300))
        self.train_setup()
        self.task("train", SPLIT)
        self.use_model()

    def test_it_predicts_what_a_scoring_gives(self):
        import dataiku

        new = rows(60, seed=9)
        # A color that training didn't see, and a row without anything.
        new[0][3] = "violet"
        new[1] = [1] + [None] * (len(COLUMNS) - 1)
        self.runner.inputs[:] = [b for b in self.runner.inputs if b["kind"] == "folder"]
        self.table("new", COLUMNS, new)
        self.runner.output("scored")
        self.task("score", {})
        self.runner.changed()

        model = dataiku.Model("model")
        frame = dataiku.Dataset("new").get_dataframe()
        predictor = model.get_predictor()
        answer = predictor.predict(frame.set_index(frame.index + 100))
        self.assertEqual(list(answer.columns), ["prediction", "proba_false", "proba_true"])
        self.assertEqual(list(answer.index), list(range(100, 160)))
        self.assertEqual(
            ["true" if value else "false" for value in answer["prediction"]], self.column("scored", "prediction")
        )
        expected = numpy.array([float(value) for value in self.column("scored", "proba_true")])
        self.assertTrue(numpy.array_equal(answer["proba_true"], expected))
        self.assertGreater(len(set(expected)), 30)
        # Columns of text without types, as a CSV read by pandas has them.
        plain = frame.astype({"color": object, "amount": object})
        self.assertTrue(numpy.array_equal(predictor.predict(plain)["proba_true"], expected))
        beside = predictor.predict(frame, with_input_cols=True, with_probas=False)
        self.assertEqual(list(beside.columns), list(frame.columns) + ["prediction"])
        self.assertEqual(len(predictor.predict(frame.head(0))), 0)

    def test_it_says_what_it_is(self):
        import dataiku

        model = dataiku.Model("model")
        self.assertEqual((model.get_id(), model.get_type()), ("model", "PREDICTION"))
        self.assertEqual(model.list_versions(), [{"versionId": "1", "active": True}])
        predictor = model.get_predictor("1")
        self.assertEqual(predictor.get_classes(), ["false", "true"])
        self.assertEqual(predictor.get_features(), [n for n, _ in COLUMNS if n not in ("id", "late")])
        frame = pandas.DataFrame([row[:-1] for row in rows(5)], columns=[n for n, _ in COLUMNS[:-1]])
        matrix, index, empty = predictor.get_preprocessing().preprocess(frame)
        self.assertEqual((matrix.shape[0], len(index), empty), (5, 5, False))
        self.assertEqual(matrix.shape[1], predictor._clf.n_features_in_)
        for call, words in (
            (lambda: model.get_predictor("2"), ["no version 2", "it has 1"]),
            (lambda: model.get_predictor("newest"), ["no version", "newest"]),
            (lambda: predictor.predict(frame.drop(columns=["color", "day"])), ["color", "day", "lacks"]),
            (lambda: predictor.predict(frame.assign(amount="much")), ["amount", "aren't numbers"]),
            (lambda: predictor.predict(frame, with_explanations=True), ["with_explanations", "isn't available"]),
            (lambda: dataiku.Model("other").get_id(), ["other", "model"]),
            (lambda: model.activate_version("1"), ["Model.activate_version", "isn't available"]),
        ):
            with self.fails(*words):
                call()

    def test_a_changed_model_is_refused(self):
        import dataiku

        files = self.runner.folders["model"]
        path = "versions/1/model.skops"
        files[path] = files[path][:-1] + b"x"
        with self.fails("changed or is damaged"):
            dataiku.Model("model").get_predictor()
