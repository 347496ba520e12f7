"""Saved models that are inputs of the run: their versions, and predictions for dataframes."""

import contextlib

from dataiku.core.connection import DataikuException
from dataiku.core.context import default_project_key, resolve
from dataiku.core.managed_folder import Folder
from dataiku.core.unavailable import MODEL, Refusing, refuse
from dataiku.core.unknown import Known

_HINT = "get_predictor() and list_versions() give what there is of it"


class Model(metaclass=Refusing):
    """A saved model that is an input of the run, by its name with or without the project's key.

    It is the folder that a training of wharf wrote. Nothing is asked of the host before the first use.
    """

    why = MODEL

    def __init__(self, lookup, project_key=None, ignore_flow=False):
        self._asked = lookup
        self._project = project_key
        self._predictors = {}

    def __repr__(self):
        return "Model(%r)" % self._asked

    def __getattr__(self, attribute):
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        refuse("Model." + attribute, self.why)

    @property
    def _folder(self):
        return Folder(resolve(self._asked, self._project, "folder"))

    def get_id(self):
        """Identifier of the model, which here is its name."""
        return self._folder.short_name

    def get_name(self):
        """Name of the model."""
        return self._folder.short_name

    def get_type(self):
        """``PREDICTION`` or ``CLUSTERING``."""
        return "CLUSTERING" if self.get_predictor().is_clustering else "PREDICTION"

    def get_info(self):
        """What the run knows of the model."""
        name = self.get_name()
        values = {"id": name, "name": name, "projectKey": default_project_key(), "type": self.get_type()}
        return Known(values, "the saved model " + name, _HINT)

    def list_versions(self):
        """A dict for each version, in order: ``versionId``, a text, and whether it is ``active``."""
        with _refusals():
            numbers, current, _ = _library().numbers(self._folder)
        return [{"versionId": str(number), "active": number == current} for number in numbers]

    def get_predictor(self, version_id=None):
        """The ``Predictor`` of a version, the active one unless said. It is read once."""
        key = None if version_id is None else str(version_id)
        if key not in self._predictors:
            # What isn't a number is no version's, and the error says which there are.
            number = int(key) if key is not None and key.isdecimal() else key
            with _refusals():
                version = _library().read_version(self._folder, number)
                try:
                    self._predictors[key] = Predictor(version, version.predictor())
                finally:
                    version.close()
        return self._predictors[key]


class Predictor:
    """A version of a saved model that predicts: ``predict`` takes and gives dataframes."""

    def __init__(self, version, predictor):
        from wharf_ml.batches import text_of

        self._columns = version.columns
        self._predictor = predictor
        self.is_clustering = predictor.prediction_type == "clustering"
        #: The fitted estimator, behind its preprocessing.
        self._clf = predictor.pipeline[-1]
        classes = predictor.classes_
        #: The classes as texts, in the order of their probabilities; empty where nothing is classified.
        self.classes = [] if classes is None else [text_of(value) for value in classes.tolist()]

    def get_features(self):
        """Names of the columns that the model reads."""
        return list(self._predictor.feature_names)

    def get_classes(self):
        """The classes as texts, in the order of their probabilities."""
        return list(self.classes)

    def get_proba_columns(self):
        """Names of the columns of probabilities that ``predict`` gives; empty where the model has none."""
        return ["proba_" + name for name in self.classes] if self._predictor.has_probabilities else []

    def get_preprocessing(self):
        """What makes of a dataframe what the estimator sees: an object with ``preprocess(df)``."""
        return _Preprocessing(self)

    def preprocess(self, df):
        """The rows as the estimator sees them: matrix, the index of the rows, and whether there are none."""
        matrix = self._predictor.transform(self._features(df))
        return matrix, df.index, len(df) == 0

    def predict(self, df, with_input_cols=False, with_prediction=True, with_probas=True, **others):
        """A dataframe with a row for each, and the same index: ``prediction``, and ``proba_CLASS`` for each class.

        With the model's own threshold. Rows with missing or unknown values are predicted as in a scoring.
        """
        import pandas

        asked = sorted(name for name, value in others.items() if value)
        if asked:
            refuse("Predictor.predict(%s=...)" % asked[0], MODEL)
        found = {}
        if len(df):
            predictions, probabilities = self._predictor.predict_both(self._features(df))
        else:
            # Estimators don't take no rows.
            self._features(df)
            predictions, probabilities = [], None
        if with_prediction:
            found["prediction"] = predictions
        if with_probas:
            for at, name in enumerate(self.get_proba_columns()):
                found[name] = [] if probabilities is None else probabilities[:, at]
        answer = pandas.DataFrame(found, index=df.index)
        return pandas.concat([df, answer], axis=1) if with_input_cols else answer

    def _features(self, df):
        from wharf_ml.frames import features_of

        with _refusals():
            return features_of(df, self._columns)


class _Preprocessing:
    def __init__(self, predictor):
        self.preprocess = predictor.preprocess


def _library():
    try:
        from wharf_ml import saved_model
    except ImportError as error:
        raise DataikuException(
            "a saved model is read with scikit-learn, skops and pandas, and %s isn't in this code environment: "
            "choose the one that made the model" % (error.name or error),
            "not-available",
        ) from None
    return saved_model


@contextlib.contextmanager
def _refusals():
    """Turns what the library of machine learning refuses into the error that recipes know."""
    from wharf_ml.refusal import Refused

    try:
        yield
    except Refused as refusal:
        raise DataikuException(str(refusal), "saved-model") from None
