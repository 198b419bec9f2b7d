"""95 % intervals for rates, means and quantiles, and what time dependence does to them.

Requests that follow each other are alike (a slow moment slows many), so a formula for independent observations promises too
much. Every interval over time here first asks how long the memory of the series is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.arrays import Floats
from velro_gate.model.record import Estimate

CONFIDENCE = 0.95
"""Of every interval in a record."""
# On either side.
_TAIL = (1.0 - CONFIDENCE) / 2.0
Z = float(special.ndtri(1.0 - _TAIL))
"""The normal quantile of a two-sided 95 % interval."""


def student(degrees: float, *, intervals: int = 1) -> float:
    """The Student t quantile of a two-sided 95 % interval; of several of which each has its share of the error (Bonferroni)."""
    return float(special.stdtrit(max(degrees, 1.0), 1.0 - _TAIL / intervals))


def wilson(hits: int, n: int) -> Estimate:
    """A share with Wilson's score interval (Wilson 1927, JASA 22:209, equation for p').

    Raises:
        ValueError: when n is not positive or hits is not in [0, n].
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is not a share")
    share, weight = hits / n, Z * Z / n
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = Z / (1.0 + weight) * math.sqrt(share * (1.0 - share) / n + weight / (4.0 * n))
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    # Rounding alone can put an end point on the wrong side of 0/n or n/n.
    return Estimate(value=share, low=min(low, share), high=max(high, share), n=n)


def mean_rate(variation: Floats, total: int, seconds: float) -> Estimate:
    """The rate of ``total`` events in ``seconds``, with an interval from its variation between equal windows.

    variation: what is left to chance of the rate in each window, in order; its autocorrelation widens the interval. With
    fewer than four windows the events are taken as Poisson.
    """
    value = total / seconds
    if len(variation) < 4:
        half = Z * math.sqrt(max(total, 1)) / seconds
    else:
        memory = autocorrelation_time(variation)
        error = math.sqrt(float(variation.var(ddof=1)) * memory / len(variation))
        # Dependent windows are worth length / memory independent ones, in the error and in the degrees of freedom.
        half = student(len(variation) / memory - 1.0) * error
    return Estimate(value=value, low=max(value - half, 0.0), high=value + half, n=total)


def autocorrelation_time(series: Floats) -> float:
    """Integrated autocorrelation time in elements, 1 + 2 * sum of correlations, at least 1 and at most a quarter of the length.

    series: (n,), at equal distances; below 8 elements nothing is known, and the time is 1.

    The sum ends at the first lag M >= 5 tau(M) (Sokal 1997, Monte Carlo Methods in Statistical Mechanics, section 3); what the
    unknown mean takes from every correlation is given back (Wolff 2004, Comput. Phys. Commun. 156:143, equation 49).
    """
    length = len(series)
    if length < 8:
        return 1.0
    centred = series - series.mean()
    # Padded to twice the length, so that the circular product of the transform is the plain one.
    power = np.abs(np.fft.rfft(centred, 2 * length)) ** 2
    covariance = np.fft.irfft(power)[:length]
    if covariance[0] <= 1e-12 * max(float(np.abs(series).max()), 1e-300) ** 2:
        return 1.0
    running = 2.0 * np.cumsum(covariance / covariance[0]) - 1.0
    inside = np.flatnonzero(np.arange(length) >= 5.0 * running)
    lag = int(inside[0]) if len(inside) else length - 1
    memory = float(running[lag]) * (1.0 + (2.0 * lag + 1.0) / length)
    return min(max(memory, 1.0), length / 4.0)


def block_length(memory: float, length: int) -> int:
    """Block length for a series of this autocorrelation time and length.

    Patton, Politis and White (2009, Econometric Reviews 28:372): b = (2 G^2 / D)^(1/3) N^(1/3), which for the circular
    bootstrap (D = 4/3 g(0)^2) and the geometric decay of an AR(1) with this memory has G / g(0) = (tau - 1/tau) / 2.
    """
    decay = (memory - 1.0 / memory) / 2.0
    return int(min(max(math.ceil((1.5 * decay * decay * length) ** (1.0 / 3.0)), 1), max(length // 6, 1)))


def block_weights(length: int, block: int, replicates: int, seed: int) -> npt.NDArray[np.float32]:
    """How often each element is drawn in each replicate of the circular block bootstrap (Politis and Romano 1992).

    Shape (replicates, length); every row sums to ``length``. The same arguments give the same weights.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    blocks = -(-length // block)
    starts = random.integers(0, length, (replicates, blocks))
    drawn = ((starts[:, :, None] + np.arange(block)) % length).reshape(replicates, -1)[:, :length]
    flat = drawn + (np.arange(replicates) * length)[:, None]
    counted = np.bincount(flat.ravel(), minlength=replicates * length)
    return counted.reshape(replicates, length).astype(np.float32)


def expansion(effective_n: float) -> float:
    """The factor by which a percentile interval from that many blocks is widened to cover as Student's interval would.

    The expanded percentile interval of Hesterberg (2015, The American Statistician 69:371, section 4.3).
    """
    n = max(effective_n, 3.0)
    return student(n - 1.0) / Z * math.sqrt(n / (n - 1.0))


def block_shortfall(memory: float, block: int) -> float:
    """By how much blocks of this length understate the standard error of a series with this memory; at least 1.

    Blocks cut the correlations between them: a bootstrap of blocks sees 1 + 2 sum (1 - k/b) r_k over k < b instead of
    1 + 2 sum r_k (Kuensch 1989, Annals of Statistics 17:1217, equation 3.7); r_k that of an AR(1) with this memory.
    """
    lag = np.arange(1, block)
    correlation = ((memory - 1.0) / (memory + 1.0)) ** lag
    seen = 1.0 + 2.0 * float(((1.0 - lag / block) * correlation).sum())
    return math.sqrt(max(memory / seen, 1.0))


def rank_range(n: int, p: float, design_effect: float = 1.0) -> tuple[int, int]:
    """Zero-based ranks of the two order statistics that enclose the p-quantile of n observations with 95 %.

    Exact for independent observations (Conover 1999, Practical Nonparametric Statistics, section 3.2): the number of
    observations below the quantile is binomial. Dependence makes n observations worth n / design_effect (Woodruff 1952).
    Where the observations do not suffice, the ranks are the least and the greatest.
    """
    effective = max(int(n / max(design_effect, 1.0)), 1)
    # Ten standard deviations hold all of the binomial that counts: its whole distribution would be as long as the run.
    spread = 10.0 * math.sqrt(effective * p * (1.0 - p)) + 10.0
    first = max(math.floor(effective * p - spread), 0)
    ranks = np.arange(first, min(math.ceil(effective * p + spread), effective) + 1)
    below = special.bdtr(ranks, effective, p)
    low = int(ranks[int(np.searchsorted(below, _TAIL))])
    high = int(ranks[min(int(np.searchsorted(below, 1.0 - _TAIL)), len(ranks) - 1)]) + 1
    # Back from ranks among the effective observations to ranks among the real ones.
    scale = n / effective
    return max(math.floor(low * scale) - 1, 0), min(math.ceil(high * scale) - 1, n - 1)
