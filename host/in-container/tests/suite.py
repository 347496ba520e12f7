"""Runs every test_*.py of this folder; closes with a line `counts PASSED FAILED SKIPPED`."""

import collections
import os
import platform
import sys
import unittest

import case


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    versions = ["Python " + platform.python_version()]
    for module in (case.pandas, case.pyarrow):
        if module is not None:
            versions.append("%s %s" % (module.__name__, module.__version__))
    print(", ".join(versions), flush=True)
    suite = unittest.defaultTestLoader.discover(here, top_level_dir=here)
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=1).run(suite)
    for reason, count in collections.Counter(reason for _, reason in result.skipped).items():
        print("skipped %d: %s" % (count, reason))
    # A sub-test that fails is listed by itself; its test has failed once.
    broken = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    broken.update(test.id() for test in result.unexpectedSuccesses)
    passed = result.testsRun - len(broken) - len(result.skipped)
    print("counts %d %d %d" % (passed, len(broken), len(result.skipped)), flush=True)


# Processes that a test starts may import this file again.
if __name__ == "__main__":
    main()
