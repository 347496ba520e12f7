"""The R file, through a stand-in for the runner's program."""

import unittest

from case import RCase

COLUMNS = [("id", "bigint"), ("x y", "double"), ("s", "string"), ("when", "date"), ("ok", "boolean"), ("zip", "string")]
TEXT = (
    "id,x y,s,when,ok,zip\n"
    '1,0.1,"a ""quoted"", text",2024-01-01T00:00:00.000Z,true,01234\n'
    "2,,é,2024-06-01T12:30:00.250+02:00,false,00001\n"
    '9007199254740991,1e300,"two\nlines",,,9\n'
)


class RecipeInR(RCase):
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

    def test_parameters(self):
        self.runner.parameters = {"n": 3, "list": ["a", "b"], "empty": [], "map": {"k": "1"}, "pw": None, "preset": {"url": "u", "token": None}}
        names = '{"/pw": "PW", "/preset/token": "TOKEN"}'
        self.r(
            """
            config <- dkuCustomRecipeConfig()
            stopifnot(identical(config[["list"]], c("a", "b")), length(config[["empty"]]) == 0, config$n == 3)
            stopifnot(identical(config$map, list(k = "1")))
            stopifnot(identical(config$pw, "p\u00e4ss"), identical(config$preset, list(url = "u", token = "")))
            stopifnot(identical(dkuPluginConfig()$a, c(1L, 2L)))
            stopifnot(identical(Sys.getenv("DKU_CUSTOM_RESOURCE_FOLDER"), "/res"))
            stopifnot(identical(jsonlite::fromJSON(Sys.getenv("DKUFLOW_VARIABLES"))$who, "ana"))
            """,
            WHARF_SECRET_PARAMETERS=names,
            PW="p\u00e4ss",
            TOKEN="",
            WHARF_PLUGIN_CONFIG='{"a": [1, 2]}',
            WHARF_RECIPE_RESOURCE="/res",
        )
        said = self.r("dkuCustomRecipeConfig()", ok=False, WHARF_SECRET_PARAMETERS=names, TOKEN="")
        self.assertIn("/pw", said)
        self.assertIn("PW isn't set", said)
        said = self.r("dkuCustomRecipeConfig()", ok=False, WHARF_SECRET_PARAMETERS="s3cret")
        self.assertIn("WHARF_SECRET_PARAMETERS isn't valid JSON", said)
        self.assertNotIn("s3cret", said)

    def test_null_and_the_empty_text(self):
        self.runner.input("texts", [("s", "string"), ("n", "int")], 's,n\n"",1\n,\n"a\r\nb",-2147483648\nNA,3\n')
        self.r(
            """
            d <- dkuReadDataset("texts", convertEmptyStrings = FALSE, na.strings = character())
            stopifnot(identical(d$s, c("", NA, "a\\r\\nb", "NA")), identical(d$n, c(1, NA, -2147483648, 3)))
            d <- dkuReadDataset("texts", inferColClassesFromData = FALSE)
            stopifnot(identical(d$s, c(NA, NA, "a\\r\\nb", NA)), identical(d$n, c(1, NA, -2147483648, 3)))
            d <- dkuReadDataset("texts", colClasses = c("factor", "NULL"))
            stopifnot(identical(names(d), "s"), is.factor(d$s))
            """
        )
        self.assertIn("isn't of the class integer", self.r('dkuReadDataset("in", colClasses = c(s = "integer"))', ok=False))

    def test_chunks(self):
        rows = "".join("%d,t%d\n" % (n, n) for n in range(2500))
        self.runner.input("many", [("n", "int"), ("s", "string")], "n,s\n" + rows)
        self.r(
            """
            sizes <- integer()
            writer <- dkuDatasetWriter("out")
            total <- dkuReadDatasetByChunks("many", function(d) {
              sizes <<- c(sizes, nrow(d))
              stopifnot(identical(rownames(d)[1], "1"), is.integer(d$n))
              writer$write(d)
            }, chunkSize = 600)
            stopifnot(identical(sizes, c(600L, 600L, 600L, 600L, 100L)), total == 2500)
            # Nobody closes the writer: that is done at the end.
            dkuReadDatasetByChunks("in", function(d) stopifnot(inherits(d$when, "POSIXct"), is.character(d$id)),
                                   colClasses = c(id = "character"))
            """
        )
        self.assertEqual(self.rows("out"), [[str(n), "t%d" % n] for n in range(2500)])
        said = self.r('dkuReadDatasetByChunks("many", function(d) stop("mine"))', ok=False)
        self.assertIn("mine", said)
        said = self.r('w <- dkuDatasetWriter("out"); w$write(data.frame(a = 1)); w$write(data.frame(b = 1))', ok=False)
        self.assertIn("columns of the schema of out: a", said)

    def test_schemas_and_old_names(self):
        self.r('dkuWriteDatasetSchema(data.frame(a = 1L, b = "x"), "PROJ.out")')
        self.assertEqual(self.types("out"), {"a": "int", "b": "string"})
        self.r(
            """
            d <- read.dataset("in", sampling = head.sampling(2), columns = c("zip", "ok"))
            stopifnot(identical(dim(d), c(2L, 2L)))
            write.dataset_with_schema(d, "out")
            write.dataset(d, "out")
            stopifnot(nrow(read.dataset("in", sampling = fixed.sampling(1))) == 1L)
            """
        )
        self.assertEqual(self.rows("out"), [["1234", "true"], ["1", "false"]])

    def test_what_nothing_is_partitioned_means(self):
        self.runner.output("model", kind="folder")
        self.r(
            """
            stopifnot(dkuListDatasetPartitions("in") == "NP", !dkuManagedFolderDirectoryBasedPartitioning("model"))
            full <- dataiku:::dku__resolve_smart_name("out")
            stopifnot(full == "PROJ.out", dataiku:::dku__ref_to_name(full) == "out")
            stopifnot(dkuGetDatasetLocationInfo("out")[["locationInfoType"]] != "SQL")
            stopifnot(identical(dkuListDatasets(), "in"))
            """
        )
        for call in ('dkuReadDataset("in", partitions = "2024")', 'dkuManagedFolderPartitionPaths("model", "2024")'):
            self.assertIn("no partitions here", self.r(call, ok=False))
        self.assertIn("dkuSaveInsight isn't available here: insights", self.r('dkuSaveInsight("x", 1, "t")', ok=False))

    def test_folders_are_copied_both_ways(self):
        self.runner.output("model", kind="folder")
        there = self.runner.folders["model"]
        there["old"] = b"1"
        self.r(
            """
            base <- file.path(tempdir(), "mine")
            dir.create(file.path(base, "deep"), recursive = TRUE)
            writeBin(as.raw(0:255), file.path(base, "deep", "b c.bin"))
            writeLines("x", file.path(base, ".hidden"))
            dkuManagedFolderCopyFromLocal("model", base)
            dkuManagedFolderCopyToLocal("model", file.path(tempdir(), "new", "place"))
            stopifnot(file.exists(file.path(tempdir(), "new", "place", "deep", "b c.bin")))
            # What is uploaded is also in the copy of the whole folder.
            path <- dkuManagedFolderPath("model")
            connection <- file(file.path(base, "deep", "b c.bin"), "rb")
            dkuManagedFolderUploadPath("model", "again", connection)
            stopifnot(file.exists(file.path(path, "again")))
            """
        )
        self.assertEqual(sorted(there), [".hidden", "again", "deep/b c.bin", "old"])
        self.assertEqual((there["again"], there["deep/b c.bin"]), (bytes(range(256)), bytes(range(256))))
        self.assertIn("isn't a directory", self.r('dkuManagedFolderCopyFromLocal("model", "/nope")', ok=False))

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
