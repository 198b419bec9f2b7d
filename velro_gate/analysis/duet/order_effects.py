"""Whether a pair's difference depends on which of the two builds came first: what one block leaves behind for the next.

Labels "head second" and "head first" are exchanged among the pairs. Without such an effect every exchange that keeps their
numbers was as likely as what came, so the share of exchanges with as large a contrast in any figure is its p, family-wise
(the permutation test of two samples; Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.6).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from velro_gate.analysis.duet.pair_order import MOST_ORDERS, SAMPLED_ORDERS
from velro_gate.analysis.statistics.sign_flip import middle, scaled, walsh_averages
from velro_gate.arrays import Floats

ORDER_LEVEL = 0.01
"""How often a duet without any effect of the order is said to have one."""

_EQUAL = 1e-9
"""Contrasts closer than this are ties: rounding must not break them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrderEffects:
    """Of each metric: how much worse the head build looks where it comes second, and where it comes first."""

    head_second: Floats
    head_first: Floats
    p: Floats
    """The p of the difference between the two, two-sided, family-wise."""


def order_effects(d: Floats, drawn: Floats, seed: int) -> OrderEffects | None:
    """The effect of the order on differences (pairs, metrics); None where not both orders came.

    drawn: +1 where the head build came second, -1 where it came first.
    """
    second = drawn > 0.0
    if not 0 < second.sum() < len(drawn):
        return None
    centred = scaled(d - d.mean(axis=0))
    contrasts = np.abs(_exchanges(drawn, seed) @ centred)
    mine = np.abs((drawn - drawn.mean()) @ centred)
    largest = contrasts.max(axis=1)
    p = (largest[:, None] >= mine - _EQUAL).mean(axis=0)
    one, other = (middle(walsh_averages(d[chosen])) for chosen in (second, ~second))
    # A figure that never varies has no contrast at all.
    return OrderEffects(head_second=one, head_first=other, p=np.where(mine > 0.0, p, 1.0))


def _exchanges(drawn: Floats, seed: int) -> Floats:
    """The labels in every order, or in a sample of them the first of which is the one that came; each row of mean 0."""
    n, k = len(drawn), int((drawn > 0.0).sum())
    if math.comb(n, k) <= MOST_ORDERS:
        rows = -np.ones((math.comb(n, k), n))
        for row, places in zip(rows, itertools.combinations(range(n), k), strict=True):
            row[list(places)] = 1.0
    else:
        random = np.random.Generator(np.random.PCG64(seed))
        rows = np.vstack([drawn, random.permuted(np.tile(drawn, (SAMPLED_ORDERS, 1)), axis=1)])
    found: Floats = rows - drawn.mean()
    return found
