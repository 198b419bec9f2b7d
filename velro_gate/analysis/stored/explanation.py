"""A regression in one sentence that a reviewer understands: which steps, how, since when, and what moved with it.

The shift function compares the two builds quantile by quantile (Doksum 1974): where every quantile moves by the same share, all
work became slower; by the same time, a cost was added to each request; only at the top, some requests meet something new. Here
it has the four quantiles that are kept of a run, each with the test of a comparison, so it shows coarse shapes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from velro_gate.analysis.rows.companions import companions
from velro_gate.analysis.rows.family import LEAST_BEYOND, beyond
from velro_gate.analysis.rows.rounding import rounded_change, rounded_seconds
from velro_gate.analysis.rows.wording import named
from velro_gate.analysis.stored.comparison import shift_of
from velro_gate.analysis.stored.drift import changes_of
from velro_gate.analysis.stored.epochs import of_this_epoch
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.explanation import Explanation, QuantileMove, ShiftShape
from velro_gate.model.metrics import LATENCY_QUANTILES, METRICS
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.units import format_change, join_range

QUANTILES = ("p50", "p90", "p95", "p99")

SURE = 0.01
"""One-sided p at which a quantile counts as moved; there are some forty of them in a phase."""

ALIKE = 1.5
"""Moves count as equal when the largest is at most so many times the smallest: coarse, as four quantiles are."""

JUMP = 1.0
"""Times the median response time: a move of so much at the top alone is a new way through the service, not a longer tail."""

_MOST_STEPS = 3


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
        since=lambda row: _since(row, baselines, policy),
        beside=lambda names, told: companions(phase, names, [row for row in rows if row not in told], runs[0], before),
    )


def explain(
    worse: Sequence[Comparison],
    steps: Sequence[str],
    moved: Mapping[str, Moved],
    *,
    since: Callable[[Comparison], tuple[str, str]],
    beside: Callable[[Sequence[str], Sequence[Comparison]], tuple[str, ...]],
) -> Explanation:
    """One phase in one sentence.

    Args:
        worse: its figures that got worse, at least one.
        steps: of the plan.
        moved: by step, all of them together included; those without a quantile to compare are not there.
        since: for the figure whose history is told, the run of main with which a part of it came ('' for none), and the same
            in words.
        beside: what moved with it, from the names of the slower steps and the figures that are told already.
    """
    phase = worse[0].phase
    slower = sorted((moved[step] for step in steps if step in moved and moved[step].worst), key=lambda one: -one.worst)
    surest = min(worse, key=lambda row: (METRICS[row.metric].quantile is None, row.p or 0.0)).step
    shown = slower[0] if slower else moved.get(ALL_STEPS if _is_moved(moved.get(ALL_STEPS)) else surest, moved.get(ALL_STEPS))
    timed = any(METRICS[row.metric].quantile is not None for row in worse) and shown is not None
    quantiles = shown.quantiles if shown is not None and timed else ()
    shape = shape_of(quantiles, shown.median if shown is not None else 0.0) if timed else ShiftShape.NONE
    names = tuple(one.step for one in slower) if timed else ()
    run, origin = since(_first(worse, names[0] if names else ALL_STEPS))
    with_it = beside(names, () if timed else worse)
    opening = _slow(names, steps, phase, shape, quantiles, shown.step) if timed and shown else _other(worse, phase)
    closing = f"; with it moved {', '.join(with_it)}" if with_it else ""
    return Explanation(
        phase=phase,
        steps=names,
        shape=shape,
        quantiles=quantiles,
        since=run,
        companions=with_it,
        sentence=f"{opening}; {origin}{closing}",
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
    median = runs[0].measurement("p50", step)
    return Moved(step=step, quantiles=tuple(quantiles), median=median.value if median else 0.0) if quantiles else None


def shape_of(quantiles: Sequence[QuantileMove], median: float) -> ShiftShape:
    """How the quantiles, lowest first, moved against one another.

    A quantile that did not surely move has stayed only where its interval says so (``stayed``); one that may have moved like
    the others tells nothing against their shape. median: the response time in seconds that a jump is held against. One quantile
    alone has no shape but its own.
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
    if known[0] in still and known[-1].moved:
        top = moved[-2:]
        jumped = len(top) > 1 and _alike([one.seconds for one in top]) and min(one.seconds for one in top) >= JUMP * median
        return ShiftShape.NEW_MODE if jumped else ShiftShape.TAIL
    return ShiftShape.MIDDLE if quantiles[-1] in still else ShiftShape.UNEVEN


def stayed(one: QuantileMove, moved: Sequence[QuantileMove]) -> bool:
    """Whether a quantile surely moved less than the others did: its interval ends below half of the least of their moves."""
    return not one.moved and one.high < min(other.change for other in moved) / 2.0


def _alike(moves: Sequence[float]) -> bool:
    return min(moves) > 0.0 and max(moves) <= ALIKE * min(moves)


def _first(worse: Sequence[Comparison], step: str) -> Comparison:
    """The row whose history is told: of the worst step where that one is primary, else the surest."""
    return min(worse, key=lambda row: (row.step != step, METRICS[row.metric].quantile is None, row.p or 0.0))


def _since(row: Comparison, baselines: Sequence[RunRecord], policy: Policy) -> tuple[str, str]:
    """The run of main with which a part of it came ('' for none), and that in words."""
    epoch = of_this_epoch(baselines, row.phase, row.step, row.metric)[-policy.history :]
    points = [p for p in changes_of(epoch, row.phase, row.step, row.metric, policy) if p.worse and not p.accepted]
    if points:
        last = points[-1]
        return last.run.id, f"a part of it came with {named(last.run)} of main ({format_change(last.change)})"
    level = epoch[-policy.max_baselines :]
    figures = [
        found.value
        for run in level
        if (phase := run.phase(row.phase)) is not None and (found := phase.measurement(row.metric, row.step)) is not None
    ]
    if len(figures) < 2 or METRICS[row.metric].quantile is None:
        return "", "it is new with this build"
    return "", f"it is new with this build (the last {len(figures)} runs of main: {span_of(row.metric, figures)})"


def span_of(metric: str, figures: Sequence[float]) -> str:
    """Where response times lay, in seconds: ``p95 39.6 to 40.5 ms``."""
    span = join_range(*(rounded_seconds(value, min(figures) / 100.0) for value in (min(figures), max(figures))))
    return f"{METRICS[metric].label} {span}"


def _is_moved(one: Moved | None) -> bool:
    return one is not None and one.worst > 0.0


def _slow(
    names: Sequence[str], steps: Sequence[str], phase: str, shape: ShiftShape, quantiles: Sequence[QuantileMove], shown: str
) -> str:
    """shown: the step whose quantiles these are."""
    if not names and shown != ALL_STEPS:
        who = f"{shown} looks"
    elif not names:
        who = "no step by itself, but all of them together are"
    elif len(names) == len(steps) and len(steps) > 1:
        who = f"all {len(steps)} steps are"
    else:
        listed = ", ".join(names[:_MOST_STEPS])
        more = f" and {len(names) - _MOST_STEPS} more steps" if len(names) > _MOST_STEPS else ""
        who = f"{listed}{more} {'is' if len(names) == 1 else 'are'}"
    of = f" of {names[0]}" if len(names) > 1 else ""
    figures = ", ".join(_figures(quantiles))
    return f"in {phase} {who} slower, {_how(shape, quantiles)} ({figures}{of})"


def _figures(quantiles: Sequence[QuantileMove]) -> Iterator[str]:
    for one in quantiles:
        yield f"{METRICS[one.metric].label} {rounded_change(one.change, one.low, one.high)}"


def _how(shape: ShiftShape, quantiles: Sequence[QuantileMove]) -> str:
    moved = [one for one in quantiles if one.moved]
    match shape:
        case ShiftShape.SAME_SHARE if len(quantiles) == 1:
            return f"as far as {METRICS[quantiles[0].metric].label} shows"
        case ShiftShape.SAME_SHARE:
            return f"all requests by about the same share{_sure_of(moved, quantiles)}"
        case ShiftShape.SAME_TIME:
            middle = sorted(one.seconds for one in quantiles)[len(quantiles) // 2]
            spread = max(one.seconds for one in quantiles) - min(one.seconds for one in quantiles)
            size = rounded_seconds(middle, max(spread / 2.0, middle / 10.0))
            return f"every request by about {size}{_sure_of(moved, quantiles)}"
        case ShiftShape.TAIL:
            return "only in the tail"
        case ShiftShape.NEW_MODE:
            jump = min(one.seconds for one in moved[-2:])
            return f"{_share_hit(quantiles)} of its requests by a jump of about {rounded_seconds(jump, jump / 10.0)}"
        case ShiftShape.MIDDLE:
            return "in the middle, not in the tail"
        case _:
            return "the quantiles unevenly" if moved else "though no quantile by itself is sure"


def _sure_of(moved: Sequence[QuantileMove], quantiles: Sequence[QuantileMove]) -> str:
    """Which quantiles surely moved, where not all did."""
    labels = [METRICS[one.metric].label for one in moved]
    return "" if len(moved) == len(quantiles) else f", surely at {' and '.join(labels)}"


def _share_hit(quantiles: Sequence[QuantileMove]) -> str:
    """How many requests the jump meets: between the lowest quantile that moved and the one below it."""
    lowest = next(i for i, one in enumerate(quantiles) if one.moved)
    least, most = (round((1.0 - LATENCY_QUANTILES[quantiles[i].metric]) * 100.0) for i in (lowest, lowest - 1))
    return f"{least} to {most} %"


def _other(worse: Sequence[Comparison], phase: str) -> str:
    said = []
    for row in worse:
        label = METRICS[row.metric].label + (f" of {row.step}" if row.step != ALL_STEPS else "")
        said.append(f"{label} is worse")
    return f"in {phase} {', '.join(said)}, response times are not"
