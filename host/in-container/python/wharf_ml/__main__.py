"""The command: `python3 -u -m wharf_ml train|retrain|score [FILE]`.

Without a file, the run's parameters are the task.

Exit codes: 0 done, 1 a fault while working, 2 the task, the data or the model was refused, 143 stopped.
"""

import os
import sys
import traceback

from wharf_ml import limits
from wharf_ml.progress import Progress
from wharf_ml.refusal import Refused, Stopped
from wharf_ml.task import TASKS, json_schema, read_task

_USAGE = "usage: python3 -u -m wharf_ml %s [FILE], or python3 -m wharf_ml schema|reference" % "|".join(TASKS)
_LARGEST_TASK = 16 << 20


def main(arguments):
    """Runs the command; gives the exit code."""
    if arguments == ["schema"]:
        import json

        print(json.dumps(json_schema(), indent=2))
        return 0
    if arguments == ["reference"]:
        from wharf_ml.reference import reference

        print(reference(), end="")
        return 0
    if len(arguments) not in (1, 2) or arguments[0] not in TASKS:
        print(_USAGE, file=sys.stderr)
        return 2
    kind, path = arguments[0], arguments[1] if len(arguments) == 2 else None
    progress = Progress.from_environment()
    try:
        return _run(kind, path, progress)
    finally:
        progress.close()


def _run(kind, path, progress):
    try:
        task = read_task(kind, *_read(path))
        # Libraries take the machine's number of processors otherwise, whatever the container has.
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(variable, str(min(limits.cpus(), task.get("n_jobs") or limits.cpus())))
        _require_libraries()
        return _work(kind, task, progress)
    except Refused as refusal:
        return _end(progress, "refused", str(refusal), 2)
    except Stopped as stopped:
        return _end(progress, "stopped", str(stopped), 143)
    except MemoryError:
        limit = limits.memory_limit()
        size = "" if limit is None else " of %s" % limits.shown(limit)
        text = "the container's memory%s ran out: sample fewer rows, use fewer columns or jobs, or give it more" % size
        return _end(progress, "failed", text, 1)
    except Exception as error:
        traceback.print_exc()
        return _end(progress, "failed", "%s failed with %s: %s" % (kind, type(error).__name__, error), 1)


def _work(kind, task, progress):
    from dataiku import DataikuException

    from wharf_ml.workers import Interrupted, StopFlag

    stop = StopFlag()
    stop.install()
    try:
        if kind == "train":
            from wharf_ml.train import train as function
        elif kind == "retrain":
            from wharf_ml.retrain import retrain as function
        else:
            from wharf_ml.score import score as function
        function(task, progress, stop)
    except DataikuException as error:
        raise RuntimeError(str(error)) from error
    except Interrupted:
        raise Stopped("the run was stopped") from None
    return 0


def _read(path):
    """The task's text, and what it is called in what is said of it."""
    if path is None:
        import json

        from dataiku.core.context import parameters

        return json.dumps(parameters()), "the task"
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(_LARGEST_TASK + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("the task can't be read from %s: %s" % (path, error)) from None
    if len(text) > _LARGEST_TASK:
        raise Refused("the task in %s is larger than %s" % (path, limits.shown(_LARGEST_TASK)))
    return text, os.path.basename(path)


def _require_libraries():
    missing = []
    for module, package in (("pandas", "pandas"), ("sklearn", "scikit-learn"), ("skops", "skops")):
        try:
            __import__(module)
        except ImportError:
            missing.append(package)
    if missing:
        name = os.environ.get("WHARF_CODE_ENV")
        where = 'the code environment "%s"' % name if name else "this image, which has no code environment,"
        raise Refused("%s lacks what machine learning needs: add %s to it" % (where, ", ".join(missing)))


def _end(progress, kind, text, code):
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)
    progress.event(kind, text=text, exit_code=code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
