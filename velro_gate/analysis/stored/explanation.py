"""A regression explained to a reviewer: which steps, how, since when, and what moved with it.

The shift function compares the two builds quantile by quantile (Doksum 1974): where every quantile moves by the same share, all
work became slower; by the same time, a cost was added to each request; only at the top, some requests meet something new. Here
it has the four quantiles that are kept of a run, each with the test of a comparison, so it shows coarse shapes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from velro_gate.analysis.rows.companions import companions
from velro_gate.analysis.rows.family import LEAST_BEYOND, beyond
from velro_gate.analysis.stored.comparison import shift_of
from velro_gate.analysis.stored.drift import changes_of
from velro_gate.analysis.stored.epochs import of_this_epoch
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.facts.explanations import Companion, NewAboveMain, NewWithBuild, Origin, SinceRun
from velro_gate.model.facts.regression import Explanation, QuantileMove, ShiftShape
from velro_gate.model.metrics import LATENCY_QUANTILES, MEDIAN, METRICS
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import Change, Comparison, Level

QUANTILES = tuple(name for name, rank in LATENCY_QUANTILES.items() if rank <= 0.99)
"""Those that a shape is seen in, lowest first; beyond them hardly a phase has enough responses."""

SURE = 0.01
"""One-sided p at which a quantile counts as moved; there are some forty of them in a phase."""

ALIKE = 1.5
"""Moves count as equal when the largest is at most this many times the smallest: coarse, as four quantiles are."""

JUMP = 1.0
"""Times the median response time: a move of that size at the top alone is another path through the service, not a longer
tail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One step's quantiles, lowest first, at least one; and the median response time in seconds."""

    step: str
    quantiles: tuple[QuantileMove, ...]
    median: float

    @property
    def worst(self) -> float:
        """The relative move of the quantile that moved most; 0 when none did."""
        return max((one.change for one in self.quantiles if one.moved), default=0.0)


def explanations(
    rows: Sequence[Comparison],
    record: RunRecord,
    again: Mapping[str, Sequence[PhaseSummary]],
    baselines: Sequence[RunRecord],
    policy: Policy,
) -> tuple[Explanation, ...]:
    """One for each phase with a primary figure that is a regression against baselines, or suspected to be one and not waived.

    again: the further runs of suspicious phases, by phase; baselines: newest last.
    """
    found = []
    for phase in record.phases:
        worse = [row for row in to_explain(rows, phase.name) if not row.pairs]
        if worse:
            runs = [phase, *(again.get(phase.name, ()) if any(row.runs > 1 for row in worse) else ())]
            found.append(_explained(worse, rows, runs, record.plan.steps, baselines, policy))
    return tuple(found)


def to_explain(rows: Sequence[Comparison], phase: str) -> list[Comparison]:
    """The primary figures of a phase that are regressions, or suspected to be and not waived."""
    return [row for row in rows if row.phase == phase and row.primary and row.p is not None and _worse(row)]


def _worse(row: Comparison) -> bool:
    return row.verdict is Change.REGRESSION or (row.verdict is Change.SUSPICIOUS and row.level >= Level.INCONCLUSIVE)


def _explained(
    worse: Sequence[Comparison],
    rows: Sequence[Comparison],
    runs: Sequence[PhaseSummary],
    steps: Sequence[str],
    baselines: Sequence[RunRecord],
    policy: Policy,
) -> Explanation:
    phase = runs[0].name
    moved = {step: one for step in (ALL_STEPS, *steps) if (one := _moved(step, runs, baselines, policy)) is not None}
    before = [found for run in baselines[-policy.max_baselines :] if (found := run.phase(phase)) is not None]
    return explain(
        worse,
        steps,
        moved,
        origin=lambda row: _origin(row, baselines, policy),
        companions=lambda names, named: companions(phase, names, [row for row in rows if row not in named], runs[0], before),
    )


def explain(
    worse: Sequence[Comparison],
    steps: Sequence[str],
    moved: Mapping[str, Moved],
    *,
    origin: Callable[[Comparison], Origin],
    companions: Callable[[Sequence[str], Sequence[Comparison]], tuple[Companion, ...]],
) -> Explanation:
    """The explanation of one phase.

    Args:
        worse: its figures that got worse, at least one.
        steps: of the plan.
        moved: by step, all of them together included; those without a quantile to compare are not there.
        origin: where the worsening of a figure comes from.
        companions: what moved with it, from the names of the slower steps and the figures that the explanation names already.
    """
    phase = worse[0].phase
    slower = sorted((moved[step] for step in steps if step in moved and moved[step].worst), key=lambda one: -one.worst)
    # Figures with a quantile first (False sorts before True): a time has a shape, a count has none.
    surest = min(worse, key=lambda row: (METRICS[row.metric].quantile is None, row.p or 0.0)).step
    shown = slower[0] if slower else moved.get(ALL_STEPS if _is_moved(moved.get(ALL_STEPS)) else surest, moved.get(ALL_STEPS))
    timed = any(METRICS[row.metric].quantile is not None for row in worse) and shown is not None
    quantiles = shown.quantiles if shown is not None and timed else ()
    shape = shape_of(quantiles, shown.median if shown is not None else 0.0) if timed else ShiftShape.NONE
    names = tuple(one.step for one in slower) if timed else ()
    return Explanation(
        phase=phase,
        steps=names,
        plan_steps=len(steps),
        shape=shape,
        quantiles=quantiles,
        shown=shown.step if shown is not None else ALL_STEPS,
        worse=tuple(FigureName(step=row.step, metric=row.metric) for row in worse),
        origin=origin(_first(worse, names[0] if names else ALL_STEPS)),
        companions=companions(names, () if timed else worse),
        times_held=bool(moved) and not any(one.worst for one in moved.values()),
    )


def _moved(step: str, runs: Sequence[PhaseSummary], baselines: Sequence[RunRecord], policy: Policy) -> Moved | None:
    """The quantiles of one step that have enough requests beyond them; None where there are none to compare."""
    quantiles = []
    for name in QUANTILES:
        behind = [found.n for run in runs if (found := run.measurement(name, step)) is not None]
        if not behind or beyond(min(behind), LATENCY_QUANTILES[name]) < LEAST_BEYOND:
            continue
        shift = shift_of(step, METRICS[name], runs, baselines, policy)
        if shift is None or shift.change is None or shift.change_low is None or shift.change_high is None:
            continue
        quantiles.append(
            QuantileMove(
                metric=name,
                change=shift.change,
                low=shift.change_low,
                high=shift.change_high,
                seconds=shift.current - shift.baseline,
                moved=shift.p <= SURE and shift.worse >= shift.least - ROUNDING,
            )
        )
    median = runs[0].measurement(MEDIAN, step)
    return Moved(step=step, quantiles=tuple(quantiles), median=median.value if median else 0.0) if quantiles else None


def shape_of(quantiles: Sequence[QuantileMove], median: float) -> ShiftShape:
    """How the quantiles, lowest first, moved against one another.

    A quantile that did not certainly move has stayed only where its interval says so (``stayed``); one that may have moved like
    the others does not contradict their shape. median: the response time in seconds that a jump is compared with. A single
    quantile has no shape but its own.
    """
    moved = [one for one in quantiles if one.moved]
    if not moved:
        return ShiftShape.UNEVEN
    still = [one for one in quantiles if stayed(one, moved)]
    if not still:
        if _alike([one.change for one in quantiles]):
            return ShiftShape.SAME_SHARE
        return ShiftShape.SAME_TIME if _alike([one.seconds for one in quantiles]) else ShiftShape.UNEVEN
    known = [one for one in quantiles if one.moved or one in still]
    # The middle stayed and the top moved: some requests became slower. If the two highest quantiles moved by the same time, and
    # by far more than a usual response takes, these requests do something that they did not do before.
    if known[0] in still and known[-1].moved:
        top = moved[-2:]
        jumped = len(top) > 1 and _alike([one.seconds for one in top]) and min(one.seconds for one in top) >= JUMP * median
        return ShiftShape.NEW_MODE if jumped else ShiftShape.TAIL
    return ShiftShape.MIDDLE if quantiles[-1] in still else ShiftShape.UNEVEN


def stayed(one: QuantileMove, moved: Sequence[QuantileMove]) -> bool:
    """Whether a quantile certainly moved less than the others did: its interval ends below half of the least of their moves."""
    return not one.moved and one.high < min(other.change for other in moved) / 2.0


def _alike(moves: Sequence[float]) -> bool:
    return min(moves) > 0.0 and max(moves) <= ALIKE * min(moves)


def _first(worse: Sequence[Comparison], step: str) -> Comparison:
    """The row whose history is shown: of the worst step where that one is primary, else the most certain one."""
    return min(worse, key=lambda row: (row.step != step, METRICS[row.metric].quantile is None, row.p or 0.0))


def _origin(row: Comparison, baselines: Sequence[RunRecord], policy: Policy) -> Origin:
    epoch = of_this_epoch(baselines, row.phase, row.step, row.metric)[-policy.history :]
    # A step on main that nobody accepted explains the worsening without this change.
    points = [p for p in changes_of(epoch, row.phase, row.step, row.metric, policy) if p.worse and not p.accepted]
    if points:
        run = points[-1].run
        return SinceRun(run=run.id, day=run.started_at[:10], sha=run.revision.sha, change=points[-1].change)
    level = epoch[-policy.max_baselines :]
    figures = [
        found.value
        for run in level
        if (phase := run.phase(row.phase)) is not None and (found := phase.measurement(row.metric, row.step)) is not None
    ]
    if len(figures) < 2 or METRICS[row.metric].quantile is None:
        return NewWithBuild()
    return NewAboveMain(metric=row.metric, runs=len(figures), low=min(figures), high=max(figures))


def _is_moved(one: Moved | None) -> bool:
    return one is not None and one.worst > 0.0
