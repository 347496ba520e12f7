"""Fitted estimators whose arrays C code follows without looking: that they lead nowhere else.

A file can hold trusted types alone and still have a tree whose nodes point outside of it.
"""

import numpy


def check_fitted(pipeline):
    """Raises ValueError unless the pipeline is one of ours, and all in it that points stays within."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if not isinstance(pipeline, Pipeline) or [name for name, _ in pipeline.steps] != ["features", "model"]:
        raise ValueError("it has no pipeline with the steps features and model")
    if not isinstance(pipeline.named_steps["features"], ColumnTransformer):
        raise ValueError("its step features isn't a ColumnTransformer")
    model = pipeline.named_steps["model"]
    width = model.n_features_in_
    if not isinstance(width, (int, numpy.integer)) or isinstance(width, bool) or width < 1:
        raise ValueError("its number of features isn't one: %r" % (width,))
    _walk(model, int(width), set(), 0)


def _walk(value, width, seen, depth):
    if depth > 50:
        raise ValueError("its objects are nested without an end")
    if isinstance(value, numpy.ndarray):
        if value.dtype == object:
            for each in value.ravel():
                _walk(each, width, seen, depth + 1)
        return
    if (
        value is None
        or isinstance(value, (str, bytes, bytearray, int, float, bool, numpy.generic))
        or id(value) in seen
    ):
        return
    seen.add(id(value))
    if isinstance(value, (list, tuple, set)):
        for each in value:
            _walk(each, width, seen, depth + 1)
        return
    if isinstance(value, dict):
        for each in value.values():
            _walk(each, width, seen, depth + 1)
        return
    name = type(value).__name__
    if name == "Tree":
        _check_tree(value, width)
        return
    if name == "TreePredictor":
        _check_predictor(value, width)
        return
    mine = getattr(value, "n_features_in_", width) if hasattr(value, "__dict__") else width
    if mine != width:
        raise ValueError("one of its estimators takes %r features, and the model %d" % (mine, width))
    for attribute in ("cluster_centers_", "_fit_X"):
        array = getattr(value, attribute, None) if hasattr(value, "__dict__") else None
        if array is not None and (not isinstance(array, numpy.ndarray) or array.ndim != 2 or array.shape[1] != width):
            raise ValueError("its array %s hasn't the model's %d columns" % (attribute, width))
    if hasattr(value, "__dict__"):
        _walk(vars(value), width, seen, depth + 1)


def _check_tree(tree, width):
    if tree.n_features != width:
        raise ValueError("one of its trees takes %r features, and the model %d" % (tree.n_features, width))
    # Before the arrays are looked at: they are as long as this count says.
    if not 1 <= tree.node_count <= tree.capacity:
        raise ValueError("one of its trees claims %r nodes, and has room for %r" % (tree.node_count, tree.capacity))
    count = tree.node_count
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    at = numpy.arange(count)
    inner = ~leaf
    inside = (left[inner] > at[inner]).all() and (left[inner] < count).all()
    inside = inside and (right[inner] > at[inner]).all() and (right[inner] < count).all()
    feature = tree.feature[inner]
    if not inside or (feature < 0).any() or (feature >= width).any():
        raise ValueError("the nodes of one of its trees lead out of it")


def _check_predictor(predictor, width):
    nodes = predictor.nodes
    wanted = {"left", "right", "is_leaf", "feature_idx", "is_categorical"}
    if (
        not isinstance(nodes, numpy.ndarray)
        or nodes.ndim != 1
        or not len(nodes)
        or not wanted <= set(nodes.dtype.names or ())
    ):
        raise ValueError("one of its trees has no nodes")
    inner = nodes["is_leaf"] == 0
    at, count = numpy.flatnonzero(inner), len(nodes)
    for side in ("left", "right"):
        children = nodes[side][inner].astype("int64")
        if (children <= at).any() or (children >= count).any():
            raise ValueError("the nodes of one of its trees lead out of it")
    feature = nodes["feature_idx"][inner].astype("int64")
    if (feature < 0).any() or (feature >= width).any() or nodes["is_categorical"].any():
        raise ValueError("the nodes of one of its trees ask for features that there aren't")
