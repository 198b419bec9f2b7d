"""One run against stored baselines: the screen of decision.md, 4.

Rules, in this order. A row whose figures do not allow a comparison says why (``_obstacle``). Holm runs over all primary
rows of the run at ``policy.screen_alpha``; a row that it rejects and that moved by the margin is suspicious. Until suspicious
phases are measured again, one whose p is at or under the confirmation level is a regression and any other leaves the run
inconclusive.
"Unchanged" has to be shown: the upper 95 % bound of the worsening must lie under ``policy.unchanged_below``. What is neither is
inconclusive. Improvements are the mirror image. Advisory rows are screened by Benjamini and Hochberg and warn at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from velro_gate.analysis.rows.error_rates import LEAST_INCREASE, asked_and_failed, error_shift
from velro_gate.analysis.rows.family import (
    LEAST_BEYOND,
    STILL_BEYOND,
    Row,
    beyond,
    choose_rows,
    false_discovery,
    has,
    holm_over,
    is_enough,
    not_compared,
    stand_in,
    too_few,
    typical_count,
)
from velro_gate.analysis.rows.noise import ENOUGH_BASELINES, SHARED, to_scale
from velro_gate.analysis.rows.shifts import Shift, Shifts, relative_worsening, scaled_shift
from velro_gate.analysis.stored.elsewhere import NOWHERE, NoiseSources
from velro_gate.analysis.stored.epochs import of_this_epoch
from velro_gate.analysis.stored.rules import ROUNDING, Judged, judged_alone
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.facts.reasons import (
    FellToZero,
    ImpossibleShare,
    MoreErrors,
    NoBaselineFigure,
    NoComparableBaseline,
    NoiseUnknown,
    NothingSucceeded,
    NotMeasured,
    NotRuledOut,
    PhaseIncomplete,
    Reason,
    RequirementOnly,
    RoseFromZero,
    StandsIn,
    StaysZero,
    ZeroFigure,
)
from velro_gate.model.metric.broken import is_of_experiment
from velro_gate.model.metric.own import is_own
from velro_gate.model.metrics import METRICS, Direction, Metric, Role, Scale
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level

ADVISORY_Q = 0.05
"""False discovery rate of the advisory rows."""

ADVISORY_SURE = 0.001
"""At this rate an advisory row is called a regression, which warns; above, it only looks worse."""


def compare(
    candidate: RunRecord,
    baselines: Sequence[RunRecord],
    policy: Policy,
    *,
    other_profiles: Sequence[RunRecord] = (),
    repeated: bool = False,
) -> tuple[Comparison, ...]:
    """Every figure of the candidate against the accepted runs, primary rows of each phase first.

    Args:
        baselines: comparable runs (same plan, same environment), newest last. Without any, every row is NOT_COMPARED.
        other_profiles: accepted runs of the same scenario and environment under another profile: few baselines take the noise
            of phases of the same name from them (``elsewhere``).
        repeated: whether what looks suspicious will be measured twice more (``confirmation``).
    """
    # What is broken on purpose decides the figures of its phase: only those of the experiments themselves are compared.
    broken = {phase.name for phase in candidate.plan.phases if phase.experiments}
    chosen = choose_rows(candidate, baselines, policy)
    rows = [row for row in chosen if row.phase not in broken or is_of_experiment(row.metric.name)]
    sources = NoiseSources(selftest=candidate.selftest, others=other_profiles)
    outcomes = [_measure(row, candidate, baselines, policy, sources) for row in rows]
    shifts = {row: outcome for row, outcome in zip(rows, outcomes, strict=True) if isinstance(outcome, Shift)}
    concluded = conclude({row: shift for row, shift in shifts.items() if row.primary}, policy, repeated=repeated)
    concluded |= _advisory({row: shift for row, shift in shifts.items() if not row.primary}, policy)
    return tuple(
        concluded[row] if isinstance(outcome, Shift) else _with_current(outcome, candidate)
        for row, outcome in zip(rows, outcomes, strict=True)
    )


def _with_current(found: Comparison, candidate: RunRecord) -> Comparison:
    """What cannot be compared may have been measured all the same: then the figure is shown."""
    phase = candidate.phase(found.phase)
    measured = phase.measurement(found.metric, found.step) if phase is not None else None
    return found if measured is None else replace(found, current=measured.value)


def _measure(
    row: Row, candidate: RunRecord, baselines: Sequence[RunRecord], policy: Policy, sources: NoiseSources
) -> Shift | Comparison:
    """The move of one row's figure, or the comparison that cannot be made, with its reason."""
    phase = candidate.phase(row.phase)
    assert phase is not None, "rows are chosen from the candidate's own phases"
    current = of_this_epoch(baselines, row.phase, row.step, row.metric.name)
    obstacle = _obstacle(row, phase, _phases(current, row.phase))
    if obstacle is not None:
        return obstacle
    shift = shift_of(row.step, row.metric, [phase], baselines, policy, sources)
    if shift is None:
        return _not_compared(row, Level.NO_BASELINE, NoBaselineFigure(figure=_name(row)))
    return shift


def shift_of(
    step: str,
    metric: Metric,
    runs: Sequence[PhaseSummary],
    baselines: Sequence[RunRecord],
    policy: Policy,
    sources: NoiseSources = NOWHERE,
    shared: float = SHARED,
) -> Shift | None:
    """The move of the mean of these runs of one phase; None when one of them, or every baseline, has no figure.

    The level is that of the figure's own epoch, the noise that of all the baselines. shared: what the runs have in common of
    their variance.
    """
    phase = runs[0].name
    # A changed level begins an epoch; how much a figure moves from run to run stays the same through it.
    epoch = _phases(of_this_epoch(baselines, phase, step, metric.name), phase)
    if metric.of_counts:
        books, known = ([found.counts for each in side if (found := each.step(step)) is not None] for side in (runs, epoch))
        whole = len(books) == len(runs) and all(asked_and_failed(counts)[0] for counts in books)
        return error_shift(books, known, policy, shared=shared) if whole else None
    own, before, history = (
        [figure for each in side if (figure := each.measurement(metric.name, step)) is not None]
        for side in (runs, epoch, _phases(baselines, phase))
    )
    if len(own) < len(runs):
        return None
    elsewhere = sources.noise(phase, step, metric, policy) if len(before) < ENOUGH_BASELINES else None
    return scaled_shift(own, before, metric, policy, history=history, shared=shared, elsewhere=elsewhere)


def _phases(runs: Sequence[RunRecord], name: str) -> list[PhaseSummary]:
    return [found for run in runs if (found := run.phase(name)) is not None]


def _obstacle(row: Row, phase: PhaseSummary, before: Sequence[PhaseSummary]) -> Comparison | None:
    """Why this row cannot be compared, and what that means for the run; None when it can."""
    name = row.metric.name
    if not before:
        return _not_compared(row, Level.NO_BASELINE, NoComparableBaseline())
    if not phase.complete:
        level = Level.FAIL if phase.ended_by_service else Level.BROKEN
        return _not_compared(row, level, PhaseIncomplete(phase=phase.name))
    if row.metric.role is Role.NEVER:
        return _not_compared(row, Level.BROKEN, RequirementOnly(metric=name))
    mine = phase.step(row.step)
    # Before "not measured": a build that answers nothing has failed, and is not merely without a figure.
    if mine is not None and mine.counts.sent and not mine.counts.ok and _needs_answers(row, mine):
        return _not_compared(row, Level.FAIL, NothingSucceeded())
    if mine is None or not has(mine, name):
        return _not_compared(row, Level.BROKEN, NotMeasured(metric=name))
    if not any(found is not None and has(found, name) for found in (each.step(row.step) for each in before)):
        return _not_compared(row, Level.NO_BASELINE, NoBaselineFigure(figure=_name(row)))
    return _too_few(row, phase, before) or _zero(row, phase, before) or _nothing(row, phase)


def _needs_answers(row: Row, mine: StepSummary) -> bool:
    """Whether the figure is missing or zero because nothing was answered, as latencies and throughputs then are."""
    figure = mine.measurements.get(row.metric.name)
    of_answers = not row.metric.of_counts and row.metric.prior_sd is not None and not is_of_experiment(row.metric.name)
    return of_answers and (figure is None or figure.value <= 0.0)


def _too_few(row: Row, phase: PhaseSummary, before: Sequence[PhaseSummary]) -> Comparison | None:
    """A quantile with too few requests beyond it is not compared: decided by a handful of them, it would cry wolf.

    A primary one warns all the same, since it may be the one figure that has changed.
    """
    quantile = row.metric.quantile
    if quantile is None:
        return None
    current = phase.measurement(row.metric.name, row.step)
    n = current.n if current else 0
    usual = typical_count(before, row.step, row.metric.name)
    offered = is_enough(usual, row.metric)
    if beyond(n, quantile) >= (STILL_BEYOND if offered else LEAST_BEYOND):
        return None
    if offered:
        # The plan offers enough: the service is the cause of so few responses, which must not hide it from the test.
        return _not_compared(row, Level.INCONCLUSIVE, replace(too_few(row.metric, n, 0.0), others_had_enough=True))
    reason = too_few(row.metric, n, phase.measured_seconds)
    earlier = [found.value for each in before if (found := each.measurement(row.metric.name, row.step)) is not None]
    if current is not None and earlier:
        reason = replace(reason, before=median(earlier), now=current.value)
    lower = stand_in(row.metric, lambda name: typical_count(before, row.step, name))
    if lower is not None:
        reason = replace(reason, stand_in=lower.name)
    return _not_compared(row, Level.WARN, reason)


def _zero(row: Row, phase: PhaseSummary, before: Sequence[PhaseSummary]) -> Comparison | None:
    """What zero means, now or in all baselines, of a metric of the scenario's own: a queue may well be empty in every run."""
    current = phase.measurement(row.metric.name, row.step)
    if current is None or current.value < 0.0 or row.metric.scale is not Scale.LOG or not is_own(row.metric.name):
        return None
    name, lower = row.metric.name, row.metric.direction is Direction.LOWER
    earlier = [found.value for each in before if (found := each.measurement(name, row.step)) is not None]
    was_zero = all(value == 0.0 for value in earlier)
    match current.value == 0.0, was_zero:
        case True, True:
            return not_compared(row, Level.PASS, StaysZero(metric=name))
        case True, False if lower:
            return not_compared(row, Level.PASS, FellToZero(metric=name))
        case False, True:
            return not_compared(row, Level.WARN if lower else Level.PASS, RoseFromZero(metric=name, now=current.value))
    return None


def _nothing(row: Row, phase: PhaseSummary) -> Comparison | None:
    """A figure that has no place on the scale on which it would be compared: nobody can say that it is unchanged."""
    current = phase.measurement(row.metric.name, row.step)
    if current is None:
        return None
    if row.metric.scale is Scale.LOG and not row.metric.resolution and current.value <= 0.0:
        return _not_compared(row, Level.BROKEN, ZeroFigure(metric=row.metric.name))
    if row.metric.scale is Scale.LOGIT and not 0.0 <= current.value <= 1.0:
        return _not_compared(row, Level.BROKEN, ImpossibleShare(metric=row.metric.name))
    return None


def _name(row: Row) -> FigureName:
    return FigureName(step=row.step, metric=row.metric.name)


def _not_compared(row: Row, level: Level, reason: Reason) -> Comparison:
    """An advisory row that cannot be compared warns at most, and not at all when there was nothing to compare it with."""
    if not row.primary:
        level = Level.PASS if level <= Level.NO_BASELINE else Level.WARN
    return not_compared(row, level, reason)


def conclude(shifts: dict[Row, Shift], policy: Policy, *, repeated: bool = False) -> dict[Row, Comparison]:
    """The family that may fail a run, judged together: what one run alone can say (``rules.judged_alone``).

    repeated: whether suspicions will be measured twice more, as the smallest change that would fail has to know.
    """
    if not shifts:
        return {}
    found = shift_columns(list(shifts.values()))
    judged, adjusted = judged_alone(found, policy), holm_over(found.p)
    concluded = {}
    for i, (row, shift) in enumerate(shifts.items()):
        change, level = _change(judged, i, shift)
        row_found = found_of(row, shift, float(adjusted[i]), len(shifts), policy, repeated=repeated)
        row_found = replace(row_found, verdict=change, level=level)
        if change is Change.SUSPICIOUS and shift.few:
            row_found = with_reason(row_found, NoiseUnknown(baselines=shift.k))
        if change is Change.INCONCLUSIVE:
            row_found = with_reason(row_found, not_ruled_out(row.metric, to_scale(shift.baseline, row.metric), shift.upper))
        concluded[row] = improvement_withheld(row_found, _risen_errors(row.phase, shifts))
    return concluded


def shift_columns(shifts: Sequence[Shift]) -> Shifts:
    """The moves of one run's rows as arrays."""
    worse, error, df, p, p_better, upper, least, bound = (
        np.array([getattr(shift, name) for shift in shifts], float)
        for name in ("worse", "error", "df", "p", "p_better", "upper", "least", "bound")
    )
    few = np.array([shift.few for shift in shifts])
    return Shifts(worse=worse, error=error, df=df, p=p, p_better=p_better, upper=upper, least=least, bound=bound, few=few)


def _change(judged: Judged, i: int, shift: Shift) -> tuple[Change, Level]:
    """The outcome of row ``i``, and what that means for the run."""
    if judged.failed[i]:
        return Change.REGRESSION, Level.FAIL
    if judged.suspicious[i]:
        return Change.SUSPICIOUS, Level.INCONCLUSIVE
    if judged.warned[i]:
        return Change.SUSPICIOUS, Level.WARN
    if judged.improved[i]:
        return Change.IMPROVEMENT, Level.PASS
    if judged.unchanged[i]:
        return Change.UNCHANGED, Level.PASS
    # With few baselines the prior's width, and not this run, keeps the row from being decided: no more can be asked of a run
    # than of one without any baseline.
    return Change.INCONCLUSIVE, Level.NO_BASELINE if shift.few else Level.INCONCLUSIVE


def with_reason(row: Comparison, more: Reason) -> Comparison:
    """The row with one more reason."""
    return replace(row, reasons=(*row.reasons, more))


def improvement_withheld(found: Comparison, error_rate: float | None) -> Comparison:
    """Fewer slow responses because more of them failed is not an improvement. error_rate: of a phase in which it has risen."""
    if found.verdict is not Change.IMPROVEMENT or METRICS[found.metric].of_counts or error_rate is None:
        return found
    return replace(
        found,
        verdict=Change.INCONCLUSIVE,
        level=Level.WARN,
        reasons=(MoreErrors(error_rate=error_rate),),
    )


def _risen_errors(phase: str, shifts: dict[Row, Shift]) -> float | None:
    errors = [s for r, s in shifts.items() if r.phase == phase and r.metric.of_counts]
    return errors[0].current if any(shift.worse >= LEAST_INCREASE for shift in errors) else None


def _advisory(shifts: dict[Row, Shift], policy: Policy) -> dict[Row, Comparison]:
    """Everything else: screened for false discoveries, a warning at most."""
    if not shifts:
        return {}
    adjusted = false_discovery([shift.p for shift in shifts.values()])
    better = false_discovery([shift.p_better for shift in shifts.values()])
    concluded = {}
    for (row, shift), p, p_better in zip(shifts.items(), adjusted, better, strict=True):
        change, level = Change.INCONCLUSIVE, Level.PASS
        if p <= ADVISORY_Q and _reaches_margin(shift.worse, shift):
            # What is overwhelming is not a suspicion, whatever it may do to the run.
            sure = p <= ADVISORY_SURE and not shift.few
            change, level = Change.REGRESSION if sure else Change.SUSPICIOUS, Level.WARN
        elif p_better <= ADVISORY_Q and _reaches_margin(-shift.worse, shift):
            change = Change.IMPROVEMENT
        elif shift.upper < shift.bound:
            change = Change.UNCHANGED
        concluded[row] = replace(found_of(row, shift, float(p), len(shifts), policy), verdict=change, level=level)
    return concluded


def _reaches_margin(worse: float, shift: Shift) -> bool:
    return worse >= shift.least - ROUNDING


def found_of(row: Row, shift: Shift, p_adjusted: float, family: int, policy: Policy, *, repeated: bool = False) -> Comparison:
    """The figures of a comparison; the caller concludes from them."""
    seen = shift.detectable(family, policy, repeated=repeated)
    return Comparison(
        phase=row.phase,
        step=row.step,
        metric=row.metric.name,
        verdict=Change.INCONCLUSIVE,
        primary=row.primary,
        level=Level.PASS,
        baseline=shift.baseline,
        current=shift.current,
        change=shift.change,
        change_low=shift.change_low,
        change_high=shift.change_high,
        worse=shift.worse,
        p=shift.p,
        p_adjusted=p_adjusted,
        noise=shift.noise,
        mde=None if seen is None else shift.relative_worsening(seen),
        k=shift.k,
        # Of an error rate the margin is in percentage points, no relative change.
        margin=None if row.metric.scale is Scale.LINEAR else shift.relative_worsening(shift.least),
        reasons=tuple(_remarks(row, shift)),
    )


def _remarks(row: Row, shift: Shift) -> Iterator[Reason]:
    if row.stands_for:
        yield StandsIn(metric=row.stands_for)
    if shift.source is not None:
        yield shift.source


def not_ruled_out(metric: Metric, level: float, upper: float) -> NotRuledOut:
    """How bad it may still be. level, upper: the baseline and the upper bound of the worsening, on the comparison scale."""
    worsening = upper if metric.scale is Scale.LINEAR else relative_worsening(metric, level, upper)
    return NotRuledOut(metric=metric.name, worsening=worsening or 0.0)
