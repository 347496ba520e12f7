"""What both ways to a host have in common: calls, whose replies come one by one on another thread."""

from __future__ import annotations

from typing import Any, Callable, Dict, Protocol

from wharf.messages import Fault

WINDOW = 256
"""How many replies of one call wait in this process at most."""

END = object()
"""What ``content_of`` gives for the last reply of an answer."""

Reply = Any
"""``"end"``, or a dictionary with one key: ``value``, ``event`` or ``fault``."""

OnReply = Callable[[Reply], None]
"""Called on the transport's own thread: must be quick, and not raise."""


class Call(Protocol):
    """A call under way."""

    def demand(self, more: int) -> None:
        """Asks for so many more replies."""

    def cancel(self) -> None:
        """No reply comes after this, unless this is called while one is being delivered."""


class Transport(Protocol):
    """A way to a host."""

    def call(self, request: Dict[str, Any], demand: int, on_reply: OnReply) -> Call:
        """Sends a message."""

    def close(self, wait: float | None) -> bool:
        """Ends. True when no run goes on that this process was to watch."""


def is_last(reply: Reply) -> bool:
    """Whether a call has no reply after this one."""
    return reply == "end" or "fault" in reply


def content_of(reply: Reply) -> Any:
    """The value or event in a reply, or ``END``. Raises the fault that it is."""
    if reply == "end":
        return END
    if "fault" in reply:
        raise Fault(reply["fault"])
    return reply["event"] if "event" in reply else reply["value"]


def closed_fault(reason: str) -> Dict[str, Any]:
    """What calls get that are under way when a host goes away."""
    return {"fault": {"code": "host-closed", "message": reason, "hint": "open the home again: its runs are found"}}
