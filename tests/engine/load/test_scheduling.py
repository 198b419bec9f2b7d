"""Arrivals are handed out at their due times, all of them once, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from velro_gate.engine.load.scheduling import PAUSE_AFTER_FAILURE, ClosedScheduler, OpenScheduler
from velro_gate.engine.load.timer import ClockAlarm
from velro_gate.pacing import Schedule


def schedule(dues: list[float]) -> Schedule:
    size = len(dues)
    return Schedule(
        due=np.array(dues, np.float64), user=np.arange(size, dtype=np.uint32), step=np.arange(size, dtype=np.uint16) % 3
    )


def in_simulated_time(main: Callable[[], object]) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0.0))  # type: ignore[arg-type]


@given(st.lists(st.floats(0.0, 100.0), max_size=200).map(sorted))
def test_every_arrival_comes_at_its_time_and_in_order(dues: list[float]) -> None:
    seen: list[tuple[float, float, int]] = []

    async def main() -> None:
        began = trio.current_time() + 5.0
        arrivals = OpenScheduler(
            schedule(dues), began, lambda due, user, step: seen.append((trio.current_time(), due, user)), trio.current_time
        )
        assert arrivals.finished is (not dues)
        await arrivals.play(ClockAlarm())
        assert arrivals.finished
        assert arrivals.missed(3, began, began + 200.0).sum() == 0
        assert arrivals.due(3, began, began + 200.0).sum() == len(dues)
        for at, due, _ in seen:
            assert due <= at <= due + 1e-6
        assert [user for _, _, user in seen] == list(range(len(dues)))

    in_simulated_time(main)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=50).map(sorted), st.floats(0.0, 10.0))
def test_an_end_at_any_moment_leaves_a_stretch_without_missed_arrivals(dues: list[float], stop: float) -> None:
    seen: list[float] = []

    async def main() -> None:
        began = trio.current_time()
        arrivals = OpenScheduler(schedule(dues), began, lambda due, user, step: seen.append(due), trio.current_time)
        with trio.move_on_at(began + stop):
            await arrivals.play(ClockAlarm())
        until = arrivals.cut(trio.current_time())
        assert arrivals.missed(3, began, until).sum() == 0
        assert arrivals.due(3, began, until).sum() == sum(due < until for due in seen)
        assert arrivals.due(3, began, began + 11.0).sum() - arrivals.missed(3, began, began + 11.0).sum() == len(seen)

    in_simulated_time(main)


def test_what_is_overdue_is_handed_out_in_portions_so_that_answers_come_in_between() -> None:
    async def main() -> None:
        handed: list[float] = []
        most, last = 0, 0

        async def other() -> None:
            nonlocal most, last
            while True:
                await trio.sleep(0)
                most, last = max(most, len(handed) - last), len(handed)

        began = trio.current_time() - 1.0
        arrivals = OpenScheduler(schedule([0.0] * 5_000), began, lambda due, user, step: handed.append(due), trio.current_time)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await arrivals.play(ClockAlarm())
            nursery.cancel_scope.cancel()
        assert len(handed) == 5_000
        assert most <= 512

    trio.run(main)


def walk(seconds: float) -> Iterator[tuple[float, int]]:
    return ((seconds, number % 3) for number in count())


class Loop:
    """Users that answer after a fixed time."""

    def __init__(self, users: int, think: float, service: float, end: float, *, failed: bool = False) -> None:
        self.began = trio.current_time()
        self.end = self.began + end
        self.service = service
        self.failed = failed
        self.seen: list[tuple[float, int, int]] = []
        self.nursery: trio.Nursery | None = None
        self.arrivals = ClosedScheduler(
            {user: walk(think) for user in range(users)},
            {user: self.began + 0.1 * user for user in range(users)},
            self.end,
            self.deliver,
            trio.current_time,
        )

    def deliver(self, due: float, user: int, step: int) -> None:
        self.seen.append((due - self.began, user, step))
        assert self.nursery is not None
        self.nursery.start_soon(self.answer, user)

    async def answer(self, user: int) -> None:
        await trio.sleep(self.service)
        self.arrivals.think(user, trio.current_time(), failed=self.failed)

    async def play(self) -> None:
        async with trio.open_nursery() as self.nursery:
            await self.arrivals.play(ClockAlarm())


def test_closed_users_think_between_answer_and_request() -> None:
    async def main() -> None:
        loop = Loop(users=1, think=1.0, service=0.5, end=5.0)
        await loop.play()
        assert [due for due, _, _ in loop.seen] == pytest.approx([1.0, 2.5, 4.0])
        assert [step for _, _, step in loop.seen] == [0, 1, 2]
        assert loop.arrivals.due(3, loop.began, loop.end).tolist() == [1, 1, 1]
        assert loop.arrivals.finished

    in_simulated_time(main)


def test_a_user_that_is_free_earlier_than_the_next_due_one_wakes_the_scheduler() -> None:
    async def main() -> None:
        loop = Loop(users=2, think=0.3, service=0.01, end=2.0)
        await loop.play()
        dues = [due for due, user, _ in loop.seen if user == 0]
        assert dues == pytest.approx([0.3 + 0.31 * turn for turn in range(len(dues))])
        assert len(dues) == 6

    in_simulated_time(main)


def test_after_a_failure_a_closed_user_pauses_even_without_think_time() -> None:
    async def main() -> None:
        loop = Loop(users=1, think=0.0, service=0.0, end=1.0, failed=True)
        await loop.play()
        assert len(loop.seen) == pytest.approx(1.0 / PAUSE_AFTER_FAILURE, abs=1)

    in_simulated_time(main)


@given(st.integers(1, 8), st.floats(0.01, 2.0), st.floats(0.0, 1.0), st.floats(0.0, 6.0))
def test_a_closed_loop_ended_at_any_moment_has_no_missed_arrivals(
    users: int, think: float, service: float, stop: float
) -> None:
    async def main() -> None:
        loop = Loop(users=users, think=think, service=service, end=5.0)
        with trio.move_on_after(stop):
            await loop.play()
        until = loop.arrivals.cut(min(trio.current_time(), loop.end))
        assert loop.arrivals.missed(3, loop.began, until).sum() == 0
        assert loop.arrivals.due(3, loop.began, until).sum() == sum(loop.began + due < until for due, _, _ in loop.seen)

    in_simulated_time(main)


class Guarded(ClockAlarm):
    """An alarm that must not be set any more, as one whose descriptor is closed."""

    def hasten(self, deadline: float) -> None:
        raise AssertionError(f"set to {deadline}")


def test_an_answer_that_comes_after_the_load_has_ended_leaves_the_alarm_alone() -> None:
    async def main() -> None:
        loop = Loop(users=1, think=1.0, service=0.5, end=5.0)
        with trio.move_on_after(0.5):
            await loop.arrivals.play(Guarded())
        loop.arrivals.think(0, trio.current_time())
        assert loop.seen == []

    in_simulated_time(main)
