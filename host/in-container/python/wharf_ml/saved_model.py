"""Saved models: a folder with the versions of one model, and what describes each."""

import hashlib
import json
import os
import shutil
import tempfile

from wharf_ml import FORMAT, mlflow_file, model_file, versions
from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.fields import Problems, load_json, shown
from wharf_ml.predictor import Predictor
from wharf_ml.refusal import Refused
from wharf_ml.task import FEATURE, read_task

#: The files of a version beside its model and its report; each holds a JSON value.
PARTS = ("task", "schema", "versions", "metrics", "explanations", "models", "profile", "comparison", "drift")
_MODEL = "model.skops"
_CURRENT = "current.json"
_LARGEST_JSON = 256 << 20
_PIECE = 1 << 20
_ROLES = ("input", "target", "weight", "rejected")


class Version:
    """One version of a saved model, read and checked, its pipeline not yet loaded."""

    def __init__(self, number, numbers, parts, directory):
        self.number, self.numbers, self._directory = number, numbers, directory
        self.task, self.schema, self.versions = parts["task"], parts["schema"], parts["versions"]
        self.models, self.profile = parts.get("models"), parts.get("profile")
        self.explanations = parts.get("explanations")

    @property
    def columns(self):
        """The columns that it was trained on, with their roles."""
        return self.schema["columns"]

    def predictor(self, jobs=1, gpu=False):
        """The fitted pipeline, which predicts with so many threads; its packages are checked before, and its file."""
        versions.check(self.versions)
        from wharf_ml.pipeline import set_resources

        pipeline = model_file.load(os.path.join(self._directory, _MODEL))
        names = [entry["name"] for entry in self.columns if entry["role"] == "input"]
        if list(pipeline.feature_names_in_) != names:
            raise Refused("the model's file isn't that of its schema.json: the columns differ")
        set_resources(pipeline, jobs, gpu)
        return Predictor(pipeline, self.task["prediction_type"], names, self.schema["threshold"])

    def chosen(self):
        """The algorithm and parameters that the search chose."""
        entry = next((each for each in self.models or [] if each.get("chosen")), None)
        problems = Problems()
        if entry is None or entry.get("algorithm") not in ALGORITHMS:
            raise Refused("models.json of the saved model doesn't say which algorithm was chosen")
        shapes = ALGORITHMS[entry["algorithm"]].parameters
        parameters = entry.get("parameters") or {}
        for name, value in parameters.items():
            if name not in shapes:
                problems.add(name, "isn't a parameter of %s" % entry["algorithm"])
            else:
                shapes[name].read(value, name, problems)
        if problems:
            raise Refused("models.json of the saved model has parameters that can't be: %s" % "; ".join(problems))
        return entry["algorithm"], parameters

    def close(self):
        """Removes the local copy."""
        shutil.rmtree(self._directory, ignore_errors=True)


def numbers(folder):
    """The numbers of a saved model's versions, the current one's, and the paths of its files."""
    paths = set(folder.list_paths_in_partition())
    if "/" + _CURRENT not in paths:
        raise Refused("the folder %s has no saved model: there is no %s in it" % (folder.short_name, _CURRENT))
    current = _json(folder, _CURRENT, paths)
    found = sorted(
        int(path.split("/")[2]) for path in paths if path.startswith("/versions/") and path.endswith("/manifest.json")
        and path.count("/") == 3 and path.split("/")[2].isdigit()
    )  # fmt: skip
    return found, current.get("version") if isinstance(current, dict) else None, paths


def read_version(folder, wanted=None):
    """Reads a version of a saved model, the current one unless said; raises Refused for what isn't one."""
    known, current, paths = numbers(folder)
    number = current if wanted is None else wanted
    if number not in known:
        raise Refused(
            "the saved model in %s has no version %s; it has %s"
            % (folder.short_name, shown(number), ", ".join(map(str, known)) or "none")
        )
    base = "versions/%d/" % number
    manifest = _json(folder, base + "manifest.json", paths)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if (
        not isinstance(files, dict)
        or _MODEL not in files
        or not {"task.json", "schema.json", "versions.json"} <= set(files)
    ):
        raise Refused("%smanifest.json of the saved model doesn't list its files" % base)
    directory = tempfile.mkdtemp(prefix="wharf-model-")
    try:
        parts = {}
        for name in ["versions", "task", "schema", "models", "profile", "explanations"]:
            if name + ".json" in files:
                local = _fetch(folder, base, name + ".json", files, directory, paths, _LARGEST_JSON)
                with open(local, encoding="utf-8") as stream:
                    parts[name] = _value(stream.read(), base + name + ".json")
        _check_parts(parts, base)
        versions.check(parts["versions"])
        _fetch(folder, base, _MODEL, files, directory, paths, None)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return Version(number, known, parts, directory)


def _fetch(folder, base, name, files, directory, paths, limit):
    entry = files[name]
    size = entry.get("bytes") if isinstance(entry, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or (limit is not None and size > limit):
        raise Refused("%smanifest.json claims a size for %s that can't be: %s" % (base, name, shown(size)))
    if "/" + base + name not in paths:
        raise Refused("the saved model lacks its file %s" % (base + name))
    free = shutil.disk_usage(directory).free
    if size > free:
        raise Refused(
            "the saved model's %s has %d bytes, and the container's disk has %d left" % (base + name, size, free)
        )
    local, digest, got = os.path.join(directory, name), hashlib.sha256(), 0
    with folder.get_download_stream(base + name) as source, open(local, "wb") as target:
        while True:
            piece = source.read(_PIECE)
            if not piece:
                break
            got += len(piece)
            if got > size:
                break
            digest.update(piece)
            target.write(piece)
    if got != size or digest.hexdigest() != entry.get("sha256"):
        raise Refused(
            "the saved model's file %s isn't the one that its manifest lists: it was changed or is damaged"
            % (base + name)
        )
    return local


def _json(folder, path, paths):
    if "/" + path not in paths:
        raise Refused("the saved model lacks its file %s" % path)
    with folder.get_download_stream(path) as stream:
        data = stream.read(_LARGEST_JSON + 1)
    if len(data) > _LARGEST_JSON:
        raise Refused("the saved model's file %s is too large" % path)
    return _value(data, path)


def _value(data, path):
    try:
        return load_json(data if isinstance(data, str) else data.decode("utf-8"), path)
    except ValueError as error:
        raise Refused("the saved model is damaged: %s" % error) from None


def _check_parts(parts, base):
    """Everything that is used of these files afterwards is of the kind that it must be."""
    made = parts["versions"]
    if (
        not isinstance(made, dict)
        or not isinstance(made.get("packages"), dict)
        or not isinstance(made.get("needed"), list)
    ):
        raise Refused("%sversions.json of the saved model is damaged" % base)
    if made.get("format") != FORMAT:
        versions.check(made)
    parts["task"] = read_task("train", json.dumps(parts["task"]), base + "task.json")
    schema, problems = parts["schema"], Problems()
    columns = schema.get("columns") if isinstance(schema, dict) else None
    if not isinstance(columns, list) or not columns:
        raise Refused("%sschema.json of the saved model has no columns" % base)
    for at, entry in enumerate(columns):
        path = "columns[%d]" % at
        whole = isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("type"), str)
        if not whole or entry.get("role") not in _ROLES:
            problems.add(path, "must have name, type and role")
        elif entry["role"] == "input":
            FEATURE.read(entry.get("feature"), path + ".feature", problems)
            if not isinstance((entry.get("feature") or {}).get("type"), str):
                problems.add(path + ".feature", "must have a type")
    threshold = schema.get("threshold", "")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, (int, float))):
        problems.add("threshold", "must be a number or null")
    if problems:
        raise Refused("%sschema.json of the saved model is damaged: %s" % (base, "; ".join(problems)))


def write_version(folder, number, pipeline, parts, keep=(), current=None, progress=None):
    """Writes a version into a folder: its files, their manifest, and last what says which version is the current one.

    ``parts`` are the values of its JSON files; ``keep`` are pairs of a version's number and a folder to copy it from.
    """
    for old, source in keep:
        _copy(source, folder, "versions/%d/" % old)
    base = "versions/%d/" % number
    current = number if current is None else current
    directory = tempfile.mkdtemp(prefix="wharf-model-")
    try:
        path = os.path.join(directory, _MODEL)
        model_file.dump(pipeline, path)
        files = {_MODEL: _send(folder, base, path)}
        for name in PARTS:
            if parts.get(name) is not None:
                files[name + ".json"] = _send(folder, base, _write_json(directory, name + ".json", parts[name]))
        html = _report(parts)
        files["report.html"] = _send(folder, base, _write(directory, "report.html", html.encode("utf-8")))
        manifest = {"format": FORMAT, "version": number, "files": files}
        _send(folder, base, _write_json(directory, "manifest.json", manifest))
        if current == number:
            flavour = mlflow_file.text(base + _MODEL, parts, files[_MODEL])
            _send(folder, "", _write(directory, "MLmodel", flavour.encode("utf-8")))
            _send(folder, "", os.path.join(directory, "report.html"))
        else:
            source = dict(keep)[current]
            for name in ("MLmodel", "report.html"):
                _copy_file(source, folder, name)
        _send(folder, "", _write_json(directory, _CURRENT, {"version": current}))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _report(parts):
    from wharf_ml import report

    names = ("task", "schema", "versions", "metrics", "explanations", "comparison", "drift", "models")
    return report.write({name: parts.get(name) for name in names})


def _write(directory, name, data):
    path = os.path.join(directory, name)
    with open(path, "wb") as stream:
        stream.write(data)
    return path


def _write_json(directory, name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return _write(directory, name, text.encode("utf-8"))


def _send(folder, base, path):
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(_PIECE), b""):
            digest.update(piece)
            size += len(piece)
    folder.upload_file(base + os.path.basename(path), path)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _copy(source, target, base):
    for path in source.list_paths_in_partition():
        if path.startswith("/" + base):
            _copy_file(source, target, path[1:])


def _copy_file(source, target, path):
    with source.get_download_stream(path) as stream:
        target.upload_stream(path, stream)
