"""The packages that made a model, and whether those that are here can load it."""

import os
import platform
from importlib import metadata

from wharf_ml import FORMAT
from wharf_ml.refusal import Refused

_ALWAYS = ("numpy", "scipy", "pandas", "scikit-learn", "skops", "joblib", "threadpoolctl")
_OPTIONAL = ("pyarrow", "xgboost", "xgboost-cpu", "lightgbm")
# How many parts of a version must be the same so that a saved estimator means the same.
_MUST_MATCH = {"scikit-learn": 2, "xgboost": 1, "lightgbm": 1}
#: The code environment of a process that has none by name.
NO_ENVIRONMENT = "none (the base image's own packages)"


def installed(name):
    """The version of a package, or None."""
    for each in ("xgboost", "xgboost-cpu") if name == "xgboost" else (name,):
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            pass
    return None


def describe(packages):
    """What made a model: exact versions, Python, the code environment, and which packages must be there to load it."""
    found = {name: installed(name) for name in _ALWAYS + _OPTIONAL}
    return {
        "format": FORMAT,
        "python": platform.python_version(),
        "code_env": os.environ.get("WHARF_CODE_ENV") or None,
        "packages": {name: version for name, version in found.items() if version},
        "needed": sorted({"scikit-learn", "skops"} | set(packages)),
    }


def check(versions):
    """Raises Refused when the packages here can't load a model, and names the code environment that made it."""
    wrong = []
    if versions.get("format") != FORMAT:
        wrong.append("its layout is version %s, and this program reads version %s" % (versions.get("format"), FORMAT))
    for name in versions.get("needed", []):
        before = versions.get("packages", {}).get(name) or versions.get("packages", {}).get(name + "-cpu")
        now = installed(name)
        if now is None:
            wrong.append("it needs %s %s, which isn't installed" % (name, before))
        elif name in _MUST_MATCH and before and not _same(before, now, _MUST_MATCH[name]):
            wrong.append("it was made with %s %s, and %s is installed" % (name, before, now))
        elif name == "skops" and before and _parts(now, 2) < _parts(before, 2):
            wrong.append("it was saved by skops %s, and %s is installed" % (before, now))
    if wrong:
        raise Refused(
            "this code environment, %s, can't load the model: %s. Use the code environment that made it, %s, or "
            "train it anew"
            % (_named(os.environ.get("WHARF_CODE_ENV")), "; ".join(wrong), _named(versions.get("code_env")))
        )


def _named(code_env):
    return '"%s"' % code_env if code_env else NO_ENVIRONMENT


def _parts(version, count):
    found = []
    for part in str(version).split(".")[:count]:
        digits = "".join(ch for ch in part if ch.isdigit())
        found.append(int(digits) if digits else 0)
    return found


def _same(before, now, count):
    return _parts(before, count) == _parts(now, count)
