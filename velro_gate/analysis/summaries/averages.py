"""Mean and slowest response time of every step.

The mean's interval comes from slices of time, so that what moves neighbouring requests together widens it: the residuals of the
slices about the common mean, as of a ratio of two sums (Cochran 1977, Sampling Techniques, section 6.4), with Student's t.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from velro_gate.analysis.statistics.intervals import student
from velro_gate.arrays import Floats
from velro_gate.model.record import Estimate

SLICES = 20
"""Equal parts of the stretch whose means show how much the average moves over time."""


def averages(
    times: Floats, step: npt.NDArray[np.uint16], offset: Floats, *, steps: int, seconds: float
) -> list[dict[str, Estimate]]:
    """``mean`` and ``max`` of each step, then of all of them; empty for a step without a response.

    times: response times of successful responses; offset: seconds from the beginning of the stretch to when each fell due.
    """
    slices = np.clip(offset * (SLICES / seconds), 0, SLICES - 1).astype(np.int64) if seconds > 0.0 else np.zeros(0, np.int64)
    if not len(times) or not len(slices):
        return [{} for _ in range(steps + 1)]
    flat = step.astype(np.int64) * SLICES + slices
    counts = np.bincount(flat, minlength=steps * SLICES).reshape(steps, SLICES)
    sums = np.bincount(flat, weights=times, minlength=steps * SLICES).reshape(steps, SLICES)
    most = np.zeros(steps)
    np.maximum.at(most, step, times)
    found = [mean_and_most(counts[index], sums[index], float(most[index])) for index in range(steps)]
    return [*found, mean_and_most(counts.sum(axis=0), sums.sum(axis=0), float(most.max()))]


def mean_and_most(counts: npt.NDArray[np.int64], sums: Floats, most: float) -> dict[str, Estimate]:
    """``mean`` and ``max``; empty without a response. counts, sums: of the times in each slice; most: the slowest of all."""
    n = int(counts.sum())
    if not n:
        return {}
    mean = min(float(sums.sum()) / n, most)
    used = int((counts > 0).sum())
    reach = 0.0
    if used > 1:
        # A ratio estimate with slices of time as clusters (Cochran 1977, Sampling Techniques, chapter 6): neighbouring requests
        # are alike, so slices and not requests are the observations.
        left = (sums - mean * counts)[counts > 0]
        reach = student(used - 1.0) * math.sqrt(used / (used - 1.0) * float(left @ left)) / n
    return {
        "mean": Estimate(value=mean, low=max(mean - reach, 0.0), high=mean + reach, n=n),
        "max": Estimate.exact(most, n=n),
    }
