"""One figure over all pairs of a duet, or why it cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from velro_gate.analysis.rows.family import LEAST_BEYOND, STILL_BEYOND, Row, beyond, is_enough, not_compared, stand_in, too_few
from velro_gate.analysis.rows.noise import common_count, on_scale
from velro_gate.arrays import Floats
from velro_gate.model.duet import Block, Pair, Side
from velro_gate.model.facts.doubts import Interrupted, TrustFacts
from velro_gate.model.facts.reasons import BlocksNotMeasured, BuildSilent, Reason
from velro_gate.model.metrics import Metric
from velro_gate.model.record import Counts, Estimate, StepSummary
from velro_gate.model.verdict import Comparison, Level

_Steps = Sequence[StepSummary | None]
"""One step in each block of a build; None where a block has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BuildFigures:
    """A figure of both builds on the comparison scale."""

    worsening: Floats
    """Head minus base pair by pair, signed so that + is worse."""
    level: float
    """The median of the base blocks."""
    head: float
    """The head build's own figure in base units."""
    base_counts: tuple[Counts, ...]
    """The request counts of the base build's blocks, for error rates."""
    head_counts: tuple[Counts, ...]
    """Those of the head build's blocks."""


def unusable(pair: Pair) -> TrustFacts | None:
    """Why a pair cannot be used; None when it can. A build that crashed under load is not a reason: that is its own fault."""
    for side in Side:
        block = pair.block(side)
        broken = next((doubt.facts for doubt in block.doubts if doubt.level is Level.BROKEN), None)
        if broken is not None:
            return broken
        cut = next((phase.name for phase in block.phases if phase.interrupted), "")
        if cut:
            return Interrupted(phase=cut)
    return None


def figures_of(row: Row, pairs: Sequence[Pair]) -> BuildFigures | Comparison:
    """The figures of one row, or the comparison that cannot be made, with its reason and what it means for the run."""
    base, head = ([_step(pair.block(side), row) for pair in pairs] for side in (Side.BASE, Side.HEAD))
    y_base, y_head = _on_scale(base, head, metric=row.metric)
    whole = {side: [y for y in values if y is not None] for side, values in (("base", y_base), ("head", y_head))}
    # A build that answered nothing in a block is a finding about that build; only then does it matter what else was not
    # measured.
    for side, steps, level in (("base", base, Level.BROKEN), ("head", head, Level.FAIL)):
        dead = sum(y is None and _dead(step) for y, step in zip(y_base if side == "base" else y_head, steps, strict=True))
        if dead:
            return _not_compared(row, level, BuildSilent(side=side, blocks=dead, of=len(pairs)))
    for side, values in whole.items():
        missing = len(pairs) - len(values)
        if missing:
            absent = BlocksNotMeasured(side=side, metric=row.metric.name, blocks=missing, of=len(pairs))
            return _not_compared(row, Level.BROKEN, absent)
    few = _too_few(row, base, head)
    if few is not None:
        return few
    d = row.metric.worse_sign * (np.array(whole["head"]) - np.array(whole["base"]))
    return BuildFigures(
        worsening=d,
        level=median(whole["base"]),
        head=_pooled_error_rate(head) if row.metric.of_counts else median(whole["head"]),
        base_counts=tuple(step.counts for step in base if step is not None),
        head_counts=tuple(step.counts for step in head if step is not None),
    )


def _step(block: Block, row: Row) -> StepSummary | None:
    phase = block.phase(row.phase)
    return phase.step(row.step) if phase is not None else None


def _on_scale(*builds: _Steps, metric: Metric) -> tuple[list[float | None], ...]:
    """Each build's figures, block by block; None for a block without this step's figure."""
    if metric.of_counts:
        return tuple([step.counts.error_rate if step is not None else None for step in steps] for steps in builds)
    found = [_estimates(steps, metric.name) for steps in builds]
    n = common_count(each for estimates in found for each in estimates if each is not None)
    return tuple([on_scale(each, metric, n) if each is not None else None for each in estimates] for estimates in found)


def _estimates(steps: _Steps, metric: str) -> list[Estimate | None]:
    return [step.measurements.get(metric) if step is not None else None for step in steps]


def _dead(step: StepSummary | None) -> bool:
    """Whether requests were made and none was succeeded."""
    return step is not None and step.counts.due > step.counts.missed and not step.counts.ok


def _pooled_error_rate(steps: _Steps) -> float:
    rates = [step.counts.error_rate or 0.0 for step in steps if step is not None]
    return sum(rates) / len(rates)


def _too_few(row: Row, base: _Steps, head: _Steps) -> Comparison | None:
    """A quantile is compared when at least 30 requests of all blocks of a build together lie beyond it.

    A primary one that is not compared warns, since it may be the one figure that has changed.
    """
    quantile = row.metric.quantile
    if quantile is None:
        return None
    n_base, n_head = (_answers(steps, row.metric.name) for steps in (base, head))
    if beyond(min(n_base, n_head), quantile) >= LEAST_BEYOND:
        return None
    if is_enough(n_base, row.metric):
        if beyond(n_head, quantile) >= STILL_BEYOND:
            return None
        few = replace(too_few(row.metric, n_head, 0.0), others_had_enough=True, side_by_side=True)
        return _not_compared(row, Level.INCONCLUSIVE, few)
    before, now = (_typical(steps, row.metric) for steps in (base, head))
    said = replace(too_few(row.metric, n_base, 0.0), side_by_side=True)
    if before is not None and now is not None:
        said = replace(said, before=before, now=now)
    lower = stand_in(row.metric, lambda name: _answers(base, name))
    if lower is not None:
        said = replace(said, stand_in=lower.name)
    return _not_compared(row, Level.WARN, said)


def _typical(steps: _Steps, metric: Metric) -> float | None:
    values = [estimate.value for estimate in _estimates(steps, metric.name) if estimate is not None]
    return median(values) if values else None


def answers_of(row: Row, side: Side, pairs: Sequence[Pair]) -> int:
    """How many successful responses stand behind one figure in all blocks of a build."""
    return _answers([_step(pair.block(side), row) for pair in pairs], row.metric.name)


def _answers(steps: _Steps, metric: str) -> int:
    return sum(estimate.n for estimate in _estimates(steps, metric) if estimate is not None)


def _not_compared(row: Row, level: Level, reason: Reason) -> Comparison:
    """An advisory row that cannot be compared warns at most."""
    if not row.primary:
        level = min(level, Level.WARN)
    return not_compared(row, level, reason)
