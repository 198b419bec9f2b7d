"""What differences between paired blocks say, for any number of jobs at once (decision.md, 3).

Differences are head minus base on each metric's comparison scale, signed so that + is worse; shape (..., pairs, metrics).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.analysis.statistics.finite import finite
from velro_gate.analysis.statistics.sign_flip import (
    Orders,
    bounds,
    family_p,
    middle,
    scaled,
    sign_vectors,
    student_of,
    walsh_averages,
)
from velro_gate.arrays import Bools, Floats

# A ratio of exactly 1 + margin must count as the margin in spite of binary fractions.
_ROUNDING = 1e-9

_LARGEST = 1.0 - 1e-6
"""No correlation is taken for larger: beyond, T says only how alike the differences are."""


Z95 = 1.644854
"""What a standard normal stays below with 95 %."""


class Conclusion(IntEnum):
    """What one look concludes of one metric."""

    INCONCLUSIVE = 0
    UNCHANGED = 1
    IMPROVEMENT = 2
    REGRESSION = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """The figures of a family, each of shape (..., metrics)."""

    pairs: int
    estimate: Floats
    """The Hodges-Lehmann estimate."""
    low: Floats
    """Lower end of its 95 % interval."""
    high: Floats
    """Upper end of its 95 % interval."""
    upper: Floats
    """Its one-sided bound; infinite with too few pairs."""
    p: Floats
    """Family-wise, for "worse"."""
    p_better: Floats
    """Family-wise, for "better"."""
    sd: Floats
    """The standard deviation of one pair's difference."""
    head_first: Floats
    """The estimate of the pairs in which the head build came first; NaN where no such pair was measured."""
    head_second: Floats
    """The estimate of the pairs in which the head build came second; NaN likewise."""


def paired(d: Floats, seed: int, orders: Orders | None = None, *, beta: float = 0.05) -> Paired:
    """The figures of these differences. At least one pair and one metric.

    d: (..., pairs, metrics). orders: of the pairs, where they are known. beta: how often the upper bound may be exceeded.

    Raises:
        ValueError: a difference is NaN or infinite.
    """
    d = finite(d, "differences of pairs")
    n = d.shape[-2]
    walsh = walsh_averages(d)
    low, high = bounds(walsh, n, 0.025)
    p, p_better = family_p(d, seed, orders)
    first, second = (_of_order(d, orders, sign) for sign in (-1.0, 1.0))
    return Paired(
        pairs=n,
        estimate=middle(walsh),
        low=low,
        high=high,
        upper=bounds(walsh, n, beta)[1],
        p=p,
        p_better=p_better,
        sd=d.std(axis=-2, ddof=1) if n > 1 else np.full(d.shape[:-2] + d.shape[-1:], np.nan),
        head_first=first,
        head_second=second,
    )


def _of_order(d: Floats, orders: Orders | None, sign: float) -> Floats:
    """The estimate of the pairs of one order alone, shape (..., metrics)."""
    *jobs, n, m = d.shape
    found = np.full((math.prod(jobs), m), np.nan)
    if orders is not None and not (orders.drawn > 0.0).all():
        mine = np.broadcast_to(orders.drawn == sign, (*jobs, n)).reshape(-1, n)
        every, counts = d.reshape(-1, n, m), mine.sum(axis=1)
        # Jobs with the same number of such pairs at once: arrays have no ragged edges.
        for count in np.unique(counts[counts > 0]):
            jobs_alike = counts == count
            chosen = every[jobs_alike][mine[jobs_alike]].reshape(-1, count, m)
            found[jobs_alike] = middle(walsh_averages(chosen))
    return found.reshape(*jobs, m)


def conclusions(found: Paired, alpha: float, least: Floats, bound: Floats) -> npt.NDArray[np.int8]:
    """The Outcome of each metric, as numbers; least, bound: what is worth acting on and what "unchanged" has to lie under.

    Regression: p <= alpha, and the estimate reaches ``least``, among all pairs and among those of each order of the builds by
    itself (``in_both_orders``); improvement mirrored. Unchanged: the estimate lies below ``least``, its upper bound below
    ``bound``.
    """
    both_worse, both_better = in_both_orders(found, least)
    worse = (found.p <= alpha) & (found.estimate >= least - _ROUNDING) & both_worse
    better = (found.p_better <= alpha) & (found.estimate <= _ROUNDING - least) & both_better
    same = (found.estimate < least - _ROUNDING) & (found.upper < bound)
    return np.select(
        [worse, better, same], [Conclusion.REGRESSION, Conclusion.IMPROVEMENT, Conclusion.UNCHANGED], Conclusion.INCONCLUSIVE
    ).astype(np.int8)


def in_both_orders(found: Paired, least: Floats) -> tuple[Bools, Bools]:
    """Whether each metric is (worse, better) by ``least`` where the head build comes first, and where it comes second.

    What a head build inherits from the base build's block before it shows only where it comes second. True where orders are
    unknown.
    """
    weakest, strongest = np.fmin(found.head_first, found.head_second), np.fmax(found.head_first, found.head_second)
    return ~(weakest < least - _ROUNDING), ~(strongest > _ROUNDING - least)


def detectable(d: Floats, seed: int, alpha: float, least: Floats) -> Floats:
    """The smallest worsening of each metric, on the scale, that one job's look (pairs, metrics) finds with 95 % probability.

    Infinite with too few pairs. What T has to exceed is taken from the flipped differences themselves, first without any
    change, then once more with the change found so, since a change spreads the flipped statistics of its own metric.

    Raises:
        ValueError: a difference is NaN or infinite.
    """
    d = finite(d, "differences of pairs")
    n, m = d.shape
    signs = sign_vectors(n, seed)
    if n < 2 or alpha * len(signs) < 1.0:
        return np.full(m, math.inf)
    centred = d - middle(walsh_averages(d))
    sd = d.std(axis=0, ddof=1)
    flipped = signs @ scaled(centred)
    found = worsening_for(critical_statistic(flipped, alpha, n), sd, n, least)
    for j in range(m):
        own = signs @ scaled(centred[:, [j]] + found[j])
        others = np.delete(flipped, j, axis=1)
        critical = critical_statistic(np.hstack([others, own]), alpha, n)
        found[j] = worsening_for(critical, sd[j : j + 1], n, least[j : j + 1])[0]
    return found


def critical_statistic(flipped: Floats, alpha: float, n: int) -> float:
    """The T that has to be reached when the sign vectors give these correlations, shape (vectors, metrics)."""
    largest = np.sort(flipped.max(axis=1))[::-1]
    # p <= alpha allows alpha x vectors as large, the observed one among them.
    allowed = math.floor(alpha * len(largest) * (1.0 + 1e-12))
    return float(student_of(np.minimum(largest[allowed - 1], _LARGEST), n))


def worsening_for(critical: float, sd: Floats, n: int, least: Floats) -> Floats:
    """The worsening whose T reaches ``critical``, and whose estimate reaches ``least``, with 95 % probability.

    Chance takes 1.645 standard errors of the estimate, and of T, whose own sd is uncertain, 1.645 sqrt(1 + T^2 / (2 (n - 1)))
    (the noncentral t in its normal approximation; Johnson, Kotz and Balakrishnan 1995, Continuous Univariate Distributions
    2, section 31.6).
    """
    error = sd / math.sqrt(n)
    reach = critical + Z95 * math.sqrt(1.0 + critical**2 / (2.0 * (n - 1)))
    found: Floats = np.maximum(reach * error, least + Z95 * error)
    return found


def chance_of(worse: float, critical: float, sd: float, n: int, least: float) -> float:
    """The probability that ``worsening_for`` is about, turned round: of finding ``worse`` among n pairs of this sd."""
    if n < 2 or not math.isfinite(critical):
        return 0.0
    error = sd / math.sqrt(n)
    # Without any noise the result is certain, and T would be 0 / 0.
    if error == 0.0:
        return float(worse >= least - _ROUNDING)
    spread = math.sqrt(1.0 + critical**2 / (2.0 * (n - 1)))
    return float(special.ndtr(min((worse / error - critical) / spread, (worse - least) / error)))
