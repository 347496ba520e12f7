"""Runs a recipe, and says in one sentence above its traceback how it failed: ``python -m dataiku.recipe FILE``.

The recipe finds what it finds when it is run by itself: it is ``__main__``, its folder is first in ``sys.path``,
``sys.argv`` is its own, and the exit code is Python's. The traceback begins with the recipe's first frame.
"""

import importlib.machinery
import os
import sys
import types

from dataiku.core.python2 import written_for_python_2

# Modules are told from a recipe's own code by their folders.
_LIBRARY = os.path.dirname(os.path.abspath(__file__))


def main():
    """Runs the file that the first argument names."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m dataiku.recipe FILE [ARGUMENT ...]")
    path = sys.argv[1]
    try:
        with open(path, "rb") as stream:
            source = stream.read()
    except OSError as error:
        sys.exit("the recipe can't be read: %s" % error)
    path = os.path.abspath(path)
    sys.argv[:] = sys.argv[1:]
    # Where Python puts the folder of a program. With -P and -I it puts none.
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        sys.path[0] = os.path.dirname(path)
    if "WHARF_RECIPE_RESOURCE" in os.environ:
        # Some plugins look for their resources here.
        os.environ.setdefault("DKU_CUSTOM_RESOURCE_FOLDER", os.environ["WHARF_RECIPE_RESOURCE"])

    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = __builtins__
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    sys.modules["__main__"] = module
    sys.excepthook = _report
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)


def _report(kind, error, traceback):
    here = (__file__, os.path.abspath(__file__))
    last = traceback
    # All frames up to the last one of this file are the launcher's.
    while last is not None:
        if last.tb_frame.f_code.co_filename in here:
            traceback = last.tb_next
        last = last.tb_next
    # Bytes that were printed before belong before it.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    try:
        sys.stderr.write(sentence(error, traceback) + "\n")
    except Exception:
        # Whatever is wrong with an exception's text mustn't hide its traceback.
        pass
    sys.__excepthook__(kind, error.with_traceback(traceback), traceback)


def sentence(error, traceback):
    """How a recipe failed: the exception and its message, the file and the line."""
    name = type(error).__name__
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if len(text) > 500:
        text = text[:500] + " …"
    place = _place(error, traceback)
    why = written_for_python_2(error)
    if why is not None:
        return "the recipe is written for Python 2, and this is Python %d.%d: %s%s; convert it to Python 3" % (
            sys.version_info[0],
            sys.version_info[1],
            why,
            " (%s)" % place if place else "",
        )
    return "the recipe failed with %s%s%s" % (name, ": " + text if text else "", " (%s)" % place if place else "")


def _place(error, traceback):
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return "%s, line %d" % (error.filename, error.lineno)
    found = None
    while traceback is not None:
        file, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        # The deepest place in the recipe's own code or its plugin's, rather than in a package.
        if found is None or _is_own(file):
            found = "%s, line %d" % (file, line)
        traceback = traceback.tb_next
    return found


def _is_own(file):
    parts = file.split(os.sep)
    if file.startswith("<") or "site-packages" in parts or "dist-packages" in parts:
        return False
    return not file.startswith((_LIBRARY + os.sep, os.path.dirname(os.__file__) + os.sep))


if __name__ == "__main__":
    main()
