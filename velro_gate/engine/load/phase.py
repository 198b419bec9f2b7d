"""One phase: ramp, measured stretch, drain. Every task has a nursery, every wait an end, every connection is closed.

The counts: an arrival of the measured stretch is a sample, or it is blocked (its user still waited for an earlier response when
the drain ended: caused by the service), or it is missed (never handed out, or this machine could not send it: ours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np
import trio

from velro_gate.engine.load.aside import Aside, in_thread
from velro_gate.engine.load.context import no_more
from velro_gate.engine.load.deadlines import DeadlineBuckets, Overdue, expire_overdue
from velro_gate.engine.load.gc_pause import GcPause
from velro_gate.engine.load.phase_sync import PhaseSync
from velro_gate.engine.load.population import PhaseSetup, Population
from velro_gate.engine.load.progress import GONE_AFTER, Hopelessness, LivenessCheck, PhaseProgress
from velro_gate.engine.load.recorder import Recorder
from velro_gate.engine.load.scheduling import ArrivalSource, ClosedScheduler, OpenScheduler, total_by_name
from velro_gate.engine.load.timer import Alarm, system_alarm
from velro_gate.engine.load.times import REJOIN_AFTER, SAMPLE_EVERY, SETTLE, STOP_GRACE, SWEEP_EVERY, TICK_EVERY, PhaseTimes
from velro_gate.engine.machine.health import HealthWatch, LoopLag, out_of
from velro_gate.engine.stalls import SHORTEST, StallLog
from velro_gate.model import scenario as model
from velro_gate.model.run import GeneratorHealth, PhaseRun, Progress, Shard, Stage
from velro_gate.model.samples import Outcome, Samples
from velro_gate.pacing import Schedule, StepOrder, closed_journey, open_schedule

_LOOKS_AGAIN = 3
"""Users that try to connect when the service fell silent near the end: as many failures as ``LivenessCheck`` asks for."""
_REFUSALS = (401, 403)
"""Statuses that refuse credentials: more requests with the same credentials would get nothing else."""
_AT_A_TIME = 256
"""Users that connect, or connect again, between two turns of the loop: responses must not wait until ten thousand have begun.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """What one phase needs to know."""

    scenario: model.Scenario
    phase: model.Phase
    number: int
    """Which phase of the run this is, from 1."""
    count: int
    """Phases of the run."""
    shard: Shard
    origin: float
    """The run's start."""
    neighbours: int | None = None
    """How many shards send from this machine, this one included; None: all."""
    populate: Callable[[PhaseSetup], Population]
    """Makes the users."""
    steps: Sequence[model.Step]
    """Those that arrivals stand for."""
    needs: StepOrder
    """What each of these needs."""
    endpoints: tuple[tuple[str, int], ...]
    """Addresses of the service."""
    sources: int
    """How many addresses connections come from, each with ports of its own."""
    sink: Callable[[Samples], None]
    observe: Callable[[Progress], None]
    stop: trio.Event
    sync: PhaseSync = field(default_factory=PhaseSync)
    layers: Sequence[str] = ()
    """Names of the cache layers, of which there may be more as the phase goes on."""
    alarm: Callable[[], AbstractContextManager[Alarm]] = system_alarm
    """What wakes the scheduler; another one in simulated time, of which no timer knows."""
    aside: Aside = in_thread
    """What may take long is done there; at once in simulated time, in which no thread can take part."""
    busy_clock: Callable[[], float] = perf_counter
    """Shows that the loop stood still; in simulated time it does not pass while everybody waits."""

    @property
    def names(self) -> list[str]:
        """Of all steps, by index."""
        return [step.name for step in self.scenario.steps]

    @property
    def patience(self) -> float:
        """Seconds for which the last responses are waited for: the slowest step's, and until that is noticed."""
        return max(step.timeout for step in self.scenario.steps) + 2.0 * SWEEP_EVERY


async def run_phase(plan: PhasePlan) -> PhaseRun:
    """Carry a phase out. It ends by itself, by ``stop`` within a few seconds, or when the service is gone.

    Raises:
        Whatever ``sink`` or ``observe`` raise, in an exception group.
    """
    arrivals = plan.phase.arrivals
    schedule = None
    if isinstance(arrivals, model.OpenArrivals):
        whole = await plan.aside(partial(open_schedule, plan.phase, plan.steps, plan.scenario.seed, plan.needs))
        plan.sync.planned(whole)
        schedule = whole.slice(plan.shard)
    stalls = StallLog()
    watch = HealthWatch(
        target_addresses=plan.endpoints,
        shards=plan.shard.count if plan.neighbours is None else plan.neighbours,
        sources=max(plan.sources, 1),
        lag=LoopLag(stalls, trio.lowlevel.current_clock().current_time, plan.busy_clock),
    )
    # Ten thousand users take a tenth of a second to make: before the phase begins, not out of its ramp.
    task = _Phase(plan, watch, stalls)
    try:
        task.begin(await plan.sync.begin(plan.number), schedule)
        # Shards agree on an instant a little ahead.
        await trio.sleep_until(task.times.began)
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
class _State:
    """How far the phase is, and why it ended early."""

    interrupted: bool = False
    gone: str | None = None
    hopeless: str | None = None
    stage: Stage = Stage.RAMP
    health: GeneratorHealth | None = None
    load: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Cancelled by an early end."""
    drain: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Ended by an early end, after the grace that requests in flight have."""

    @property
    def ended_early(self) -> bool:
        """Whether there is a reason to hand out no more arrivals."""
        return self.interrupted or self.gone is not None or self.hopeless is not None


class _Phase:
    """Everything of one running phase. All times are on trio's clock."""

    arrivals: ArrivalSource
    times: PhaseTimes
    _progress: PhaseProgress

    def __init__(self, plan: PhasePlan, watch: HealthWatch, stalls: StallLog) -> None:
        self.plan = plan
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self._watch = watch
        self._gc_pause = GcPause()
        self._state = _State()
        self._stalls = stalls
        self._population = plan.populate(
            PhaseSetup(
                phase=plan.phase,
                users=plan.shard.users(plan.phase.users),
                now=self.now,
                recorder=Recorder(plan.sink, origin=plan.origin),
                stalls=stalls,
            )
        )
        self._context = self._population.context
        if plan.phase.ramp <= SETTLE:
            self._gc_pause.enter()

    def begin(self, at: float, schedule: Schedule | None) -> None:
        """Settle the phase's times, and with them its arrivals. schedule: None in a closed loop."""
        plan, population = self.plan, self._population
        self.times = PhaseTimes.of(plan.phase, at)
        # Bound here, so that each arrival costs the population's own call and nothing on the way to it.
        deliver = population.deliver
        planned = self._closed(deliver) if schedule is None else OpenScheduler(schedule, at, deliver, self.now)
        self.arrivals = population.arrivals(planned, self.times.end)
        # A service that is stopped on purpose is waited for.
        away = max((each.lasts for each in plan.phase.experiments), default=0.0)
        self._liveness = LivenessCheck(at, GONE_AFTER + away)
        self._hopelessness = Hopelessness.of(plan.phase)
        self._progress = PhaseProgress(
            times=self.times,
            number=plan.number,
            count=plan.count,
            users=len(population.users),
            share=1.0 / plan.shard.count,
            origin=plan.origin,
            context=self._context,
            connections=population.connections,
            steps=plan.names,
            layers=plan.layers,
        )

    def _closed(self, deliver: Callable[[float, int, int], None]) -> ClosedScheduler:
        """The arrivals of a closed loop: each user begins to think when it connects, and again when it is free."""
        plan, phase = self.plan, self.plan.phase
        arrivals = phase.arrivals
        assert isinstance(arrivals, model.ClosedArrivals)
        users = self._population.users
        walks = {i: closed_journey(phase, arrivals, plan.steps, plan.scenario.seed, i, plan.needs) for i in users}
        begins = {i: self.times.connects(i) for i in users}
        made = ClosedScheduler(walks, begins, self.times.end, deliver, self.now)
        self._context.free = made.think
        return made

    async def run(self) -> PhaseRun:
        """Carry the phase out."""
        state = self._state
        async with trio.open_nursery() as nursery:
            # Before any user connects: a service that never accepts a connection must run into deadlines too.
            for task in (self._sweep, self._tick, self._watch_stop):
                nursery.start_soon(task)
            await self._population.start(nursery, self.plan.aside)
            # A scope of its own: an early end cancels the load and not the drain, in which requests in flight finish.
            with state.load:
                await self._load()
            # Before anything is awaited: what falls due from here on was never handed out, so it must not count as due.
            until = self._ended_at()
            # Before the drain, since the generator's health is judged over the measured stretch alone.
            await self._finish_health()
            # Shards agree on the earliest end, so that all count the same stretch.
            until = await self.plan.sync.end(until)
            await self._drain()
            # From here on users begin nothing more.
            self._context.closing = True
            # The three tasks above never end by themselves.
            nursery.cancel_scope.cancel()
        # Counted before the users let go of what they wait for.
        blocked = self._blocked(until)
        await self._population.close()
        self._context.recorder.flush()
        return self._result(until, blocked)

    def let_go(self) -> None:
        """Close whatever is still open: nothing after a good end; after a fault nothing is recorded, but nothing leaks."""
        self._population.abandon()
        self._gc_pause.leave()
        self._watch.abandon()

    async def _load(self) -> None:
        with self.plan.alarm() as alarm:
            await self._load_by(alarm)

    async def _load_by(self, alarm: Alarm) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._join_users)
            nursery.start_soon(self.arrivals.play, alarm)
            # With a short ramp it was entered before the phase began.
            if not self._gc_pause.entered:
                await trio.sleep_until(self.times.settles)
                self._gc_pause.enter()
            await trio.sleep_until(self.times.measured_from)
            self._state.stage = Stage.MEASURE
            # It may read kernel tables of many thousand lines.
            await self.plan.aside(self._watch.begin)
            await trio.sleep_until(self.times.end)
            self._state.stage = Stage.DRAIN
            # Arrivals of the last moment may still be in the scheduler's hands, and a stalled loop may be late with them.
            with trio.move_on_after(self.plan.patience):
                while not self.arrivals.finished:
                    await trio.sleep(SWEEP_EVERY)
            nursery.cancel_scope.cancel()

    def _ended_at(self) -> float:
        """The end of the stretch in which everything that fell due was handed out."""
        self._state.stage = Stage.DRAIN
        return min(self.times.end, self.arrivals.cut(self.now())) if self._state.ended_early else self.times.end

    async def _finish_health(self) -> None:
        # Not so when the phase ended before its measured stretch, or at the very moment at which that began.
        if not self._watch.begun:
            self._watch.begin()
        self._state.health = await self.plan.aside(self._watch.finish)

    async def _drain(self) -> None:
        """Let what has fallen due be sent and answered, for as long as the slowest step may take."""
        scope = self._state.drain
        scope.deadline = min(scope.deadline, self.now() + self.plan.patience)
        with scope:
            while self._population.unfinished():
                await trio.sleep(SWEEP_EVERY / 2.0)
        await self._look_again()

    async def _look_again(self) -> None:
        """Where the service fell silent shortly before the end, see whether it is there: users go on trying to connect."""
        state = self._state
        deadline = self.now() + GONE_AFTER + 2.0 * TICK_EVERY
        while self._liveness.doubts and state.gone is None and not state.interrupted and self.now() < deadline:
            for user in self._population.users[:_LOOKS_AGAIN]:
                self._population.join(user)
            await trio.sleep(TICK_EVERY / 2.0)

    def _end_early(self, grace: float) -> None:
        """Begin no more requests, those that are queued included; what is in flight has ``grace`` seconds left."""
        state, context = self._state, self._context
        context.closing, context.free = True, no_more
        state.load.cancel()
        state.drain.deadline = min(state.drain.deadline, self.now() + grace)

    async def _join_users(self) -> None:
        for number, user in enumerate(self._population.users):
            due = self.times.connects(user)
            if due > self.now():
                await trio.sleep_until(due)
            elif number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
            self._population.join(user)

    async def _sweep(self) -> None:
        context = self._context
        while True:
            planned = self.now() + SWEEP_EVERY
            await trio.sleep_until(planned)
            self._population.nudge()
            buckets = (context.buckets, context.joining)
            # Woken late: this process stood still, and what seems overdue may have been answered.
            if self.now() - planned > SHORTEST:
                await self._catch_up(buckets)
            for each in buckets:
                await expire_overdue(each, self.now())

    async def _catch_up(self, buckets: Sequence[DeadlineBuckets[Overdue]]) -> None:
        """After a stall of ours: what came meanwhile is read before anything is given up on for having taken too long."""
        for each in buckets:
            for thing, deadline in each.overdue(self.now()):
                thing.excuse(deadline)
        self._population.catch_up()
        # Others that slept have their turn before this task goes on.
        await trio.lowlevel.checkpoint()

    async def _watch_stop(self) -> None:
        await self.plan.stop.wait()
        self._state.interrupted = True
        self._end_early(STOP_GRACE)

    async def _tick(self) -> None:
        state, ticks = self._state, 0
        while True:
            ticks += 1
            await trio.sleep_until(self.times.tick(ticks))
            self._progress.tick()
            self._gc_pause.guard()
            if state.stage is Stage.MEASURE and ticks % SAMPLE_EVERY == 0:
                # Where ports are scarce it reads a long table of the kernel's.
                await self.plan.aside(self._watch.sample)
            if self.plan.sync.hands_on:
                # First: what is seen has then been handed on.
                self._context.recorder.flush()
            self.plan.observe(self._progress.progress(state.stage))
            gone = self._gone()
            # In a phase that was stopped, silence says nothing about the service.
            if gone is not None and not state.interrupted:
                state.gone = gone
                self._end_early(0.0)
            elif state.stage is not Stage.DRAIN:
                self._rejoin()
                self._give_up_hope()

    def _gone(self) -> str | None:
        """Why the service is gone, in words; None while it is there."""
        context, connections = self._context, self._population.connections()
        gone = self._liveness.update(
            self.now(),
            context.recorder.outcomes,
            unsent=context.unsent,
            joined=connections.opened,
            failed_joins=context.join_failures,
        )
        return gone if gone is None or connections.tls_fault is None else f"{gone}; {connections.tls_fault}"

    def _give_up_hope(self) -> None:
        state, recorder = self._state, self._context.recorder
        good, cancelled = recorder.outcomes[Outcome.OK], recorder.outcomes[Outcome.CANCELLED]
        state.hopeless = self._hopelessness.update(
            self.now(),
            good=good,
            failed=recorder.rows - good - cancelled - self._context.unsent,
            refused=self._context.failures.by_status(_REFUSALS),
            in_flight=len(self._context.buckets),
            measuring=state.stage is Stage.MEASURE,
        )
        if state.hopeless is not None:
            self._end_early(0.0)

    def _rejoin(self) -> None:
        """Let users that could not connect ahead try again, a bounded number at a time."""
        failed, before = self._context.failed_joins, self.now() - REJOIN_AFTER
        for _ in range(min(len(failed), _AT_A_TIME)):
            if failed[0][0] > before:
                break
            self._population.join(failed.popleft()[1])

    def _blocked(self, until: float) -> dict[str, int]:
        names = self.plan.names
        counts = dict.fromkeys(names, 0)
        for due, step in self._population.waiting():
            if self.times.measured_from <= due < until:
                counts[names[step]] += 1
        return counts

    def _result(self, until: float, blocked: dict[str, int]) -> PhaseRun:
        plan, context, state, names = self.plan, self._context, self._state, self.plan.names
        start, until = self.times.measured(until)
        unsent = [step for due, step in context.missed if start <= due < until]
        missed = self.arrivals.missed(len(names), start, until) + np.bincount(np.array(unsent, np.int64), minlength=len(names))
        connections = self._population.connections()
        assert state.health is not None
        return PhaseRun(
            name=plan.phase.name,
            started=self.times.began - plan.origin,
            measured_from=start - plan.origin,
            measured_until=until - plan.origin,
            ended=self.now() - plan.origin,
            users=len(self._population.users),
            due=total_by_name(names, self.arrivals.due(len(names), start, until)),
            blocked=blocked,
            missed=total_by_name(names, missed),
            sent_total=context.recorder.rows - context.unsent,
            delivered_total=context.delivered,
            connections_opened=connections.opened,
            reconnects=context.reconnects,
            retries=context.retries,
            redirects_followed=context.followed,
            sessions_reused=connections.sessions_reused,
            tls_fault=connections.tls_fault,
            ticks=tuple(self._progress.ticks),
            health=out_of(connections.lacking, state.health),
            interrupted=state.interrupted,
            service_gone=state.gone,
            hopeless=state.hopeless,
            stalls=self._stalls.since(plan.origin),
            failures=context.failures.found(plan.origin),
            values=context.values.found(plan.origin),
        )
