"""Search for the most load that meets the requirements: stretches of constant load, one after another."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from velro_gate import units
from velro_gate.analysis.capacity.estimate import by_load, capacity_of
from velro_gate.analysis.capacity.scalability import fit_scalability
from velro_gate.analysis.capacity.scoring import Drowning, load_requirements, trial_of
from velro_gate.analysis.capacity.search import Done, SearchRules, TrialStep, load_bounds, next_trial
from velro_gate.analysis.verdict.judge_duet import block_doubts
from velro_gate.cluster.attending import known_errors
from velro_gate.cluster.forecast import OF_CAPACITY
from velro_gate.engine.client.preflight import preflight
from velro_gate.errors import BrokenError, InfeasibleError, InterruptedRunError, UnreachableError, UsageError
from velro_gate.gate.measure.capacity.record import Carried, capacity_record
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results, RunLog
from velro_gate.gate.measure.run import make_room, run_trio, stop_on_signal, summaries, watched_load
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit, Trial
from velro_gate.model.masking import secret_values
from velro_gate.model.metrics import METRICS
from velro_gate.model.run import LoadResult, Progress, Reading, RunFacts
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import ALL_STEPS, OpenArrivals, Phase
from velro_gate.model.verdict import Trust
from velro_gate.report.sentences.findings import words
from velro_gate.store.capacity import write_capacity
from velro_gate.store.records import write_record

RAMP = 2.0
"""Seconds in which users connect and the rate rises, before each measured stretch."""

JOINS_A_SECOND = 3_000.0
"""Users that connect in a second of a trial's ramp: more would overflow accept queues, and their retries would be measured."""
PAUSE = 1.0
"""Seconds between two trials at least, in which the service works off what the last one has left."""
LONGEST_PAUSE = 10.0
"""Seconds between two stretches: for what the first one left in the service."""

FEWEST_OF_PLAN, MOST_OF_PLAN = 1.0 / 64.0, 32.0
"""Of the plan's own load: how far a search goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityOptions:
    """What somebody chose about a search."""

    seconds: float
    """Time limit of the whole search."""
    unit: LoadUnit | None = None
    """What is varied; None: the rate where the plan has one, else the users."""
    start: float | None = None
    """The first load; None: half of the plan's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """The phase whose requirements are searched with, as it is at another load."""

    phase: Phase
    unit: LoadUnit
    """What is varied: the rate only where the phase has one."""

    @property
    def wanted(self) -> float:
        """The plan's own load."""
        rate = self.phase.arrival_rate
        return float(self.phase.users) if self.unit is LoadUnit.USERS or rate is None else rate

    def at(self, load: float, seconds: float) -> Phase:
        """The phase at this load, measured for that many seconds."""
        arrivals, users = self.phase.arrivals, self.phase.users
        if self.unit is LoadUnit.USERS:
            if isinstance(arrivals, OpenArrivals):
                arrivals = replace(arrivals, rate=arrivals.rate * load / users)
            users = round(load)
        else:
            assert isinstance(arrivals, OpenArrivals), "checked before"
            arrivals = replace(arrivals, rate=load)
            # Each user waits for its answer: enough of them that their waiting is no limit of its own.
            slowest = self.phase.tightest_latency_limit or 1.0
            users = max(users, math.ceil(3.0 * load * slowest))
        ramp = max(RAMP, users / JOINS_A_SECOND)
        # Nothing is broken on purpose while capacity is searched for.
        return replace(self.phase, users=users, arrivals=arrivals, ramp=ramp, duration=seconds, experiments=())

    def rules(self, options: CapacityOptions) -> SearchRules:
        """The bounds of the search."""
        rate, wanted = self.phase.arrival_rate, self.wanted
        least = max(wanted * FEWEST_OF_PLAN, 1.0)
        most = wanted * MOST_OF_PLAN
        of_one = 1.0 if self.unit is LoadUnit.RATE else (rate / self.phase.users if rate is not None else 1.0)
        return SearchRules(
            start=min(max(options.start or wanted / 2.0, least), most),
            least=least,
            most=most,
            seconds=options.seconds,
            overhead=max(RAMP, self.phase.users / JOINS_A_SECOND) + PAUSE,
            rate_of_one=of_one,
            whole=self.unit is LoadUnit.USERS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How a search reaches the service: sends one stretch of load, asks for its health, and waits."""

    load: Callable[..., Awaitable[tuple[LoadResult, tuple[Reading, ...]]]] = watched_load
    health: Callable[..., Awaitable[object]] = preflight
    sleep: Callable[[float], Awaitable[object]] = trio.sleep


REAL = Measuring()


def load_plan(setup: Setup, unit: LoadUnit | None) -> LoadPlan:
    """The phase to search with: the only one, or the one of most users.

    Raises:
        UsageError: no requirement of it can be missed by too much load, or it has no rate to vary.
    """
    phase = max(setup.phases, key=lambda one: one.users)
    if not load_requirements(phase):
        raise UsageError(
            f"the phase {phase.name} has no requirement that more load could miss",
            hint="Give it a limit on p95 or on the error rate, or choose another phase with --phase.",
        )
    chosen = unit or (LoadUnit.RATE if phase.arrival_rate is not None else LoadUnit.USERS)
    if chosen is LoadUnit.RATE and phase.arrival_rate is None:
        raise UsageError(f"the phase {phase.name} has no rate to vary", hint="Vary its users: --by users.")
    return LoadPlan(phase=phase, unit=chosen)


def find_capacity(
    setup: Setup, options: CapacityOptions, results: Results, effects: Effects, measuring: Measuring = REAL
) -> CapacityResult:
    """Search, and keep the result in the results folder, with a record that can be judged like a run's if it found anything.

    Raises:
        UsageError: there is nothing to search with. UnreachableError: no healthy service. InfeasibleError: this machine cannot
            even carry out the plan's own load. InterruptedRunError: a signal ended the search; what was tried is kept.
    """
    setup = replace(setup, cluster=effects.cluster)
    plan = load_plan(setup, options.unit)
    hidden = [*setup.secrets.values(), *secret_values(effects.environ)]
    started = effects.utc_now()
    with RunLog(results, hidden) as log:
        search = _Search(setup, plan, options, effects, log, measuring)
        run_trio(search.run)
        found = search.result()
        write_capacity(results.folder, found)
        record = capacity_record(
            setup, found, search.carried, effects, name=results.folder.name, started=started, hidden=hidden
        )
        if record is not None and not search.interrupted:
            write_record(results.folder, record, RunFacts(phases=(), readings=(), layers=()))
    if search.interrupted:
        raise InterruptedRunError("the search was interrupted; what was tried is kept", where=str(results.folder))
    return found


class _Search:
    """One search under way."""

    def __init__(
        self,
        setup: Setup,
        plan: LoadPlan,
        options: CapacityOptions,
        effects: Effects,
        log: logging.Logger,
        measuring: Measuring,
    ) -> None:
        self.interrupted = False
        self.carried: list[Carried] = []
        self._setup = setup
        self._plan = plan
        self._rules = plan.rules(options)
        self._effects = effects
        self._log = log
        self._measuring = measuring
        self._trials: list[Trial] = []
        self._ending = Ending.STOPPED
        self._reason = ""
        self._doubted: set[float] = set()
        """Loads of trials that could not be trusted."""

    async def run(self) -> None:
        """Try load after load until there is nothing more to try."""
        stop = trio.Event()
        await self._measuring.health(self._setup.scenario.target, wait_seconds=self._setup.start_seconds)
        async with trio.open_nursery() as nursery:
            if self._effects.signals:
                nursery.start_soon(stop_on_signal, self._effects.signals, stop, self._effects.say)
            await self._try_loads(stop)
            self.interrupted = stop.is_set()
            nursery.cancel_scope.cancel()

    async def _try_loads(self, stop: trio.Event) -> None:
        began = trio.current_time()
        while not stop.is_set():
            step = next_trial(self._trials, self._rules, spent=trio.current_time() - began)
            if isinstance(step, Done):
                self._ending = step.ending
                return
            try:
                async with known_errors():
                    trial, carried, doubt = await self._trial(step, stop)
            except InfeasibleError as error:
                if not self._trials:
                    raise
                self._ending, self._reason = Ending.GENERATOR, error.what
                return
            except BrokenError as error:
                # A worker of a cluster was lost. What was tried before is kept.
                if not self._trials:
                    raise
                self._reason = error.what
                return
            if stop.is_set():
                # Cut short by us, not by the service.
                return
            if doubt is not None and self._beyond(step.load) and step.load in self._doubted:
                self._ending, self._reason = Ending.GENERATOR, doubt
                return
            if doubt is not None:
                self._doubted.add(step.load)
                self._effects.say(f"{self._load(step.load)}: could not be measured, and is tried again: {doubt}")
            else:
                self._trials.append(trial)
                self.carried.append(carried)
                self._say(trial)
            try:
                await self._recover(trial)
            except UnreachableError as error:
                self._reason = error.why or str(error)
                return

    def _beyond(self, load: float) -> bool:
        """Whether a load is above all that was tried: if it is doubted twice, the generator has reached its limit."""
        return all(trial.load < load for trial in self._trials)

    async def _trial(self, step: TrialStep, stop: trio.Event) -> tuple[Trial, Carried, str | None]:
        phase = self._plan.at(step.load, step.seconds)
        number = len(self._trials) + 1
        seed = self._setup.scenario.seed + number
        setup = replace(
            self._setup,
            scenario=replace(self._setup.scenario, seed=seed),
            plan=replace(self._setup.plan, phases=(phase,)),
        )
        shards = make_room(setup, replace(self._effects, say=self._log.info), self._log, kept=OF_CAPACITY)
        drowning = Drowning(phase.tightest_latency_limit)
        ended = trio.Event()
        parts: list[Samples] = []

        def observe(progress: Progress) -> None:
            """Show the trial as a phase, and end it where the service drowns."""
            title = f"{phase.name}, {self._load(step.load)}"
            # How many there will be depends on what they show.
            self._effects.observe(replace(progress, phase=title, phase_number=number, phase_count=0))
            if drowning.seen(progress):
                ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow, stop, ended)
            result, readings = await self._measuring.load(
                setup,
                shards,
                sink=lambda _, samples: parts.append(samples),
                observe=observe,
                log=self._log,
                note=partial(self._log.warning, "%s"),
                stop=ended,
            )
            nursery.cancel_scope.cancel()
        facts = RunFacts(phases=result.phases, readings=readings, layers=result.layers)
        summary = summaries(setup.plan, facts, {phase.name: Samples.concatenate(parts)})[0]
        tried = trial_of(step.load, load_requirements(self._plan.phase), summary, result.phases[0])
        trial = replace(tried, bottleneck=next(iter(summary.bottlenecks), None))
        self._log.info("%s", trial)
        broken = [one for one in block_doubts((phase,), (summary,)) if one.trust is Trust.BROKEN]
        carried = Carried(phase=phase, summary=summary, met=trial.score <= 0.0 and summary.complete)
        return trial, carried, (words(broken[0]).sentence if broken and not trial.drowned else None)

    async def _recover(self, trial: Trial) -> None:
        """Wait until what a stretch has left in the service must have been worked off."""
        left = (trial.concurrency or 0.0) / trial.throughput if trial.drowned and trial.throughput else 0.0
        await self._measuring.sleep(min(PAUSE + 2.0 * left, LONGEST_PAUSE))
        await self._measuring.health(self._setup.scenario.target, wait_seconds=LONGEST_PAUSE)

    def _load(self, load: float) -> str:
        return units.format_rate(load) if self._plan.unit is LoadUnit.RATE else f"{units.format_count(load)} users"

    def _say(self, trial: Trial) -> None:
        how = "the service falls behind" if trial.drowned else f"p95 {units.format_seconds(trial.p95)}"
        found = f"misses the requirements{_missed(trial)}" if trial.score > 0.0 else "meets the requirements"
        self._effects.say(f"{self._load(trial.load)}: {found}, {how}")

    def result(self) -> CapacityResult:
        """The result of the search."""
        trials = tuple(self._trials)
        met, missed = load_bounds(by_load(trials)) if trials else (None, None)
        points = [(one.concurrency, one.throughput) for one in trials if one.concurrency]
        return CapacityResult(
            unit=self._plan.unit,
            phase=self._plan.phase.name,
            ending=self._ending,
            capacity=capacity_of(trials),
            met=None if met is None else met.load,
            missed=None if missed is None else missed.load,
            wanted=self._plan.wanted,
            trials=trials,
            # Where no load was too much, the law would be drawn far beyond all that was measured.
            scalability=fit_scalability(points) if missed is not None else None,
            reason=self._reason,
        )


def _missed(trial: Trial) -> str:
    """Which of them decided: `` (p95 of list_items)``; it may be one that falls with the load, such as a hit rate."""
    if trial.figure is None:
        return ""
    step = "" if trial.figure.step == ALL_STEPS else f" of {trial.figure.step}"
    return f" ({METRICS[trial.figure.metric].label}{step})"


async def _follow(stop: trio.Event, ended: trio.Event) -> None:
    """End the stretch when the whole search is to end."""
    await stop.wait()
    ended.set()
