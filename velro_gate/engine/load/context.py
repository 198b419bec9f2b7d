"""What all users of a phase share and count, over whichever transport they send."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from velro_gate.engine.load.deadlines import DeadlineBuckets, Overdue
from velro_gate.engine.load.failures import FailureLog
from velro_gate.engine.load.recorder import Recorder
from velro_gate.engine.load.values import ValueLog

CONNECT_SECONDS = 10.0
"""How long a user that joins may take to connect; within a request its step's timeout counts."""


def identity_of(index: int, seed: int) -> str:
    """A random-looking UUID that depends on the seed and the user's index only."""
    words = sha256(f"{seed}\x1fuser\x1f{index}".encode()).digest()
    return str(UUID(bytes=words[:16], version=4))


def no_more(_: int, __: float, *, failed: bool) -> None:
    """An open user waits for its next arrival."""


@dataclass(slots=True, kw_only=True, eq=False)
class PhaseContext:
    """The clock, the counts and the deadlines of one phase. A transport may extend it: users reach everything in one step."""

    now: Callable[[], float]
    """The clock that all times are read from."""
    recorder: Recorder
    seed: int
    buckets: DeadlineBuckets[Overdue] = field(default_factory=DeadlineBuckets)
    """Deadlines of requests, and so what is in flight."""
    joining: DeadlineBuckets[Overdue] = field(default_factory=DeadlineBuckets)
    """Deadlines of users that connect ahead of their first request."""
    closing: bool = False
    """Nothing further may be sent."""
    free: Callable[..., None] = no_more
    """Called with a user's index when it has nothing left to do, the time, and whether its last request failed."""
    missed: list[tuple[float, int]] = field(default_factory=list)
    """Due time and step index of what could not be sent for want of descriptors, ports or memory."""
    failed_joins: deque[tuple[float, int]] = field(default_factory=deque)
    """When which users could not connect ahead, until they try again."""
    failures: FailureLog = field(default_factory=lambda: FailureLog(()))
    values: ValueLog = field(default_factory=lambda: ValueLog(()))
    """Values of the scenario's own metrics."""
    join_failures: int = 0
    delivered: int = 0
    """Requests that were written whole."""
    followed: int = 0
    """Redirects: requests beyond the first of their samples."""
    reconnects: int = 0
    retries: int = 0
    unsent: int = 0
    """Samples without a request."""
