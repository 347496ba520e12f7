"""Runs a recipe and follows its log, stops another, and is killed while a third goes on: ``python follow_and_stop.py HOME``.

Started again, as ``python follow_and_stop.py HOME again``, it finds that one.
"""

import os
import signal
import sys

import wharf


def recipe(code):
    return {
        "kind": "python",
        "requester": {"user": "ana", "groups": ["analysts"]},
        "configuration": "docker-local",
        "code": code,
    }


def follow(run, lines=None):
    """Prints a run's log, to its end or up to a number of lines."""
    for event in run.follow():
        if event["event"] == "log":
            print(event["text"], flush=True)
            lines = lines and lines - 1
            if lines == 0:
                return


def first_process(host):
    first = host.submit(recipe("print('hello from a container')"))
    follow(first)
    print("the first:", first.wait()["sentence"])

    endless = host.submit(recipe("import time\nprint('up', flush=True)\nwhile True: time.sleep(1)"))
    follow(endless, lines=1)
    endless.stop("ana")
    print("the second:", endless.wait()["cause"])

    third = host.submit(recipe("import time\nfor i in range(50): print(i, flush=True); time.sleep(0.1)"))
    follow(third, lines=3)
    # As kill -9 would: nothing of this process has a say in it.
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def second_process(host):
    # Every run of a home is in its record; the newest is the one that went on.
    run = host.run(host.runs(1)[0]["run"])
    follow(run)
    print("found again:", run.wait()["sentence"])


with wharf.Host.embedded(sys.argv[1]) as host:
    second_process(host) if sys.argv[2:] else first_process(host)
