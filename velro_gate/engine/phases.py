"""One phase: ramp, measured stretch, drain. Every task has a nursery, every wait an end, every connection is closed.

The books: an arrival of the measured stretch is a sample, or it is blocked (its user still waited for an earlier answer when
the drain ended: the service's doing), or it is missed (never handed out, or this machine could not send it: ours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np
import trio

from velro_gate.engine.http.connection import Connection, Owner, Wire
from velro_gate.engine.http.poller import Poller
from velro_gate.engine.http.responses import CacheLayers, HeaderKinds
from velro_gate.engine.http.routes import Route
from velro_gate.engine.journeys.users import JourneyArrivals, JourneyPhase, JourneySpec, JourneyUser, tour_of
from velro_gate.engine.load.deadlines import DeadlineBuckets, Overdue, expire_overdue
from velro_gate.engine.load.gc_pause import GcPause
from velro_gate.engine.load.phase_sync import PhaseSync
from velro_gate.engine.load.progress import GONE_AFTER, Hopelessness, LivenessCheck, PhaseProgress
from velro_gate.engine.load.recorder import Recorder
from velro_gate.engine.load.scheduling import Arrivals, ClosedScheduler, OpenScheduler, total_by_name
from velro_gate.engine.load.timer import Alarm, system_alarm
from velro_gate.engine.load.users import HttpUser, PhaseContext, no_more
from velro_gate.engine.machine.health import HealthWatch, LoopLag, out_of
from velro_gate.engine.stalls import SHORTEST, StallLog
from velro_gate.engine.steps.failures import FailureLog, origin_of
from velro_gate.engine.steps.redirects import Redirects
from velro_gate.engine.steps.requests import CompiledStep
from velro_gate.model import scenario as model
from velro_gate.model.run import GeneratorHealth, PhaseRun, Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.pacing import Needs, Schedule, closed_journey, connect_time, needs_of, open_schedule

SWEEP_EVERY = 0.05
TICK_EVERY = 1.0
SAMPLE_EVERY = 5  # ticks
STOP_GRACE = 1.0
"""Seconds that requests in flight get when the run is asked to end."""

_SETTLE = 0.5
"""Seconds before the measured stretch at which garbage is collected one last time: the pause is over by then. Where the ramp is
no longer, it is done before the phase begins.
"""
_REJOIN_AFTER = 1.0
_LOOKS_AGAIN = 3
_REFUSALS = (401, 403)
_AT_A_TIME = 256

T = TypeVar("T")


class Aside(Protocol):
    """Where what may take long is done, so that it does not hold up the load."""

    async def __call__(self, read: Callable[[], T], /) -> T:
        """Do it, and wait for it."""


async def in_thread(read: Callable[[], T], /) -> T:
    """Beside the loop, in real time."""
    return await trio.to_thread.run_sync(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """What one phase needs to know. count: phases of the run; number: which one this is, from 1. origin: the run's start.
    spec: of journeys written in Python, where there are any. hidden: values that must not be shown.
    connect, aside: for phases in simulated time, in which no socket and no thread can take part. busy_clock: what shows that
    the loop stood still; it does not pass, in such a phase, while everybody waits.
    """

    scenario: model.Scenario
    phase: model.Phase
    number: int
    count: int
    shard: Shard
    origin: float
    route: Route
    steps: Sequence[CompiledStep]
    login: CompiledStep | None
    kinds: HeaderKinds
    layers: CacheLayers
    sink: Callable[[Samples], None]
    observe: Callable[[Progress], None]
    stop: trio.Event
    sync: PhaseSync = field(default_factory=PhaseSync)
    spec: JourneySpec | None = None
    hidden: Sequence[str] = ()
    redirects: Redirects | None = None
    alarm: Callable[[], AbstractContextManager[Alarm]] = system_alarm
    connect: Callable[[Wire, Owner], Connection] = Connection
    aside: Aside = in_thread
    busy_clock: Callable[[], float] = perf_counter

    @property
    def walked(self) -> Sequence[model.Step]:
        """The steps that arrivals stand for; a journey written in Python stands for the first until it makes requests."""
        return self.scenario.steps if self.spec is None else self.scenario.steps[:1]

    @property
    def needs(self) -> Needs:
        """What each of them needs."""
        return needs_of(self.scenario) if self.spec is None else ()


async def run_phase(plan: PhasePlan) -> PhaseRun:
    """Carry a phase out. It ends by itself, by ``stop`` within a few seconds, or when the service is gone.

    Raises:
        Whatever ``sink`` or ``observe`` raise, in an exception group.
    """
    arrivals = plan.phase.arrivals
    schedule = None
    if isinstance(arrivals, model.OpenArrivals):
        whole = await plan.aside(partial(open_schedule, plan.phase, plan.walked, plan.scenario.seed, plan.needs))
        schedule = whole.slice(plan.shard)
    stalls = StallLog()
    watch = HealthWatch(
        target_addresses=plan.route.endpoints,
        shards=plan.shard.count,
        sources=max(len(plan.route.sources), 1),
        lag=LoopLag(stalls, trio.lowlevel.current_clock().current_time, plan.busy_clock),
    )
    # Ten thousand users take a tenth of a second to make: before the phase begins, not out of its ramp.
    task = _Phase(plan, watch, stalls)
    try:
        task.begin(await plan.sync.begin(plan.number), schedule)
        # Shards agree on an instant a little ahead.
        await trio.sleep_until(task.began)
        with _instrumented(watch):
            return await task.run()
    finally:
        task.let_go()


@contextmanager
def _instrumented(watch: HealthWatch) -> Iterator[None]:
    instrument = watch.instrument()
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


@dataclass(slots=True)
class _Ending:
    """How far the phase is, and why it ended before its time. load, drain: what an early end cuts short."""

    interrupted: bool = False
    gone: str | None = None
    hopeless: str | None = None
    stage: str = "ramp"
    health: GeneratorHealth | None = None
    load: trio.CancelScope = field(default_factory=trio.CancelScope)
    drain: trio.CancelScope = field(default_factory=trio.CancelScope)


class _Phase:
    """Everything of one running phase. All times are on trio's clock."""

    arrivals: Arrivals
    began: float
    measured_from: float
    end: float
    _progress: PhaseProgress

    def __init__(self, plan: PhasePlan, watch: HealthWatch, stalls: StallLog) -> None:
        self.plan = plan
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self._watch = watch
        self._gc_pause = GcPause()
        self._state = _Ending()
        self._stalls = stalls
        self._poller = Poller(now=self.now, stalls=stalls)
        self._wire = Wire(plan.route, self._poller, self.now, plan.kinds)
        auth = plan.scenario.auth
        self._context = PhaseContext(
            now=self.now,
            connect=partial(plan.connect, self._wire),
            recorder=Recorder(plan.sink, origin=plan.origin),
            layers=plan.layers,
            seed=plan.scenario.seed,
            login=plan.login,
            token=auth.token if isinstance(auth, model.LoginAuth) else "",
            keep_cookies=plan.scenario.cookies,
            secure=plan.route.tls is not None,
            redirects=plan.redirects,
            failures=FailureLog([step.name for step in (*plan.steps, *([plan.login] if plan.login else []))], plan.hidden),
            origin=origin_of(plan.scenario.target.url),
        )
        self.trip: JourneyPhase | None = None
        if plan.spec is not None:
            self.trip = tour_of(plan.spec, plan.scenario, plan.phase, self._context, self._wire)
        indices = plan.shard.users(plan.phase.users)
        self._users = {i: HttpUser(i, self._context) if self.trip is None else JourneyUser(i, self.trip) for i in indices}
        if plan.phase.ramp <= _SETTLE:
            self._gc_pause.enter()

    def begin(self, at: float, schedule: Schedule | None) -> None:
        """Settle the phase's times, and with them its arrivals. schedule: None in a closed loop."""
        plan = self.plan
        self.began = at
        self.measured_from = at + plan.phase.ramp
        self.end = self.measured_from + plan.phase.duration
        self.arrivals = self._closed_arrivals() if schedule is None else OpenScheduler(schedule, at, self.deliver, self.now)
        if self.trip is not None:
            self.trip.until = self.end
            self.arrivals = JourneyArrivals(self.arrivals, self.trip, self.waiting)
        self._liveness = LivenessCheck(at)
        self._hopelessness = Hopelessness.of(plan.phase)
        self._progress = PhaseProgress(
            phase=plan.phase,
            number=plan.number,
            count=plan.count,
            users=len(self._users),
            share=1.0 / plan.shard.count,
            began=self.began,
            end=self.end,
            origin=plan.origin,
            now=self.now,
            context=self._context,
            wire=self._wire,
            ticks=[],
        )

    def deliver(self, due: float, user: int, step: int) -> None:
        """Hand an arrival to its user."""
        self._users[user].arrive(due, self.plan.steps[step])

    def _closed_arrivals(self) -> ClosedScheduler:
        """The arrivals of a closed loop: each user begins to think when it connects."""
        phase, scenario = self.plan.phase, self.plan.scenario
        assert isinstance(phase.arrivals, model.ClosedArrivals)
        needs = self.plan.needs
        walks = {i: closed_journey(phase, phase.arrivals, self.plan.walked, scenario.seed, i, needs) for i in self._users}
        begins = {i: self.began + connect_time(i, phase) for i in self._users}
        made = ClosedScheduler(walks, begins, self.end, self.deliver, self.now)

        def free(user: HttpUser | JourneyUser, at: float, *, failed: bool) -> None:
            made.think(user.index, at, failed=failed)

        self._context.free = free
        return made

    async def run(self) -> PhaseRun:
        """Carry the phase out."""
        state = self._state
        async with trio.open_nursery() as nursery:
            for task in (self._poller.run, self._sweep, self._tick, self._watch_stop):
                nursery.start_soon(task)
            nursery.start_soon(self._context.unpacking.run, self.plan.aside)
            if self.trip is not None:
                await nursery.start(self.trip.run)
            with state.load:
                await self._load()
            until = self._ended_at()
            await self._finish_health()
            until = await self.plan.sync.end(until)
            await self._drain()
            self._context.closing = True
            nursery.cancel_scope.cancel()
        blocked = self._blocked(until)
        await self._close()
        self._context.recorder.flush()
        return self._result(until, blocked)

    def let_go(self) -> None:
        """Close whatever is still open: nothing after a good end; after a fault nothing is recorded, but nothing leaks."""
        for user in self._users.values():
            user.connection.close()
        self._poller.close()
        self._gc_pause.leave()
        self._watch.abandon()

    async def _load(self) -> None:
        with self.plan.alarm() as alarm:
            await self._load_by(alarm)

    async def _load_by(self, alarm: Alarm) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._join_users)
            nursery.start_soon(self.arrivals.play, alarm)
            if not self._gc_pause.entered:
                await trio.sleep_until(self.measured_from - _SETTLE)
                self._gc_pause.enter()
            await trio.sleep_until(self.measured_from)
            self._state.stage = "measure"
            # It may read kernel tables of many thousand lines.
            await self.plan.aside(self._watch.begin)
            await trio.sleep_until(self.end)
            self._state.stage = "drain"
            with trio.move_on_after(self._patience):
                while not self.arrivals.finished:
                    await trio.sleep(SWEEP_EVERY)
            nursery.cancel_scope.cancel()

    def _ended_at(self) -> float:
        state = self._state
        state.stage = "drain"
        if state.interrupted or state.gone is not None or state.hopeless is not None:
            return min(self.end, self.arrivals.cut(self.now()))
        return self.end

    async def _finish_health(self) -> None:
        # Not so when the phase ended before its measured stretch, or at the very moment at which that began.
        if not self._watch.begun:
            self._watch.begin()
        self._state.health = await self.plan.aside(self._watch.finish)

    @property
    def _patience(self) -> float:
        return max(step.timeout for step in self.plan.steps) + 2.0 * SWEEP_EVERY

    async def _drain(self) -> None:
        """Let what has fallen due be sent and answered, for as long as the slowest step may take."""
        scope = self._state.drain
        scope.deadline = min(scope.deadline, self.now() + self._patience)
        with scope:
            while self._unfinished():
                await trio.sleep(SWEEP_EVERY / 2.0)
        await self._look_again()

    async def _look_again(self) -> None:
        """Where the service fell silent shortly before the end, see whether it is there: users go on trying to connect."""
        state = self._state
        deadline = self.now() + GONE_AFTER + 2.0 * TICK_EVERY
        while self._liveness.doubts and state.gone is None and not state.interrupted and self.now() < deadline:
            for user in islice(self._users.values(), _LOOKS_AGAIN):
                user.join()
            await trio.sleep(TICK_EVERY / 2.0)

    def _unfinished(self) -> bool:
        context = self._context
        if len(context.buckets) or context.unpacking.pending:
            return True
        # Between two requests of a journey, or two journeys, none is in flight.
        return self.trip is not None and not context.closing and (self.trip.starting > 0 or any(True for _ in self.waiting()))

    def _end_early(self, grace: float) -> None:
        """Begin no more requests, those that are queued included; what is in flight has ``grace`` seconds left."""
        state, context = self._state, self._context
        context.closing, context.free = True, no_more
        state.load.cancel()
        state.drain.deadline = min(state.drain.deadline, self.now() + grace)

    async def _join_users(self) -> None:
        for number, (index, user) in enumerate(self._users.items()):
            due = self.began + connect_time(index, self.plan.phase)
            if due > self.now():
                await trio.sleep_until(due)
            elif number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
            user.join()

    async def _sweep(self) -> None:
        context = self._context
        while True:
            planned = self.now() + SWEEP_EVERY
            await trio.sleep_until(planned)
            self._wire.dials.nudge()
            buckets = (context.buckets, context.joining)
            if self.now() - planned > SHORTEST:
                await self._catch_up(buckets)
            for each in buckets:
                await expire_overdue(each, self.now())

    async def _catch_up(self, buckets: Sequence[DeadlineBuckets[Overdue]]) -> None:
        """After a stall of ours: what came meanwhile is read before anything is given up on for having taken too long."""
        for each in buckets:
            for thing, deadline in each.overdue(self.now()):
                thing.excuse(deadline)
        self._poller.catch_up()
        # Others that slept have their turn before this task goes on.
        await trio.lowlevel.checkpoint()

    async def _watch_stop(self) -> None:
        await self.plan.stop.wait()
        self._state.interrupted = True
        self._end_early(STOP_GRACE)

    async def _tick(self) -> None:
        liveness, ticks = self._liveness, 0
        while True:
            ticks += 1
            await trio.sleep_until(self.began + ticks * TICK_EVERY)
            self._progress.tick()
            self._gc_pause.guard()
            state, context = self._state, self._context
            if state.stage == "measure" and ticks % SAMPLE_EVERY == 0:
                # Where ports are scarce it reads a long table of the kernel's.
                await self.plan.aside(self._watch.sample)
            self.plan.observe(self._progress.progress(state.stage))
            gone = liveness.update(
                self.now(),
                context.recorder.outcomes,
                unsent=context.unsent,
                joined=self._wire.opened,
                failed_joins=context.join_failures,
            )
            if gone and not state.interrupted:
                state.gone = gone if self._wire.tls_fault is None else f"{gone}; {self._wire.tls_fault}"
                self._end_early(0.0)
            elif state.stage != "drain":
                self._rejoin()
                self._give_up_hope()

    def _give_up_hope(self) -> None:
        state, recorder = self._state, self._context.recorder
        good, cancelled = recorder.outcomes[Outcome.OK], recorder.outcomes[Outcome.CANCELLED]
        state.hopeless = self._hopelessness.update(
            self.now(),
            good=good,
            failed=recorder.rows - good - cancelled - self._context.unsent,
            refused=self._context.failures.by_status(_REFUSALS),
            in_flight=len(self._context.buckets),
            measuring=state.stage == "measure",
        )
        if state.hopeless is not None:
            self._end_early(0.0)

    def _rejoin(self) -> None:
        """Let users that could not connect ahead try again, a bounded number at a time."""
        failed, before = self._context.failed_joins, self.now() - _REJOIN_AFTER
        for _ in range(min(len(failed), _AT_A_TIME)):
            if failed[0][0] > before:
                break
            failed.popleft()[1].join()

    def waiting(self) -> Iterator[tuple[float, CompiledStep]]:
        """Arrivals that their users have not come to."""
        for user in self._users.values():
            yield from user.waiting

    def _blocked(self, until: float) -> dict[str, int]:
        counts = {step.name: 0 for step in self.plan.steps}
        for due, step in self.waiting():
            if self.measured_from <= due < until:
                counts[step.name] += 1
        return counts

    async def _close(self) -> None:
        """Give up on what is in flight, and close every connection; other tasks of the process get their turns meanwhile."""
        self._context.closing = True
        self._wire.dials.shut()
        # What the sweep has not come to any more has timed out all the same: it must not pass for cancelled, nobody's error.
        await expire_overdue(self._context.buckets, self.now())
        for number, user in enumerate(self._users.values()):
            user.cancel()
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()

    def _result(self, until: float, blocked: dict[str, int]) -> PhaseRun:
        plan, context, state = self.plan, self._context, self._state
        start, until = min(self.measured_from, until), max(min(self.measured_from, until), until)
        names = [step.name for step in plan.steps]
        missed = self.arrivals.missed(len(names), start, until)
        own = [step for due, step in context.missed if start <= due < until]
        missed = missed + np.bincount(np.array(own, np.int64), minlength=len(names))
        assert state.health is not None
        health = out_of(self._wire.lacking, state.health)
        rest: dict[str, Any] = {
            "sent_total": context.recorder.rows - context.unsent,
            "delivered_total": context.delivered,
            "connections_opened": self._wire.opened,
            "reconnects": context.reconnects,
            "retries": context.retries,
            "redirects_followed": context.followed,
            "sessions_reused": self._wire.sessions_reused,
            "tls_fault": self._wire.tls_fault,
            "stalls": self._stalls.since(plan.origin),
            "failures": context.failures.found(plan.origin),
        }
        return PhaseRun(
            name=plan.phase.name,
            started=self.began - plan.origin,
            measured_from=start - plan.origin,
            measured_until=until - plan.origin,
            ended=self.now() - plan.origin,
            users=len(self._users),
            due=total_by_name(names, self.arrivals.due(len(names), start, until)),
            blocked=blocked,
            missed=total_by_name(names, missed),
            ticks=tuple(self._progress.ticks),
            health=health,
            interrupted=state.interrupted,
            service_gone=state.gone,
            hopeless=state.hopeless,
            **rest,
        )
