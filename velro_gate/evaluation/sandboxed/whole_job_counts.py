"""How whole jobs of the gate ended, counted: unchanged builds on a disturbed runner, and builds of which one step is slower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from velro_gate.evaluation.bounds import amount_of, figure_of
from velro_gate.evaluation.recorded.bank_jobs import is_found
from velro_gate.evaluation.results import Aim, Evaluated
from velro_gate.model.duet import DuetRecord
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Level, Verdict
from velro_gate.units import format_decimal

MOST_BLOCKED, LEAST_FOUND = 0.1, 0.9
"""Of unchanged builds on a disturbed runner, and of builds with a slower step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How one job ended."""

    verdict: Verdict
    seconds: float
    """Seconds of load, those of the screen and of the duet."""
    duet: bool

    @property
    def failed(self) -> bool:
        """Whether the gate said no."""
        return self.verdict.level is Level.FAIL

    @property
    def blocked(self) -> bool:
        """Whether the merge waits though nothing was found: suspicious or broken."""
        return not self.failed and self.verdict.exit_code(block_inconclusive=Policy().block_inconclusive) != 0

    @property
    def words(self) -> str:
        """``pass after the duet, 2.1 min of load``."""
        minutes = format_decimal(self.seconds / 60.0, 1)
        return f"{self.verdict.level.word} after the {'duet' if self.duet else 'screen'}, {minutes} min of load"


def end_of(record: RunRecord, duet: DuetRecord | None, verdict: Verdict) -> JobEnd:
    """How a job ended, from what it has kept."""
    seconds = sum(phase.ramp + phase.duration for phase in record.plan.phases)
    if duet is not None:
        names = {phase.name for pair in duet.duet.pairs for phase in pair.base.phases}
        seconds += 2.0 * len(duet.duet.pairs) * (duet.warm_up * len(names) + duet.block_seconds)
    return JobEnd(verdict=verdict, seconds=seconds, duet=duet is not None)


def unchanged_figures(name: str, ends: Sequence[JobEnd]) -> Iterator[Evaluated]:
    """Of jobs in which nothing had changed."""
    yield figure_of(name, "false fails", sum(end.failed for end in ends), len(ends), Aim.AT_MOST, 0.0)
    yield figure_of(name, "blocked", sum(end.blocked for end in ends), len(ends), Aim.AT_MOST, MOST_BLOCKED)
    yield from _cost(name, ends)


def slower_figures(name: str, step: str, ends: Sequence[JobEnd]) -> Iterator[Evaluated]:
    """Of jobs in which this step was slower; and by how much its p95 was, in the duets."""
    found = sum(is_found(end.verdict) for end in ends)
    yield figure_of(name, "found", found, len(ends), Aim.AT_LEAST, LEAST_FOUND)
    yield figure_of(name, "blocked", sum(end.blocked for end in ends), len(ends), Aim.AT_MOST)
    moved = [100.0 * change for end in ends if (change := _change(end.verdict, step)) is not None]
    if moved:
        yield amount_of(name, f"p95 of {step} slower by", np.array(moved), "%", Aim.AT_LEAST)
    yield from _cost(name, ends)


def _change(verdict: Verdict, step: str) -> float | None:
    """The relative change of the step's p95 in the duet; None without a duet."""
    return next((row.change for row in verdict.comparisons if row.pairs and (row.step, row.metric) == (step, TAIL)), None)


def _cost(name: str, ends: Sequence[JobEnd]) -> Iterator[Evaluated]:
    yield figure_of(name, "went to the duet", sum(end.duet for end in ends), len(ends), Aim.AT_MOST)
    yield amount_of(name, "load", np.array([end.seconds / 60.0 for end in ends]), "min", Aim.AT_MOST)
