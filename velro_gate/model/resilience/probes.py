"""Requests that are sent next to the load while something is broken, to see what the load's samples cannot show.

They are few, come from the process that carries out faults, and are in no count and no figure of the load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRequest:
    """A request to the service's own endpoints. Texts may hold ``${env.NAME}``.

    Those of probes may also hold ``${value}``, which is new with each request, ``${reader}``, the number of who reads, and in a
    read ``${id}``, what the write's response said.
    """

    method: str
    path: str
    body: str = ""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that may hold placeholders."""
        return (self.path, self.body, *(value for _, value in self.headers), *(value for _, value in self.query))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisCommand:
    """A command to Redis. url may hold ``${env.NAME}``."""

    url: str
    words: tuple[str, ...]
    """The command and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Users that read the same thing again and again."""

    request: ControlRequest
    place: str
    """What of the response is looked at: ``json:$.name`` or ``header:etag``."""
    by_version: bool = False
    """Whether it is a number that grows with each write."""
    readers: int = 5
    every: float = 0.2
    """Seconds between two reads of one reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedAnswers:
    """A request whose responses show whether the service degrades as declared."""

    request: ControlRequest
    place: str = ""
    """What of the response is looked at; empty: its status alone."""
    equals: str = ""
    """What has to be there."""
    every: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWrites:
    """Writes of which those that are acknowledged have to be there after the fault."""

    write: ControlRequest
    place: str
    """Where the write's response says what it has made."""
    read: ControlRequest
    every: float = 0.2
    within: float = 5.0
    """Seconds after the fault in which a write may appear."""

    def __post_init__(self) -> None:
        if not (0.0 < self.every < math.inf and 0.0 <= self.within < math.inf):
            raise ValueError(f"every > 0 and within >= 0 must hold, not {self.every} and {self.within}")


class ProbeKind(StrEnum):
    """What a probe is for."""

    READS = "reads"
    DEGRADED = "degraded"
    WRITES = "writes"


class ProbeOutcome(IntEnum):
    """What became of one request of a probe."""

    GOOD = 0
    """The new value, an answer of the declared kind, a write that was read back."""
    BAD = 1
    """The old value, another answer, an acknowledged write that is not there."""
    NONE = 2
    """No answer that shows anything; a write that was not acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a probe has seen: columns, one row for each request. Times are seconds since the start of the run."""

    kind: ProbeKind
    since: float
    """When what the probe watches began: the fault, or the response that acknowledged the write."""
    sent: tuple[float, ...]
    done: tuple[float, ...]
    reader: tuple[int, ...]
    seen: tuple[ProbeOutcome, ...]
    until: float

    def __post_init__(self) -> None:
        if len({len(self.sent), len(self.done), len(self.reader), len(self.seen)}) != 1:
            raise ValueError("all columns of what a probe has seen must have one length")
