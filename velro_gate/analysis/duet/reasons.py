"""Why a figure of a duet is undecided, in words that its own numbers give."""

from __future__ import annotations

import math

import numpy as np

from velro_gate.analysis.duet.block_figures import Figures
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.statistics.paired import Paired, in_both_orders
from velro_gate.analysis.statistics.sign_flip import Orders
from velro_gate.analysis.stored.comparison import not_ruled_out
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.model.duet import Look
from velro_gate.model.metrics import Scale
from velro_gate.units import format_change, trim_zeros


def undecided(row: Row, figures: Figures, found: Paired, j: int, least: float, look: Look, orders: Orders) -> str:
    """Why a row is neither changed nor unchanged.

    j: its place in the family that ``found`` is about. least: the worsening that counts. orders: of the pairs.
    """
    if found.pairs < 2:
        return "one pair of blocks cannot tell anything"
    looks_worse = found.estimate[j] >= least - ROUNDING
    counted = f"{_worse_pairs(figures, least)} by {size(row, least)} or more"
    both_worse, both_better = in_both_orders(found, np.full(len(found.estimate), least))
    worse, better = (found.p[j] <= look.alpha and looks_worse), (found.p_better[j] <= look.alpha and not looks_worse)
    if (worse and not both_worse[j]) or (better and not both_better[j]):
        return order_words(row, float(found.head_second[j]), float(found.head_first[j]))
    ways = len(orders.possible)
    if looks_worse and look.alpha * ways < 1.0 - ROUNDING:
        return f"{counted}, but so few pairs agree by chance as often as once in {ways}: at least {_enough(look)} can tell"
    if not math.isfinite(found.upper[j]):
        return "too few pairs of blocks to tell"
    open_still = not_ruled_out(row.metric, figures.level, float(found.upper[j]))
    return f"{counted}; {open_still}" if looks_worse else open_still


def _enough(look: Look) -> str:
    """The number of pairs from which on a change can be shown."""
    least = math.ceil(-math.log2(look.alpha)) if look.alpha > 0.0 else look.pairs + 1
    return f"{max(least, look.pairs)} pairs"


def _worse_pairs(figures: Figures, least: float) -> str:
    d = figures.worsening
    worse = int((d >= least - ROUNDING).sum())
    return f"{'all ' if worse == len(d) else f'{worse} of '}{len(d)} pairs are worse"


def order_words(row: Row, head_second: float, head_first: float) -> str:
    """How the change depends on which build came first."""
    places = ((head_second, "where the head build comes second"), (head_first, "where it comes first"))
    if abs(head_first) > abs(head_second):
        places = ((head_first, "where the head build comes first"), (head_second, "where it comes second"))
    said = " but ".join(f"{size(row, change, signed=True)} {place}" for change, place in places)
    return f"the change depends on the order of the builds: {said}"


def size(row: Row, worse: float, *, signed: bool = False) -> str:
    """A worsening on the comparison scale; an error rate's in percentage points."""
    if row.metric.scale is Scale.LINEAR:
        return f"{worse * 100.0:{'+' if signed else ''}.2g} percentage points"
    change = trim_zeros(format_change(math.expm1(row.metric.worse_sign * worse if signed else worse)))
    return change if signed else change.lstrip("+")
