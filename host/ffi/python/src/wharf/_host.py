"""Hosts and runs, for threads that may wait."""

from __future__ import annotations

import os
import queue
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from wharf._native import NativeTransport, library_version
from wharf._socket import SocketTransport
from wharf._transport import END, WINDOW, Call, Transport, content_of
from wharf.datasets import DatasetStore
from wharf.messages import Activity, Event, Outcome, RunSummary


def embedded_transport(
    home: str | os.PathLike[str],
    threads: int,
    log_level: str,
    docker_config: str | os.PathLike[str] | None,
    datasets: DatasetStore | None,
) -> Transport:
    options: Dict[str, Any] = {"threads": threads, "log_level": log_level}
    if docker_config is not None:
        options["docker_config"] = os.fspath(docker_config)
    if datasets is not None:
        options["datasets"] = "caller"
    return NativeTransport(os.fspath(home), options, datasets)


def socket_of(home: str | os.PathLike[str]) -> str:
    """The socket of a home, or the path itself if it is one."""
    path = Path(home)
    return str(path if path.is_socket() else path / "host.sock")


class Host:
    """A home: opened by this process, or reached through the process that owns it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def embedded(
        cls,
        home: str | os.PathLike[str],
        *,
        threads: int = 2,
        log_level: str = "warn",
        docker_config: str | os.PathLike[str] | None = None,
        datasets: DatasetStore | None = None,
    ) -> Host:
        """Opens a home in this process, and takes over the runs that an earlier process left.

        ``datasets`` is a store of the caller's own, instead of files. The library's log goes to ``logging``, under ``wharf``. Raises ``Fault``: ``home-not-found``, ``home-busy`` (another process
        owns it: ``connect``), ``store-damaged`` and others.
        """
        return cls(embedded_transport(home, threads, log_level, docker_config, datasets))

    @classmethod
    def connect(cls, home: str | os.PathLike[str]) -> Host:
        """Connects to the process that owns a home: the folder, or its socket. No native code is loaded."""
        host = cls(SocketTransport(socket_of(home)))
        try:
            host.hello()
        except BaseException:
            host.close()
            raise
        return host

    def call(self, request: Dict[str, Any]) -> Iterator[Any]:
        """Sends a message, and gives the values and events of its answer as they come. Closing the iterator ends the call."""
        replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call: Call = self._transport.call(request, WINDOW, replies.put)
        taken = 0
        try:
            while True:
                content = content_of(replies.get())
                if content is END:
                    return
                yield content
                taken += 1
                if taken == WINDOW // 2:
                    call.demand(taken)
                    taken = 0
        finally:
            call.cancel()

    def ask(self, request: Dict[str, Any]) -> Any:
        """Sends a message that has one value for an answer, and returns it."""
        answers = self.call(request)
        try:
            return next(answers, None)
        finally:
            answers.close()  # type: ignore[attr-defined]

    def hello(self) -> Dict[str, Any]:
        """Who answers: its version, its process, and the home's id."""
        return self.ask({"request": "hello"})

    def submit(self, activity: Activity, key: Optional[str] = None) -> Run:
        """Starts an activity. The same one, submitted again with the same key, is found and not run again."""
        return Run(self, self.ask({"request": "submit", "activity": activity, "key": key}))

    def run(self, text: str) -> Run:
        """Finds a run: its id, the beginning of one, or ``last``."""
        return Run(self, self.ask({"request": "resolve", "text": text}))

    def runs(self, limit: int = 20) -> List[RunSummary]:
        """The newest runs."""
        return self.ask({"request": "runs", "limit": limit})

    def explain(self, activity: Activity) -> Dict[str, Any]:
        """What would happen to an activity; nothing is created."""
        return self.ask({"request": "explain", "activity": activity})

    def close(self, wait: float | None = 0.0) -> bool:
        """Gives the home up. Waits so many seconds at most for its runs to end, or for all of them with ``None``.

        Returns false when some go on in their containers: whoever opens the home next goes on with them.
        """
        return self._transport.close(wait)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Run:
    """One execution of an activity."""

    def __init__(self, host: Host, id: str) -> None:
        self._host = host
        self.id = id

    def follow(self, after: int = 0, live: bool = True) -> Iterator[Event]:
        """Its events and log lines after event number ``after``: to its end, or without ``live`` those that there are."""
        return self._host.call({"request": "follow", "run": self.id, "after": after, "follow": live})

    def wait(self) -> Outcome:
        """Waits for its end."""
        return self._host.ask({"request": "wait", "run": self.id})

    def stop(self, by: str) -> None:
        """Asks it to end: ``by`` is who asks. It has ended when ``wait`` returns."""
        self._host.ask({"request": "stop", "run": self.id, "by": by})

    def explain(self) -> Dict[str, Any]:
        """Its way: every decision, the plan, the engine's object, and how it ended."""
        return self._host.ask({"request": "explain-run", "run": self.id})

    def __repr__(self) -> str:
        return f"Run({self.id!r})"


__all__ = ["Host", "Run", "library_version"]
