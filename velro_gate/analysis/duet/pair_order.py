"""Which build comes first in each pair: balanced, drawn at random by a recorded seed; and all orders that might have come.

Of the first ten pairs five begin with the base build, of the next six three do. So what the second block of a pair inherits
from the first (warm caches, a fuller database) cancels out of the estimate, and both orders can be compared with each other.
The test counts over the orders that this drawing could have given, no others, so it is exact whatever the blocks' noise is
(Fisher 1935, The Design of Experiments, section 21; Edgington and Onghena 2007, Randomization Tests, chapter 5).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from velro_gate.analysis.statistics.sign_flip import Orders, sign_vectors
from velro_gate.arrays import Floats
from velro_gate.model.duet import Look, Side

MOST_ORDERS = 20_000
"""Up to this number of orders all of them are counted; of more, a sample drawn by the seed."""
SAMPLED_ORDERS = 5_000
"""Orders that are drawn where there are too many to count: at p = .05 the sampling error of p is then .003."""


def balance_of(looks: Sequence[Look]) -> tuple[int, ...]:
    """Lengths of the stretches of pairs in each of which both orders come equally often; () where each pair is drawn by itself.

    A stretch ends at each look that may call something changed. So few pairs that their balanced orders could not reach the
    level of the look are drawn each by itself.
    """
    ends = [look for look in looks if look.alpha > 0.0]
    lengths = [look.pairs - before for look, before in zip(ends, [0, *(look.pairs for look in ends)], strict=False)]
    if not ends or ends[0].alpha * _ways(lengths[0]) < 1.0:
        return ()
    return tuple(lengths)


def drawn_order(balance: Sequence[int], count: int, seed: int) -> tuple[Side, ...]:
    """Which build comes first in each of ``count`` pairs."""
    lot = random.Random(f"{seed}/order")
    found: list[Side] = []
    for length in balance:
        fewer = length // 2
        # Of an odd number which build comes first once more is drawn, too.
        base_first = fewer if lot.random() < 0.5 else length - fewer
        stretch = [Side.BASE] * base_first + [Side.HEAD] * (length - base_first)
        lot.shuffle(stretch)
        found += stretch
    while len(found) < count:
        found.append(Side.BASE if lot.random() < 0.5 else Side.HEAD)
    return tuple(found[:count])


def orders_of(first: Sequence[Side], balance: Sequence[int], seed: int) -> Orders:
    """The orders of one duet. first: of its pairs. Where they are not balanced so, each pair counts as drawn by itself."""
    drawn = np.array([1.0 if side is Side.BASE else -1.0 for side in first])
    if not _is_balanced(drawn, balance):
        return Orders(possible=sign_vectors(len(drawn), seed), drawn=np.ones(len(drawn)))
    whole = all_orders(tuple(balance))
    if whole is not None:
        return Orders(possible=whole[:, : len(drawn)], drawn=drawn)
    sampled = [drawn_order(balance, len(drawn), seed + 1 + i) for i in range(SAMPLED_ORDERS)]
    rows = [[1.0 if side is Side.BASE else -1.0 for side in order] for order in sampled]
    # The order that was drawn counts among them, which keeps a sampled p-value valid.
    return Orders(possible=np.vstack([drawn, np.array(rows)]), drawn=drawn)


@lru_cache(maxsize=16)
def all_orders(balance: tuple[int, ...]) -> Floats | None:
    """Every balanced order as a row, (orders, pairs), +1 where the head build comes second; None where there are more than
    ``MOST_ORDERS``.
    """
    if math.prod(_ways(length) for length in balance) > MOST_ORDERS:
        return None
    rows = np.ones((1, 0))
    for length in balance:
        stretch = _stretches(length)
        rows = np.hstack([np.repeat(rows, len(stretch), axis=0), np.tile(stretch, (len(rows), 1))])
    rows.setflags(write=False)
    return rows


def _stretches(length: int) -> Floats:
    found = []
    for positive in sorted({length // 2, length - length // 2}):
        for places in itertools.combinations(range(length), positive):
            row = -np.ones(length)
            row[list(places)] = 1.0
            found.append(row)
    return np.array(found)


def _ways(length: int) -> int:
    """How many balanced orders there are of that many pairs."""
    return math.comb(length, length // 2) * (1 + length % 2)


def _is_balanced(drawn: Floats, balance: Sequence[int]) -> bool:
    """Whether these pairs may be the beginning of a balanced order."""
    if not balance or len(drawn) > sum(balance):
        return False
    begin = 0
    for length in balance:
        stretch = drawn[begin : begin + length]
        # Of a stretch of odd length one order may come once more than the other.
        most = length - length // 2
        if max((stretch > 0.0).sum(), (stretch < 0.0).sum()) > most:
            return False
        begin += length
    return True
