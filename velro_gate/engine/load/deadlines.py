"""Deadlines without a timer each: one look every few dozen milliseconds at those that come first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

import trio

_AT_A_TIME = 256
"""Expiries between two turns of the loop: each closes a socket, and meanwhile no response is read."""

T = TypeVar("T")


class Overdue(Protocol):
    """What has a deadline."""

    def expire(self, deadline: float) -> None:
        """Called when it has passed."""

    def excuse(self, deadline: float) -> None:
        """It has passed while the generator stood still, and what came meanwhile is about to be read: end now what was answered
        too late all the same, and give more time to what only we kept from going on.
        """


L = TypeVar("L", bound=Overdue)


class DeadlineBuckets(Generic[T]):
    """Things with a deadline, in one bucket for each length of time.

    In a bucket everything has been given the same time, so the order of entry is the order of the deadlines: a sweep looks at
    what is overdue and one more. A request that had to wait for its turn to connect enters again when its connection stands,
    with a time that began with its turn: it may be looked at later by what connecting took, and keeps its deadline. Entering
    and leaving cost a dictionary operation and are done by the caller, who keeps the bucket.
    """

    def __init__(self) -> None:
        self._buckets: dict[float, dict[T, float]] = {}

    def bucket(self, seconds: float) -> dict[T, float]:
        """The bucket for a timeout of ``seconds``: thing -> deadline. Enter ``seconds`` after about now, leave by deleting."""
        return self._buckets.setdefault(seconds, {})

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def __iter__(self) -> Iterator[T]:
        for bucket in list(self._buckets.values()):
            yield from list(bucket)

    def overdue(self, now: float) -> Iterator[tuple[T, float]]:
        """Those whose deadline has passed, with it; they stay until they are deleted.

        What leaves, or gets another deadline, before its turn comes is passed over: giving up on one may end others.
        """
        for bucket in list(self._buckets.values()):
            # A copy of what is overdue: expiring changes the bucket, and one user's expiry may start its next request in this
            # very bucket.
            for thing, deadline in list(takewhile(lambda entry: entry[1] <= now, bucket.items())):
                if bucket.get(thing) == deadline:
                    yield thing, deadline


async def expire_overdue(buckets: DeadlineBuckets[L], now: float) -> None:
    """Give up on what is overdue; each must leave its bucket. After a stall that may be thousands, each with a socket to be
    closed: other tasks get their turns in between."""
    for number, (thing, deadline) in enumerate(buckets.overdue(now), start=1):
        thing.expire(deadline)
        if number % _AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
