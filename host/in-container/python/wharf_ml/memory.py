"""How much memory a training takes, before it is begun."""

from wharf_ml.limits import shown
from wharf_ml.refusal import Refused

_NUMBER = 8
# A process of its own with the libraries' private pages.
_WORKER = 60 << 20
# A node of a tree, without its values of classes.
_NODE = 72


def fit_size(algorithm, parameters, rows, width, sparse, classes):
    """Bytes that one fit takes at its peak, about."""
    dense_width = width + (sparse * 8 if algorithm.dense and sparse else 0)
    matrix = rows * (dense_width * _NUMBER + (0 if algorithm.dense else sparse * 12))
    # The handling makes its columns and then puts them together.
    size = matrix * (1 + algorithm.copies)
    if algorithm.trees:
        trees = parameters.get("n_estimators", 100)
        depth = parameters.get("max_depth")
        nodes = min(rows * 0.6, 2.0 ** min(depth, 60) * 2) if depth else rows * 0.6
        if parameters.get("max_leaf_nodes"):
            nodes = min(nodes, 2 * parameters["max_leaf_nodes"])
        if isinstance(parameters.get("min_samples_leaf"), int):
            nodes = min(nodes, 2.0 * rows / parameters["min_samples_leaf"])
        size += trees * nodes * (_NODE + _NUMBER * max(1, classes))
    if algorithm.square:
        size += rows * rows * _NUMBER / 2
    if algorithm.name == "mlp":
        layers = parameters.get("hidden_layer_sizes", [100])
        size += sum(a * b for a, b in zip([dense_width] + list(layers), list(layers) + [1])) * _NUMBER * 5
    return int(size) + _WORKER


def plan_jobs(fits, left, asked):
    """How many fits may go on at once: as many as asked for, or as the memory that is left has room for.

    ``fits`` are pairs of a name and its bytes. Raises Refused when not even one of the largest has room.
    """
    if left is None or not fits:
        return asked
    name, largest = max(fits, key=lambda fit: fit[1])
    if largest > left:
        fitting = sorted({n for n, size in fits if size <= left} - {n for n, size in fits if size > left})
        without = ", leave out what is larger (%s would fit)" % ", ".join(fitting) if fitting else ""
        raise Refused(
            "training doesn't fit into the container's memory: one fit of %s takes about %s, and %s are left. Sample "
            "fewer rows (sampling), use fewer columns%s, or give the container more memory"
            % (name, shown(largest), shown(left), without)
        )
    # The largest ones side by side, since which ones meet isn't known.
    return max(1, min(asked, int(left // largest)))


def data_budget(left):
    """How many bytes the rows may take so that anything can be done with them; None without a limit."""
    return None if left is None else int(left * 0.5)
