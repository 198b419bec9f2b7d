"""Waking at an instant, by the kernel's timer and by trio's clock alike."""

from __future__ import annotations

import trio
import trio.testing

from velro_gate.engine.load.timer import Alarm, ClockAlarm, TimerAlarm, system_alarm


async def check(alarm: Alarm) -> None:
    """What holds for any alarm: never early, soon after, hastened only forwards, not held up by what is over."""
    for seconds in (0.02, 0.0, -5.0, 1e-6):
        deadline = trio.current_time() + seconds
        with trio.fail_after(10):
            await alarm.wait_until(deadline)
        assert trio.current_time() >= deadline
    began = trio.current_time()
    alarm.hasten(began)  # nobody waits
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.wait_until, began + 1_000.0)
        await trio.testing.wait_all_tasks_blocked()
        alarm.hasten(began + 2_000.0)
        alarm.hasten(began + 0.01)
    assert began + 0.01 <= trio.current_time() < began + 500.0
    with trio.move_on_after(0.01) as scope:
        await alarm.wait_until(trio.current_time() + 1_000.0)
    assert scope.cancelled_caught
    with trio.fail_after(10):
        await alarm.wait_until(trio.current_time() + 0.001)


def test_the_kernels_timer_wakes_at_the_instant() -> None:
    async def main() -> None:
        with system_alarm() as alarm:
            assert isinstance(alarm, TimerAlarm)
            await check(alarm)

    trio.run(main)


def test_trios_clock_wakes_at_the_instant_also_in_simulated_time() -> None:
    trio.run(check, ClockAlarm())
    trio.run(check, ClockAlarm(), clock=trio.testing.MockClock(autojump_threshold=0.0))
