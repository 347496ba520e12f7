"""A headless browser, spoken to over a pipe in its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = next((found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None)
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
# The browser reads descriptor 3 and writes descriptor 4; whoever starts it has them under other numbers.
_START = """
import os, sys
read, write = int(sys.argv[1]), int(sys.argv[2])
read, write = os.dup(read), os.dup(write)
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page at a time; `events` has what it said of itself since it was opened."""

    def __init__(self, limit=90):
        self._end = time.monotonic() + limit
        self._home = tempfile.mkdtemp(prefix="wharf-browser-")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        command = [
            sys.executable,
            "-c",
            _START,
            str(to_read),
            str(to_write),
            PROGRAM,
            *_FLAGS,
            "--user-data-dir=" + self._home,
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read), os.close(to_write)
        os.set_blocking(self._from, False)
        self._buffer, self._id, self.events = b"", 0, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._to), os.close(self._from)
        shutil.rmtree(self._home, ignore_errors=True)

    def _message(self):
        while b"\0" not in self._buffer:
            if time.monotonic() > self._end:
                raise TimeoutError("the browser didn't answer in time")
            try:
                part = os.read(self._from, 1 << 20)
            except BlockingIOError:
                time.sleep(0.02)
                continue
            if not part:
                raise EOFError("the browser has ended")
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self._id += 1
        asked = {"id": self._id, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            asked["sessionId"] = self._session
        left = json.dumps(asked).encode("utf-8") + b"\0"
        while left:
            left = left[os.write(self._to, left) :]
        while True:
            message = self._message()
            if message.get("id") == asked["id"]:
                if "error" in message:
                    raise RuntimeError("%s: %s" % (method, message["error"]))
                return message["result"]
            self.events.append(message)

    def open(self, path, width, dark=False):
        """Shows a file at a width, and waits until it is there."""
        self.events = []
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url="file://" + path)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._message())

    def value(self, expression):
        """What an expression of JavaScript gives in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def complaints(self):
        """Errors and warnings of the console and of the page's policy."""
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(event["params"])
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(event["params"])
            elif event.get("method") == "Log.entryAdded":
                found.append(event["params"]["entry"])
        return found

    def requests(self):
        """The addresses that the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def picture(self, path, clip=None):
        """A picture of the whole page, for whoever wants to look at it."""
        more = {"clip": dict(clip, scale=1)} if clip else {}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **more)
        with open(path, "wb") as stream:
            stream.write(base64.b64decode(found["data"]))
