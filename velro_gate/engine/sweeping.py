"""Deadlines without a timer each: one look every few dozen milliseconds at those that come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Generic, TypeVar

import trio

SWEEP_EVERY = 0.05
"""Seconds between two looks."""

_AT_A_TIME = 256

T = TypeVar("T")


class Lanes(Generic[T]):
    """Things with a deadline, in one lane for each length of time.

    In a lane everything has been given the same time, so the order of entry is the order of the deadlines: a sweep looks at
    what is overdue and one more. Entering and leaving cost a dictionary operation and are done by the caller, who keeps the
    lane.
    """

    def __init__(self) -> None:
        self._lanes: dict[float, dict[T, float]] = {}

    def lane(self, seconds: float) -> dict[T, float]:
        """The lane for those that have so many seconds: thing -> deadline. Enter only ``now + seconds``, leave by deleting."""
        return self._lanes.setdefault(seconds, {})

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def __iter__(self) -> Iterator[T]:
        for lane in list(self._lanes.values()):
            yield from list(lane)

    def overdue(self, now: float) -> Iterator[tuple[T, float]]:
        """Those whose deadline has passed, with it; they stay until they are deleted.

        What leaves, or gets another deadline, before its turn comes is passed over: giving up on one may end others.
        """
        for lane in list(self._lanes.values()):
            for thing, deadline in list(takewhile(lambda entry: entry[1] <= now, lane.items())):
                if lane.get(thing) == deadline:
                    yield thing, deadline


async def sweep(lanes: Sequence[Lanes[T]], expire: Callable[[T, float], None], now: Callable[[], float]) -> None:
    """Again and again hand what is overdue to ``expire``, which must take it off its lane; until cancelled.

    After a stall thousands may be overdue at once, each with a socket to be closed: other tasks get their turns in between.
    """
    while True:
        await trio.sleep(SWEEP_EVERY)
        number = 0
        for one in lanes:
            for thing, deadline in one.overdue(now()):
                expire(thing, deadline)
                number += 1
                if number % _AT_A_TIME == 0:
                    await trio.lowlevel.checkpoint()
