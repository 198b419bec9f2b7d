"""One phase: ramp, measured stretch, drain. Every task has a nursery, and nothing outlives the phase.

The books: an arrival of the measured stretch is a sample, or it is blocked (its user still waited for an earlier answer when
the drain ended: the service's doing), or it is missed (the scheduler never came to it: ours).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import trio

from velro_gate.engine.health import HealthWatch
from velro_gate.engine.users import Stage, VirtualUser
from velro_gate.model.run import GeneratorHealth, PhaseRun, Progress, Shard, Tick
from velro_gate.model.scenario import ClosedArrivals, Phase, Step
from velro_gate.pacing import Schedule, closed_journey, connect_time, open_schedule

T = TypeVar("T")

SWEEP_EVERY = 0.05
TICK_EVERY = 1.0
SETTLE = 1.0
"""Seconds before the end of the ramp at which garbage is collected one last time: the stop it makes is over by then."""
GONE_AFTER = 5.0
GONE_FAILURES = 5
MEMORY_GUARD = 2**29
"""Bytes by which the process may grow while collection is off."""


class Aside(Protocol):
    """Where reads that may take long go, out of the loop's way."""

    async def __call__(self, read: Callable[[], T], /) -> T:
        """What ``read`` returns."""


async def in_thread(read: Callable[[], T], /) -> T:
    """Read in a worker thread."""
    return await trio.to_thread.run_sync(read)


@dataclass(slots=True, kw_only=True)
class PhaseClock:
    """The phase's marks on trio's clock."""

    began: float
    ramp_end: float
    load_end: float

    @classmethod
    def starting(cls, phase: Phase, now: float) -> PhaseClock:
        """The marks of a phase that starts now."""
        return cls(began=now, ramp_end=now + phase.ramp, load_end=now + phase.ramp + phase.duration)


@dataclass(slots=True, kw_only=True)
class PhaseTask:
    """Everything one running phase needs; ``run`` carries it out."""

    phase: Phase
    number: int
    count: int
    steps: Sequence[Step]
    seed: int
    shard: Shard
    stage: Stage
    health: HealthWatch
    observe: Callable[[Progress], None]
    stop: trio.Event
    aside: Aside = in_thread
    clock: PhaseClock = field(init=False)
    schedule: Schedule | None = field(init=False)
    users: dict[int, VirtualUser] = field(init=False)
    ticks: list[Tick] = field(default_factory=list)
    handed: int = 0
    interrupted: bool = False
    gone: str | None = None
    found: GeneratorHealth | None = None
    step_of_phase: str = "ramp"

    async def run(self) -> PhaseRun:
        """Carry the phase out; always ends, by itself or by ``stop``, with the books in order."""
        closed = isinstance(self.phase.arrivals, ClosedArrivals)
        self.schedule = None if closed else open_schedule(self.phase, self.steps, self.seed).slice(self.shard)
        self.users = {index: VirtualUser(index, self.stage) for index in self.shard.users(self.phase.users)}
        self.clock = PhaseClock.starting(self.phase, trio.current_time())
        self.stage.last_answer = self.clock.began - self.stage.origin
        try:
            load_ended = await self._carry_out()
        except BaseException:
            # What it measured is of no use, but it must not go on listening to the garbage collector.
            with suppress(RuntimeError):
                self.health.finish()
            raise
        finally:
            for user in self.users.values():
                user.leave()
        self.stage.recorder.flush()
        return self._result(load_ended)

    async def _carry_out(self) -> float:
        """Everything that takes time; returns when the load ended."""
        calm = _CalmMemory()
        load_ended = self.clock.load_end
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_stop, nursery.cancel_scope)
            nursery.start_soon(self._sweep)
            nursery.start_soon(self._tick, nursery.cancel_scope, calm)
            nursery.start_soon(self._join_users, nursery)
            if self.schedule is not None:
                nursery.start_soon(self._dispatch, self.schedule)
            try:
                await self._measure(calm)
                await self._drain()
            finally:
                load_ended = min(self.clock.load_end, trio.current_time())
                calm.restore()
            nursery.cancel_scope.cancel()
        return load_ended

    async def _measure(self, calm: _CalmMemory) -> None:
        # Begun at once, too: a phase that ends within its ramp has a health to show as well.
        self.health.begin()
        await trio.sleep_until(max(self.clock.ramp_end - SETTLE, self.clock.began))
        calm.enter()
        await trio.sleep_until(self.clock.ramp_end)
        self.step_of_phase = "measure"
        # In a thread, here and below: counting ports can mean reading a kernel table of tens of thousands of lines.
        await self.aside(self.health.begin)
        await trio.sleep_until(self.clock.load_end)
        self.found = await self.aside(self.health.finish)
        self.step_of_phase = "drain"

    async def _drain(self) -> None:
        """Wait for the answers that are still out, at most as long as the slowest step may take."""
        patience = max(step.timeout for step in self.steps) + 2.0 * SWEEP_EVERY
        with trio.move_on_after(patience):
            while self.stage.in_flight or self._undone():
                await trio.sleep(SWEEP_EVERY)

    def _undone(self) -> bool:
        if self.schedule is not None and self.handed < len(self.schedule):
            return True
        return any(user.waiting for user in self.users.values())

    async def _watch_stop(self, scope: trio.CancelScope) -> None:
        await self.stop.wait()
        self.interrupted = True
        scope.cancel()

    async def _join_users(self, nursery: trio.Nursery) -> None:
        for index, user in self.users.items():
            await trio.sleep_until(self.clock.began + connect_time(index, self.phase))
            if self.schedule is not None:
                nursery.start_soon(user.serve_arrivals)
            else:
                nursery.start_soon(user.loop, self._journey(index), self.clock.load_end)

    def _journey(self, user: int) -> Iterator[tuple[float, int]]:
        arrivals = self.phase.arrivals
        assert isinstance(arrivals, ClosedArrivals)
        return closed_journey(self.phase, arrivals, self.steps, self.seed, user)

    async def _dispatch(self, schedule: Schedule) -> None:
        """Hand every arrival to its user when it falls due; all that are due at one moment in one go."""
        began, offset = self.clock.began, self.clock.began - self.stage.origin
        chunk = 4_096
        for first in range(0, len(schedule), chunk):
            due = schedule.due[first : first + chunk].tolist()
            user = schedule.user[first : first + chunk].tolist()
            step = schedule.step[first : first + chunk].tolist()
            at, end = 0, len(due)
            while at < end:
                await trio.sleep_until(began + due[at])
                now = trio.current_time() - began
                while at < end and due[at] <= now:
                    self.users[user[at]].hand(due[at] + offset, step[at])
                    at += 1
                self.handed = first + at

    async def _sweep(self) -> None:
        """Give up on what is overdue: one task for all users instead of a timer for each request."""
        while True:
            await trio.sleep(SWEEP_EVERY)
            now = trio.current_time() - self.stage.origin
            for user in [user for user in self.stage.in_flight if user.deadline <= now]:
                user.give_up()

    async def _tick(self, scope: trio.CancelScope, calm: _CalmMemory) -> None:
        while True:
            await trio.sleep_until(self.clock.began + TICK_EVERY * (len(self.ticks) + 1))
            stage, recorder = self.stage, self.stage.recorder
            now = trio.current_time() - stage.origin
            self.ticks.append(
                Tick(
                    at=now,
                    connected=stage.connected,
                    in_flight=len(stage.in_flight),
                    sent=recorder.sent,
                    ok=recorder.ok,
                    failed=recorder.failed,
                )
            )
            if len(self.ticks) % 5 == 0:
                await self.aside(self.health.sample)
                calm.guard()
            self.observe(self._progress())
            silent = now - stage.last_answer
            if silent > GONE_AFTER and stage.failures_since_answer >= GONE_FAILURES:
                self.gone = f"no answer for {silent:.0f} s, {stage.failures_since_answer} requests in a row failed"
                scope.cancel()

    def _progress(self) -> Progress:
        recent = self.stage.recorder.recent()
        recorder, now = self.stage.recorder, trio.current_time()
        last = self.ticks[-1]
        before = self.ticks[-2] if len(self.ticks) > 1 else None
        seconds = last.at - (before.at if before else self.clock.began - self.stage.origin)
        return Progress(
            phase=self.phase.name,
            phase_number=self.number,
            phase_count=self.count,
            stage=self.step_of_phase,
            users=len(self.users),
            connected=self.stage.connected,
            rate=(last.ok - (before.ok if before else 0)) / seconds if seconds > 0 else 0.0,
            offered_rate=self.phase.offered_rate,
            p50=recent.p50,
            p95=recent.p95,
            p99=recent.p99,
            errors=recorder.failed,
            error_rate=recorder.failed / recorder.sent if recorder.sent else 0.0,
            hit_rate=recent.hit_rate,
            lateness_p99=recent.lateness_p99,
            elapsed=now - self.clock.began,
            remaining=max(self.clock.load_end - now, 0.0),
        )

    def _result(self, load_ended: float) -> PhaseRun:
        stage, clock, origin = self.stage, self.clock, self.stage.origin
        ended = trio.current_time() - origin
        measured_until = min(load_ended - origin, ended)
        measured_from = min(clock.ramp_end - origin, measured_until)
        blocked = self._by_step(
            step for user in self.users.values() for due, step in user.waiting if measured_from <= due < measured_until
        )
        due, missed = self._planned(measured_from, measured_until)
        return PhaseRun(
            name=self.phase.name,
            started=clock.began - origin,
            measured_from=measured_from,
            measured_until=measured_until,
            ended=ended,
            users=len(self.users),
            due=due,
            blocked=blocked,
            missed=missed,
            sent_total=stage.recorder.sent + stage.logins,
            delivered_total=stage.delivered,
            connections_opened=stage.connections_opened,
            reconnects=stage.reconnects,
            retries=stage.retries,
            ticks=tuple(self.ticks),
            health=self.found or self.health.finish(),
            interrupted=self.interrupted,
            service_gone=self.gone,
        )

    def _planned(self, measured_from: float, measured_until: float) -> tuple[dict[str, int], dict[str, int]]:
        """Arrivals of the measured stretch by step: all that fell due, and those that the scheduler did not come to."""
        if self.schedule is None:
            counts = self.stage.recorder.count_by_step(len(self.steps), measured_from, measured_until)
            return self._named(counts), self._by_step(())
        offset = self.clock.began - self.stage.origin
        # The same sum as in the samples' due times, so that both sides of the books cut at the same arrival.
        first, last = np.searchsorted(self.schedule.due + offset, (measured_from, measured_until))
        steps = self.schedule.step
        return (
            self._named(np.bincount(steps[first:last], minlength=len(self.steps))),
            self._named(np.bincount(steps[max(first, self.handed) : last], minlength=len(self.steps))),
        )

    def _named(self, counts: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, int]:
        return {step.name: int(count) for step, count in zip(self.steps, counts, strict=True)}

    def _by_step(self, steps: Iterable[int]) -> dict[str, int]:
        counts = [0] * len(self.steps)
        for step in steps:
            counts[step] += 1
        return self._named(counts)


class _CalmMemory:
    """Garbage collection held off while it would be measured: a full one over thousands of users stops the process for .1 s."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._limit: float | None = None
        self._was_enabled = gc.isenabled()

    def enter(self) -> None:
        """Collect once, then neither look at what is there now (freeze) nor collect at all."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._limit = self._process.memory_info().rss + MEMORY_GUARD

    def guard(self) -> None:
        """Collect after all when the process has grown beyond reason; the health watch counts it."""
        if self._limit is not None and self._process.memory_info().rss > self._limit:
            gc.collect()
            self._limit = self._process.memory_info().rss + MEMORY_GUARD

    def restore(self) -> None:
        """Everything as it was before."""
        if self._limit is not None:
            gc.unfreeze()
            self._limit = None
        if self._was_enabled:
            gc.enable()
