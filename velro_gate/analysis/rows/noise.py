"""How much a figure moves from run to run when nothing has changed.

The unit of replication is the run: one value a run, never a request and never a window. The level is a median and the noise
has two estimates, of which the larger counts, because run-to-run noise has heavy tails and shifts between regimes
(decision.md, 1): a few runs next to busy neighbours can neither move the level much nor make the noise look smaller than it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.analysis.statistics.finite import finite
from velro_gate.arrays import Floats
from velro_gate.model.facts.reasons import NoiseOfProfile, NoiseOfSelftest
from velro_gate.model.metrics import Metric, Scale
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy

LEAST_SD = 0.005
"""No noise is taken for smaller than half a percent: a few equal values prove no precision."""

DEFAULT_PRIOR_SD = 0.10
"""Stands in for a metric that has no prior of its own and is compared because a scenario asks for it."""

MEDIAN_OF_SQUARED_DIFFERENCES = 0.9099
"""2 x the median of chi-squared with one degree of freedom: median(D^2) / this estimates the variance of normal noise."""

ENOUGH_BASELINES = 5
"""Accepted runs from which on their own spread is taken for the noise: with fewer the metric's prior takes part."""
MARGIN_OF_ONE = 0.25
"""The margin with one baseline: the only noise known is the prior's."""
MARGIN_OF_FEW = 0.15
"""The margin with two to four baselines."""
PRIOR_WEIGHT = 4
"""The prior counts as four degrees of freedom, next to K - 1 measured ones."""


SHARED = 0.8
"""Share of the run-to-run variance that runs of one job have in common; measured: servers of one job correlate .8 to .9."""

SHARED_BY_TWO_JOBS = 0.6
"""The same of one run and two more of another job. Of their three pairs only one has a job in common, which alone would make it
SHARED / 3; but jobs that follow each other share part of their noise, too (``evaluate replay``, mountpoint_s3).
"""

OF_RESOLUTION = 1.0
"""No noise of a coarse figure is taken for smaller than this share of its resolution (``evaluate experiment-figures``)."""

CLIP = 2.5
"""How many times the noise of the history a recent run may lie off the level before it counts as no farther."""
LEAST_TO_CLIP = 15
"""Differences that the history must have before it may overrule the recent runs, or stand in for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The level of a figure and its run-to-run sd, both on the metric's comparison scale."""

    level: float
    sd: float
    df: int
    k: int
    """How many runs the level rests on."""
    known: bool = False
    """Whether the noise comes from a long history, whatever k is."""
    source: NoiseOfProfile | NoiseOfSelftest | None = None
    """Where else it comes from, in words; empty for the accepted runs themselves, or for an assumed one."""

    @property
    def few(self) -> bool:
        """Whether nobody knows the noise: too few baselines, and nothing else was measured."""
        return self.k < ENOUGH_BASELINES and not self.known and self.source is None

    def error(self, runs: int = 1, *, shared: float = SHARED) -> float:
        """Standard error of (mean of new runs - level): a median of k values has pi/2 times the variance of their mean.

        The new runs are of one job and share most of its noise, so their mean is hardly steadier than one.
        """
        return self.sd * math.sqrt(shared + (1.0 - shared) / runs + math.pi / (2.0 * self.k))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseElsewhere:
    """Noise that was measured otherwise than by the accepted runs of this plan (``elsewhere``)."""

    sd: float
    df: int
    source: NoiseOfProfile | NoiseOfSelftest
    """Where it was measured."""
    known: bool
    """Whether it is the noise between whole runs of the same figure, so that no wider margin is needed."""


def noise_of(
    values: Sequence[float],
    metric: Metric,
    policy: Policy,
    *,
    history: Sequence[float] | None = None,
    elsewhere: NoiseElsewhere | None = None,
) -> Noise:
    """Level and noise of the accepted runs' values, oldest first, on the comparison scale (decision.md, 4).

    K >= 5: s = max(sd of the last K, sqrt(median(D^2) / .9099), .005) with D the successive differences of the last H, and
    df = K - 1 + floor((H - 1) / 3). With a long history, values far off the level are drawn in first, so that one outlier run
    among the last K does not blind the test for weeks. K = 2 to 4: s^2 = (4 s0^2 + (K - 1) sK^2) / (K + 3), df = K + 3.
    K = 1: s = s0, the same formula at K = 1, so df = 4.

    history: the values of earlier epochs, too, ``values`` at its end. A new level does not make the noise unknown: where the
    history is long, few values have no need of the prior. elsewhere: takes the prior's place with its own degrees of freedom.

    Raises:
        ValueError: there is no value, or one is NaN or infinite.
    """
    if not values:
        raise ValueError("the noise of no value is unknown")
    own, past = finite(values, "values of runs"), finite(history if history is not None else values, "values of runs")
    found = noise_over(
        own,
        past,
        policy,
        prior_sd=(metric.prior_sd or DEFAULT_PRIOR_SD) if elsewhere is None else elsewhere.sd,
        prior_df=PRIOR_WEIGHT if elsewhere is None else elsewhere.df,
    )
    enough = found.k >= ENOUGH_BASELINES or bool(found.known)
    return Noise(
        level=float(found.level),
        sd=float(found.sd),
        df=int(found.df),
        k=int(found.k),
        known=bool(found.known) if enough or elsewhere is None else elsewhere.known,
        source=None if enough or elsewhere is None else elsewhere.source,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noises:
    """``Noise`` of many figures at once, every field of the same shape. Where there is no baseline k is 0, the rest NaN."""

    level: Floats
    sd: Floats
    df: Floats
    k: Floats
    known: npt.NDArray[np.bool_]
    measured: npt.NDArray[np.bool_]
    """Whether the noise is known: not ``Noise.few``."""

    def error(self, runs: int = 1, *, shared: float = SHARED) -> Floats:
        """``Noise.error`` of each."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = self.sd * np.sqrt(shared + (1.0 - shared) / runs + math.pi / (2.0 * self.k))
        return found


def noise_over(
    values: Floats,
    history: Floats,
    policy: Policy,
    *,
    prior_sd: float | Floats,
    prior_df: float | Floats = PRIOR_WEIGHT,
) -> Noises:
    """``noise_of`` for any number of figures at once.

    Args:
        values: the accepted runs of the figure's own epoch, (..., runs), oldest first, on the comparison scale. NaN where there
            is not a value, so rows of different length are padded; a value that is missing between others is skipped.
        history: those of all epochs, (..., runs), padded alike; ``values`` themselves where there was one epoch only.
        prior_sd: of the metric (``Metric.prior_sd``), one for all or of the leading shape; prior_df: the degrees of freedom it
            counts with. Both matter with fewer than five values and no long history only.

    Only the last K of ``values`` and the last H of ``history`` count. Fields have the leading shape.
    """
    recent, k = _last(values, policy.max_baselines)
    known, length = _last(history, policy.history)
    level = _median(recent, k)
    squares = np.diff(known, axis=-1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        # From one run to the next, so that neither a drift nor a step in the level counts as noise; a median, so that neither
        # do outliers.
        jumps = np.sqrt(_median(squares, np.maximum(length - 1, 0)) / MEDIAN_OF_SQUARED_DIFFERENCES)
        long = length > LEAST_TO_CLIP
        reach = (CLIP * np.maximum(jumps, LEAST_SD))[..., None]
        centred = recent - level[..., None]
        # Winsorised: one outlier among the last K would make the test blind for as long as it is among them.
        drawn_in = np.where(long[..., None], np.clip(centred, -reach, reach), centred)
        spread = np.where(k > 1, _sd(drawn_in, k), 0.0)
        from_runs = np.fmax(np.fmax(spread, jumps), LEAST_SD)
        # The posterior scale of a normal variance with a scaled inverse chi-squared prior (Gelman et al. 2013, Bayesian Data
        # Analysis, section 2.6).
        with_prior = np.sqrt((prior_df * np.square(prior_sd) + (k - 1.0) * spread**2) / (prior_df + k - 1.0))
    enough = (k >= ENOUGH_BASELINES) | long
    none = k == 0
    return Noises(
        level=level,
        sd=np.where(none, np.nan, np.where(enough, from_runs, np.fmax(with_prior, LEAST_SD))),
        df=np.where(none, np.nan, np.where(enough, k - 1.0 + (length - 1) // 3, prior_df + k - 1.0)),
        k=k.astype(np.float64),
        known=long,
        measured=enough,
    )


def _last(values: Floats, most: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """(the last ``most`` values that are there, at the end of their rows, NaN before them; how many they are)."""
    there = ~np.isnan(values)
    if values.shape[-1] > 1 and (there[..., :-1] & ~there[..., 1:]).any():
        values = np.take_along_axis(values, np.argsort(there, axis=-1, kind="stable"), axis=-1)
    kept = values[..., -most:]
    return kept, (~np.isnan(kept)).sum(axis=-1)


def _median(values: Floats, count: npt.NDArray[np.int64]) -> Floats:
    """Of the ``count`` numbers of each row, the others being NaN; NaN of nothing."""
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], np.nan)
    rising = np.sort(values, axis=-1)  # NaN comes last
    low, high = (np.maximum(each, 0)[..., None] for each in ((count - 1) // 2, count // 2))
    high = np.minimum(high, values.shape[-1] - 1)
    found: Floats = np.take_along_axis(rising, low, axis=-1)[..., 0] / 2.0
    found = found + np.take_along_axis(rising, high, axis=-1)[..., 0] / 2.0
    return np.where(count > 0, found, np.nan)


def _sd(values: Floats, count: npt.NDArray[np.int64]) -> Floats:
    """The standard deviation of the ``count`` numbers of each row, the others being NaN."""
    mean = np.nansum(values, axis=-1) / count
    squares = np.nansum((values - mean[..., None]) ** 2, axis=-1)
    found: Floats = np.sqrt(squares / (count - 1))
    return found


def is_long(history: int) -> bool:
    """Whether that many runs are enough to know the noise."""
    return history > LEAST_TO_CLIP


def margin(k: int, policy: Policy, *, known: bool = False) -> float:
    """The smallest relative change that k baselines can confirm: 25 % with one, 15 % with two to four, then the policy's.

    known: the noise is known from a long history, so that few baselines of this level are enough.
    """
    if k >= ENOUGH_BASELINES or known:
        return policy.margin
    return max(policy.margin, MARGIN_OF_ONE if k == 1 else MARGIN_OF_FEW)


def on_scale(estimate: Estimate, metric: Metric, n: int | None = None) -> float | None:
    """The figure on the scale on which it is compared; None where it has no place there (a logarithm of nothing).

    A share is smoothed with its own n, (hits + .5) / (n + 1), so that 100 % has a finite logit. n: smooth as if it rested on
    that many observations. Shares that are compared need one n for all: by its own each is moved, which is not a change.
    """
    match metric.scale:
        case Scale.LOG:
            shifted = estimate.value + metric.resolution
            return math.log(shifted) if shifted > 0.0 else None
        case Scale.LOGIT:
            count = estimate.n if n is None else n
            smoothed = (estimate.value * count + 0.5) / (count + 1.0)
            return math.log(smoothed / (1.0 - smoothed)) if 0.0 < smoothed < 1.0 else None
        case Scale.LINEAR:
            return estimate.value


def common_count(estimates: Iterable[Estimate]) -> int:
    """The n for ``on_scale`` by which all these figures can be compared: the least behind any of them, at least 1."""
    return max(min((one.n for one in estimates), default=1), 1)


def sampling_sd(level: float, metric: Metric, n: int) -> float:
    """What chance alone moves a share of n observations by, on the log-odds scale, or a coarse figure; 0 for other metrics.

    sqrt(1 / (hits + .5) + 1 / (misses + .5)) (Gart and Zweifel 1967): near 100 % one miss more is a large move of the
    log-odds, and equal baselines do not show that it is no more than chance. So it is with a figure that has a resolution: near
    the border of two values it shows now one, now the other, so its noise is at least ``OF_RESOLUTION`` of a step. level: on
    the scale.
    """
    if metric.scale is Scale.LOG and metric.resolution:
        return math.log1p(OF_RESOLUTION * metric.resolution * math.exp(-level))
    if metric.scale is not Scale.LOGIT:
        return 0.0
    share = from_scale(level, metric)
    return math.sqrt(1.0 / (n * share + 0.5) + 1.0 / (n * (1.0 - share) + 0.5))


def to_scale(value: float, metric: Metric) -> float:
    """A figure in base units on the comparison scale; it must have a place there."""
    match metric.scale:
        case Scale.LOG:
            return math.log(value + metric.resolution)
        case Scale.LOGIT:
            return math.log(value / (1.0 - value))
        case Scale.LINEAR:
            return value


def from_scale(y: float, metric: Metric) -> float:
    """The figure in base units that lies at ``y`` on the comparison scale."""
    match metric.scale:
        case Scale.LOG:
            return max(math.exp(y) - metric.resolution, 0.0)
        case Scale.LOGIT:
            return 1.0 / (1.0 + math.exp(-y))
        case Scale.LINEAR:
            return y


def t_above(t: float, df: float) -> float:
    """P(T >= t) of Student's t."""
    return float(special.stdtr(df, -t))


def t_quantile(share: float, df: float) -> float:
    """The value that Student's t stays below with probability ``share``."""
    return float(special.stdtrit(df, share))
