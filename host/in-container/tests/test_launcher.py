"""The launcher: `python -m dataiku.recipe FILE`."""

import os
import subprocess
import sys
import textwrap
import unittest

from case import PYTHON, RunnerCase

LIBRARY = os.path.join(PYTHON, "dataiku")


class Launched(RunnerCase):
    def launch(self, code, *arguments, name="recipe.py", python=None, **environment):
        """Runs a recipe's file; it is in a folder of its own, which isn't the working folder."""
        self.folder = os.path.join(os.environ["TMPDIR"], "plugin")
        os.makedirs(self.folder, exist_ok=True)
        file = os.path.join(self.folder, name)
        with open(file, "wb") as stream:
            stream.write(code if isinstance(code, bytes) else textwrap.dedent(code).encode("utf-8"))
        env = dict(os.environ, PYTHONPATH=PYTHON, PYTHONDONTWRITEBYTECODE="1", PYTHONIOENCODING="utf-8", **environment)
        return subprocess.run(
            [python or sys.executable, "-u", "-m", "dataiku.recipe", file, *arguments],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=os.environ["TMPDIR"],
            timeout=60,
        )

    def library(self, code):
        with open(os.path.join(os.environ["TMPDIR"], "plugin", "helper.py"), "w") as stream:
            stream.write(textwrap.dedent(code))

    def test_a_recipe_finds_what_it_finds_by_itself(self):
        code = """
            # -*- coding: latin-1 -*-
            import pickle, sys
            class Thing(object):
                pass
            def main():
                print(__name__, __file__ == sys.modules["__main__"].__file__, sys.argv[1:])
                print(sys.path[0], type(pickle.loads(pickle.dumps(Thing()))) is Thing, __package__, __doc__)
                print("\\u00e9")
            if __name__ == "__main__":
                main()
        """
        result = self.launch(textwrap.dedent(code).lstrip().encode("latin-1"), "a", "b c")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        want = ["__main__ True ['a', 'b c']", self.folder + " True None None", "\u00e9"]
        self.assertEqual(result.stdout.splitlines(), want)

    def test_processes_that_are_spawned_find_the_recipe(self):
        code = """
            import multiprocessing
            def double(n):
                return 2 * n
            if __name__ == "__main__":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print(pool.map(double, [1, 2]))
        """
        result = self.launch(code)
        self.assertEqual((result.stdout, result.stderr, result.returncode), ("[2, 4]\n", "", 0))

    def test_the_resource_folder_has_its_other_name(self):
        code = "import os; print(os.environ['DKU_CUSTOM_RESOURCE_FOLDER'])"
        self.assertEqual(self.launch(code, WHARF_RECIPE_RESOURCE="/res").stdout, "/res\n")
        other = self.launch(code, WHARF_RECIPE_RESOURCE="/res", DKU_CUSTOM_RESOURCE_FOLDER="/other")
        self.assertEqual(other.stdout, "/other\n")

    def test_exit_codes_are_the_recipes(self):
        for code, want in (("import sys; sys.exit(3)", 3), ("import sys; sys.exit('no')", 1), ("raise SystemExit", 0)):
            result = self.launch(code)
            self.assertEqual(result.returncode, want)
            self.assertNotIn("failed", result.stderr)

    def test_a_failure_is_one_sentence_above_the_recipes_own_traceback(self):
        code = """
            import json
            import helper
            def outer():
                helper.inner()
            print("before")
            outer()
        """
        self.launch("")
        self.library("import json\ndef inner():\n    json.loads('{')\n")
        result = self.launch(code)
        self.assertEqual((result.returncode, result.stdout), (1, "before\n"))
        lines = result.stderr.splitlines()
        helper = os.path.join(self.folder, "helper.py")
        # The place is the deepest one of the plugin's own code, not that of a library.
        self.assertRegex(lines[0], r"^the recipe failed with JSONDecodeError: Expecting .* \(%s, line 3\)$" % helper)
        self.assertEqual(lines[1], "Traceback (most recent call last):")
        self.assertEqual(lines[2], '  File "%s/recipe.py", line 7, in <module>' % self.folder)
        self.assertRegex(lines[-1], "^json.decoder.JSONDecodeError: Expecting")
        for word in ("runpy", LIBRARY):
            self.assertNotIn(word, result.stderr)

    def test_the_traceback_is_what_python_itself_prints(self):
        code = """
            def deep(n):
                return deep(n - 1) if n else {}["k"]
            try:
                deep(3)
            except KeyError as error:
                raise ValueError("two\\nlines") from error
        """
        launched = self.launch(code)
        file = os.path.join(self.folder, "recipe.py")
        plain = subprocess.run([sys.executable, file], stderr=subprocess.PIPE, encoding="utf-8")
        sentence, _, traceback = launched.stderr.partition("\n")
        self.assertEqual(sentence, "the recipe failed with ValueError: two lines (%s, line 7)" % file)
        self.assertEqual(traceback, plain.stderr)

    def test_odd_exceptions(self):
        for code, word in (
            ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E()", "E"),
            ("raise Exception()", "the recipe failed with Exception ("),
            ("raise KeyboardInterrupt", "the recipe failed with KeyboardInterrupt"),
            ("raise ValueError('x' * 100000)", "x …"),
            ("import sys; sys.stderr.flush(); sys.stdout.close(); raise ValueError('shut')", "ValueError: shut"),
        ):
            result = self.launch(code)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(word, result.stderr)
            self.assertIn("Traceback (most recent call last):", result.stderr)

    def test_a_failed_recipe_sends_nothing(self):
        self.runner.output("out")
        lines = [
            "import dataiku",
            "out = dataiku.Dataset('out')",
            "out.write_schema([{'name': 'a', 'type': 'int'}])",
            "out.get_writer().write_tuple([1])",
        ]
        result = self.launch("\n".join(lines + ["raise ValueError('no')"]))
        self.assertEqual((result.returncode, result.stderr.splitlines()[-1]), (1, "ValueError: no"))
        self.assertNotIn("out", self.runner.data)
        self.assertEqual(self.launch("\n".join(lines)).returncode, 0)
        self.assertEqual(self.runner.data["out"], "a\n1\n")

    def test_a_file_that_is_not_there(self):
        result = subprocess.run(
            [sys.executable, "-m", "dataiku.recipe", "/nope.py"],
            env=dict(os.environ, PYTHONPATH=PYTHON),
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^the recipe can't be read: .*'/nope.py'\n$")

    def test_a_recipe_for_python_2_is_told_plainly(self):
        for code, word, line in (
            ('x = 1\nprint "hello %s" % x', "print is a function", 2),
            ("if True:\n    print\n    print x, y", "print is a function", 3),
            ("try:\n    pass\nexcept Exception, e:\n    pass", "`as`", 3),
            ('raise ValueError, "no"', "raise", 1),
            ("if 1 <> 2: pass", "!=", 1),
            ("x = 0777", "octal", 1),
            ("x = 10L", "no L", 1),
            ('exec "x = 1"', "exec is a function", 1),
            ("x = `1`", "repr()", 1),
            ("if True:\n        x = 1\n\ty = 2", "tabs and spaces", 3),
            ("import urllib2", "urllib2", 1),
            ("print(unicode('a'))", "unicode", 1),
            ("for k, v in {}.iteritems(): pass", "iteritems", 1),
        ):
            with self.subTest(code):
                result = self.launch(code)
                self.assertEqual(result.returncode, 1)
                lines = result.stderr.splitlines()
                version = "%d.%d" % sys.version_info[:2]
                self.assertRegex(
                    lines[0],
                    r"^the recipe is written for Python 2, and this is Python %s: .* \(%s/recipe.py, line %d\); "
                    "convert it to Python 3$" % (version, self.folder, line),
                )
                self.assertIn(word, lines[0])
                self.assertRegex(lines[-1], "^(Syntax|Tab|ModuleNotFound|Name|Attribute)Error: ")

    def test_a_plugins_library_for_python_2(self):
        self.launch("")
        self.library('def f():\n    print "x"\n')
        result = self.launch("import helper\n")
        self.assertIn("written for Python 2", result.stderr.splitlines()[0])
        self.assertIn("helper.py, line 2", result.stderr.splitlines()[0])

    def test_other_mistakes_are_not_called_python_2(self):
        for code in (
            "x = (1\ny = 2\n", "print('a'\n", "def f(:\n    pass", "import nope", "print(nope)", "{}.nope",
            "x = 'print \"a\"\n", "print(1) print(2)", "raise ValueError('a, b') from",
        ):  # fmt: skip
            with self.subTest(code):
                sentence = self.launch(code).stderr.splitlines()[0]
                self.assertRegex(sentence, "^the recipe failed with [A-Za-z]+Error: .*, line [0-9]+")

    @unittest.skipUnless(os.environ.get("WHARF_TEST_PYTHON2"), "WHARF_TEST_PYTHON2 names no Python 2")
    def test_python_2_itself_is_told_plainly(self):
        result = self.launch("", python=os.environ["WHARF_TEST_PYTHON2"])
        self.assertIn("needs Python 3.7 or newer", result.stderr)


if __name__ == "__main__":
    unittest.main()
