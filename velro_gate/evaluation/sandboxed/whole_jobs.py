"""Whole jobs of the gate on the sandbox, from the screen to the verdict, with the base build available.

Two kinds in turn: an unchanged build while a neighbour is busy on the service's core for random thirds of the time, and a build
of which one step answers 10 % later on a quiet machine. Baselines of the unchanged build are made first. Each job has a folder
of its own; one that reached its verdict is not measured again, but judged again from what it left.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.results import Evaluated
from velro_gate.evaluation.sandboxed import busy_neighbour
from velro_gate.evaluation.sandboxed.whole_job_counts import JobEnd, end_of, slower_figures, unchanged_figures
from velro_gate.gate.builds.build import BuildRunner
from velro_gate.gate.builds.no_duet import no_duet_without_a_base
from velro_gate.gate.builds.run import BuildCommand, Builds
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.calibrate import calibrate
from velro_gate.gate.judge.confirm import INTERRUPTED, PENDING, Confirming, gated, phases_again, phases_side_by_side
from velro_gate.gate.judge.verdict import judge_kept, kept_further
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.run import run
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.effects import sandbox_builds, sandbox_setup
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.store.baselines import load_baselines

BASELINES = 5
"""Accepted runs before the jobs: with as many the noise is the runs' own and no longer the prior's."""
STEP, SLOWDOWN = "authorization_check", 0.16
"""The share by which the service's own time in this step grows. A response holds more than that: in a bank of 800 blocks p95
grew by .64 of it, so by 10 % here.
"""
_RAMP = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeJobs:
    """Which whole jobs to measure."""

    folder: Path
    """Holds a folder for each, and the baselines."""
    count: int
    """How many of each kind."""
    seed: int
    """Gives each job its own."""
    screen: float
    """Seconds measured in the screen's phase."""
    shape: BlockShape
    """How long the blocks of its duets are."""
    slowdown: float = SLOWDOWN
    """Share by which the service's own time in the slower step grows."""
    scenario: Path | None = None
    """For the sandbox; None: the shipped one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One kind of job."""

    name: str
    title: str
    """The name of its figures."""
    slower: bool = False
    """Whether one step of the head build is slower."""
    disturbed: bool = False
    """Whether a busy neighbour disturbs the runner."""


UNCHANGED = JobKind(name="unchanged", title="whole jobs, A/A, disturbed runner", disturbed=True)
SLOWER = JobKind(name="slower", title=f"whole jobs, {STEP} slower", slower=True)

MeasureJob = Callable[["Sandbox", JobKind, Results, int], None]
"""Measures one job and keeps it in the folder; the last argument is its seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What the jobs share."""

    asked: WholeJobs
    setup: Setup
    world: Effects
    baselines: Path
    core: int
    """The core that the service is pinned to."""
    calibration: Calibration

    def builds(self, kind: JobKind) -> Builds:
        """Both builds of a duet, each pinned to the service's core."""
        return sandbox_builds(self.asked.slowdown if kind.slower else 0.0, step=STEP, core=self.core)

    @contextmanager
    def serving(self, kind: JobKind, results: Results) -> Iterator[Setup]:
        """The head build, while the ``with`` block lasts, and the setup against it."""
        head = self.builds(kind).head
        assert isinstance(head, BuildCommand)
        builder = BuildRunner(
            workspace=head.directory,
            build="",
            start=head.line,
            health_path=None,
            seconds=60.0,
            environ=self.world.environ,
        )
        with builder.serving(self.setup, results) as served:
            yield served


def whole_job_figures(asked: WholeJobs, world: Effects, *, measure: MeasureJob | None = None) -> Iterator[Evaluated]:
    """Make the baselines and the jobs that are not there yet, kind by kind in turn; then the figures.

    world: the sandbox's. measure: of a job; for tests.

    Raises:
        InterruptedRunError: a signal ended the measuring; whole jobs are kept. BrokenError: the sandbox cannot be started, or a
        baseline cannot be trusted. RecordError: a kept job cannot be read. OutputError, StorageError: a folder cannot be
        written.
    """
    sandbox = _sandbox(asked, world)
    if measure is None:
        _make_baselines(sandbox)
    ends: dict[str, list[JobEnd]] = {UNCHANGED.name: [], SLOWER.name: []}
    for number in range(1, asked.count + 1):
        for kind in (UNCHANGED, SLOWER):
            name, title = f"{number:03}-{kind.name}", f"job {number} of {asked.count}, {kind.name}"
            folder = _whole(asked.folder, name)
            if folder is None:
                world.say(title)
                results = make_results(asked.folder, name)
                (measure or measure_job)(sandbox, kind, results, random.Random(f"{asked.seed}/{name}").randrange(2**32))
                folder = results.folder
            end = _ended(folder, sandbox.baselines)
            world.say(f"{title}: {end.words}")
            ends[kind.name].append(end)
    yield from unchanged_figures(UNCHANGED.title, ends[UNCHANGED.name])
    yield from slower_figures(SLOWER.title, STEP, ends[SLOWER.name])


def measure_job(sandbox: Sandbox, kind: JobKind, results: Results, seed: int) -> None:
    """One job, as the gate does it: the screen, then what it leaves open side by side with the base build.

    Raises:
        InterruptedRunError: a signal ended it.
    """
    asked, world, calibration = sandbox.asked, sandbox.world, sandbox.calibration
    options = DuetOptions(seed=seed, block=asked.shape.seconds, warm_up=asked.shape.warm_up, pilot=False)

    def side_by_side(smaller: Setup, place: Results) -> tuple[RunRecord, DuetRecord]:
        """A duet with the unchanged sandbox as base build."""
        with no_duet_without_a_base():
            return duet(smaller, sandbox.builds(kind), options, place, world, None)

    with _neighbour(sandbox.core, seed) if kind.disturbed else nullcontext():
        with sandbox.serving(kind, results) as served:
            record = run(served, results, world, calibration)
        together = partial(phases_side_by_side, setup=sandbox.setup, results=results, effects=world, measure=side_by_side)
        alone = partial(phases_again, setup=sandbox.setup, results=results, effects=world, calibration=calibration)
        confirming = Confirming(again=alone, side_by_side=together)
        _, further = gated(record, results, baselines=sandbox.baselines, waivers=None, confirming=confirming, say=world.say)
    if record.interrupted or (further is not None and INTERRUPTED in further.missing.values()):
        raise InterruptedRunError(
            "the jobs were interrupted", where=str(results.folder), hint="Run the same command again: complete jobs are kept."
        )


def _sandbox(asked: WholeJobs, world: Effects) -> Sandbox:
    made = sandbox_setup(world, asked.scenario)
    # What is asked is what the comparison finds: a limit that a disturbed service misses would fail it rightly.
    phases = tuple(
        replace(phase, ramp=min(phase.ramp, _RAMP), duration=asked.screen, requirements=(), experiments=())
        for phase in made.phases
    )
    digest = hashlib.sha256(f"{made.plan.digest}/jobs/{asked.screen!r}".encode()).hexdigest()
    return Sandbox(
        asked=asked,
        setup=replace(made, plan=replace(made.plan, phases=phases, digest=digest)),
        world=world,
        baselines=asked.folder / "baselines",
        core=max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        calibration=Calibration(),
    )


def _make_baselines(sandbox: Sandbox) -> None:
    """Five runs of the unchanged build on a quiet machine, unless they are there."""
    plan, world = sandbox.setup.plan, sandbox.world
    sandbox.baselines.mkdir(parents=True, exist_ok=True)
    stored = load_baselines(sandbox.baselines, plan=plan, environment=world.environment())
    missing = BASELINES - len(stored.accepted)
    if missing <= 0:
        return
    results = make_results(sandbox.asked.folder, "calibration")
    calibrate(
        lambda: sandbox.serving(replace(UNCHANGED, disturbed=False), results),
        runs=missing,
        output=results.folder,
        baselines=sandbox.baselines,
        effects=world,
        calibration=sandbox.calibration,
    )


def _whole(root: Path, name: str) -> Path | None:
    """The folder of a job that reached its verdict; those of interrupted ones are next to it."""
    return next((folder for folder in sorted(root.glob(f"{name}*")) if _is_whole(folder)), None)


def _is_whole(folder: Path) -> bool:
    if not (folder / "verdict.json").exists():
        return False
    further = kept_further(folder)
    said: Sequence[str] = [] if further is None else list(further.missing.values())
    return PENDING not in said and INTERRUPTED not in said


def _ended(folder: Path, baselines: Path) -> JobEnd:
    record, verdict = judge_kept(folder, baselines)
    further = kept_further(folder)
    return end_of(record, None if further is None else further.duet, verdict)


@contextmanager
def _neighbour(core: int, seed: int) -> Iterator[None]:
    """A busy neighbour on this core, while the ``with`` block lasts."""
    command = [sys.executable, "-I", "-S", busy_neighbour.__file__, str(core), str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
