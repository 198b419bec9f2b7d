"""Times in bins of a fixed ratio, so that a quantile read from them is known to a fixed share of itself.

The mapping of DDSketch (Masson, Rim and Lee 2019, PVLDB 12:2195): bin k holds the times in [LEAST r^k, LEAST r^(k+1)), and
stands for the one that is at most (r - 1) / (r + 1) of itself away from both ends. Entries in bins are added, so the sketch of
all workers' times is the sum of theirs, exactly. Whole columns at once: the libraries add one value at a time.
"""

from __future__ import annotations

import math

import numpy as np

from velro_gate.arrays import Floats, Ints

RATIO = 1.01
ERROR = 0.005
"""The most by which a time differs from what its bin stands for, as a share of it: a little over (RATIO - 1) / (RATIO + 1)."""
LEAST = 1e-7
"""Seconds below which times are not distinguished: they stand as 0."""

_LOG = math.log(RATIO)


def bins_of(times: Floats) -> Ints:
    """The bin of each time, in seconds; 0 for those below ``LEAST``."""
    found: Ints = np.floor(np.log(np.maximum(times, LEAST)) / _LOG - math.log(LEAST) / _LOG + 1.0).astype(np.int64)
    found[times < LEAST] = 0
    return found


def times_of(bins: Ints) -> Floats:
    """The times, in seconds, that bins stand for."""
    found: Floats = LEAST * 2.0 * RATIO / (1.0 + RATIO) * np.exp((bins - 1.0) * _LOG)
    found[bins == 0] = 0.0
    return found
