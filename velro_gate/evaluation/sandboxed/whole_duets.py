"""Whole duets of the sandbox, of both kinds in turn, from the null run and the pilot to the verdict.

Each has a folder of its own. One that reached its verdict is not measured again, but judged again from what it left.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from velro_gate import units
from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.recorded.bank_jobs import FOUND, FOUND_FROM, is_found
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.gate.builds.run import Builds
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.verdict import reach_duet_verdict, reread, write_reports
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.effects import sandbox_builds, sandbox_setup
from velro_gate.model.bank import UNCHANGED
from velro_gate.model.duet import DuetRecord
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict
from velro_gate.store.duets import read_duet

KINDS = (UNCHANGED, 0.20)
"""The slowdowns of the head build."""

_END = "verdict.json"


class MeasureDuet(Protocol):
    """Measures a duet and keeps its record in the folder, as ``gate.duet.duet`` does."""

    def __call__(  # noqa: D102 (the class says it)
        self,
        setup: Setup,
        builds: Builds,
        options: DuetOptions,
        results: Results,
        effects: Effects,
        calibration: Calibration,
        /,
    ) -> tuple[RunRecord, DuetRecord]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDuets:
    """Which whole duets to measure."""

    folder: Path
    """Holds a folder for each."""
    count: int
    """How many of each kind."""
    seed: int
    """Gives each duet its own."""
    shape: BlockShape
    scenario: Path | None = None
    """For the sandbox; None: the shipped one."""


def whole_duet_figures(asked: WholeDuets, world: Effects, *, measure: MeasureDuet = duet) -> Iterator[Figure]:
    """Measure those that are not there yet, kind by kind in turn so that none has the quieter hour; then the figures.

    Raises:
        InterruptedRunError: a signal ended the measuring; whole duets are kept. BrokenError: the sandbox cannot be started.
        RecordError: a kept duet cannot be read. OutputError, StorageError: a folder cannot be written.
    """
    ended: dict[float, list[Verdict]] = {slowdown: [] for slowdown in KINDS}
    calibration = Calibration()
    for number in range(1, asked.count + 1):
        for slowdown in KINDS:
            name = f"{number:03}-{'unchanged' if slowdown == UNCHANGED else f'plus-{units.format_whole(100.0 * slowdown)}'}"
            title = f"duet {number} of {asked.count}, {_kind(slowdown)}"
            folder = _whole(asked.folder, name)
            if folder is None:
                world.say(title)
                folder = _measured(asked, name, slowdown, world, calibration, measure)
            verdict, words = _judged(folder)
            world.say(f"{title}: {words}")
            ended[slowdown].append(verdict)
    for slowdown, verdicts in ended.items():
        yield from _figures(slowdown, verdicts)


def _whole(root: Path, name: str) -> Path | None:
    """The folder of a duet that reached its verdict; those of interrupted ones are next to it."""
    return next((folder for folder in sorted(root.glob(f"{name}*")) if (folder / _END).exists()), None)


def _measured(
    asked: WholeDuets, name: str, slowdown: float, world: Effects, calibration: Calibration, measure: MeasureDuet
) -> Path:
    setup = sandbox_setup(world, asked.scenario)
    results = make_results(asked.folder, name)
    seed = random.Random(f"{asked.seed}/{name}").randrange(2**32)
    options = DuetOptions(seed=seed, block=asked.shape.seconds, warm_up=asked.shape.warm_up)
    record, kept = measure(setup, sandbox_builds(slowdown), options, results, world, calibration)
    if record.interrupted:
        raise InterruptedRunError(
            "the duets were interrupted", where=str(results.folder), hint="Run the same command again: complete duets are kept."
        )
    write_reports(record, reach_duet_verdict(record, kept), results)
    return results.folder


def _judged(folder: Path) -> tuple[Verdict, str]:
    """The verdict, and how it ended in a few words."""
    record, kept = reread(folder), read_duet(folder)
    assert kept is not None
    verdict = reach_duet_verdict(record, kept)
    return verdict, f"{verdict.level.word} after {len(kept.duet.pairs)} pairs"


def _figures(slowdown: float, verdicts: Sequence[Verdict]) -> Iterator[Figure]:
    name, count = f"whole duets, {_kind(slowdown)}", len(verdicts)
    ended = Counter(verdict.level for verdict in verdicts)
    if slowdown >= FOUND_FROM:
        yield figure_of(name, "found", sum(map(is_found, verdicts)), count, Aim.AT_LEAST, FOUND)
    else:
        yield figure_of(name, "false fails", ended[Level.FAIL], count, Aim.AT_MOST, 0.0)
    for level in (Level.INCONCLUSIVE, Level.BROKEN):
        yield figure_of(name, level.word, ended[level], count, Aim.AT_MOST)


def _kind(slowdown: float) -> str:
    return f"service {units.format_change(slowdown)} slower" if slowdown else "A/A"
