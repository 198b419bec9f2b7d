"""Who hands out the arrivals, and when: an open plan that is fixed ahead, or a closed loop that follows the responses.

Both sleep until the next due time and then hand out everything that is due. All times are on trio's clock.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import trio

from velro_gate.arrays import Ints
from velro_gate.engine.load.timer import Alarm
from velro_gate.pacing import Schedule

Deliver = Callable[[float, int, int], None]
"""Takes a due time, a user's index and a step's index."""


_CHUNK = 8_192
"""Arrivals that are turned into Python's numbers at a time: a whole plan at once would stop the loop for as long as that takes,
and needs several times the memory of its columns.
"""
_AT_A_TIME = 256
"""Arrivals that are handed out between two turns of the loop: a scheduler that is late must not keep responses from being read,
which would make it later still.
"""
PAUSE_AFTER_FAILURE = 0.1
"""Seconds that a closed user waits at least after a failure: a service that is away must not be hammered."""


class ArrivalSource(Protocol):
    """What hands out arrivals."""

    @property
    def finished(self) -> bool:
        """Whether everything has been handed out."""

    async def play(self, alarm: Alarm) -> None:
        """Hand out arrivals until there are no more; may be cancelled."""

    def cut(self, at: float) -> float:
        """The end of the stretch before ``at`` in which everything that fell due has been handed out."""

    def due(self, steps: int, start: float, until: float) -> Ints:
        """How many arrivals fell due in [start, until), by step index."""

    def missed(self, steps: int, start: float, until: float) -> Ints:
        """How many of them were never handed out, by step index."""


class OpenScheduler:
    """Plays a schedule. began: the phase's start, added to the due times."""

    def __init__(self, schedule: Schedule, began: float, deliver: Deliver, now: Callable[[], float]) -> None:
        self._dues = schedule.due + began
        self._users, self._steps = schedule.user, schedule.step
        self._deliver = deliver
        self._now = now
        self._handed = 0

    @property
    def finished(self) -> bool:
        """Whether everything has been handed out."""
        return self._handed == len(self._dues)

    async def play(self, alarm: Alarm) -> None:
        """Hand out arrivals until there are no more."""
        for first in range(0, len(self._dues), _CHUNK):
            # Plain numbers in small portions: numpy's own scalars are slow to get at one by one.
            part = slice(first, first + _CHUNK)
            await self._play(alarm, self._dues[part].tolist(), self._users[part].tolist(), self._steps[part].tolist(), first)

    async def _play(self, alarm: Alarm, dues: list[float], users: list[int], steps: list[int], first: int) -> None:
        at, count, deliver = 0, len(dues), self._deliver
        while at < count:
            if dues[at] > self._now():
                await alarm.wait_until(dues[at])
            else:
                # Late already: let the responses in between.
                await trio.lowlevel.checkpoint()
            now, most = self._now(), min(count, at + _AT_A_TIME)
            while at < most and dues[at] <= now:
                # Counted before it is delivered: should the delivery raise, the arrival was handed out all the same, and must
                # not also count as missed.
                self._handed = first + at + 1
                deliver(dues[at], users[at], steps[at])
                at += 1

    def cut(self, at: float) -> float:
        """See ArrivalSource."""
        return at if self.finished else min(at, float(self._dues[self._handed]))

    def due(self, steps: int, start: float, until: float) -> Ints:
        """See ArrivalSource."""
        return arrivals_by_step(self._dues, self._steps, steps, start, until)

    def missed(self, steps: int, start: float, until: float) -> Ints:
        """See ArrivalSource."""
        return arrivals_by_step(self._dues[self._handed :], self._steps[self._handed :], steps, start, until)


class ClosedScheduler:
    """Lets each user think, then send, then think again, until ``end``.

    Args:
        walks: for each user's index its endless (seconds to think, step index).
        begins: when each user starts to think for the first time.
    """

    def __init__(
        self,
        walks: dict[int, Iterator[tuple[float, int]]],
        begins: dict[int, float],
        end: float,
        deliver: Deliver,
        now: Callable[[], float],
    ) -> None:
        self._walks = walks
        self._end = end
        self._deliver = deliver
        self._now = now
        self._waiting: list[tuple[float, int, int]] = []
        self._alarm: Alarm | None = None
        self._dues, self._steps = array("d"), array("H")
        self._over = False
        for user, begin in begins.items():
            self.think(user, begin)

    @property
    def finished(self) -> bool:
        """Whether the end has come."""
        return self._over

    def think(self, user: int, since: float, *, failed: bool = False) -> None:
        """This user is free since then: its next request falls due when it has thought."""
        seconds, step = next(self._walks[user])
        if failed:
            seconds = max(seconds, PAUSE_AFTER_FAILURE)
        due = since + seconds
        if due >= self._end or self._over:
            return
        if due <= since and self._alarm is not None:
            # No pause to think: at once. After a failure there is always a pause, so this makes no deep stack.
            self._hand(due, user, step)
            return
        heapq.heappush(self._waiting, (due, user, step))
        if self._alarm is not None:
            self._alarm.hasten(due)

    async def play(self, alarm: Alarm) -> None:
        """Hand out arrivals until the end."""
        self._alarm = alarm
        try:
            while not self._over:
                wake = min(self._waiting[0][0], self._end) if self._waiting else self._end
                if wake > self._now():
                    await alarm.wait_until(wake)
                else:
                    await trio.lowlevel.checkpoint()
                self._hand_out(self._now())
        finally:
            # Answers come after the end as well, and the alarm is gone by then.
            self._alarm = None

    def _hand_out(self, now: float) -> None:
        waiting = self._waiting
        for _ in range(_AT_A_TIME):
            if not waiting or waiting[0][0] > now:
                self._over = now >= self._end
                return
            self._hand(*heapq.heappop(waiting))

    def _hand(self, due: float, user: int, step: int) -> None:
        self._dues.append(due)
        self._steps.append(step)
        self._deliver(due, user, step)

    def cut(self, at: float) -> float:
        """See ArrivalSource."""
        return min(at, self._waiting[0][0]) if self._waiting else at

    def due(self, steps: int, start: float, until: float) -> Ints:
        """See ArrivalSource."""
        handed = arrivals_by_step(np.array(self._dues), np.array(self._steps), steps, start, until)
        return handed + self.missed(steps, start, until)

    def missed(self, steps: int, start: float, until: float) -> Ints:
        """See ArrivalSource."""
        dues = np.array([due for due, _, _ in self._waiting])
        return arrivals_by_step(dues, np.array([step for _, _, step in self._waiting], np.uint16), steps, start, until)


def arrivals_by_step(
    dues: npt.NDArray[np.float64], chosen: npt.NDArray[np.uint16], steps: int, start: float, until: float
) -> Ints:
    """How many of these arrivals fell due in [start, until), by step index."""
    return np.bincount(chosen[(dues >= start) & (dues < until)], minlength=steps)


def total_by_name(names: Sequence[str], counts: Ints) -> dict[str, int]:
    """Counts by step name."""
    return dict(zip(names, counts.tolist(), strict=True))
