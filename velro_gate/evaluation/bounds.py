"""Counts of right and wrong verdicts, with their exact intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy import special

from velro_gate.arrays import Floats
from velro_gate.evaluation.results import Aim, Amount, Figure

TAIL = 0.025
"""Outside either end of an interval."""


def figure_of(
    experiment: str,
    what: str,
    hits: int,
    count: int,
    aim: Aim,
    target: float | None = None,
    naive: Mapping[str, float] | None = None,
    forecast: float | None = None,
    most: float | None = None,
) -> Figure:
    """A figure with its interval."""
    low, high = rate_interval(hits, count)
    return Figure(
        experiment=experiment,
        what=what,
        hits=hits,
        count=count,
        low=low,
        high=high,
        aim=aim,
        target=target,
        most=most,
        naive=dict(naive or {}),
        forecast=forecast,
    )


def rate_interval(hits: int, count: int) -> tuple[float, float]:
    """The two-sided 95 % interval of a rate (Clopper and Pearson 1934, Biometrika 26:404)."""
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, count - hits + 1, TAIL))
    high = 1.0 if hits == count else float(special.betaincinv(hits + 1, count - hits, 1.0 - TAIL))
    return low, high


def amount_of(experiment: str, what: str, values: Floats, unit: str, aim: Aim, target: float | None = None) -> Amount:
    """The mean of one value a job, shape (jobs,), with the normal approximation's interval."""
    n = len(values)
    mean = float(values.mean())
    reach = 1.96 * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Amount(
        experiment=experiment,
        what=what,
        value=mean,
        unit=unit,
        low=mean - reach,
        high=mean + reach,
        count=n,
        aim=aim,
        target=target,
    )
