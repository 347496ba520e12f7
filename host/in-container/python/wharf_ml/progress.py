"""What is heard of the work while it goes on: lines for people, and events for programs."""

import json
import os
import sys
import time

_WIDTH = 20
# How many characters of a text the host is told.
_TEXT = 500


class Progress:
    """Writes lines to standard output, and each event as a line of JSON to the file that ``WHARF_ML_EVENTS`` names."""

    def __init__(self, events=None, tells=False):
        # Whether the host hears of it, so that whoever waits sees a bar.
        self._tells = tells
        self._events = open(events, "a", encoding="utf-8", buffering=1) if events else None
        self._start = time.monotonic()

    @classmethod
    def from_environment(cls):
        """With the file that the environment names, if any."""
        return cls(os.environ.get("WHARF_ML_EVENTS") or None, tells="WHARF_SOCKET" in os.environ)

    def line(self, text):
        """A line for people."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def phase(self, name, text):
        """The work goes on to its next part."""
        self.line(text)
        self.event("phase", phase=name, text=text)

    def bar(self, done, total, text):
        """A line with a bar; ``total`` None where nobody knows how much there is."""
        self.advance(done, total, text)
        if total:
            full = min(_WIDTH, _WIDTH * done // total)
            text = "[%s%s] %d/%d %s" % ("#" * full, "-" * (_WIDTH - full), done, total, text)
        self.line(text)

    def advance(self, done, total, text):
        """Tells the host how far the work has come; the work goes on when that can't be told."""
        if not self._tells:
            return
        from dataiku.core.connection import DataikuException, request_json

        body = {"text": text[:_TEXT], "done": int(done)}
        if total:
            body["total"] = int(total)
        try:
            request_json("POST", "/v1/progress", body)
        except DataikuException:
            # A runner that is older than this library, or a host that is away: each time would cost time.
            self._tells = False

    def event(self, kind, **values):
        """An event: its kind, the seconds since the start, and what belongs to it."""
        if self._events is not None:
            seconds = round(time.monotonic() - self._start, 3)
            self._events.write(json.dumps(dict({"event": kind, "seconds": seconds}, **values), default=str) + "\n")

    def close(self):
        """Nothing more is said."""
        if self._events is not None:
            self._events.close()
            self._events = None
