"""Managed folders."""

import io
import json
import os
import unittest

from case import RunnerCase

import dataiku

FILES = {"a.txt": b"alpha", "sub/b c.json": b'{"k": [1, "\xc3\xa9"]}', "sub/deep/\u00e9#?%.bin": bytes(range(256)) * 4000}


class Reading(RunnerCase):
    def setUp(self):
        super().setUp()
        self.runner.folder("files", FILES)
        self.folder = dataiku.Folder("PROJ.files")

    def test_names(self):
        self.assertEqual((self.folder.get_name(), self.folder.get_id()), ("files", "files"))
        self.assertEqual(self.folder.get_info()["name"], "files")
        self.assertEqual(self.folder.full_name, "PROJ.files")
        with self.fails("'nope'", "files"):
            dataiku.Folder("nope").get_path()

    def test_paths(self):
        self.assertEqual(
            self.folder.list_paths_in_partition(), ["/a.txt", "/sub/b c.json", "/sub/deep/\u00e9#?%.bin"]
        )
        with self.fails("partition"):
            self.folder.list_paths_in_partition("2024")

    def test_streams(self):
        for path, contents in FILES.items():
            for asked in (path, "/" + path):
                with self.folder.get_download_stream(asked) as stream:
                    self.assertEqual(stream.read(), contents)
        with self.folder.get_download_stream("a.txt") as stream:
            self.assertEqual([stream.read(2), stream.read(2), stream.read(2), stream.read(2)], [b"al", b"ph", b"a", b""])
        self.assertEqual(self.folder.read_json("/sub/b c.json"), {"k": [1, "\u00e9"]})
        with self.fails("no file nope.txt"):
            self.folder.get_download_stream("nope.txt")

    def test_details(self):
        details = self.folder.get_path_details("/sub")
        self.assertEqual((details["exists"], details["directory"], details["name"]), (True, True, "sub"))
        self.assertEqual([child["name"] for child in details["children"]], ["b c.json", "deep"])
        details = self.folder.get_path_details("sub/b c.json")
        self.assertEqual((details["directory"], details["size"]), (False, len(FILES["sub/b c.json"])))
        self.assertEqual(details["pathElts"], ["sub", "b c.json"])
        self.assertEqual((details["fullPath"], details["lastModified"]), ("/sub/b c.json", 1700000000000))
        self.assertEqual(len(self.folder.get_path_details()["children"]), 2)
        self.assertFalse(self.folder.get_path_details("/nope")["exists"])

    def test_an_input_is_listed_once_for_all_details(self):
        for _ in range(3):
            self.folder.get_path_details("a.txt")
        self.assertEqual(len([path for _, path in self.runner.requests if path.endswith("/files")]), 1)

    def test_details_of_an_output_are_new_each_time(self):
        self.runner.output("out", kind="folder")
        out = dataiku.Folder("out")
        self.assertFalse(out.get_path_details("a")["exists"])
        out.upload_data("a", b"x")
        self.assertTrue(out.get_path_details("a")["exists"])

    def test_a_local_path(self):
        with open(self.folder.file_path("/sub/b c.json"), "rb") as stream:
            self.assertEqual(stream.read(), FILES["sub/b c.json"])
        with self.fails("isn't a path"):
            self.folder.file_path("../x")

    def test_what_is_not_known_is_said(self):
        with self.fails("'path'", "get_path()"):
            self.folder.get_info()["path"]
        with self.fails("'bucket'"):
            self.folder.get_info()["accessInfo"]["bucket"]

    def test_a_path_cannot_leave(self):
        for path in ("../x", "/sub/../../x", "./x"):
            with self.fails("isn't a path"):
                self.folder.get_download_stream(path)

    def test_the_whole_folder(self):
        path = self.folder.get_path()
        self.assertEqual(self.folder.get_path(), path)
        for name, contents in FILES.items():
            with open(os.path.join(path, name), "rb") as stream:
                self.assertEqual(stream.read(), contents)
        self.assertEqual(os.stat(os.path.join(path, "a.txt")).st_mtime, 1700000000)
        # An input: what is written into its copy goes nowhere.
        open(os.path.join(path, "mine.txt"), "w").close()
        self.folder.flush()
        self.assertEqual([r for r in self.runner.requests if r[0] != "GET"], [])

    def test_a_hostile_name_stays_in_the_copy(self):
        self.runner.folder("bad", {"../../escape": b"x"})
        with self.fails("isn't a path"):
            dataiku.Folder("bad").get_path()

    def test_an_input_is_not_written(self):
        for write in (
            lambda f: f.upload_data("x", b"x"),
            lambda f: f.get_writer("x"),
            lambda f: f.delete_path("a.txt"),
            lambda f: f.clear(),
        ):
            with self.fails("input"):
                write(self.folder)
        self.assertEqual(self.runner.folders["files"], FILES)


class Writing(RunnerCase):
    def setUp(self):
        super().setUp()
        self.runner.output("files", kind="folder")
        self.folder = dataiku.Folder("files")
        self.there = self.runner.folders["files"]

    def test_uploads(self):
        self.folder.upload_stream("/s.bin", io.BytesIO(b"x" * 1000000))
        self.folder.upload_data("d/\u00e9 #.txt", "text \u00e9")
        self.folder.upload_data("empty", b"")
        self.folder.upload_file("self.py", __file__)
        self.folder.write_json("j.json", {"a": [1]})
        self.assertEqual(self.there["s.bin"], b"x" * 1000000)
        self.assertEqual(self.there["d/\u00e9 #.txt"].decode(), "text \u00e9")
        self.assertEqual(self.there["empty"], b"")
        with open(__file__, "rb") as stream:
            self.assertEqual(self.there["self.py"], stream.read())
        self.assertEqual(json.loads(self.there["j.json"].decode()), {"a": [1]})
        with self.fails("needs a name"):
            self.folder.upload_data("/", b"x")

    def test_a_writer(self):
        with self.folder.get_writer("w.bin") as writer:
            for _ in range(100):
                writer.write(b"y" * 10000)
        self.assertEqual(self.there["w.bin"], b"y" * 1000000)
        writer = self.folder.get_writer("x.txt")
        writer.write("text")
        writer.close()
        writer.close()
        self.assertEqual(self.there["x.txt"], b"text")

    def test_an_exception_leaves_nothing(self):
        with self.assertRaises(ZeroDivisionError):
            with self.folder.get_writer("w.bin") as writer:
                writer.write(b"y" * 1000000)
                1 / 0
        self.assertNotIn("w.bin", self.there)

        class Broken:
            def read(self, size):
                raise OSError("the source broke")

        with self.assertRaises(OSError):
            self.folder.upload_stream("b.bin", Broken())
        self.assertNotIn("b.bin", self.there)

    def test_deleting(self):
        self.there.update({"a": b"1", "d/b": b"2", "d/c": b"3", "db": b"4"})
        self.folder.delete_path("/d")
        self.assertEqual(sorted(self.there), ["a", "db"])
        with self.fails("no file nope"):
            self.folder.delete_path("nope")
        for everything in ("", "/"):
            self.folder.delete_path(everything)
            self.assertEqual(self.there, {})
            # Of an empty folder, too.
            self.folder.delete_path(everything)
            self.there["again"] = b""
        self.folder.clear()
        self.assertEqual(self.there, {})

    def test_a_directory_that_is_flushed(self):
        self.there.update({"old.txt": b"old", "gone.txt": b"gone"})
        path = self.folder.get_path()
        os.remove(os.path.join(path, "gone.txt"))
        with open(os.path.join(path, "new.txt"), "w") as stream:
            stream.write("new")
        with open(os.path.join(path, "old.txt"), "a") as stream:
            stream.write(" and more")
        # Any other method sends it.
        self.assertEqual(self.folder.list_paths_in_partition(), ["/new.txt", "/old.txt"])
        self.assertEqual(self.there, {"old.txt": b"old and more", "new.txt": b"new"})
        before = len(self.runner.requests)
        self.folder.flush()
        self.assertEqual(len(self.runner.requests), before)
        # What is uploaded is also in the directory.
        self.folder.upload_data("sub/up.txt", b"up")
        self.assertTrue(os.path.exists(os.path.join(path, "sub", "up.txt")))
        self.folder.delete_path("sub")
        self.assertFalse(os.path.exists(os.path.join(path, "sub", "up.txt")))
        self.assertEqual(sorted(self.there), ["new.txt", "old.txt"])


if __name__ == "__main__":
    unittest.main()
