"""Whether bottlenecks are reported for the right reason: known causes on the embedded sandbox, and runs without any."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from velro_gate.errors import InterruptedRunError, UsageError
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Evaluated
from velro_gate.evaluation.sandboxed.injections import AT, CLEAN, INJECTIONS, Injection, InjectionPlace, redis_server
from velro_gate.evaluation.sandboxed.seams import MeasureRun, StartSandbox
from velro_gate.gate.judge.verdict import reread
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.gate.sandboxed.effects import SCENARIO
from velro_gate.model.run import Progress, Stage
from velro_gate.model.scenario import OpenArrivals
from velro_gate.sandbox.process import running_sandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.records import RECORD

FOUND = 0.9
"""The share of runs in which an injected cause must be reported first."""

RATE, USERS = 300.0, 600
"""Requests a second, that the sandbox can serve with half a core; users enough for a queue to grow."""

RAMP, SECONDS = 2.0, 13.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRuns:
    """Runs of the sandbox with a cause injected into each, and runs without one."""

    folder: Path
    """Of the runs; those that are there are not made again."""
    count: int
    """Runs of each cause."""
    clean: int
    """Runs without a cause."""
    only: tuple[str, ...] = ()
    """Names of the causes; empty: all of them."""

    @property
    def wanted(self) -> tuple[Injection, ...]:
        """The causes to try.

        Raises:
            UsageError: there is no cause of that name.
        """
        known = {one.name: one for one in INJECTIONS}
        unknown = [name for name in self.only if name not in (*known, CLEAN.name)]
        if unknown:
            raise UsageError(f"there is no cause {unknown[0]!r}", hint=f"Choose from: {', '.join(known)}, {CLEAN.name}.")
        return tuple(one for one in INJECTIONS if not self.only or one.name in self.only)


def cause_figures(
    asked: CauseRuns, world: Effects, *, measure: MeasureRun = run, start: StartSandbox = running_sandbox
) -> Iterator[Evaluated]:
    """Make the runs that are not there yet, in turn; then how often each cause is reported first, and how often without one.

    Raises:
        UsageError: there is no such cause, or no redis-server. InterruptedRunError: a signal ended it; whole runs are kept.
    """
    reported: dict[str, list[tuple[str, ...]]] = {one.name: [] for one in (*asked.wanted, CLEAN)}
    clean = asked.clean if not asked.only or CLEAN.name in asked.only else 0
    # In turn, and not cause after cause: what the machine does meanwhile then meets all of them alike.
    for number in range(1, max(asked.count, clean) + 1):
        turn = [*(asked.wanted if number <= asked.count else ()), *((CLEAN,) if number <= clean else ())]
        for cause in turn:
            codes = _codes(asked.folder, cause, number, partial(_measured, world=world, measure=measure, start=start))
            world.say(f"{cause.name} {number}: {', '.join(codes) or 'nothing reported'}")
            reported[cause.name].append(codes)
    for cause in asked.wanted:
        runs = reported[cause.name]
        if runs:
            first = sum(codes[:1] == (cause.code,) for codes in runs)
            yield figure_of(f"bottleneck {cause.name}", f"{cause.code} first", first, len(runs), Aim.AT_LEAST, FOUND)
            seen = sum(cause.code in codes for codes in runs)
            yield figure_of(f"bottleneck {cause.name}", "reported at all", seen, len(runs), Aim.AT_LEAST)
    if reported[CLEAN.name]:
        runs = reported[CLEAN.name]
        yield figure_of("bottleneck clean", "anything reported", sum(map(bool, runs)), len(runs), Aim.AT_MOST, 0.0)


def _codes(root: Path, cause: Injection, number: int, make: Callable[[Path, str, Injection, int], Path]) -> tuple[str, ...]:
    """What a run reports, the likeliest cause first. It is summarised again, so that rules can be changed afterwards."""
    name = f"{cause.name}-{number:03}"
    folder = next((one for one in sorted(root.glob(f"{name}*")) if (one / RECORD).exists()), None)
    if folder is None:
        folder = make(root, name, cause, number)
    return tuple(found.code for found in reread(folder).phases[0].bottlenecks)


def _measured(
    root: Path, name: str, cause: Injection, seed: int, *, world: Effects, measure: MeasureRun, start: StartSandbox
) -> Path:
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server()) if cause.needs_redis else None
        settings = Settings(port=0, seed=seed, redis_url=None if redis is None else redis[0], **cause.settings)
        sandbox = stack.enter_context(start(settings))
        place = InjectionPlace(sandbox=sandbox, redis=None if redis is None else redis[1], stack=stack, over=ended.is_set)
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        kept = {name: value for name, value in world.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
        setup = _watched(prepare(RunOptions(scenario=shipped_scenario(SCENARIO)), {**kept, **environ}), redis, seed)
        results = make_results(root, name)
        acting = _Acting(cause, place)
        # Undone before the sandbox ends, which is further down the stack.
        stack.callback(acting.join)
        stack.callback(ended.set)
        cause.before(place)
        record = measure(setup, results, replace(world, observe=acting.observer(world)))
        ended.set()
    if record.interrupted:
        (results.folder / RECORD).unlink(missing_ok=True)
        raise InterruptedRunError("the runs were interrupted", where=str(root), hint="Run the same command again.")
    return results.folder


def _watched(setup: Setup, redis: tuple[str, int] | None, seed: int) -> Setup:
    """The plan of a short run, with all that can be watched of the sandbox."""
    phase = replace(
        setup.plan.phases[0], users=USERS, ramp=RAMP, duration=SECONDS, arrivals=OpenArrivals(rate=RATE), requirements=()
    )
    watch = () if redis is None else (("redis", redis[0]),)
    target = replace(setup.scenario.target, metrics_path="/metrics", watch=watch)
    scenario = replace(setup.scenario, target=target, seed=setup.scenario.seed + seed)
    return replace(setup, scenario=scenario, plan=replace(setup.plan, phases=(phase,)))


class _Acting:
    """Injects a cause AT seconds into the measured stretch, in a thread: the load goes on meanwhile."""

    def __init__(self, cause: Injection, place: InjectionPlace) -> None:
        self._thread = threading.Thread(target=cause.act, args=(place,), daemon=True)
        self._started = False

    def observer(self, world: Effects) -> Callable[[Progress], None]:
        """Looks at the progress that is passed on."""

        def observe(progress: Progress) -> None:
            """Start the injection in time for its instant, once the measured stretch has begun."""
            if not self._started and progress.stage is Stage.MEASURE and progress.elapsed >= RAMP + AT - 0.5:
                self._started = True
                self._thread.start()
            world.observe(progress)

        return observe

    def join(self) -> None:
        """Wait for what was begun."""
        if self._started:
            self._thread.join(10.0)
