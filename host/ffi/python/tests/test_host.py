"""A host in this process and over its socket, on a real engine.

WHARF_TEST_HOME names a home with a configuration ``docker-local`` for the group ``analysts``; WHARF_LIBRARY the library.
"""

import asyncio
import os
import subprocess
import sys
import threading
import unittest

import wharf
import wharf.aio

HOME = os.environ["WHARF_TEST_HOME"]


def recipe(code, **more):
    return {
        "kind": "python",
        "requester": {"user": "ana", "groups": ["analysts"]},
        "configuration": "docker-local",
        "code": code,
        **more,
    }


def lines(events):
    return [event["text"] for event in events if event["event"] == "log"]


COUNTING = "import time\nfor i in range(30): print(i, flush=True); time.sleep(0.1)"
ENDLESS = "import time\nwhile True: print('.', flush=True); time.sleep(0.05)"


class Waiting(unittest.TestCase):
    def test_a_recipe_runs_and_is_followed(self):
        with wharf.Host.embedded(HOME) as host:
            run = host.submit(recipe("for i in range(1000): print(i, 'grüße')"))
            events = list(run.follow())
            self.assertEqual(lines(events), [f"{i} grüße" for i in range(1000)])
            self.assertEqual(events[-1]["cause"], "succeeded")
            self.assertEqual(run.wait()["cause"], "succeeded")
            self.assertEqual(host.runs(1)[0]["run"], run.id)
            self.assertEqual(host.run("last").id, run.id)
            self.assertTrue(run.explain()["decisions"])
            with self.assertRaises(wharf.Fault) as raised:
                host.run("nothing")
            self.assertEqual(raised.exception.code, "no-such-run")

    def test_a_connection_does_the_same_without_the_library(self):
        with wharf.Host.embedded(HOME) as owner:
            code = f"""
import os
os.environ.pop("WHARF_LIBRARY", None)
import wharf
with wharf.Host.connect({HOME!r}) as host:
    run = host.submit({recipe("for i in range(1000): print(i)")!r})
    assert sum(event["event"] == "log" for event in run.follow()) == 1000
    print(run.wait()["sentence"])
"""
            said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
            self.assertEqual((said.stdout, said.stderr), ("the recipe succeeded\n", ""))
            self.assertEqual(owner.runs(1)[0]["outcome"]["cause"], "succeeded")
            with self.assertRaises(wharf.Fault) as raised:
                wharf.Host.embedded(HOME)
            self.assertEqual(raised.exception.code, "home-busy")
        with self.assertRaises(wharf.Fault) as raised:
            wharf.Host.connect(HOME)
        self.assertEqual(raised.exception.code, "socket-unreachable")

    def test_a_run_is_stopped(self):
        with wharf.Host.embedded(HOME) as host:
            run = host.submit(recipe(ENDLESS))
            for event in run.follow():
                if event["event"] == "log":
                    break
            run.stop("ana")
            self.assertEqual(run.wait()["cause"], "stopped")

    def test_a_run_goes_on_without_the_host_and_is_found_again(self):
        host = wharf.Host.embedded(HOME)
        run = host.submit(recipe(COUNTING))
        for event in run.follow():
            if event["event"] == "log":
                break
        self.assertFalse(host.close())
        with self.assertRaises(wharf.Fault) as raised:
            run.wait()
        self.assertEqual(raised.exception.code, "host-closed")
        with wharf.Host.embedded(HOME) as host:
            run = host.run(run.id)
            self.assertEqual(lines(run.follow()), [str(i) for i in range(30)])
            self.assertEqual(run.wait()["cause"], "succeeded")
            self.assertTrue(host.close(wait=None))

    def test_a_killed_process_leaves_its_run_to_the_next(self):
        code = f"""
import os, signal, wharf
host = wharf.Host.embedded({HOME!r})
run = host.submit({recipe(COUNTING)!r})
for event in run.follow():
    if event["event"] == "log":
        print(run.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        with wharf.Host.embedded(HOME) as host:
            run = host.run(said.stdout.strip())
            self.assertEqual(lines(run.follow()), [str(i) for i in range(30)])
            self.assertEqual(run.wait()["cause"], "succeeded")

    def test_closing_while_others_call_is_an_error_of_theirs(self):
        host = wharf.Host.embedded(HOME)
        unexpected = []

        def call():
            for _ in range(200):
                try:
                    host.hello()
                except wharf.Fault as fault:
                    if fault.code != "host-closed":
                        unexpected.append(fault)

        threads = [threading.Thread(target=call) for _ in range(8)] + [threading.Thread(target=host.close) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(unexpected, [])
        with self.assertRaises(wharf.Fault):
            host.hello()

    def test_bad_input_is_a_fault(self):
        with wharf.Host.embedded(HOME) as host:
            for request, code in [
                ({"request": "no-such-message"}, "usage"),
                ({"request": "submit", "activity": {"kind": "python"}}, "usage"),
                ({"request": "submit", "activity": recipe("", configuration="nowhere")}, "config-not-found"),
            ]:
                with self.assertRaises(wharf.Fault) as raised:
                    host.ask(request)
                self.assertEqual(raised.exception.code, code)
        for home, options, code in [(HOME + "/nothing", {}, "home-not-found"), (HOME, {"threads": 0}, "usage")]:
            with self.assertRaises(wharf.Fault) as raised:
                wharf.Host.embedded(home, **options)
            self.assertEqual(raised.exception.code, code)


class Awaiting(unittest.IsolatedAsyncioTestCase):
    async def test_many_runs_are_awaited_at_once(self):
        async with await wharf.aio.Host.embedded(HOME) as host:
            runs = [await host.submit(recipe(f"print({number})")) for number in range(4)]

            async def followed(run):
                return lines([event async for event in run.follow()])

            self.assertEqual(await asyncio.gather(*map(followed, runs)), [[str(number)] for number in range(4)])
            for run in runs:
                self.assertEqual((await run.wait())["cause"], "succeeded")

    async def test_a_run_is_stopped_over_the_socket(self):
        async with await wharf.aio.Host.embedded(HOME):
            async with await wharf.aio.Host.connect(HOME) as host:
                run = await host.submit(recipe(ENDLESS))
                async for event in run.follow():
                    if event["event"] == "log":
                        break
                await run.stop("ana")
                self.assertEqual((await run.wait())["cause"], "stopped")
                with self.assertRaises(wharf.Fault):
                    await host.run("nothing")


if __name__ == "__main__":
    unittest.main()
