"""Measures scoring against the bare pipeline: `python -m ml.measure_scoring [MILLIONS] [FEATURES]`, beside suite.py.

Both run in a process of their own; the fake runner makes the rows and counts what comes back in a third one. The ratio
of processor seconds says what reading and writing cost; that of the clock what a user waits.
"""

import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time

from case import PYTHON  # noqa: F401

PIECE = 50_000


def stream(features, millions):
    """A function that gives the rows as an Arrow stream, the same batch again and again."""
    import numpy
    import pyarrow

    random = numpy.random.default_rng(0)
    arrays = [pyarrow.array(numpy.arange(PIECE))] + [pyarrow.array(random.normal(size=PIECE)) for _ in range(features)]
    names = ["id"] + ["x%d" % n for n in range(features)]
    batch = pyarrow.record_batch(arrays, names=names)

    def whole(count):
        out = io.BytesIO()
        with pyarrow.ipc.new_stream(out, batch.schema) as writer:
            for _ in range(count):
                writer.write_batch(batch)
        return out.getvalue()

    # The schema goes out with the first batch: what a second one adds is the size of a batch.
    data, two = whole(1), len(whole(2))
    end = len(data) - 8
    head = end - (two - len(data))
    times = int(millions * 1_000_000) // PIECE

    def pieces(form):
        yield data[:head]
        for _ in range(times):
            for at in range(head, end, 1 << 18):
                yield data[at : min(end, at + (1 << 18))]
        yield data[end:]

    return pieces


def serve(ready, features, millions, files):
    """The fake runner, with the model in its folder."""
    from fake_runner import Runner

    runner = Runner()
    columns = [("id", "bigint")] + [("x%d" % n, "double") for n in range(features)]
    runner.input("in", columns, "")
    runner.generated["in"] = stream(features, millions)
    runner.output("out")
    runner.counted["out"] = 0
    runner.folder("model", files, role="model")
    ready.put(runner.socket)
    time.sleep(86400)


def train(features):
    """The files of a saved logistic model."""
    import numpy
    from fake_runner import Runner, render
    from wharf_ml.__main__ import main

    runner = Runner()
    random = numpy.random.default_rng(1)
    X = random.normal(size=(2000, features))
    rows = [["id"] + ["x%d" % n for n in range(features)] + ["y"]]
    rows += [
        [str(n)] + [repr(float(v)) for v in row] + ["true" if row.sum() > 0 else "false"] for n, row in enumerate(X)
    ]
    columns = [("id", "bigint")] + [("x%d" % n, "double") for n in range(features)] + [("y", "boolean")]
    runner.input("rows", columns, render(rows))
    runner.output("model", role="model", kind="folder")
    os.environ["WHARF_SOCKET"] = runner.socket
    file = os.path.join(tempfile.mkdtemp(), "task.json")
    with open(file, "w", encoding="utf-8") as out:
        task = {
            "prediction_type": "binary",
            "target": "y",
            "features": {"id": {"role": "rejected"}},
            "explanations": False,
        }
        json.dump(dict(task, algorithms=[{"name": "logistic"}]), out)
    if main(["train", file]):
        raise SystemExit("the training failed")
    return dict(runner.folders["model"])


def used():
    """Processor seconds of this process."""
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime


def peak():
    """The most memory of this process, in megabytes."""
    with open("/proc/self/status", encoding="ascii") as stream_:
        return next(int(line.split()[1]) // 1024 for line in stream_ if line.startswith("VmHWM"))


def bare(out, features, millions, files, threads):
    """The same pipeline asked for the same numbers of rows, which are there as a dataframe."""
    import numpy
    import pandas
    from threadpoolctl import threadpool_limits
    from wharf_ml import model_file

    path = os.path.join(tempfile.mkdtemp(), "model.skops")
    with open(path, "wb") as stream_:
        stream_.write(files["versions/1/model.skops"])
    pipeline = model_file.load(path)
    random = numpy.random.default_rng(0)
    X = pandas.DataFrame({"x%d" % n: random.normal(size=PIECE) for n in range(features)})
    with threadpool_limits(threads):
        pipeline.predict_proba(X)
        begun, cpu = time.monotonic(), used()
        for _ in range(int(millions * 1_000_000) // PIECE):
            pipeline.predict_proba(X)
        out.put((time.monotonic() - begun, used() - cpu, peak()))


def scored(out, socket):
    """The scoring, as a run does it."""
    from wharf_ml.__main__ import main

    os.environ["WHARF_SOCKET"] = socket
    file = os.path.join(tempfile.mkdtemp(), "task.json")
    with open(file, "w", encoding="utf-8") as stream_:
        json.dump({}, stream_)
    import wharf_ml.score  # noqa: F401

    begun, cpu = time.monotonic(), used()
    code = main(["score", file])
    out.put((time.monotonic() - begun, used() - cpu, peak()) if code == 0 else None)


def run(function, *arguments):
    """What a function in a process of its own answers."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=function, args=(out,) + arguments)
    process.start()
    found = out.get()
    process.join()
    return found


def main(millions=10.0, features=10):
    context = multiprocessing.get_context("spawn")
    scratch = tempfile.mkdtemp()
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    files = train(features)
    ready = context.Queue()
    server = context.Process(target=serve, args=(ready, features, millions, files), daemon=True)
    server.start()
    socket = ready.get()
    one = run(bare, features, millions, files, 1)
    every = run(bare, features, millions, files, len(os.sched_getaffinity(0)))
    mine = run(scored, socket)
    server.kill()
    shutil.rmtree(scratch, ignore_errors=True)
    rows = millions * 1e6
    for name, (seconds, cpu, megabytes) in (("bare, one thread", one), ("bare", every), ("scored", mine)):
        print(
            "%-17s %6.1f s, %6.1f s of processor, %9d rows a second, peak %4d MB"
            % (name, seconds, cpu, rows / seconds, megabytes)
        )
    print(
        "ratio: %.2f by the clock, %.2f by processor seconds"
        % (min(one[0], every[0]) / mine[0], min(one[1], every[1]) / mine[1])
    )


if __name__ == "__main__":
    main(*[kind(text) for kind, text in zip((float, int), sys.argv[1:])])
