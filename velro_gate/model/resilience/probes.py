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
    """A command to Redis. url may hold ``${env.NAME}``; words: the command and its arguments."""

    url: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Users that read the same thing again and again.

    place: what of the response is looked at: ``json:$.name`` or ``header:etag``. by_version: whether it is a number that grows
    with each write. every: seconds between two reads of one reader.
    """

    request: ControlRequest
    place: str
    by_version: bool = False
    readers: int = 5
    every: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedAnswers:
    """A request whose responses show whether the service degrades as declared.

    place: what of the response is looked at; empty: its status alone. equals: what has to be there.
    """

    request: ControlRequest
    place: str = ""
    equals: str = ""
    every: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWrites:
    """Writes of which those that are acknowledged have to be there after the fault.

    place: where the write's response says what it has made. within: seconds after the fault in which a write may appear.
    """

    write: ControlRequest
    place: str
    read: ControlRequest
    every: float = 0.2
    within: float = 5.0

    def __post_init__(self) -> None:
        if not (0.0 < self.every < math.inf and 0.0 <= self.within < math.inf):
            raise ValueError(f"every > 0 and within >= 0 must hold, not {self.every} and {self.within}")


class ProbeKind(StrEnum):
    """What a probe is for."""

    READS = "reads"
    DEGRADED = "degraded"
    WRITES = "writes"


class ProbeOutcome(IntEnum):
    """What became of one request of a probe.

    GOOD: the new value, an answer of the declared kind, a write that was read back. BAD: the old value, another answer, an
    acknowledged write that is not there. NONE: no answer that shows anything; a write that was not acknowledged.
    """

    GOOD = 0
    BAD = 1
    NONE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a probe has seen: columns, one row for each request. Times are seconds since the start of the run.

    since: when what the probe watches began: the fault, or the response that acknowledged the write.
    """

    kind: ProbeKind
    since: float
    sent: tuple[float, ...]
    done: tuple[float, ...]
    reader: tuple[int, ...]
    seen: tuple[ProbeOutcome, ...]
    until: float

    def __post_init__(self) -> None:
        if len({len(self.sent), len(self.done), len(self.reader), len(self.seen)}) != 1:
            raise ValueError("all columns of what a probe has seen must have one length")
