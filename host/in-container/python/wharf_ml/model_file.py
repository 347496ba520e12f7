"""The file of a fitted pipeline, in the format of skops: written as it is, and read as if somebody wanted to do harm.

Before anything of a file is loaded, all of it is checked without building a single object: the archive's sizes, the headers of
its arrays, and every type and loader that its tree of objects names, against fixed lists.
"""

import ast
import io
import json
import math
import struct
import zipfile

from wharf_ml.limits import memory_left, shown
from wharf_ml.refusal import Refused
from wharf_ml.trusted_types import FUNCTIONS, TYPES

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
_LEAVES = {"CachedNode", "SliceNode"}
_REDUCED = {"TreeNode", "LossNode"}


def dump(pipeline, path):
    """Writes a fitted pipeline."""
    import skops.io

    skops.io.dump(pipeline, path)
    # What couldn't be read again must not be written.
    check(path)


def load(path):
    """Reads a fitted pipeline; raises Refused for a file that isn't one, and runs nothing of it."""
    import skops.io

    from wharf_ml.fitted_check import check_fitted

    check(path)
    try:
        found = skops.io.load(path, trusted=sorted(TYPES | FUNCTIONS))
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
            _check_archive(archive, left)
            _check_tree(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise _refused("it isn't a whole archive: %s" % error) from None


def _refused(why):
    return Refused("the model's file is refused, and nothing of it was run: %s. Use a model that was saved by ml.train" % why)


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
            "the model doesn't fit into the container's memory: its file has %s, loading takes about %s, and %s are left; give "
            "the container more memory" % (shown(total), shown(int(total * 2.5)), shown(left))
        )
    if _TREE not in names:
        raise _refused("it has no %s" % _TREE)
    for name in names:
        if name.endswith(".npy"):
            _check_array(archive, name)


def _check_array(archive, name):
    """The header of an array: its type has no objects, and its shape takes exactly the bytes that follow."""
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
        plain = isinstance(shape, tuple) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
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
        raise _refused("its array %s claims a shape of %s, which is %d bytes, and has %d" % (name, shape, claimed, behind))


def _check_tree(archive):
    try:
        tree = json.loads(archive.read(_TREE))
    except (ValueError, RecursionError) as error:
        raise _refused("its %s can't be read: %s" % (_TREE, error)) from None
    files = {info.filename for info in archive.infolist()}
    ids = set()
    waiting, count = [(tree, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _MOST_NODES or depth > _DEEPEST:
            raise _refused("its tree of objects has no end")
        try:
            below = _check_node(node, files, ids)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _refused("its tree of objects is damaged: %s: %s" % (type(error).__name__, error)) from None
        waiting.extend((each, depth + 1) for each in below)


def _check_node(node, files, ids):
    """Checks one node, and gives those below it."""
    loader, kind = node["__loader__"], "%s.%s" % (node["__module__"], node["__class__"])
    if not isinstance(loader, str):
        raise ValueError("a loader that is no text")
    if loader == "FunctionNode":
        if kind not in FUNCTIONS:
            raise _refused("it names the function %s, which no model needs" % kind)
        return []
    if kind not in TYPES:
        raise _refused("it has an object of the type %s, which isn't trusted" % kind)
    if loader == "JsonNode":
        if not isinstance(node["content"], str):
            raise ValueError("a value that is no text")
        json.loads(node["content"])
        return []
    if loader == "TypeNode" or loader in _LEAVES:
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
        _require_file(node, files, ".bin")
        return []
    if loader == "NdArrayNode":
        if node["type"] == "numpy":
            _require_file(node, files, ".npy")
            return []
        return list(node["content"]) + [node["shape"]]
    if loader in _REDUCED:
        return [node["__reduce__"]["args"]] + ([node["content"]] if "content" in node else [])
    raise _refused("it asks for the loader %s, which no model needs" % loader)


def _require_file(node, files, ending):
    name = node["file"]
    if name not in files or not name.endswith(ending):
        raise _refused("it refers to %s, which it doesn't have" % json.dumps(name))


def type_names(data):
    """The types, functions and loaders that a model's file names; for the test of the fixed lists."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tree = json.loads(archive.read(_TREE))
    types, functions, loaders = set(), set(), set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__loader__"), str):
                kind = "%s.%s" % (node["__module__"], node["__class__"])
                (functions if node["__loader__"] == "FunctionNode" else types).add(kind)
                loaders.add(node["__loader__"])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return types, functions, loaders
