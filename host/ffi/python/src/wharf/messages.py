"""The messages of a host, as Python's type checkers read them.

Only the keys that callers use most are spelled out; ``docs/schemas/messages`` has all of them. Times are milliseconds since 1970.
"""

from __future__ import annotations

from typing import Any, Dict, List, Literal, TypedDict, Union

Cause = Literal[
    "succeeded", "recipe-failed", "out-of-memory", "time-limit", "stopped", "refused", "rejected", "not-prepared",
    "secret-unavailable", "image-missing", "image-build-failed", "engine-unreachable", "engine-refused", "forbidden",
    "quota-exceeded", "unschedulable", "evicted", "preempted", "node-lost", "runner-never-came-up", "lost",
    "output-failed", "input-failed", "host-fault",
]  # fmt: skip

Kind = Literal["python", "r", "plugin", "ml-train", "ml-retrain", "ml-score", "test"]


class Identity(TypedDict):
    """Who asks, as the embedder says."""

    user: str
    groups: List[str]


class Place(TypedDict):
    """Where data is: an absolute path of the host's machine, or what the embedder's own store makes of it."""

    path: str


class Binding(TypedDict):
    """A name that a recipe uses, and what it stands for."""

    name: str
    role: str
    kind: Literal["dataset", "folder"]
    place: Place


class _ActivityNeeds(TypedDict):
    kind: Kind
    requester: Identity


class Activity(_ActivityNeeds, total=False):
    """What is asked for."""

    project: Union[str, None]
    configuration: Union[str, None]
    code_env: Union[str, None]
    code: Union[str, None]
    code_name: Union[str, None]
    plugin: Union[str, None]
    recipe: Union[str, None]
    parameters: Dict[str, Any]
    inputs: List[Binding]
    outputs: List[Binding]
    resources: Dict[str, Any]
    time_limit: Union[int, None]
    variables: Dict[str, str]
    secrets: Dict[str, str]
    labels: Dict[str, str]


class _OutcomeHas(TypedDict):
    cause: Cause
    sentence: str
    whose: str
    retry_helps: bool


class Outcome(_OutcomeHas, total=False):
    """How a run ended."""

    advice: str
    evidence: Dict[str, Any]
    exit_code: int
    error_tail: List[str]
    log: Dict[str, Any]
    usage: Dict[str, Any]


class _EventHas(TypedDict):
    run: str
    seq: int
    at: int
    event: str


class Event(_EventHas, total=False):
    """One thing that happened to a run. Which other keys it has depends on ``event``."""

    phase: str
    millis: int
    text: str
    line: int
    stream: Literal["stdout", "stderr"]
    why: str
    by: str
    user: str
    configuration: str
    kind: str
    cause: Cause
    sentence: str


class _RunSummaryHas(TypedDict):
    run: str
    state: str


class RunSummary(_RunSummaryHas, total=False):
    """A run, as lists show it."""

    user: str
    project: Union[str, None]
    kind: str
    configuration: str
    submitted_at: int
    started_at: Union[int, None]
    ended_at: Union[int, None]
    outcome: Union[Outcome, None]


class Fault(Exception):
    """An error that a host reported: a stable code, what is wrong, where, and what to do."""

    def __init__(self, fault: Dict[str, Any]) -> None:
        self.code: str = fault.get("code", "host-fault")
        self.message: str = fault.get("message", "")
        self.hint: Union[str, None] = fault.get("hint")
        self.at: Union[Dict[str, Any], None] = fault.get("at")
        super().__init__(self.message + (f"\n{self.hint}" if self.hint else ""))
