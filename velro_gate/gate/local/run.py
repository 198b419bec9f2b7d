"""Measuring one build from a terminal: the run, its verdict, and what looks worse measured again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from velro_gate.errors import InterruptedRunError, UsageError
from velro_gate.gate.builds.build import ANYWHERE, BuildRunner
from velro_gate.gate.builds.no_duet import no_duet_without_a_base
from velro_gate.gate.builds.run import Build, Builds, RunningBuild
from velro_gate.gate.duet.duration import say_forecast
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.gate.judge.confirm import Confirming, RunAgain, gated, phases_again, phases_side_by_side, was_interrupted
from velro_gate.gate.judge.verdict import kept_further, reread_run
from velro_gate.gate.measure.effects import Effects, World
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results, run_id
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare

if TYPE_CHECKING:
    from velro_gate.model.duet import DuetRecord
    from velro_gate.model.record import RunRecord
    from velro_gate.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmable:
    """How a suspicion may be confirmed."""

    seconds: float
    """Time limit for measuring again."""
    seed: int
    base: Build | None = None
    """The base build, with its duet's seed; None: this build is run again alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedService:
    """A service that is started for the run and stopped after it."""

    line: str
    """A line of shell that serves on the port in PORT."""
    folder: Path

    @contextmanager
    def serving(self, setup: Setup, results: Results, world: World) -> Iterator[Setup]:
        """The setup against the service, started behind the scenario's fault proxies; gone when the ``with`` block ends."""
        runner = BuildRunner(
            workspace=self.folder, build="", start=self.line, health_path=None, seconds=0.0, environ=world.environ
        )
        with runner.serving(setup, results) as served:
            yield served


@contextmanager
def _served(service: StartedService | None, setup: Setup, results: Results, world: World) -> Iterator[Setup]:
    if service is None:
        yield setup
        return
    with service.serving(setup, results, world) as served:
        yield served


def _prepared(wanted: RunOptions, world: World, service: StartedService | None) -> Setup:
    """The setup of a run; of a service that is started, the address is only known later."""
    if service is None:
        return prepare(wanted, world.environ)
    if wanted.url is not None:
        raise UsageError(
            "--start-command and --url contradict each other",
            where=wanted.url,
            hint="A service that is started here serves on the port in PORT. Leave --url out, or start the service yourself.",
        )
    return prepare(wanted, {**ANYWHERE, **world.environ})


def measure(
    wanted: RunOptions, output: Path, world: World, *, calibrate: bool = True, service: StartedService | None = None
) -> tuple[RunRecord, Results]:
    """Run the load; an interrupted run comes back marked as such.

    calibrate: measure the generator alone first. service: what is started for it; None: it runs already.

    Raises:
        UsageError: a service that is started is said to be elsewhere.
    """
    setup = _prepared(wanted, world, service)
    with world.open() as effects:
        name = run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile)
        results = make_results(output, name)
        with _served(service, setup, results, world) as served:
            return run(served, results, effects, Calibration() if calibrate else None), results


def measure_and_judge(
    wanted: RunOptions,
    output: Path,
    world: World,
    *,
    calibrate: bool,
    baselines: Path,
    waivers: Path,
    confirm: Confirmable | None,
    require_baseline: bool = False,
    service: StartedService | None = None,
) -> tuple[RunRecord, Verdict, Results]:
    """Run the load, judge it, and measure suspicious phases again (confirm: None: judge it alone).

    service: what is started for it; None: it runs already.

    Raises:
        UsageError: the base build cannot be measured side by side with this one, or the waivers are invalid; or a service that
            is started is said to be elsewhere.
        InterruptedRunError: the run, or running it again, was interrupted; what there is has been kept and judged.
    """
    setup = _prepared(wanted, world, service)
    if require_baseline:
        setup = setup.requiring_baseline()
    check_waivers(waivers, setup.scenario)
    with world.open() as effects:
        results = make_results(output, run_id(effects.utc_now(), setup.plan.scenario, setup.plan.profile))
        calibration = Calibration() if calibrate else None
        with _served(service, setup, results, world) as served:
            confirming = None if confirm is None else _confirming(confirm, served, results, effects, calibration)
            record = run(served, results, effects, calibration)
            verdict, further = gated(
                record, results, baselines=baselines, waivers=waivers, confirming=confirming, say=effects.say
            )
    stop_if_interrupted(record, results)
    if was_interrupted(further):
        raise InterruptedRunError("the run was interrupted while suspicious phases were run again", where=str(results.folder))
    return record, verdict, results


def confirm_kept(
    folder: Path,
    wanted: RunOptions,
    world: World,
    *,
    calibrate: bool,
    baselines: Path,
    waivers: Path,
    seconds: float,
) -> tuple[RunRecord, Verdict, Results]:
    """Run the suspicious phases of a kept run twice more, here and now, and judge it by all of them.

    Raises:
        RecordError: the folder holds no run. UsageError: it was confirmed before, or is of another plan.
        InterruptedRunError: the user stopped; what there is has been kept and judged.
    """
    setup = prepare(wanted, world.environ)
    check_waivers(waivers, setup.scenario)
    record, results = reread_run(folder), Results(folder=folder if folder.is_dir() else folder.parent)
    theirs, ours = record.plan, setup.plan
    if (theirs.scenario, theirs.profile, theirs.digest) != (ours.scenario, ours.profile, ours.digest):
        raise UsageError(
            "the kept run is of another plan",
            where=str(folder),
            why=f"it is {theirs.scenario}/{theirs.profile} (digest {theirs.digest[:7]}), and this is {ours.scenario}/"
            f"{ours.profile} (digest {ours.digest[:7]})",
            hint="Name the scenario, profile and phases that it was made with.",
        )
    kept = kept_further(folder)
    if kept is not None and (kept.runs or kept.duet is not None):
        raise UsageError(
            "the kept run was measured again before", where=str(folder), hint="'velro-gate judge' shows the result."
        )
    with world.open() as effects:
        calibration = Calibration() if calibrate else None
        again = partial(phases_again, setup=setup, results=results, effects=effects, calibration=calibration)
        confirming = Confirming(again=again, seconds=seconds, second_job=True)
        verdict, further = gated(record, results, baselines=baselines, waivers=waivers, confirming=confirming, say=effects.say)
    if was_interrupted(further):
        raise InterruptedRunError("the run was interrupted while suspicious phases were run again", where=str(results.folder))
    return record, verdict, results


def _confirming(
    confirm: Confirmable, setup: Setup, results: Results, effects: Effects, calibration: Calibration | None
) -> Confirming:
    alone: RunAgain = partial(phases_again, setup=setup, results=results, effects=effects, calibration=calibration)
    if confirm.base is None:
        return Confirming(again=alone, seconds=confirm.seconds)
    target = setup.scenario.target
    if target.unix_socket is not None:
        raise UsageError(
            "a build behind a Unix socket cannot be measured side by side with another one",
            where=target.unix_socket,
            hint="Give the service an address with --url, or leave the base build out.",
        )
    builds = Builds(base=confirm.base, head=RunningBuild(url=target.url, revision=effects.revision()))
    builds.check()
    options = DuetOptions(seed=confirm.seed, most_seconds=confirm.seconds)

    def side_by_side(smaller: Setup, folder: Results) -> tuple[RunRecord, DuetRecord]:
        """Measure the suspicious phases in a duet of both builds."""
        with no_duet_without_a_base():
            say_forecast(smaller.phases, options, effects.say)
            return duet(smaller, builds, options, folder, effects, calibration)

    together = partial(phases_side_by_side, setup=setup, results=results, effects=effects, measure=side_by_side)
    return Confirming(again=alone, side_by_side=together, seconds=confirm.seconds)


def stop_if_interrupted(record: RunRecord, results: Results) -> None:
    """End the command when its run was interrupted; everything that was measured is kept by now.

    Raises:
        InterruptedRunError: naming the folder of the partial record.
    """
    if record.interrupted:
        raise InterruptedRunError("the run was interrupted", where=str(results.folder))
