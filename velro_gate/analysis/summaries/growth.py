"""How fast a watched value grows over a stretch: a slope that outlying readings do not bend, with its interval."""

from __future__ import annotations

import math

import numpy as np

from velro_gate.analysis.statistics.finite import finite
from velro_gate.analysis.statistics.intervals import Z, autocorrelation_time, student
from velro_gate.arrays import Floats
from velro_gate.model.metrics import LONG_STRETCH
from velro_gate.model.record import Estimate

LEAST_READINGS = 10
"""Fewer do not distinguish a slope from a step."""

MOST_READINGS = 400
"""More are put together first, by their medians: the pairs among them grow with the square."""

MINUTE = 60.0
"""Growth is given per minute, as limits on it are written."""
LONGEST_WARM_UP = 120.0
"""Seconds at the beginning of a stretch that show no leak: a third of it, and not more than these."""


def growth(at: Floats, value: Floats) -> Estimate | None:
    """How much the value grows in a minute, with a 95 % interval; None with fewer than LEAST_READINGS readings, or with
    readings of one instant, which have no slope.

    at: seconds, rising; value: of the same length. Readings that follow each other are alike, so the interval is as wide as
    that of correspondingly fewer independent ones: the variance of Kendall's S grows by the memory of what the line leaves
    (after Hamed and Rao 1998, Journal of Hydrology 204:182), and Student's t with as many degrees of freedom takes the place
    of the normal. The same memory widens the standard error of the slope, which gives a second interval.

    Raises:
        ValueError: a time or a value is NaN or infinite.
    """
    at, value = finite(at, "times of readings"), finite(value, "readings")
    if len(at) < LEAST_READINGS:
        return None
    times, values = _thinned(at), _thinned(value)
    if times.min() == times.max():
        return None
    slope, _, _ = theil_sen(times, values)
    memory = _memory(values - slope * times)
    widening = math.sqrt(memory) * student(len(times) / memory - 2.0, intervals=2) / Z
    slope, low, high = theil_sen(times, values, widening=widening)
    # Ranks do not see how little it is that a line leaves: a leak of whole descriptors, even but for the rounding, would not be
    # certain. A standard error does, but is bent by outliers. The narrower of both counts, so each has half of the error.
    error = widening * Z * _standard_error(times, values - slope * times)
    low, high = max(low, slope - error), min(high, slope + error)
    return Estimate(value=slope * MINUTE, low=low * MINUTE, high=high * MINUTE, n=len(at))


def relative_growth(at: Floats, value: Floats, *, begin: float, end: float) -> Estimate | None:
    """How much the value grows in a minute as a share of its median, once the service is warm, with a 95 % interval.

    begin, end: the measured stretch. Where the later half grows less than half as fast as the whole, the interval reaches down
    to that half's lower end: what rose and then levelled off is no leak. None: the stretch is shorter than ``LONG_STRETCH``,
    the readings cover less than half of what is left of it, or the median is nothing.
    """
    if end - begin < LONG_STRETCH:
        return None
    warm = begin + min((end - begin) / 3.0, LONGEST_WARM_UP)
    inside = (at >= warm) & (at < end)
    at, value = at[inside], value[inside]
    # Each half must be enough for a slope of its own, and what they span for the whole stretch.
    if len(at) < 2 * LEAST_READINGS or at[-1] - at[0] < (end - warm) / 2.0:
        return None
    level, half = float(np.median(value)), len(at) // 2
    whole, later = growth(at, value), growth(at[half:], value[half:])
    if whole is None or later is None or level <= 0.0:
        return None
    low = whole.low if later.value >= whole.value / 2.0 else min(whole.low, later.low)
    return Estimate(value=whole.value / level, low=low / level, high=whole.high / level, n=whole.n)


def _standard_error(at: Floats, left: Floats) -> float:
    """Of a slope, were the readings independent. left: what the line leaves."""
    return math.sqrt(float(left.var()) * len(at) / (len(at) - 2.0) / float(((at - at.mean()) ** 2).sum()))


def _memory(left: Floats) -> float:
    """The autocorrelation time of what a line leaves, in readings: the larger of the windowed estimate and of an AR(1)'s.

    What the unknown line takes from the correlation, (2 + 4 r) / n, is given back (Kendall 1954, Biometrika 41:403).
    """
    centred = left - left.mean()
    whole = float(centred @ centred)
    if whole == 0.0:
        return 1.0
    n = len(left)
    r = float(centred[1:] @ centred[:-1]) / whole
    r = min(max(r + (2.0 + 4.0 * r) / n, 0.0), 1.0 - 1.0 / n)
    return min(max(autocorrelation_time(left), (1.0 + r) / (1.0 - r)), n / 4.0)


def theil_sen(at: Floats, value: Floats, *, widening: float = 1.0) -> tuple[float, float, float]:
    """(slope, low, high): the median of the slopes between all pairs, and its 95 % interval, in units of value per unit of at.

    The interval lies between the slopes of rank (N -+ z sd(S)) / 2, with N pairs and S Kendall's statistic, whose variance is
    n (n - 1) (2 n + 5) / 18 less what ties take away (Sen 1968, JASA 63:1379, section 6). widening: what z is multiplied by.

    Raises:
        ValueError: there are no two different times.
    """
    first, second = np.triu_indices(len(at), 1)
    apart = at[second] - at[first]
    # Readings of one instant have no slope between them.
    slopes = np.sort((value[second] - value[first])[apart > 0.0] / apart[apart > 0.0])
    if not len(slopes):
        raise ValueError("readings of one instant have no slope")
    half = widening * Z * math.sqrt(_kendall_variance(at, value)) / 2.0
    pairs = len(slopes)
    low = slopes[max(round(pairs / 2.0 - half) - 1, 0)]
    high = slopes[min(round(pairs / 2.0 + half), pairs - 1)]
    slope = float(np.median(slopes))
    return slope, min(float(low), slope), max(float(high), slope)


def _kendall_variance(at: Floats, value: Floats) -> float:
    """Of Kendall's S, ties in either taken off."""
    n = float(len(at))
    tied = 0.0
    for series in (at, value):
        same = np.unique(series, return_counts=True)[1].astype(np.float64)
        tied += float((same * (same - 1.0) * (2.0 * same + 5.0)).sum())
    return max((n * (n - 1.0) * (2.0 * n + 5.0) - tied) / 18.0, 0.0)


def _thinned(series: Floats) -> Floats:
    if len(series) <= MOST_READINGS:
        return series
    return np.array([np.median(part) for part in np.array_split(series, MOST_READINGS)])
