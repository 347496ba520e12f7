"""What is larger than memory: the peak of a recipe's process while much more than that goes through it."""

import io
import json
import os
import unittest

from case import RCase, RunnerCase, needs_pandas

# What goes through, and what the peak may grow by meanwhile: a small part of it.
MEGABYTES = 400 if os.environ.get("WHARF_TEST_LONG") else 40
GROWTH = 10
# R takes about 190 MB for this table as a whole, and some memory before it cleans up.
R_MEGABYTES, R_GROWTH = 60, 130
COLUMNS = [("n", "bigint"), ("x", "double"), ("text", "string")]
ROWS = 5000
TEXT = "some text that takes a place of its own in memory, as texts do: " * 2
# Not getrusage, in which a process has the peak of the one that started it too.
MEASURE = """
def peak():
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) // 1024 for line in stream if line.startswith("VmHWM"))
"""


def generate(megabytes):
    """A function that gives a table of about that size, in either format, without ever having it, and its rows."""
    def piece(number):
        # No text is there twice: R keeps equal ones once.
        rows = range(number * ROWS, (number + 1) * ROWS)
        return "".join(['%d,%d.5,"%s%d"\n' % (n, n, TEXT, n) for n in rows]).encode("utf-8")

    times = megabytes * 1000000 // len(piece(0))

    def pieces(form):
        if form == "csv":
            yield b"n,x,text\n"
            for number in range(times):
                yield piece(number)
            return
        import numpy
        from dataiku.core.plain_arrow import Writer

        out = io.BytesIO()
        writer = Writer(out, [("n", "int64"), ("x", "float64"), ("text", "text")])
        numbers, start = numpy.arange(ROWS), out.tell()
        writer.write(ROWS, [(numbers, None), (numbers + 0.5, None), (["%s%d" % (TEXT, n) for n in range(ROWS)], None)])
        end = out.tell()
        writer.close()
        stream = out.getvalue()
        yield stream[:start]
        for _ in range(times):
            yield stream[start:end]
        yield stream[end:]

    return pieces, times * ROWS


class Peak(RunnerCase):
    def setUp(self):
        super().setUp()
        self.sizes = {}
        for name, megabytes in (("small", 4), ("large", MEGABYTES)):
            self.runner.input(name, COLUMNS, "")
            self.runner.generated[name], self.sizes[name] = generate(megabytes)
            self.runner.output("out_" + name)
            self.runner.counted["out_" + name] = 0

    def grows(self, copy):
        """Checks by how many megabytes the peak of a process grows from a small table to a large one."""
        lines = ["import json, dataiku", copy, "peaks = []", "for name in ('small', 'large'):"]
        lines += ["    copy(name, 'out_' + name)", "    peaks.append(peak())", "print(json.dumps(peaks))"]
        result = self.recipe(MEASURE + "\n".join(lines), limit=900)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        small, large = json.loads(result.stdout.splitlines()[-1])
        name = self.id().rpartition(".")[2]
        print("%s: %d MB through, peak %d MB, %d MB more than for 4 MB" % (name, MEGABYTES, large, large - small))
        self.assertLess(large - small, GROWTH)

    def test_rows(self):
        self.grows(
            """
def copy(source, target):
    out = dataiku.Dataset(target)
    out.write_schema(dataiku.Dataset(source).read_schema())
    with out.get_writer() as writer:
        for row in dataiku.Dataset(source).iter_tuples():
            writer.write_tuple(row)
"""
        )
        self.assertEqual(self.runner.counted["out_large"], self.sizes["large"] + 1)

    def test_text(self):
        self.grows(
            """
def copy(source, target):
    with dataiku.Dataset(source).raw_formatted_data() as stream:
        while stream.read(100000):
            pass
"""
        )

    @needs_pandas
    def test_dataframes(self):
        self.grows(
            """
def copy(source, target):
    out = dataiku.Dataset(target)
    out.write_schema(dataiku.Dataset(source).read_schema())
    with out.get_writer() as writer:
        for part in dataiku.Dataset(source).iter_dataframes(chunksize=10000, infer_with_pandas=False):
            writer.write_dataframe(part)
"""
        )
        self.assertEqual(self.runner.counted["out_large"], self.sizes["large"] + 1)

    def test_files(self):
        def body(megabytes):
            return lambda: (bytes(1000000) for _ in range(megabytes))

        self.runner.folder("files", {"small": body(4), "large": body(MEGABYTES)})
        self.runner.output("out", kind="folder")
        self.runner.counted["out"] = 0
        self.grows(
            """
def copy(source, target):
    folder = dataiku.Folder("out")
    with dataiku.Folder("files").get_download_stream(source) as stream:
        folder.upload_stream(target, stream)
    with dataiku.Folder("files").get_download_stream(source) as stream, folder.get_writer(target) as writer:
        for piece in iter(lambda: stream.read(100000), b""):
            writer.write(piece)
"""
        )


class PeakInR(RCase):
    def test_chunks(self):
        self.runner.input("large", COLUMNS, "")
        self.runner.generated["large"], rows = generate(R_MEGABYTES)
        self.runner.output("out")
        self.runner.counted["out"] = 0
        out = self.r(
            """
            invisible(gc(reset = TRUE))
            before <- sum(gc()[, 2])
            writer <- dkuDatasetWriter("out")
            rows <- dkuReadDatasetByChunks("large", writer$write, chunkSize = 5000)
            writer$close()
            # The most of R's own memory since then, in megabytes.
            used <- gc()
            cat(rows, round(sum(used[, ncol(used)]) - before))
            """
        )
        got, growth = out.split()
        print("test_chunks in R: %d MB through, peak %s MB more than before" % (R_MEGABYTES, growth))
        self.assertEqual((int(got), self.runner.counted["out"]), (rows, rows + 1))
        self.assertLess(int(growth), R_GROWTH)


if __name__ == "__main__":
    unittest.main()
