"""Why a figure of a duet is undecided: what its own numbers show."""

from __future__ import annotations

import math

import numpy as np

from velro_gate.analysis.duet.block_figures import BuildFigures
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.statistics.paired import Paired, in_both_orders
from velro_gate.analysis.statistics.sign_flip import Orders
from velro_gate.analysis.stored.comparison import not_ruled_out
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.duet import Look
from velro_gate.model.facts.reasons import ChanceAgrees, OnePair, OrderMatters, PairsWorse, Reason, TooFewPairs


def undecided(
    row: Row, figures: BuildFigures, found: Paired, j: int, least: float, look: Look, orders: Orders
) -> tuple[Reason, ...]:
    """Why a row is neither changed nor unchanged.

    j: its place in the family that ``found`` is about. least: the worsening that counts. orders: of the pairs.
    """
    if found.pairs < 2:
        return (OnePair(),)
    metric, d = row.metric.name, figures.worsening
    looks_worse = found.estimate[j] >= least - ROUNDING
    counted = PairsWorse(metric=metric, worse=int((d >= least - ROUNDING).sum()), pairs=len(d), least=least)
    both_worse, both_better = in_both_orders(found, np.full(len(found.estimate), least))
    worse, better = (found.p[j] <= look.alpha and looks_worse), (found.p_better[j] <= look.alpha and not looks_worse)
    if (worse and not both_worse[j]) or (better and not both_better[j]):
        second, first = float(found.head_second[j]), float(found.head_first[j])
        return (OrderMatters(metric=metric, head_second=second, head_first=first),)
    ways = len(orders.possible)
    # The least p that this number of orders can show is 1 / ways: above alpha, no result of these pairs could have failed.
    if looks_worse and look.alpha * ways < 1.0 - ROUNDING:
        return counted, ChanceAgrees(ways=ways, enough=_enough(look))
    if not math.isfinite(found.upper[j]):
        return (TooFewPairs(),)
    open_still = not_ruled_out(row.metric, figures.level, float(found.upper[j]))
    return (counted, open_still) if looks_worse else (open_still,)


def _enough(look: Look) -> int:
    """The number of pairs from which on a change can be shown."""
    least = math.ceil(-math.log2(look.alpha)) if look.alpha > 0.0 else look.pairs + 1
    return max(least, look.pairs)
