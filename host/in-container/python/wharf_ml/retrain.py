"""`retrain`: a new version of a saved model, fitted on new data with the parameters that the search had chosen."""

from wharf_ml import evaluation, limits, memory, pipeline, run_io, saved_model, versions
from wharf_ml.algorithms import ALGORITHMS
from wharf_ml.columns import inputs, require_same
from wharf_ml.refusal import Stopped
from wharf_ml.search import Candidate
from wharf_ml.train import Training, describe_schema, profile_task, say_result
from wharf_ml.workers import Workers


def retrain(task, progress, stop):
    """Fits a saved model anew, compares both versions on the same rows, and writes the new one beside the old."""
    dataset, source, target = run_io.input_dataset(), run_io.input_model(), run_io.output_model()
    old = saved_model.read_version(source)
    try:
        _retrain(task, progress, stop, dataset, source, target, old)
    finally:
        old.close()


def _retrain(task, progress, stop, dataset, source, target, old):
    asked = dict(old.task, n_jobs=task["n_jobs"], gpu=task["gpu"], explanations=task["explanations"])
    for key in ("sampling", "seed"):
        if task[key] is not None:
            asked[key] = task[key]
    split_column = asked["split"].get("column")
    columns = [dict(c) for c in dataset.read_schema()]
    roles = ("input", "target", "weight")
    new = require_same(old.columns, columns, dataset.short_name, roles, [split_column] if split_column else ())
    # Before any work: a version that can't be loaded can't be compared with.
    old_predictor = old.predictor(limits.cpus())
    name, parameters = old.chosen()
    work = Training(asked, progress, stop)
    work.task["algorithms"] = [{"name": name, "parameters": {}}]
    work.require_packages()
    if new:
        work.note("columns that the model doesn't know are left out: %s" % ", ".join(new))
    types = {column["name"]: column["type"] for column in columns}
    schema = [dict(entry, type=types[entry["name"]]) for entry in old.columns if entry["name"] in types]
    work.read(dataset, schema)
    work.split()
    best = Candidate(0, name, parameters)
    width, sparse = pipeline.width(inputs(schema), work.train.X)
    fitting = work.fitting(work.cpus)
    memory.plan_jobs([(str(best), fitting.size(best, len(work.train), width, sparse))], limits.memory_left(), 1)
    with Workers(1, work.cpus) as workers:
        if work.clustering:
            progress.phase("fitting", "fitting %s on %d rows" % (best, len(work.train)))
            fitted = {None: workers.one(lambda: fitting.fit(best), lambda: stop.asked)}
        else:
            fitted = work.fit_best(workers, fitting, best)
    _require_going(stop)
    model = fitted.pop(None)
    progress.phase("evaluating", "evaluating, and comparing with version %d" % old.number)
    predictor, judged, metrics = work.evaluate(model, [fitted[at] for at in sorted(fitted)], old_predictor.threshold)
    _require_going(stop)
    part = work.train if work.clustering else work.test
    comparison = evaluation.compare(old_predictor, judged, part.X, part.y, asked, work.context)
    drift = None
    if old.profile is not None:
        drift = evaluation.drift(old.profile, work.train.X, profile_task(asked, schema))
    number = max(old.numbers) + 1
    original = dict(old.task, seed=asked["seed"], sampling=asked["sampling"])
    parts = {
        "task": original,
        "schema": describe_schema(schema, dataset.short_name, asked, predictor, work.train.X),
        "versions": versions.describe({ALGORITHMS[name].package}),
        "metrics": metrics,
        "models": [_chosen_only(old, name, parameters)],
        "profile": evaluation.profile(work.train.X, profile_task(asked, schema)),
        "explanations": work.explain(judged),
        "comparison": dict(comparison, old_version=old.number, new_version=number),
        "drift": drift,
    }
    _require_going(stop)
    for each in parts["metrics"].values():
        each["notes"] = list(each.get("notes") or []) + work.notes
    current = number
    if task["current"] == "better" and not _is_better(comparison, asked["metric"]):
        current = old.number
        progress.line(
            "version %d stays the current one: version %d isn't better on the hold-out" % (old.number, number)
        )
    kept = _kept(old, task["keep_versions"], current)
    progress.phase("saving", "saving version %d" % number)
    saved_model.write_version(target, number, model, parts, [(each, source) for each in kept], current)
    say_result(progress, asked, best, metrics, number)


def _require_going(stop):
    if stop.asked:
        raise Stopped("the run was stopped before the new version was finished; the old one is as it was")


def _chosen_only(old, name, parameters):
    entry = next(each for each in old.models if each.get("chosen"))
    return {
        "algorithm": name, "parameters": parameters, "score": entry.get("score"), "std": entry.get("std"),
        "scores": entry.get("scores"), "seconds": entry.get("seconds"), "failed": None, "chosen": True,
    }  # fmt: skip


def _is_better(comparison, metric):
    known = comparison.get("metrics") or {}
    entry = known.get(comparison.get("main_metric")) or known.get(metric) or {}
    if entry.get("difference") is None:
        return False
    return (entry["difference"] > 0) == bool(entry.get("greater_is_better")) and entry["difference"] != 0


def _kept(old, most, current):
    numbers = sorted(old.numbers)
    if most is not None:
        # The new one is one of them, and the current one always stays.
        numbers = numbers[max(0, len(numbers) - (most - 1)) :] if most > 1 else []
    return sorted(set(numbers) | ({current} & set(old.numbers)))
