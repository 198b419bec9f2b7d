"""When a phase begins and where its measured stretch ends: a process alone decides that itself, a shard asks the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from velro_gate.pacing import Schedule


async def _now(_: int) -> float:
    return trio.current_time()


async def _same(until: float) -> float:
    return until


def _unseen(_: Schedule) -> None:
    """Where nobody compares plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSync:
    """Asked once a phase each; times are on trio's clock. By default a process is alone."""

    begin: Callable[[int], Awaitable[float]] = _now
    """Takes the phase's number, from 1, when all is ready for it; the instant at which it begins, perhaps a little ahead."""
    end: Callable[[float], Awaitable[float]] = _same
    """Takes the end of the stretch in which everything that fell due was handed out; the earliest such end of all shards."""
    hands_on: bool = False
    """Whether samples are handed on every second, and not only when the table is full: of a shard that is lost they are all."""
    planned: Callable[[Schedule], None] = _unseen
    """Gets the whole phase's schedule, of which each shard sends its part, before ``begin``; not called in a closed loop."""
