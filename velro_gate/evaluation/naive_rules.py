"""The rules that other gates use, for comparison only: nothing here decides anything.

Shapes are (..., jobs) throughout: one answer a job.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.arrays import Floats

STEP = 0.10
"""Over the previous run."""
P = 0.05

PREVIOUS = "previous run + 10 %"
RAW = "Mann-Whitney on requests"
WINDOWS = "Mann-Whitney on window medians"


def over_previous(previous: Floats, current: Floats, step: float = STEP) -> npt.NDArray[np.bool_]:
    """Whether any metric is more than ``step`` worse; logarithms, signed so that + is worse, shape (jobs, metrics)."""
    return np.asarray((current - previous > math.log1p(step)).any(axis=-1))


def mann_whitney_worse(previous: Floats, current: Floats) -> Floats:
    """One-sided p that ``current`` is stochastically larger, by the normal approximation; shapes (jobs, values)."""
    n, m = previous.shape[-1], current.shape[-1]
    both = np.concatenate([previous, current], axis=-1)
    order = np.argsort(both, axis=-1)
    ranks = np.empty(both.shape, np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, n + m + 1), both.shape), axis=-1)
    u = ranks[..., n:].sum(axis=-1) - m * (m + 1) / 2.0
    z = (u - n * m / 2.0 - 0.5) / math.sqrt(n * m * (n + m + 1) / 12.0)
    p: Floats = special.ndtr(-z)
    return p
