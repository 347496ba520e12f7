"""Hosts and runs, for asyncio: the same as in ``wharf``, to be awaited."""

from __future__ import annotations

import asyncio
import os
from typing import Any, AsyncIterator, Dict, List, Optional

from wharf._host import embedded_transport, socket_of
from wharf._socket import SocketTransport
from wharf._transport import END, WINDOW, Transport, content_of
from wharf.datasets import DatasetStore
from wharf.messages import Activity, Event, Outcome, RunSummary


class Host:
    """A home: opened by this process, or reached through the process that owns it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def embedded(
        cls,
        home: str | os.PathLike[str],
        *,
        threads: int = 2,
        log_level: str = "warn",
        docker_config: str | os.PathLike[str] | None = None,
        datasets: DatasetStore | None = None,
    ) -> Host:
        """As ``wharf.Host.embedded``. A store's methods are called on threads, as there."""
        return cls(await asyncio.to_thread(embedded_transport, home, threads, log_level, docker_config, datasets))

    @classmethod
    async def connect(cls, home: str | os.PathLike[str]) -> Host:
        """As ``wharf.Host.connect``."""
        host = cls(SocketTransport(socket_of(home)))
        try:
            await host.hello()
        except BaseException:
            await host.close()
            raise
        return host

    async def call(self, request: Dict[str, Any]) -> AsyncIterator[Any]:
        """As ``wharf.Host.call``."""
        loop = asyncio.get_running_loop()
        replies: asyncio.Queue[Any] = asyncio.Queue()

        def on_reply(reply: Any) -> None:
            try:
                loop.call_soon_threadsafe(replies.put_nowait, reply)
            except RuntimeError:
                pass  # The loop is closed: nobody waits.

        call = self._transport.call(request, WINDOW, on_reply)
        taken = 0
        try:
            while True:
                content = content_of(await replies.get())
                if content is END:
                    return
                yield content
                taken += 1
                if taken == WINDOW // 2:
                    call.demand(taken)
                    taken = 0
        finally:
            call.cancel()

    async def ask(self, request: Dict[str, Any]) -> Any:
        """As ``wharf.Host.ask``."""
        answers = self.call(request)
        try:
            return await anext(answers, None)
        finally:
            await answers.aclose()  # type: ignore[attr-defined]

    async def hello(self) -> Dict[str, Any]:
        """As ``wharf.Host.hello``."""
        return await self.ask({"request": "hello"})

    async def submit(self, activity: Activity, key: Optional[str] = None) -> Run:
        """As ``wharf.Host.submit``."""
        return Run(self, await self.ask({"request": "submit", "activity": activity, "key": key}))

    async def run(self, text: str) -> Run:
        """As ``wharf.Host.run``."""
        return Run(self, await self.ask({"request": "resolve", "text": text}))

    async def runs(self, limit: int = 20) -> List[RunSummary]:
        """As ``wharf.Host.runs``."""
        return await self.ask({"request": "runs", "limit": limit})

    async def explain(self, activity: Activity) -> Dict[str, Any]:
        """As ``wharf.Host.explain``."""
        return await self.ask({"request": "explain", "activity": activity})

    async def close(self, wait: float | None = 0.0) -> bool:
        """As ``wharf.Host.close``."""
        return await asyncio.to_thread(self._transport.close, wait)

    async def __aenter__(self) -> Host:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Run:
    """One execution of an activity."""

    def __init__(self, host: Host, id: str) -> None:
        self._host = host
        self.id = id

    def follow(self, after: int = 0, live: bool = True) -> AsyncIterator[Event]:
        """As ``wharf.Run.follow``."""
        return self._host.call({"request": "follow", "run": self.id, "after": after, "follow": live})

    async def wait(self) -> Outcome:
        """As ``wharf.Run.wait``."""
        return await self._host.ask({"request": "wait", "run": self.id})

    async def stop(self, by: str) -> None:
        """As ``wharf.Run.stop``."""
        await self._host.ask({"request": "stop", "run": self.id, "by": by})

    async def explain(self) -> Dict[str, Any]:
        """As ``wharf.Run.explain``."""
        return await self._host.ask({"request": "explain-run", "run": self.id})

    def __repr__(self) -> str:
        return f"Run({self.id!r})"
