"""Where what may take long is done, so that it does not hold up the load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Aside(Protocol):
    """Does something outside the loop. A thread, except in simulated time."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Do it, and wait for it."""


async def in_thread(work: Callable[[], T], /) -> T:
    """In a thread next to the loop, in real time."""
    return await trio.to_thread.run_sync(work)
