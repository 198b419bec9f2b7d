"""Why the head build of a duet is worse, phase by phase: the shift function over pairs of blocks.

All of it is new, since the two builds of a pair differ by nothing but the change. Where a run's explanation names main's
history, that of a duet names the range of the base build's blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from velro_gate.analysis.duet.block_figures import BuildFigures, figures_of, unusable
from velro_gate.analysis.duet.comparison import pair_orders
from velro_gate.analysis.duet.pooled import pool_blocks
from velro_gate.analysis.rows.companions import companions
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.statistics.paired import paired
from velro_gate.analysis.statistics.sign_flip import single_p
from velro_gate.analysis.stored.explanation import QUANTILES, SURE, Moved, explain, to_explain
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.duet import Duet, Pair, Side
from velro_gate.model.facts.explanations import NewAboveBase, NewWithBuild, Origin
from velro_gate.model.facts.regression import Explanation, QuantileMove
from velro_gate.model.metrics import MEDIAN, METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Comparison


def duet_explanations(rows: Sequence[Comparison], duet: Duet) -> tuple[Explanation, ...]:
    """One for each phase with a primary figure that is worse side by side.

    rows: comparisons of a run with this duet; those with baselines are left out.
    """
    pairs = [pair for pair in duet.pairs if not unusable(pair)]
    of_pairs = [row for row in rows if row.pairs]
    found = []
    for name in dict.fromkeys(row.phase for row in of_pairs):
        worse = to_explain(of_pairs, name)
        if worse:
            found.append(_explained(worse, of_pairs, pairs, duet))
    return tuple(found)


def _explained(worse: Sequence[Comparison], rows: Sequence[Comparison], pairs: Sequence[Pair], duet: Duet) -> Explanation:
    phase = worse[0].phase
    base, head = (_phases(pairs, side, phase) for side in Side)
    moved = {step: found for step in (ALL_STEPS, *duet.steps) if (found := _moved(phase, step, pairs, duet)) is not None}
    return explain(
        worse,
        duet.steps,
        moved,
        origin=lambda row: _origin(row, base),
        companions=lambda names, named: companions(
            phase, names, [row for row in rows if row not in named], pool_blocks(head), base
        ),
    )


def _phases(pairs: Sequence[Pair], side: Side, name: str) -> list[PhaseSummary]:
    return [found for pair in pairs if (found := pair.block(side).phase(name)) is not None]


def _origin(row: Comparison, base: Sequence[PhaseSummary]) -> Origin:
    figures = [found.value for phase in base if (found := phase.measurement(row.metric, row.step)) is not None]
    if not figures or METRICS[row.metric].quantile is None:
        return NewWithBuild()
    return NewAboveBase(metric=row.metric, blocks=len(figures), low=min(figures), high=max(figures))


def _moved(phase: str, step: str, pairs: Sequence[Pair], duet: Duet) -> Moved | None:
    """The quantiles of one step that have enough requests beyond them; None where there are none to compare."""
    quantiles, orders = [], pair_orders(duet)
    for name in QUANTILES:
        metric = METRICS[name]
        figures = figures_of(Row(phase=phase, step=step, metric=metric, primary=False), pairs)
        if not isinstance(figures, BuildFigures):
            continue
        d = figures.worsening[:, None]
        found = paired(d, duet.seed, orders)
        estimate, low, high = (float(each[0]) for each in (found.estimate, found.low, found.high))
        if not math.isfinite(low):
            continue
        change = math.expm1(estimate)
        quantiles.append(
            QuantileMove(
                metric=name,
                change=change,
                low=math.expm1(low),
                high=math.expm1(high),
                seconds=math.exp(figures.level) * change,
                moved=float(single_p(d, duet.seed, orders)[0][0]) <= SURE
                and estimate >= math.log1p(duet.policy.margin) - ROUNDING,
            )
        )
    median = _phases(pairs, Side.HEAD, phase)[0].measurement(MEDIAN, step)
    return Moved(step=step, quantiles=tuple(quantiles), median=median.value if median else 0.0) if quantiles else None
