"""When failures of one kind came: the stretch of time in which they were most dense."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from velro_gate.arrays import Bools, Floats

SCANNED = 240
"""Parts of a phase between whose edges the stretch is sought; its ends are then sought again, in finer parts."""
FINER = 40
"""Parts of the second, finer look at each end."""

STANDS_OUT = 15.0
"""The log-likelihood ratio of such a stretch: exp(-15) times the 29,000 stretches that are tried is under one in a hundred."""


def densest(due: Floats, mine: Bools, begin: float, end: float) -> tuple[float, float]:
    """The first and the last time of the stretch in which ``mine`` are most unlike the rest of [begin, end), in seconds.

    due: when each request fell due, seconds, (n,). mine: which of them, (n,), at least one.

    The scan statistic of Kulldorff (1997) for counts of two kinds: of all stretches between the edges of a grid, the one whose
    likelihood ratio is greatest. Where no stretch stands out, the time in which 98 % of them lie.
    """
    some, every = np.sort(due[mine]), np.sort(due)
    edges = np.linspace(begin, end, SCANNED + 1)
    ratio, start, stop = _greatest(some, every, edges, edges)
    if ratio < STANDS_OUT:
        cut = len(some) // 100
        return float(some[cut]), float(some[len(some) - 1 - cut])
    width = (end - begin) / SCANNED
    _, start, stop = _greatest(some, every, *(np.linspace(at - width, at + width, FINER + 1) for at in (start, stop)))
    within = some[(some >= start) & (some < stop)]
    return float(within[0]), float(within[-1])


def _greatest(some: Floats, every: Floats, starts: Floats, stops: Floats) -> tuple[float, float, float]:
    """The greatest likelihood ratio of a stretch in which ``some`` are denser than outside, and its ends."""
    count, of = (np.searchsorted(times, stops)[None, :] - np.searchsorted(times, starts)[:, None] for times in (some, every))
    n, all_of = len(some), len(every)
    ratio = _certainty(count, of) + _certainty(n - count, all_of - of) - _certainty(n, all_of)
    # Stretches of no length, and those in which ``some`` are rarer than outside: a ratio is as large for those.
    ratio[(stops[None, :] <= starts[:, None]) | (count * all_of <= of * n)] = 0.0
    first, last = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    return float(ratio[first, last]), float(starts[first]), float(stops[last])


def _certainty(count: npt.ArrayLike, of: npt.ArrayLike) -> Floats:
    """The greatest log-likelihood with which ``count`` of ``of`` requests failed."""
    some = np.asarray(count, np.float64)
    rest = np.asarray(of, np.float64) - some
    whole = np.maximum(some + rest, 1.0)
    found: Floats = some * np.log(np.maximum(some, 1.0) / whole) + rest * np.log(np.maximum(rest, 1.0) / whole)
    return found
