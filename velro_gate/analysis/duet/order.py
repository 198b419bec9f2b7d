"""What the order of the builds did to a duet, as a reason to doubt it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from velro_gate.analysis.duet.block_figures import BuildFigures, figures_of
from velro_gate.analysis.duet.comparison import UNDECIDED, least_worsening, usable_pairs
from velro_gate.analysis.duet.order_effects import ORDER_LEVEL, order_effects
from velro_gate.analysis.rows.family import Row
from velro_gate.model.duet import Duet, Side
from velro_gate.model.facts.doubts import FigureName, OrderEffect
from velro_gate.model.metrics import METRICS
from velro_gate.model.verdict import Change, Comparison, Trust, TrustFinding


def order_doubts(duet: Duet, rows: Sequence[Comparison]) -> Iterator[TrustFinding]:
    """That some primary figure depends on which build came first: a caveat.

    Broken where it decides: nothing is shown to be worse, and a figure that is undecided differs between the orders by more
    than the margin. What is decided is so in both orders, or under the bound in spite of them.
    """
    pairs = usable_pairs(duet)
    found: list[tuple[Comparison, Row, BuildFigures]] = []
    for each in rows:
        if each.primary and each.verdict is not Change.NOT_COMPARED:
            row = Row(phase=each.phase, step=each.step, metric=METRICS[each.metric], primary=True)
            figures = figures_of(row, pairs)
            if isinstance(figures, BuildFigures):
                found.append((each, row, figures))
    if not found:
        return
    drawn = np.array([1.0 if pair.first is Side.BASE else -1.0 for pair in pairs])
    effects = order_effects(np.column_stack([figures.worsening for _, _, figures in found]), drawn, duet.seed)
    if effects is None or effects.p.min() > ORDER_LEVEL:
        return
    fails = any(each.verdict is Change.REGRESSION for each, _, _ in found)
    differ = np.abs(effects.head_second - effects.head_first)
    decides = [
        not fails and each.verdict in UNDECIDED and bool(differ[j] > least_worsening(row.metric, duet.policy, figures.level))
        for j, (each, row, figures) in enumerate(found)
    ]
    j = min(np.flatnonzero(effects.p <= ORDER_LEVEL), key=lambda j: (not decides[j], effects.p[j], -differ[j]))
    _, row, moved = found[j]
    name = FigureName(step=row.step, metric=row.metric.name)
    yield TrustFinding(
        trust=Trust.BROKEN if decides[j] else Trust.CAVEAT,
        phase=row.phase,
        figure=float(differ[j]),
        limit=least_worsening(row.metric, duet.policy, moved.level),
        facts=OrderEffect(figure=name, head_second=float(effects.head_second[j]), head_first=float(effects.head_first[j])),
    )
