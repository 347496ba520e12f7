"""The algorithms that a task may name: their parameters, their estimators, and what they need.

Only this table knows them: the reader, the search, the memory's estimate and the list of trusted types all ask it.
"""

import importlib

from wharf_ml.fields import Choice, Either, Flag, ListOf, Nothing, Number, Whole

CLASSIFICATION = ("binary", "multiclass")
REGRESSION = ("regression",)
CLUSTERING = ("clustering",)
SUPERVISED = CLASSIFICATION + REGRESSION

_JOBS = ("n_jobs",)


class Algorithm:
    """One algorithm: estimators by prediction type, and what is particular about it.

    ``copies`` says how many times the size of its encoded features it takes while it is fitted; ``trees`` that it keeps
    nodes; ``square`` that it keeps a number for each pair of rows.
    """

    def __init__(
        self, name, estimators, parameters, copies=1.0, package="scikit-learn", probabilities=True, seeded=True,
        parallel=False, weights=True, dense=False, trees=False, square=False, fixed=None, class_weight=False
    ):  # fmt: skip
        self.name, self.estimators, self.parameters = name, estimators, parameters
        self.copies, self.package, self.probabilities, self.seeded = copies, package, probabilities, seeded
        self.parallel, self.weights, self.dense, self.trees, self.square = parallel, weights, dense, trees, square
        self.fixed = fixed or {}
        #: Whether the estimator takes weights of classes itself; else they become weights of rows.
        self.class_weight = class_weight

    @property
    def prediction_types(self):
        """The prediction types that it can be used for."""
        return tuple(self.estimators)

    def gives_probabilities(self, prediction_type):
        """Whether its predictions have probabilities."""
        return prediction_type in CLASSIFICATION and self.probabilities

    def estimator(self, prediction_type, values, seed, jobs=None, gpu=False, class_weight=None):
        """The estimator, not fitted, with these parameters."""
        path = self.estimators[prediction_type]
        module, _, name = path.rpartition(".")
        arguments = dict(self.fixed)
        arguments.update({key: _tuple(value) for key, value in values.items()})
        if self.seeded:
            arguments["random_state"] = seed
        if self.parallel:
            arguments["n_jobs"] = jobs
        if class_weight is not None:
            arguments["class_weight"] = class_weight
        if gpu and self.name == "xgboost":
            arguments["device"] = "cuda"
        made = getattr(importlib.import_module(module), name)(**arguments)
        if self.name == "xgboost" and prediction_type in CLASSIFICATION:
            from wharf_ml.estimators import LabelledClassifier

            return LabelledClassifier(made)
        if self.name in ("agglomerative", "dbscan"):
            from wharf_ml.estimators import NearestCluster

            return NearestCluster(made, "core" if self.name == "dbscan" else "centroid")
        return made

    def is_installed(self):
        """Whether its package is there."""
        try:
            importlib.import_module(next(iter(self.estimators.values())).split(".")[0])
        except ImportError:
            return False
        return True


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _both(classifier, regressor):
    return {"binary": classifier, "multiclass": classifier, "regression": regressor}


def _classes(classifier):
    return {"binary": classifier, "multiclass": classifier}


_DEPTH = Either(Whole(1, 10000), Nothing())
_SHARE_OR_COUNT = Either(Whole(1), Number(above=0, high=1))
_MAX_FEATURES = Either(Choice("sqrt", "log2"), Whole(1), Number(above=0, high=1), Nothing())
_RATE = Number(above=0, high=10)
_SHARE = Number(above=0, high=1)
_NOT_NEGATIVE = Number(0)

_FOREST = {
    "n_estimators": Whole(1, 100000),
    "max_depth": _DEPTH,
    "min_samples_split": Either(Whole(2), Number(above=0, high=1)),
    "min_samples_leaf": Either(Whole(1), Number(above=0, below=1)),
    "max_features": _MAX_FEATURES,
    "max_leaf_nodes": Either(Whole(2), Nothing()),
    "max_samples": Either(Whole(1), _SHARE, Nothing()),
    "bootstrap": Flag(),
    "ccp_alpha": _NOT_NEGATIVE,
}
_XGBOOST = {
    "n_estimators": Whole(1, 100000),
    "max_depth": Whole(0, 1000),
    "learning_rate": _RATE,
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "min_child_weight": _NOT_NEGATIVE,
    "gamma": _NOT_NEGATIVE,
    "reg_alpha": _NOT_NEGATIVE,
    "reg_lambda": _NOT_NEGATIVE,
    "max_bin": Whole(2, 65536),
}

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "random_forest",
            _both("sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.RandomForestRegressor"),
            _FOREST,
            class_weight=True,
            copies=1.5,
            parallel=True,
            trees=True,
        ),
        Algorithm(
            "extra_trees",
            _both("sklearn.ensemble.ExtraTreesClassifier", "sklearn.ensemble.ExtraTreesRegressor"),
            _FOREST,
            class_weight=True,
            copies=1.5,
            parallel=True,
            trees=True,
        ),
        Algorithm(
            "gradient_boosting",
            _both("sklearn.ensemble.GradientBoostingClassifier", "sklearn.ensemble.GradientBoostingRegressor"),
            {
                "n_estimators": Whole(1, 100000),
                "learning_rate": _RATE,
                "max_depth": _DEPTH,
                "subsample": _SHARE,
                "min_samples_split": Either(Whole(2), Number(above=0, high=1)),
                "min_samples_leaf": Either(Whole(1), Number(above=0, below=1)),
                "max_features": _MAX_FEATURES,
            },
            copies=1.5,
        ),
        Algorithm(
            "hist_gradient_boosting",
            _both("sklearn.ensemble.HistGradientBoostingClassifier", "sklearn.ensemble.HistGradientBoostingRegressor"),
            {
                "learning_rate": _RATE,
                "max_iter": Whole(1, 100000),
                "max_leaf_nodes": Either(Whole(2), Nothing()),
                "max_depth": _DEPTH,
                "min_samples_leaf": Whole(1),
                "l2_regularization": _NOT_NEGATIVE,
                "max_bins": Whole(2, 255),
                "early_stopping": Either(Flag(), Choice("auto")),
            },
            class_weight=True,
            copies=1.3,
            dense=True,
        ),
        Algorithm(
            "xgboost",
            _both("xgboost.XGBClassifier", "xgboost.XGBRegressor"),
            _XGBOOST,
            copies=1.6,
            package="xgboost",
            parallel=True,
        ),
        Algorithm(
            "lightgbm",
            _both("lightgbm.LGBMClassifier", "lightgbm.LGBMRegressor"),
            {
                "n_estimators": Whole(1, 100000),
                "num_leaves": Whole(2, 131072),
                "max_depth": Whole(-1, 1000),
                "learning_rate": _RATE,
                "subsample": _SHARE,
                "subsample_freq": Whole(0),
                "colsample_bytree": _SHARE,
                "min_child_samples": Whole(0),
                "min_child_weight": _NOT_NEGATIVE,
                "reg_alpha": _NOT_NEGATIVE,
                "reg_lambda": _NOT_NEGATIVE,
            },
            class_weight=True,
            copies=1.6,
            package="lightgbm",
            parallel=True,
            fixed={"verbosity": -1},
        ),
        Algorithm(
            "logistic",
            _classes("sklearn.linear_model.LogisticRegression"),
            {
                "C": Number(above=0),
                "fit_intercept": Flag(),
                "max_iter": Whole(1),
                "tol": Number(above=0),
                "solver": Choice("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga"),
            },
            class_weight=True,
            copies=1.2,
        ),
        Algorithm(
            "ridge",
            _both("sklearn.linear_model.RidgeClassifier", "sklearn.linear_model.Ridge"),
            {"alpha": _NOT_NEGATIVE, "fit_intercept": Flag(), "tol": Number(above=0)},
            class_weight=True,
            copies=2.0,
            probabilities=False,
        ),
        Algorithm(
            "lasso",
            {"regression": "sklearn.linear_model.Lasso"},
            {"alpha": _NOT_NEGATIVE, "fit_intercept": Flag(), "max_iter": Whole(1), "tol": Number(above=0)},
            copies=2.0,
        ),
        Algorithm(
            "linear_svm",
            _both("sklearn.svm.LinearSVC", "sklearn.svm.LinearSVR"),
            {"C": Number(above=0), "fit_intercept": Flag(), "max_iter": Whole(1), "tol": Number(above=0)},
            class_weight=True,
            copies=2.5,
            probabilities=False,
        ),
        Algorithm(
            "knn",
            _both("sklearn.neighbors.KNeighborsClassifier", "sklearn.neighbors.KNeighborsRegressor"),
            {
                "n_neighbors": Whole(1),
                "weights": Choice("uniform", "distance"),
                "p": Number(1),
            },
            copies=2.0,
            seeded=False,
            parallel=True,
            weights=False,
            # A saved model holds no sparse matrix, whose indices C code follows unchecked.
            dense=True,
            # The saved arrays of a search tree are read by C code without a check of what they point to.
            fixed={"algorithm": "brute"},
        ),
        Algorithm(
            "mlp",
            _both("sklearn.neural_network.MLPClassifier", "sklearn.neural_network.MLPRegressor"),
            {
                "hidden_layer_sizes": ListOf(Whole(1, 100000), least=1),
                "activation": Choice("identity", "logistic", "tanh", "relu"),
                "solver": Choice("lbfgs", "sgd", "adam"),
                "alpha": _NOT_NEGATIVE,
                "batch_size": Either(Choice("auto"), Whole(1)),
                "learning_rate_init": _RATE,
                "max_iter": Whole(1),
                "early_stopping": Flag(),
                "tol": Number(above=0),
            },
            copies=2.0,
            weights=False,
        ),
        Algorithm(
            "kmeans",
            {"clustering": "sklearn.cluster.KMeans"},
            {"n_clusters": Whole(1), "n_init": Either(Whole(1), Choice("auto")), "max_iter": Whole(1)},
            copies=1.5,
        ),
        Algorithm(
            "minibatch_kmeans",
            {"clustering": "sklearn.cluster.MiniBatchKMeans"},
            {"n_clusters": Whole(1), "batch_size": Whole(1), "max_iter": Whole(1)},
            copies=1.2,
        ),
        Algorithm(
            "gaussian_mixture",
            {"clustering": "sklearn.mixture.GaussianMixture"},
            {
                "n_components": Whole(1),
                "covariance_type": Choice("full", "tied", "diag", "spherical"),
                "max_iter": Whole(1),
                "n_init": Whole(1),
                "reg_covar": _NOT_NEGATIVE,
            },
            copies=2.5,
            dense=True,
            weights=False,
        ),
        Algorithm(
            "agglomerative",
            {"clustering": "sklearn.cluster.AgglomerativeClustering"},
            {"n_clusters": Whole(1), "linkage": Choice("ward", "complete", "average", "single")},
            copies=1.5,
            seeded=False,
            dense=True,
            weights=False,
            square=True,
        ),
        Algorithm(
            "dbscan",
            {"clustering": "sklearn.cluster.DBSCAN"},
            {"eps": Number(above=0), "min_samples": Whole(1)},
            copies=2.0,
            seeded=False,
            dense=True,
            weights=False,
        ),
    )
}
