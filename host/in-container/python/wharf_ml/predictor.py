"""A fitted pipeline as everything else asks it: predictions, probabilities, classes."""

import numpy


class Predictor:
    """A fitted pipeline with the threshold of its binary predictions.

    Without a threshold a prediction is the estimator's own.
    """

    def __init__(self, pipeline, prediction_type, feature_names, threshold=None):
        self.pipeline = pipeline
        self.prediction_type = prediction_type
        #: The input columns, in their order.
        self.feature_names = list(feature_names)
        #: From which probability of the second class on it is predicted; None for the estimator's own prediction.
        self.threshold = threshold
        classes = prediction_type in ("binary", "multiclass")
        #: The classes in their order; None where nothing is classified.
        self.classes_ = pipeline.classes_ if classes else None
        self.has_probabilities = classes and hasattr(pipeline, "predict_proba")
        #: Scores of models without probabilities, else None.
        self.decision_function = None
        if classes and not self.has_probabilities and hasattr(pipeline, "decision_function"):
            self.decision_function = lambda X: pipeline.decision_function(self._ordered(X))

    def _ordered(self, X):
        # Choosing columns copies them.
        return X if list(X.columns) == self.feature_names else X[self.feature_names]

    def predict(self, X):
        """Classes, numbers or clusters."""
        return self.predict_both(X)[0] if self.threshold is not None else self.pipeline.predict(self._ordered(X))

    def predict_proba(self, X):
        """Probabilities, a column for each class; None where the model has none."""
        return self.pipeline.predict_proba(self._ordered(X)) if self.has_probabilities else None

    def predict_both(self, X):
        """Predictions and probabilities, with as little work as that takes."""
        if not self.has_probabilities:
            return self.pipeline.predict(self._ordered(X)), None
        places, probabilities = self.predict_places(X)
        return self.classes_[places], probabilities

    def predict_places(self, X):
        """The places of the predicted classes among all, and the probabilities; only where there are probabilities."""
        probabilities = self.predict_proba(X)
        if self.threshold is not None:
            return (probabilities[:, 1] >= self.threshold).astype(int), probabilities
        if probabilities.shape[1] == 2:
            # The same as below, in a fraction of its time.
            return (probabilities[:, 1] > probabilities[:, 0]).astype(int), probabilities
        return probabilities.argmax(axis=1), probabilities

    def effect(self, X):
        """One number a row by which predictions are compared: a probability or score of a class, or the prediction."""
        if self.has_probabilities:
            return self.predict_proba(X)
        if self.decision_function is not None:
            return self.decision_function(X)
        return numpy.asarray(self.pipeline.predict(self._ordered(X)), dtype=float)

    def transform(self, X):
        """The rows as the estimator sees them."""
        return self.pipeline[:-1].transform(self._ordered(X))


class FoldedPredictor:
    """What each fold's model said of the rows that it wasn't fitted on.

    It stands for one model over all of these rows, and answers about them only: dataframes that have their index.
    """

    def __init__(self, predictors, folds, rows, feature_names):
        self.feature_names = list(feature_names)
        self.threshold = predictors[0].threshold
        self.classes_ = predictors[0].classes_
        self.has_probabilities = predictors[0].has_probabilities
        self.decision_function = self._scores if predictors[0].decision_function is not None else None
        self._predictors = predictors
        self._fold = numpy.empty(rows, dtype=int)
        for at, places in enumerate(folds):
            self._fold[places] = at

    def _ask(self, X, question):
        # The index is the row's place, also in a part of the rows or with columns that were changed.
        fold = self._fold[X.index.to_numpy()]
        found = None
        for at, predictor in enumerate(self._predictors):
            mine = numpy.flatnonzero(fold == at)
            if len(mine):
                answer = numpy.asarray(question(predictor, X.iloc[mine]))
                if found is None:
                    found = numpy.empty((len(X),) + answer.shape[1:], dtype=answer.dtype)
                found[mine] = answer
        return found

    def predict(self, X):
        """Predictions."""
        return self._ask(X, lambda predictor, part: predictor.predict(part))

    def predict_proba(self, X):
        """Probabilities; None where the model has none."""
        if not self.has_probabilities:
            return None
        return self._ask(X, lambda predictor, part: predictor.predict_proba(part))

    def _scores(self, X):
        return self._ask(X, lambda predictor, part: predictor.decision_function(part))

    def transform(self, X):
        """The rows as they are: each fold's model sees them in its own way."""
        return X
