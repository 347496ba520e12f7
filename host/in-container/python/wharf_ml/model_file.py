"""The file of a fitted pipeline, in the format of skops: written as it is, and read as if somebody wanted to do harm.

Before anything of a file is loaded, all of it is checked without building a single object: the archive's sizes, the
headers of its arrays, and every type and loader that its tree of objects names, against fixed lists.
"""

import ast
import io
import json
import math
import struct
import zipfile

from wharf_ml.limits import memory_left, shown
from wharf_ml.refusal import Refused
from wharf_ml.trusted_types import BY_LOADER, TYPES

_TREE = "schema.json"
# Nodes of the tree of objects: hundreds for a linear model, tens for each tree of a forest.
_MOST_NODES = 20_000_000
_DEEPEST = 200
_LARGEST_HEADER = 10_000
_MAGIC = b"\x93NUMPY"
# What reads parts of a file by itself, and where a node of that kind has the nodes below it.
_ONE_BELOW = {"ObjectNode", "DTypeNode", "RandomStateNode"}
_LISTS = {"ListNode", "TupleNode", "SetNode"}
_FILES = {"BytesNode", "BytearrayNode"}


def dump(pipeline, path):
    """Writes a fitted pipeline."""
    import skops.io

    from wharf_ml.pipeline import set_resources

    set_resources(pipeline, None)
    model = pipeline.named_steps["model"]
    if hasattr(model, "_feature_subsample_rng"):
        # A generator that only fitting uses, and that no file of a model may have.
        model._feature_subsample_rng = None
    skops.io.dump(pipeline, path)
    # What couldn't be read again must not be written.
    check(path)


def load(path):
    """Reads a fitted pipeline; raises Refused for a file that isn't one, and runs nothing of it."""
    import skops.io

    from wharf_ml.fitted_check import check_fitted

    check(path)
    try:
        found = skops.io.load(path, trusted=sorted(TYPES))
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        # Whatever a damaged file makes the library raise: it is the file that is wrong.
        raise _refused("it can't be put together: %s: %s" % (type(error).__name__, error)) from error
    try:
        check_fitted(found)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError) as error:
        raise _refused(str(error)) from error
    return found


def check(path, left=None):
    """Raises Refused unless everything in the file is of a kind that a model's file has. Builds nothing."""
    left = memory_left() if left is None else left
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = _check_archive(archive, left)
            _check_tree(archive, shapes)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise _refused("it isn't a whole archive: %s" % error) from None


def _refused(why):
    return Refused(
        "the model's file is refused, and nothing of it was run: %s. Use a model that was saved by ml.train" % why
    )


def _check_archive(archive, left):
    names, total = set(), 0
    size = archive.fp.seek(0, 2)
    for info in archive.infolist():
        if info.filename in names:
            raise _refused("its member %s is there twice" % info.filename)
        names.add(info.filename)
        plain = info.filename.rpartition(".")
        if "/" in info.filename or "\\" in info.filename or plain[2] not in ("json", "npy", "bin"):
            raise _refused("its member %s isn't one of a model" % info.filename)
        # Stored members are as large as they say: there is no room for a bomb.
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise _refused("its member %s is compressed" % info.filename)
        total += info.file_size
        if total > size:
            raise _refused("its members claim more bytes than the file has")
    if left is not None and total * 2.5 > left:
        raise Refused(
            "the model doesn't fit into the container's memory: its file has %s, loading takes about %s, and %s are "
            "left; give the container more memory" % (shown(total), shown(int(total * 2.5)), shown(left))
        )
    if _TREE not in names:
        raise _refused("it has no %s" % _TREE)
    return {name: _check_array(archive, name) if name.endswith(".npy") else None for name in names}


def _check_array(archive, name):
    """Gives the shape of an array, whose type has no objects, and which takes exactly the bytes behind its header."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        start = stream.read(8)
        if len(start) < 8 or start[:6] != _MAGIC or start[6] not in (1, 2, 3):
            raise _refused("its member %s isn't an array of numpy" % name)
        form = "<H" if start[6] == 1 else "<I"
        length_bytes = stream.read(struct.calcsize(form))
        if len(length_bytes) < struct.calcsize(form):
            raise _refused("the header of its array %s breaks off" % name)
        length = struct.unpack(form, length_bytes)[0]
        if length > _LARGEST_HEADER:
            raise _refused("the header of its array %s has %d bytes" % (name, length))
        text = stream.read(length)
        behind = size - 8 - len(length_bytes) - length
    try:
        header = ast.literal_eval(text.decode("latin1"))
        shape, descr = header["shape"], header["descr"]
        plain = isinstance(shape, tuple) and all(
            isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape
        )
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        raise _refused("the header of its array %s can't be read" % name) from None
    if not plain or len(shape) > 8 or set(header) != {"descr", "fortran_order", "shape"}:
        raise _refused("the header of its array %s isn't one" % name)
    import numpy

    try:
        dtype = numpy.lib.format.descr_to_dtype(descr)
    except (TypeError, ValueError, KeyError):
        raise _refused("the type of its array %s is unknown" % name) from None
    if dtype.hasobject:
        raise _refused("its array %s has objects in it, which only a pickle can hold" % name)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != behind:
        raise _refused(
            "its array %s claims a shape of %s, which is %d bytes, and has %d" % (name, shape, claimed, behind)
        )
    return shape


def _check_tree(archive, shapes):
    try:
        tree = json.loads(archive.read(_TREE))
    except (ValueError, RecursionError) as error:
        raise _refused("its %s can't be read: %s" % (_TREE, error)) from None
    from skops.io._protocol import PROTOCOL

    if not isinstance(tree, dict) or tree.get("protocol") != PROTOCOL:
        raise _refused("it isn't of the protocol %s of skops, which is the one that is installed" % PROTOCOL)
    waiting, count = [(tree, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES or depth > _DEEPEST:
            raise _refused("its tree of objects has no end")
        try:
            below = _check_node(node, shapes)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _refused("its tree of objects is damaged: %s: %s" % (type(error).__name__, error)) from None
        waiting.extend((each, depth + 1) for each in below)


def _check_node(node, shapes):
    """Checks one node, and gives those below it."""
    loader, kind = node["__loader__"], "%s.%s" % (node["__module__"], node["__class__"])
    if loader == "CachedNode":
        # Another mention of an object that is checked where it is.
        return []
    if not isinstance(loader, str) or loader not in BY_LOADER:
        raise _refused("it asks for the loader %s, with which no model is read" % json.dumps(loader))
    if kind not in BY_LOADER[loader]:
        raise _refused("it has an object of the type %s, which isn't trusted" % kind)
    if loader == "JsonNode":
        if not isinstance(node["content"], str):
            raise ValueError("a value that is no text")
        json.loads(node["content"])
        return []
    if loader in ("TypeNode", "SliceNode"):
        return []
    if loader == "DictNode":
        return [node["key_types"]] + list(node["content"].values())
    if loader == "DefaultDictNode":
        return [node["content"]["main"], node["content"]["default_factory"]]
    if loader in _LISTS:
        return list(node["content"])
    if loader in _ONE_BELOW:
        return [] if node.get("content") is None else [node["content"]]
    if loader in _FILES:
        _require_file(node, shapes, ".bin")
        return []
    if loader == "NdArrayNode":
        if node["type"] == "numpy":
            _require_file(node, shapes, ".npy")
            return []
        return list(node["content"]) + [node["shape"]]
    if loader == "TreeNode":
        _check_arguments(node["__reduce__"]["args"], shapes)
    # A tree or a loss: what it is made with, and its state.
    return [node["__reduce__"]["args"]] + ([node["content"]] if "content" in node else [])


def _check_arguments(node, shapes):
    """A tree is made of its numbers of features and outputs, and an array of the number of classes of each output."""
    features, classes, outputs = node["content"]
    counts = [json.loads(each["content"]) for each in (features, outputs)]
    if not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n < 2**31 for n in counts):
        raise ValueError("a tree of %r features and %r outputs" % tuple(counts))
    if classes["type"] != "numpy" or shapes.get(classes["file"]) != (counts[1],):
        raise ValueError("a tree of %d outputs without as many numbers of classes" % counts[1])


def _require_file(node, files, ending):
    name = node["file"]
    if name not in files or not name.endswith(ending):
        raise _refused("it refers to %s, which it doesn't have" % json.dumps(name))


def type_names(data):
    """Pairs of the loaders and types that a model's file names; for the test of the fixed lists."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tree = json.loads(archive.read(_TREE))
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__loader__"), str):
                found.add((node["__loader__"], "%s.%s" % (node["__module__"], node["__class__"])))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found - {pair for pair in found if pair[0] == "CachedNode"}
