"""The responses of the control endpoint during one block, summarised like those of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from velro_gate.model.metrics import MEDIAN
from velro_gate.model.record import Counts, Estimate, StepSummary

CONTROL = "control"


def control_summary(times: Sequence[float], failed: int = 0) -> StepSummary:
    """The median response time in seconds, with its 95 % interval by order statistics; absent without a response."""
    n = len(times)
    measurements = {}
    if n:
        ordered = np.sort(np.asarray(times, dtype=np.float64))
        # 1.96 sqrt(n) / 2: the ranks about a median, by the normal approximation of the binomial (Conover 1999, Practical
        # Nonparametric Statistics, section 3.2).
        reach = 0.98 * math.sqrt(n)
        low, high = max(math.floor(n / 2.0 - reach), 0), min(math.ceil(n / 2.0 + reach), n - 1)
        measurements[MEDIAN] = Estimate(
            value=float(np.median(ordered)), low=float(ordered[low]), high=float(ordered[high]), n=n
        )
    counts = Counts(due=n + failed, sent=n + failed, ok=n, failed=failed, cancelled=0, blocked=0, missed=0)
    return StepSummary(step=CONTROL, counts=counts, measurements=measurements)
