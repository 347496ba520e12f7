"""The R file, through a stand-in for the runner's program."""

import os
import shutil
import subprocess
import unittest

from case import HERE, RunnerCase

R = os.path.join(os.path.dirname(HERE), "r")
# The runner's own program can take the part of the stand-in.
RUNNER = os.environ.get("WHARF_TEST_RUNNER", os.path.join(HERE, "fake_call"))
COLUMNS = [("id", "bigint"), ("x y", "double"), ("s", "string"), ("when", "date"), ("ok", "boolean"), ("zip", "string")]
TEXT = (
    "id,x y,s,when,ok,zip\n"
    '1,0.1,"a ""quoted"", text",2024-01-01T00:00:00.000Z,true,01234\n'
    "2,,é,2024-06-01T12:30:00.250+02:00,false,00001\n"
    '9007199254740991,1e300,"two\nlines",,,9\n'
)


@unittest.skipUnless(shutil.which("Rscript"), "Rscript isn't installed")
class RecipeInR(RunnerCase):
    def r(self, code, ok=True, **environment):
        """Runs an R recipe as a run would; gives what it printed."""
        file = os.path.join(self.runner.directory, "recipe.R")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write("library(dataiku)\n" + code)
        self.addCleanup(lambda: os.path.exists(file) and os.unlink(file))
        env = dict(os.environ, R_PROFILE_USER=os.path.join(R, "profile.R"), WHARF_RUNNER=RUNNER)
        env.update(environment)
        result = subprocess.run(
            ["Rscript", file], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=120
        )
        os.unlink(file)
        if ok:
            self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
            return result.stdout
        self.assertNotEqual(result.returncode, 0, result.stdout)
        return result.stderr

    def setUp(self):
        super().setUp()
        self.runner.input("in", COLUMNS, TEXT)
        self.runner.output("out")

    def test_the_package_is_there(self):
        out = self.r(
            """
            stopifnot(require(dataiku), requireNamespace("dataiku"), is.function(dataiku::dkuReadDataset))
            suppressPackageStartupMessages(library("dataiku"))
            invisible(capture.output(print(sessionInfo())))
            cat(nrow(dataiku::dkuReadDataset("PROJ.in")))
            """
        )
        self.assertEqual(out, "3")

    def test_reading(self):
        self.r(
            """
            d <- dkuReadDataset("in")
            stopifnot(identical(names(d), c("id", "x y", "s", "when", "ok", "zip")))
            stopifnot(identical(d$s, c("a \\"quoted\\", text", "\\u00e9", "two\\nlines")))
            stopifnot(d$id[3] == 2^53 - 1, is.na(d$`x y`[2]), d$`x y`[1] == 0.1)
            stopifnot(inherits(d$when, "POSIXct"), is.na(d$when[3]))
            stopifnot(abs(as.numeric(d$when[2]) - 1717237800.25) < 1e-6)
            stopifnot(identical(d$ok, c(TRUE, FALSE, NA)), identical(d$zip, c(1234L, 1L, 9L)))

            d <- dkuReadDataset("in", inferColClassesFromData = FALSE)
            stopifnot(identical(d$zip, c("01234", "00001", "9")), is.numeric(d$id))

            d <- dkuReadDataset("in", columns = c("zip", "x y"), colClasses = c("character", "numeric"))
            stopifnot(identical(names(d), c("zip", "x y")), identical(d$zip[1], "01234"))

            d <- dkuReadDataset("in", colClasses = c(zip = "character", id = "character"))
            stopifnot(identical(d$id[3], "9007199254740991"), identical(d$zip[1], "01234"))

            stopifnot(nrow(dkuReadDataset("in", samplingMethod = "head", nbRows = 2)) == 2)
            stopifnot(nrow(dkuReadDataset("in", samplingMethod = "fixed", nbRows = 1)) == 1)
            stopifnot(nrow(dkuReadDataset("in", samplingMethod = "full", nbRows = 1)) == 3)
            s <- dkuReadSchema("in")
            stopifnot(identical(s$name[2], "x y"), identical(s$type[1], "bigint"))
            """
        )

    def test_no_rows_and_one_column(self):
        self.runner.input("none", COLUMNS, "id,x y,s,when,ok,zip\n")
        self.runner.input("one", [("s", "string")], 's\nx\n""\ny\n')
        self.r(
            """
            stopifnot(identical(dim(dkuReadDataset("none")), c(0L, 6L)))
            stopifnot(identical(dkuReadDataset("one")$s, c("x", NA, "y")))
            """
        )

    def test_writing(self):
        self.r(
            """
            d <- data.frame(i = c(1L, NA), d = c(0.1, NA), big = c(2^53 - 1, 1e20), b = c(TRUE, NA), s = c("", NA),
                            f = factor(c("u", "\\u00e9,\\"\\n")), stringsAsFactors = FALSE)
            d$t <- as.POSIXct(c("2024-01-01 00:00:00.25", NA), tz = "Europe/Paris")
            d$day <- as.Date(c("2024-02-29", NA))
            d$l <- I(list(list(a = 1), NULL))
            names(d)[1] <- "i,\\u00e9"
            dkuWriteDataset(d, "PROJ.out")
            """
        )
        self.assertEqual(
            self.types("out"),
            {
                "i,é": "int", "d": "double", "big": "double", "b": "boolean", "s": "string", "f": "string",
                "t": "date", "day": "date", "l": "string",
            },
        )  # fmt: skip
        self.assertEqual(self.header("out")[0], "i,é")
        self.assertEqual(
            self.rows("out"),
            [
                ["1", "0.1", "9007199254740991", "true", "", "u", "2023-12-31T23:00:00.250Z", "2024-02-29T00:00:00.000Z", '{"a":1}'],
                [None, None, "1e+20", None, None, 'é,"\n', None, None, None],
            ],
        )  # fmt: skip

    def test_the_same_in_the_c_locale(self):
        self.r(
            'd <- dkuReadDataset("in"); d[["\\u00fc"]] <- d$s; dkuWriteDataset(d, "out")', LC_ALL="C", LANG="C"
        )
        self.assertEqual(self.header("out")[-1], "ü")
        self.assertEqual([row[2] for row in self.rows("out")], ['a "quoted", text', "é", "two\nlines"])
        self.assertEqual([row[-1] for row in self.rows("out")], ['a "quoted", text', "é", "two\nlines"])

    def test_numbers_survive(self):
        self.r(
            """
            x <- c(pi, 1/3, .Machine$double.xmax, 5e-324, -0.1 - 0.2, 100000, 123456789012)
            dkuWriteDataset(data.frame(x = x), "out")
            """
        )
        import math

        want = [math.pi, 1 / 3, 1.7976931348623157e308, 5e-324, -0.1 - 0.2, 100000.0, 123456789012.0]
        self.assertEqual([float(x) for (x,) in self.rows("out")], want)

    def test_a_schema_that_is_kept(self):
        self.runner.schemas["out"] = [{"name": "b", "type": "bigint"}, {"name": "a", "type": "string"}]
        self.r('dkuWriteDataset(data.frame(a = "x", b = 100000), "out", schema = FALSE)')
        self.assertEqual(self.rows("out"), [["100000", "x"]])
        self.assertEqual(self.types("out"), {"b": "bigint", "a": "string"})
        self.assertIn("b, a", self.r('dkuWriteDataset(data.frame(z = 1), "out", schema = FALSE)', ok=False))

    def test_many_rows(self):
        self.r('dkuWriteDataset(data.frame(n = seq_len(25001), s = "x"), "out")')
        self.assertEqual([int(n) for n, _ in self.rows("out")], list(range(1, 25002)))
        self.r('dkuWriteDataset(data.frame(n = integer()), "out")')
        self.assertEqual(self.runner.data["out"], "n\n")
        self.r('dkuWriteDataset(data.frame(s = c(NA, "x")), "out")')
        self.assertEqual(self.rows("out"), [[None], ["x"]])

    def test_errors_are_sentences(self):
        self.assertIn("its dataset inputs are: in", self.r('dkuReadDataset("nope")', ok=False))
        self.assertIn("'in' is an input", self.r('dkuWriteDataset(data.frame(a = 1), "in")', ok=False))
        self.assertIn("no column 'nope'", self.r('dkuReadDataset("in", columns = "nope")', ok=False))
        self.assertIn("isn't available here", self.r("dkuSQLQueryToData(1)", ok=False))
        self.assertIn("WHARF_SOCKET", self.r('dkuReadDataset("in")', ok=False, WHARF_SOCKET=""))
        self.runner.input("gone", [], "")
        del self.runner.schemas["gone"]
        self.assertIn("the dataset gone has no schema", self.r('dkuReadDataset("gone")', ok=False))
        self.runner.refuse_data = (400, "bad-rows", "row 7 isn't a row")
        self.assertRegex(self.r('dkuWriteDataset(data.frame(a = 1), "out")', ok=False), "row 7 isn't a row|broke|Broken")

    def test_a_body_that_breaks_off_is_an_error(self):
        self.runner.input("many", [("n", "int"), ("m", "int")], "n,m\n" + "1,1\n" * 50000)
        self.runner.tear = "chunked"
        self.assertIn("broke", self.r('dkuReadDataset("many")', ok=False))

    def test_the_run(self):
        self.runner.input("b", [("x", "int")], "x\n", role="right")
        out = self.r(
            """
            cat(dkuCustomRecipeInputNamesForRole("right"), dkuCustomRecipeOutputNamesForRole("main"),
                length(dkuCustomRecipeInputNamesForRole("none")), dkuCustomRecipeConfig()$n,
                dkuCustomRecipeConfig()[["nested"]]$a[[1]], dkuFlowVariable("who"), dkuCustomVariable("threshold"),
                dkuCustomRecipeResource(), dkuPluginConfig()$k)
            """,
            WHARF_RECIPE_RESOURCE="/res",
            WHARF_PLUGIN_CONFIG='{"k": 5}',
        )
        self.assertEqual(out, "PROJ.b PROJ.out 0 3 1 ana 42 /res 5")
        self.assertIn("threshold", self.r('dkuFlowVariable("nope")', ok=False))

    def test_folders(self):
        self.runner.folder("files", {"a.txt": "é\n".encode(), "sub/b c.json": b'{"k": [1]}', "bin": bytes(range(256))})
        self.r(
            """
            stopifnot(identical(dkuManagedFolderPartitionPaths("files"), c("/a.txt", "/bin", "/sub/b c.json")))
            stopifnot(identical(dkuManagedFolderDownloadPath("files", "/bin"), as.raw(0:255)))
            stopifnot(identical(dkuManagedFolderDownloadPath("files", "a.txt", as = "text"), "\\u00e9\\n"))
            stopifnot(dkuManagedFolderDownloadPath("files", "sub/b c.json", as = "parsed")$k[[1]] == 1)
            path <- dkuManagedFolderPath("PROJ.files")
            stopifnot(identical(path, dkuManagedFolderPath("files")))
            stopifnot(identical(readBin(file.path(path, "bin"), "raw", 1000), as.raw(0:255)))
            details <- dkuManagedFolderPathDetails("files", "/sub")
            stopifnot(details$exists, details$directory, details$size == 10)
            writeLines("mine", file.path(path, "mine.txt"))
            stopifnot(dkuManagedFolderInfo("files")$name == "files")
            """
        )
        self.assertEqual([r for r in self.runner.requests if r[0] != "GET"], [])
        self.assertIn("no file nope", self.r('dkuManagedFolderDownloadPath("files", "nope")', ok=False))
        self.assertIn("isn't a path", self.r('dkuManagedFolderDownloadPath("files", "../x")', ok=False))
        self.assertIn("input", self.r('dkuManagedFolderUploadPath("files", "x", "y")', ok=False))

    FOLDER = """
        path <- dkuManagedFolderPath("model")
        unlink(file.path(path, "gone"))
        dir.create(file.path(path, "new"))
        saveRDS(1:3, file.path(path, "new", "m.rds"))
        dkuManagedFolderUploadPath("model", "up/raw.bin", as.raw(0:255))
        dkuManagedFolderUploadPath("model", "text.txt", "\\u00e9")
        writeLines("late", file.path(path, "late.txt"))
    """

    def test_what_is_in_the_directory_is_sent_at_the_end(self):
        self.runner.output("model", kind="folder")
        there = self.runner.folders["model"]
        there.update({"gone": b"1", "kept": b"2"})
        self.r(self.FOLDER)
        self.assertEqual(sorted(there), ["kept", "late.txt", "new/m.rds", "text.txt", "up/raw.bin"])
        self.assertEqual((there["up/raw.bin"], there["text.txt"]), (bytes(range(256)), "é".encode()))
        self.assertEqual(there["late.txt"], b"late\n")
        self.r('dkuManagedFolderDeletePath("model", "up"); dkuManagedFolderClear("model")')
        self.assertEqual(there, {})

    def test_a_failed_recipe_sends_nothing_more(self):
        self.runner.output("model", kind="folder")
        self.r(self.FOLDER + 'stop("no")', ok=False)
        self.assertNotIn("late.txt", self.runner.folders["model"])

    def test_a_failure_at_the_end_fails_the_process(self):
        self.runner.output("model", kind="folder")
        self.runner.folders["model"]["gone"] = b"1"
        code = """
            path <- dkuManagedFolderPath("model")
            unlink(file.path(path, "gone"))
            dataiku:::.wharf_call("DELETE", "/v1/folders/model/files/gone")
        """
        self.assertIn("no file gone", self.r(code, ok=False))


if __name__ == "__main__":
    unittest.main()
