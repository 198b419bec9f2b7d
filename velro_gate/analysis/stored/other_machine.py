"""Further runs on another machine than the first one: compared with their own machine's level (decision.md, 3).

Two machines differ by more than any change that matters. So a figure of a run there is put where it would lie on the first
machine: it differs from the first machine's level as much as it does from its own machine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from velro_gate.analysis.stored.epochs import of_this_epoch
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord, StepSummary


def as_on(run: RunRecord, there: Sequence[RunRecord], here: Sequence[RunRecord]) -> RunRecord:
    """A run of another machine with its figures as they would be on the first one.

    Figures that are ratios by nature (times, rates, CPU, memory) are scaled by the ratio of the two levels, each the median
    of its machine's accepted runs. One without a level on either machine is left out, so that nothing is concluded from it.
    Counts, and with them error rates and hit rates, stay as they are.

    there: accepted runs of the run's own machine. here: of the first one.
    """
    return replace(run, phases=tuple(_phase(phase, there, here) for phase in run.phases))


def _phase(phase: PhaseSummary, there: Sequence[RunRecord], here: Sequence[RunRecord]) -> PhaseSummary:
    return replace(phase, steps=tuple(_step(phase.name, step, there, here) for step in phase.steps))


def _step(phase: str, step: StepSummary, there: Sequence[RunRecord], here: Sequence[RunRecord]) -> StepSummary:
    moved: dict[str, Estimate] = {}
    undelayed = dict(step.undelayed)
    for name, found in step.measurements.items():
        # Only figures that are compared by ratio scale with a machine's speed; shares and counts are the service's.
        if name not in METRICS or METRICS[name].scale is not Scale.LOG:
            moved[name] = found
            continue
        own, first = (_level(runs, phase, step.step, name) for runs in (there, here))
        if own is not None and first is not None:
            ratio = first / own
            moved[name] = replace(found, value=found.value * ratio, low=found.low * ratio, high=found.high * ratio)
            if name in undelayed:
                undelayed[name] *= ratio
    return replace(step, measurements=moved, undelayed=undelayed)


def _level(runs: Sequence[RunRecord], phase: str, step: str, metric: str) -> float | None:
    """The median of the accepted runs of this figure's epoch; None where none of them has the figure."""
    values = [
        found.value
        for run in of_this_epoch(runs, phase, step, metric)
        if (summary := run.phase(phase)) is not None
        and (found := summary.measurement(metric, step)) is not None
        and found.value > 0.0
    ]
    return median(values) if values else None
