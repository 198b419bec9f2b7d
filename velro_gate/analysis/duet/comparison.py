"""Base build and head build side by side: the decision of decision.md, 3.

Rules, in this order. A pair with a block that cannot be trusted is left out; too many of them break the run. A control endpoint
that moved beyond the margin breaks it, too: the runner has changed, and nothing is said about the build. A row whose figures
do not allow a comparison says why. All other primary rows are one family of sign flips (``paired``), error rates among them by
the difference of a pair's rates; an error rate has to pass an exact test on its counts as well. What a look leaves
inconclusive is measured on at the next look (``next_look``); after the last one it stays inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from velro_gate.analysis.duet.block_figures import BuildFigures, answers_of, figures_of, unusable
from velro_gate.analysis.duet.mde import duet_mde
from velro_gate.analysis.duet.pair_order import orders_of
from velro_gate.analysis.duet.reasons import undecided
from velro_gate.analysis.rows.error_rates import LEAST_INCREASE, UNCHANGED_INCREASE, counts_shift
from velro_gate.analysis.rows.family import Row, false_discovery, is_enough, phase_rows
from velro_gate.analysis.rows.noise import from_scale
from velro_gate.analysis.rows.shifts import relative_change, share_margins
from velro_gate.analysis.statistics.paired import Conclusion, Paired, conclusions, paired
from velro_gate.analysis.statistics.sign_flip import Orders, single_p
from velro_gate.analysis.stored.comparison import ADVISORY_Q, improvement_withheld
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.arrays import Floats
from velro_gate.model.duet import LOOKS, Duet, Pair, Side
from velro_gate.model.facts.reasons import Reason, StandsIn
from velro_gate.model.metrics import METRICS, Metric, Scale
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level

_CHANGES = {
    Conclusion.REGRESSION: Change.REGRESSION,
    Conclusion.IMPROVEMENT: Change.IMPROVEMENT,
    Conclusion.UNCHANGED: Change.UNCHANGED,
    Conclusion.INCONCLUSIVE: Change.INCONCLUSIVE,
}


UNDECIDED = frozenset({Change.INCONCLUSIVE, Change.SUSPICIOUS})
"""What a primary row is as long as more pairs may decide it."""

LEFT_OUT_BROKEN = 0.25
"""With more than this share of the pairs left out, what is left was chosen by the disturbance."""


_SURE = sum(look.alpha for look in LOOKS)
"""At this rate of false discoveries an advisory row is called a regression, which warns; above, it only looks worse."""


def compare_pairs(duet: Duet) -> tuple[Comparison, ...]:
    """Every figure of the head build against the base build, the primary rows of each phase first.

    Pairs with a block that cannot be trusted are left out. Empty without a usable pair.
    """
    pairs = usable_pairs(duet)
    if not pairs:
        return ()
    found = {row: figures_of(row, pairs) for row in _rows(duet, pairs)}
    able = {row: figures for row, figures in found.items() if isinstance(figures, BuildFigures)}
    concluded = _primary({row: figures for row, figures in able.items() if row.primary}, duet)
    concluded |= _advisory({row: figures for row, figures in able.items() if not row.primary}, duet)
    return tuple(
        concluded[row] if isinstance(figures, BuildFigures) else replace(figures, pairs=len(pairs))
        for row, figures in found.items()
    )


def usable_pairs(duet: Duet) -> list[Pair]:
    """The pairs without a block that cannot be trusted."""
    return [pair for pair in duet.pairs if not unusable(pair)]


def pair_orders(duet: Duet) -> Orders:
    """The orders of the usable pairs, and those that might have been drawn."""
    return orders_of([pair.first for pair in usable_pairs(duet)], duet.balance, duet.seed)


def least_worsening(metric: Metric, policy: Policy, level: float) -> float:
    """The worsening that counts, on the metric's comparison scale. level: of the base build, on that scale."""
    return LEAST_INCREASE if metric.scale is Scale.LINEAR else share_margins(level, metric, policy)[0]


def _bound(metric: Metric, policy: Policy, level: float) -> float:
    """What the upper bound of a worsening has to lie under for "unchanged"."""
    return UNCHANGED_INCREASE if metric.scale is Scale.LINEAR else share_margins(level, metric, policy)[1]


def settled(rows: Sequence[Comparison]) -> bool:
    """Whether no further pair could decide anything: every primary row is decided, or cannot be compared at all."""
    return bool(rows) and not any(row.primary and row.verdict in UNDECIDED for row in rows)


def _still_to_compare(duet: Duet, rows: Sequence[Comparison], pairs: int) -> bool:
    """Whether a primary quantile has too few responses beyond it so far, and will have enough after that many pairs."""
    used = usable_pairs(duet)
    lacking = [
        Row(phase=row.phase, step=row.step, metric=METRICS[row.metric], primary=True)
        for row in rows
        if row.primary and row.verdict is Change.NOT_COMPARED and row.level is Level.WARN
    ]
    return any(
        not is_enough(n := answers_of(row, Side.BASE, used), row.metric) and is_enough(n * pairs / len(used), row.metric)
        for row in lacking
    )


def hopeless(duet: Duet) -> bool:
    """Whether the pairs that had to be left out break the duet, however many more are measured."""
    left_out = len(duet.pairs) - len(usable_pairs(duet))
    return left_out > LEFT_OUT_BROKEN * (left_out + duet.looks[-1].pairs)


def next_look(duet: Duet, rows: Sequence[Comparison]) -> int:
    """How many usable pairs there have to be before the next look; as many as there are when the duet is over.

    A look is taken at its own number of pairs only: looking more often would raise the error rate.
    """
    done = len(usable_pairs(duet))
    ahead = [look.pairs for look in duet.looks if look.pairs > done]
    at_look = done in [look.pairs for look in duet.looks]
    if not ahead:
        return done
    enough = done >= (1.0 - LEFT_OUT_BROKEN) * len(duet.pairs) and not _still_to_compare(duet, rows, ahead[-1])
    return done if at_look and settled(rows) and enough else ahead[0]


def _rows(duet: Duet, pairs: Sequence[Pair]) -> list[Row]:
    """The base build chooses the steps, so that a head build with few successful responses cannot leave the test."""
    rows: list[Row] = []
    for name in dict.fromkeys(phase.name for pair in pairs for phase in (*pair.base.phases, *pair.head.phases)):
        mine = [phase for pair in pairs if (phase := pair.head.phase(name)) is not None]
        before = [phase for pair in pairs if (phase := pair.base.phase(name)) is not None]
        rows += phase_rows(mine or before, before, duet.steps, duet.policy, repeats=len(pairs))
    return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Family:
    """Rows that are looked at together, and the arrays over them."""

    rows: tuple[Row, ...]
    figures: tuple[BuildFigures, ...]
    d: Floats
    least: Floats
    bound: Floats

    @classmethod
    def of(cls, able: Mapping[Row, BuildFigures], policy: Policy) -> _Family:
        """Of the rows that can be compared, with their limits on the scale at the base build's level."""
        return cls(
            rows=tuple(able),
            figures=tuple(able.values()),
            d=np.column_stack([figures.worsening for figures in able.values()]),
            least=np.array([least_worsening(row.metric, policy, figures.level) for row, figures in able.items()]),
            bound=np.array([_bound(row.metric, policy, figures.level) for row, figures in able.items()]),
        )


def _primary(able: dict[Row, BuildFigures], duet: Duet) -> dict[Row, Comparison]:
    """The family that may fail the run."""
    if not able:
        return {}
    family = _Family.of(able, duet.policy)
    look, orders = duet.look(len(family.d)), pair_orders(duet)
    found = paired(family.d, duet.seed, orders, beta=look.beta)
    alone, _ = single_p(family.d, duet.seed, orders)
    outcomes = conclusions(found, look.alpha, family.least, family.bound)
    mde = duet_mde(family.d, duet.looks, family.least, family.bound, seed=duet.seed)
    more_errors = {
        row.phase: figures.head
        for row, figures, estimate in zip(family.rows, family.figures, found.estimate, strict=True)
        if row.metric.of_counts and estimate >= LEAST_INCREASE
    }
    concluded = {}
    for j, row in enumerate(family.rows):
        change = _CHANGES[Conclusion(int(outcomes[j]))]
        if row.metric.of_counts:
            change = _counted(change, family.figures[j], duet.policy, look.alpha)
        if change is Change.INCONCLUSIVE and _looks_worse(family, found, j, look.alpha):
            change = Change.SUSPICIOUS
        drawn = replace(
            _drawn(family, found, j, float(mde[j]), duet.policy),
            verdict=change,
            level=_LEVELS.get(change, Level.PASS),
            p=float(alone[j]),
            p_adjusted=float(found.p[j]),
        )
        reasons: list[Reason] = [StandsIn(metric=row.stands_for)] if row.stands_for else []
        if change in UNDECIDED:
            reasons += undecided(row, family.figures[j], found, j, float(family.least[j]), look, orders)
        concluded[row] = improvement_withheld(replace(drawn, reasons=tuple(reasons)), more_errors.get(row.phase))
    return concluded


_LEVELS = {Change.REGRESSION: Level.FAIL, Change.SUSPICIOUS: Level.INCONCLUSIVE, Change.INCONCLUSIVE: Level.INCONCLUSIVE}


def _looks_worse(family: _Family, found: Paired, j: int, alpha: float) -> bool:
    """Whether an undecided figure reaches the margin and its whole 95 % interval, or its p, speaks for worse.

    Where the pairs are too few for an interval, the estimate alone says so: a duet cut short clears nobody.
    """
    low = float(found.low[j])
    certain = low > 0.0 or not math.isfinite(low) or bool(found.p[j] <= alpha)
    return certain and bool(found.estimate[j] >= family.least[j] - ROUNDING)


def _counted(change: Change, figures: BuildFigures, policy: Policy, alpha: float) -> Change:
    """An error rate has changed only if its counts say so, too: Fisher's exact test, the counts divided by the dispersion
    between blocks. It is unchanged only if the interval of the counts lies under the bound as well.
    """
    shift = counts_shift(figures.head_counts, figures.base_counts, policy)
    if shift is None:
        return change
    if change is Change.REGRESSION and shift.p > alpha:
        return Change.INCONCLUSIVE
    if change is Change.IMPROVEMENT and shift.p_better > alpha:
        return Change.UNCHANGED if shift.upper < shift.bound else Change.INCONCLUSIVE
    # Without an error on either side every pair's difference is zero, and the counts alone know how little that says.
    return Change.INCONCLUSIVE if change is Change.UNCHANGED and shift.upper >= shift.bound else change


def _advisory(able: dict[Row, BuildFigures], duet: Duet) -> dict[Row, Comparison]:
    """Everything else: screened for false discoveries, a warning at most."""
    if not able:
        return {}
    family = _Family.of(able, duet.policy)
    orders = pair_orders(duet)
    found = paired(family.d, duet.seed, orders)
    p, p_better = single_p(family.d, duet.seed, orders)
    adjusted, better = (np.array(false_discovery(each.tolist()), np.float64) for each in (p, p_better))
    # With the adjusted values in their place the same rules hold.
    screened = replace(found, p=adjusted, p_better=better)
    outcomes = conclusions(screened, ADVISORY_Q, family.least, family.bound)
    concluded = {}
    for j, row in enumerate(family.rows):
        change = _CHANGES[Conclusion(int(outcomes[j]))]
        level = Level.WARN if change is Change.REGRESSION else Level.PASS
        # What is overwhelming is not a suspicion, whatever it may do to the run. No p is smaller than the pairs allow.
        if change is Change.REGRESSION and adjusted[j] > _SURE:
            change = Change.SUSPICIOUS
        drawn = _drawn(family, found, j, None, duet.policy)
        concluded[row] = replace(drawn, verdict=change, level=level, p=float(p[j]), p_adjusted=float(adjusted[j]))
    return concluded


def _drawn(family: _Family, found: Paired, j: int, mde: float | None, policy: Policy) -> Comparison:
    """The figures of one row; the caller concludes from them."""
    row, figures = family.rows[j], family.figures[j]
    metric, sign = row.metric, row.metric.worse_sign
    baseline = from_scale(figures.level, metric)

    def change(worse: float) -> float | None:
        """As a relative change of the figure itself; None for an infinite bound, which says nothing."""
        return relative_change(metric, figures.level, sign * worse) if math.isfinite(worse) else None

    estimate, low, high = (float(part[j]) for part in (found.estimate, found.low, found.high))
    ends = (change(low), change(high)) if sign > 0 else (change(high), change(low))
    moved = change(mde) if mde is not None else None
    linear = metric.scale is Scale.LINEAR
    return Comparison(
        phase=row.phase,
        step=row.step,
        metric=metric.name,
        verdict=Change.INCONCLUSIVE,
        primary=row.primary,
        level=Level.PASS,
        baseline=baseline,
        current=from_scale(figures.level + sign * estimate, metric),
        change=change(estimate),
        change_low=ends[0],
        change_high=ends[1],
        worse=estimate,
        noise=float(found.sd[j]) if found.pairs > 1 else None,
        mde=None if moved is None else abs(moved),
        # Of an error rate the margin is in percentage points, no relative change.
        margin=None if linear else policy.margin,
        pairs=found.pairs,
    )
