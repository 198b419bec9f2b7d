"""The seam for transports: what a phase asks of the users that send its load, and what it gives them.

A phase decides when; its population decides how. So everything about arrivals, deadlines, counts and early ends is written
once, and a transport is a package of its own that nothing here imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from velro_gate.engine.load.aside import Aside
from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.recorder import Recorder
from velro_gate.engine.load.scheduling import ArrivalSource
from velro_gate.engine.stalls import StallLog
from velro_gate.model.scenario import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCounts:
    """The connections of a population until now."""

    established: int
    opened: int
    sessions_reused: int
    tls_fault: str | None
    lacking: frozenset[int]
    """Error codes (errno) that say what this machine had nothing left of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSetup:
    """What a phase gives the population that is made for it."""

    phase: Phase
    users: Sequence[int]
    """Their indices, in the order in which they connect."""
    now: Callable[[], float]
    """The phase's clock."""
    recorder: Recorder
    stalls: StallLog


class Population(Protocol):
    """All users of one phase, over one transport. Made before the phase begins, and not used after it.

    Each arrival that is delivered ends as one sample or as one missed request in ``context``, or is still ``waiting``.
    """

    @property
    def context(self) -> PhaseContext:
        """Where the users read the time, keep their deadlines and count."""

    @property
    def users(self) -> Sequence[int]:
        """Their indices, in the order in which they connect."""

    def deliver(self, due: float, user: int, step: int) -> None:
        """Hand an arrival to its user. This is the hot path: it is bound once, and called for every request."""

    def arrivals(self, planned: ArrivalSource, until: float) -> ArrivalSource:
        """What counts as having fallen due: the plan itself, unless the users make more requests than were planned.

        until: the end of the measured stretch.
        """

    async def start(self, nursery: trio.Nursery, aside: Aside) -> None:
        """Start the tasks that serve the users; they end when the nursery is cancelled. aside: runs what may take long."""

    def join(self, user: int) -> None:
        """Let a user connect ahead of its first request; harmless where it is connected."""

    def nudge(self) -> None:
        """Called at every look at the deadlines: go on with what no event would wake."""

    def catch_up(self) -> None:
        """This process stood still: read now what came meanwhile, before anything counts as overdue."""

    def waiting(self) -> Iterator[tuple[float, int]]:
        """Due time and step index of the arrivals that their users have not begun."""

    def unfinished(self) -> bool:
        """Whether anything is under way that the drain should wait for."""

    def connections(self) -> ConnectionCounts:
        """How many connections there are and were."""

    async def close(self) -> None:
        """Begin nothing more, record what is in flight as timed out or cancelled, and close every connection."""

    def abandon(self) -> None:
        """Close whatever is still open; nothing is recorded. Also after a good end, when nothing is."""
