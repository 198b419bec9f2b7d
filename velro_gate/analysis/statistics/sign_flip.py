"""The arithmetic of paired comparisons: sign flips, their largest statistic, signed ranks. It knows nothing of the gate.

Which build came first in a pair was drawn at random, so without a difference between the builds every difference d_i might as
well have had the other sign. Counting over the signs is therefore exact whatever the distribution (Fisher 1935, The Design of
Experiments, section 21), and taking the largest statistic over all metrics makes it hold for the family while the correlation
between metrics stays what it is (Westfall and Young 1993, Resampling-Based Multiple Testing, section 2.6).

Differences have the shape (..., pairs, metrics): any number of jobs at once, so that simulations run the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from velro_gate.arrays import Floats

EXACT_PAIRS = 11
"""Up to this number of pairs all sign vectors are counted; with more, a sample of them."""
SAMPLED_VECTORS = 2000
"""Sign vectors that are drawn; the least p that they can show is 1 / 2001."""

_EQUAL = 1e-9  # statistics closer than this are ties: rounding must not break them
_AT_ONCE = 4_000_000  # elements of the largest array that is made at one time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Orders:
    """Orders of the two builds in each pair; +1: the head build came second, -1: it came first."""

    possible: Floats
    """Every order that might have been drawn, shape (orders, pairs), one row for each way to draw it."""
    drawn: Floats
    """Those that were, shape (..., pairs)."""


@lru_cache(maxsize=64)
def sign_vectors(n: int, seed: int) -> Floats:
    """Sign vectors as rows, the identity first: all 2^n of them for n <= 11, else the identity and 2,000 drawn by ``seed``.

    Counting the identity keeps a sampled p-value valid (Phipson and Smyth 2010, SAGMB 9:39).
    """
    if n <= EXACT_PAIRS:
        flips = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, 2, (SAMPLED_VECTORS, n))
        flips = np.vstack([np.zeros(n, np.int64), drawn])
    signs = np.where(flips == 1, -1.0, 1.0)
    signs.setflags(write=False)
    return signs


def scaled(d: Floats) -> Floats:
    """The differences, each metric's divided by sqrt(n sum d^2): so their sum is r, in [-1, 1]; 0 where every difference is 0.

    Student's T = r sqrt(n - 1) / sqrt(1 - r^2) grows with r, so ranks of T are ranks of r, which is finite even where all
    differences are equal. Flipping signs leaves sum d^2 as it is.
    """
    # Divided by the largest first, since the squares of tiny differences would be lost.
    most = np.abs(d).max(axis=-2, keepdims=True, initial=0.0)
    unit = np.divide(d, most, out=np.zeros_like(d), where=most > 0.0)
    length: Floats = np.sqrt(d.shape[-2] * (unit * unit).sum(axis=-2, keepdims=True))
    found: Floats = np.divide(unit, length, out=np.zeros_like(d), where=length > 0.0)
    return found


def student_of(r: Floats, n: int) -> Floats:
    """Student's T that belongs to a correlation of n differences, of any shape; infinite at r = 1."""
    with np.errstate(divide="ignore"):
        t: Floats = r * np.sqrt((n - 1) / np.maximum(1.0 - r * r, 0.0))
    return t


def family_p(d: Floats, seed: int, orders: Orders | None = None) -> tuple[Floats, Floats]:
    """(p for "grew", p for "shrank") of each metric, adjusted for the whole family; shapes (..., metrics).

    p_j is the share of sign vectors whose largest T over all metrics is at least T_j. Exchanging the two builds (d -> -d)
    exchanges the two results exactly. orders: those that might have been drawn, where not each pair was drawn by itself; a
    sign vector then is the change from the order that was drawn to one of these.
    """
    *jobs, n, m = d.shape
    if orders is None:
        orders = Orders(possible=sign_vectors(n, seed), drawn=np.ones(n))
    every = scaled(d).reshape(-1, n, m)
    # Second block less first: what the flipped differences are made of, whatever the order.
    second = every * np.broadcast_to(orders.drawn[..., None], (*jobs, n, 1)).reshape(-1, n, 1)
    grew, shrank = np.empty((len(every), m)), np.empty((len(every), m))
    step = max(1, _AT_ONCE // (len(orders.possible) * m))
    for begin in range(0, len(every), step):
        flipped = orders.possible @ second[begin : begin + step]
        r = every[begin : begin + step].sum(axis=-2)
        grew[begin : begin + step] = _share_at_least(flipped.max(axis=-1), r)
        shrank[begin : begin + step] = _share_at_least(-flipped.min(axis=-1), -r)
    return grew.reshape(*jobs, m), shrank.reshape(*jobs, m)


def single_p(d: Floats, seed: int, orders: Orders | None = None) -> tuple[Floats, Floats]:
    """The same for each metric alone, without adjustment."""
    parts = [family_p(d[..., [j]], seed, orders) for j in range(d.shape[-1])]
    grew, shrank = (np.concatenate([part[side] for part in parts], axis=-1) for side in (0, 1))
    return grew, shrank


def _share_at_least(largest: Floats, r: Floats) -> Floats:
    """For each metric of each job the share of that job's ``largest`` that reach its r."""
    ordered = np.sort(largest, axis=-1)
    below = np.empty(r.shape)
    for job, (column, wanted) in enumerate(zip(ordered, r, strict=True)):
        below[job] = np.searchsorted(column, wanted - _EQUAL)
    share: Floats = 1.0 - below / largest.shape[-1]
    return share


def walsh_averages(d: Floats) -> Floats:
    """The n (n + 1) / 2 means of two differences (each with itself, too), sorted; shape (..., metrics, averages)."""
    first, second = np.triu_indices(d.shape[-2])
    across = np.moveaxis(d, -1, -2)
    return np.sort((across[..., first] + across[..., second]) / 2.0, axis=-1)


def middle(walsh: Floats) -> Floats:
    """The Hodges-Lehmann estimate: the median of the Walsh averages, (..., averages) to (...) (Hodges and Lehmann 1963)."""
    found: Floats = np.median(walsh, axis=-1)
    return found


def bounds(walsh: Floats, n: int, tail: float) -> tuple[Floats, Floats]:
    """(lower, upper) bound of the estimate, each exceeded with at most ``tail``; infinite where n pairs cannot say.

    The signed-rank test turned round (Hollander, Wolfe and Chicken 2014, Nonparametric Statistical Methods, section 3.3).
    """
    outside = bound_rank(n, tail)
    if outside is None:
        nothing = np.full(walsh.shape[:-1], np.inf)
        return -nothing, nothing
    return walsh[..., outside], walsh[..., -1 - outside]


@lru_cache(maxsize=64)
def bound_rank(n: int, tail: float) -> int | None:
    """How many Walsh averages lie outside a bound: the largest c with P(W < c + 1) <= tail; None where even c = 0 is too much.

    W: the signed-rank statistic of n differences, its distribution counted exactly.
    """
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        ways[rank:] += ways[: len(ways) - rank].copy()
    at_most = np.cumsum(ways) / 2.0**n
    allowed = int(np.searchsorted(at_most, tail * (1.0 + 1e-12), side="right"))
    return allowed - 1 if allowed else None
