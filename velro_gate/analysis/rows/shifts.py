"""How far one figure has moved from its baselines, before anything is concluded from it.

Everything is signed so that + is worse, on the metric's own comparison scale, so that what follows needs to know neither the
metric's direction nor its kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from velro_gate.analysis.rows.family import confirm_level
from velro_gate.analysis.rows.noise import (
    ENOUGH_BASELINES,
    SHARED,
    Noise,
    NoiseElsewhere,
    Noises,
    common_count,
    from_scale,
    margin,
    noise_of,
    on_scale,
    sampling_sd,
    t_quantile,
    to_scale,
)
from velro_gate.arrays import Floats
from velro_gate.model.facts.reasons import NoiseOfProfile, NoiseOfSelftest
from velro_gate.model.metrics import Metric, Scale
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Policy

CONFIDENCE = 0.95
"""Of the one-sided bound, and of the interval of the change."""

Z95 = 1.644854
"""What a standard normal stays below with 95 %."""

_Z_OF_FEW = 1.5

_LARGEST = 700.0
"""Larger moves of a logarithm are cut off here: e^709 is the largest number a float can hold."""

FURTHER_RUNS = 2
"""How often a suspicious phase is run again."""

LEAST_POINTS = 0.005
"""Half a percentage point: the smallest loss of a share, such as a hit rate, worth acting on at the default margin."""
UNCHANGED_POINTS = 0.01
"""One percentage point: a share whose move is shown to be smaller counts as unchanged at the default policy."""
USUAL = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The move of one figure."""

    metric: Metric
    k: int
    baseline: float
    current: float
    change: float | None
    """Relative, as the figure itself moves; None where the baseline is nothing."""
    change_low: float | None
    """Lower end of its 95 % interval."""
    change_high: float | None
    """Upper end of its 95 % interval."""
    worse: float
    """The move."""
    upper: float
    """Its one-sided 95 % upper bound."""
    p: float
    """One-sided, for "worse"."""
    p_better: float
    """One-sided, for "better"."""
    noise: float
    error: float
    """Standard error of the move, on the comparison scale."""
    df: float
    """Degrees of freedom of the noise."""
    least: float
    """The smallest move worth acting on."""
    bound: float
    """The move under which ``upper`` shows that nothing has changed."""
    again: float
    """The standard error were it the move of three runs."""
    few: bool
    """Whether the noise is not known (``Noise.few``)."""
    source: NoiseOfProfile | NoiseOfSelftest | None = None
    """Where it comes from, if from elsewhere than the baselines."""

    def detectable(self, family: int, policy: Policy, *, repeated: bool) -> float | None:
        """The worsening, on the scale, that would have failed the run with 95 % probability; None where nothing could.

        repeated: whether a suspicion is measured twice more; else one run alone decides.
        """
        if self.few:
            return None
        again = self.again if repeated else None
        return failing_worsening(self.error, self.df, self.least, family, policy, again=again, few=self.k < ENOUGH_BASELINES)

    def relative_worsening(self, worse: float) -> float | None:
        """A worsening on the scale as a share of the baseline; None where the baseline is nothing."""
        return relative_worsening(self.metric, to_scale(self.baseline, self.metric), worse)


def failing_worsening(
    error: float, df: float, least: float, family: int, policy: Policy, *, again: float | None = None, few: bool = False
) -> float:
    """The worsening, on the scale, that fails a run of ``family`` rows with 95 % probability (docs/decision.md, 3).

    The test asks for t(1 - alpha/m, df) standard errors of the move that decides, and the first run has to reach the margin; to
    either comes what chance may take from the move. In standard errors that is between 1.645, the normal's, and t(.95, df),
    which it would be if s had no more than df degrees of freedom: as the larger of two estimates it is steadier. With few
    baselines it is less, since pi/(2K) makes more of the level's error than there is. By simulation (``detectable_power``) 93
    to 97 % of the changes of just this size fail, under normal and under t3 noise.

    Args:
        error, df: of one run's move (``Noise.error``). least: the margin. again: standard error of the move that decides, where
            two further runs are made; None: the run is judged alone. few: fewer than five baselines.
    """
    chance = t_quantile(CONFIDENCE, df)
    between = _Z_OF_FEW if few else (Z95 + chance) / 2.0
    critical = t_quantile(1.0 - confirm_level(policy, family), df)
    return max((critical + between) * (error if again is None else again), least + chance * error)


def share_margins(level: float, metric: Metric, policy: Policy) -> tuple[float, float]:
    """(least, bound) of a metric on its scale: the worsening worth acting on, and the one that "unchanged" must lie under.

    A share is held to points as well as to odds: near 0 and 1 the odds grow twofold by a change that nobody would notice. The
    points are ``LEAST_POINTS`` and ``UNCHANGED_POINTS`` at the default margins and grow with the policy's. level: on the scale.
    """
    least, bound = math.log1p(policy.margin), math.log1p(policy.unchanged_below)
    if metric.scale is not Scale.LOGIT:
        return least, bound
    points = (LEAST_POINTS * policy.margin / USUAL.margin, UNCHANGED_POINTS * policy.unchanged_below / USUAL.unchanged_below)
    by_points = [_odds_of_points(level, metric, each) for each in points]
    return max(least, by_points[0]), max(bound, by_points[1])


def _upper_by_points(noise: Noise, between: float, y: float, metric: Metric, n: int) -> float:
    """The one-sided 95 % bound of a share's worsening from its error in points, on the log-odds scale; infinite for others.

    Near 0 and 1 a share of n observations is known to a fraction of a point, though its odds are hardly known at all.
    between: the noise from run to run on the scale. y: the candidate on the scale, the mean of its runs.
    """
    if metric.scale is not Scale.LOGIT:
        return math.inf
    level, current = from_scale(noise.level, metric), from_scale(y, metric)
    variance = max(level * (1.0 - level), current * (1.0 - current))
    in_points = replace(noise, sd=max(between * variance, math.sqrt(variance / n)))
    upper = metric.worse_sign * (current - level) + t_quantile(CONFIDENCE, noise.df) * in_points.error()
    return _odds_of_points(noise.level, metric, upper) if upper > 0.0 else math.inf


def _odds_of_points(level: float, metric: Metric, points: float) -> float:
    """How far a share at ``level`` moves on the log-odds scale when it becomes worse by that difference."""
    share = from_scale(level, metric)
    room = share if metric.worse_sign < 0 else 1.0 - share
    # A share cannot get worse than none at all, so no more than nearly all of its room is ever asked for.
    worse = share + metric.worse_sign * min(points, 0.99 * room)
    return abs(to_scale(worse, metric) - level) if 0.0 < worse < 1.0 else 0.0


def relative_change(metric: Metric, level: float, move: float) -> float | None:
    """What a move on the comparison scale, away from ``level``, is of the figure there; None where that is nothing."""
    match metric.scale:
        case Scale.LOG if not metric.resolution:
            return math.expm1(min(move, _LARGEST))
        case Scale.LOG:
            before = from_scale(level, metric)
            return from_scale(min(level + move, _LARGEST), metric) / before - 1.0 if before > 0.0 else None
        case Scale.LOGIT:
            return from_scale(level + move, metric) / from_scale(level, metric) - 1.0
        case Scale.LINEAR:
            return move / level if level else None


def relative_worsening(metric: Metric, level: float, worse: float) -> float | None:
    """A worsening on the scale as a share of the figure at ``level``, signed so that + is worse; None where that is nothing."""
    if metric.scale is Scale.LINEAR:
        return worse / level if level else None
    change = relative_change(metric, level, metric.worse_sign * worse)
    return None if change is None else metric.worse_sign * change


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shifts:
    """What the test takes of ``Shift``, of many figures at once; every field of one shape, NaN where nothing was compared."""

    worse: Floats
    error: Floats
    df: Floats
    p: Floats
    p_better: Floats
    upper: Floats
    least: Floats
    bound: float | Floats
    few: npt.NDArray[np.bool_]
    """Whether there are fewer than five baselines, and nothing else from which the noise is known."""


def shifts_over(
    current: Floats, noise: Noises, policy: Policy, *, sign: int | npt.NDArray[np.int_] = 1, shared: float = SHARED
) -> Shifts:
    """The move of many figures at once: t = d / standard error, d = mean of the M runs - level (``noise``; decision.md, 4).

    Args:
        current: (..., M), the runs of the candidate, on the comparison scale; with a NaN among them there is no move.
        noise: of the baselines, fields of the leading shape.
        sign: ``Metric.worse_sign``, one for all or of the leading shape.
        shared: what the M runs have in common of their variance.
    """
    runs = current.shape[-1]
    worse = sign * (current.mean(axis=-1) - noise.level)
    error = noise.error(runs, shared=shared)
    wide = (noise.k < ENOUGH_BASELINES) & ~noise.known
    least = np.log1p(np.where(wide, np.where(noise.k == 1, margin(1, policy), margin(2, policy)), policy.margin))
    with np.errstate(invalid="ignore", divide="ignore"):
        t = worse / error
        upper = worse + special.stdtrit(noise.df, CONFIDENCE) * error
    return Shifts(
        worse=worse,
        error=error,
        df=noise.df,
        p=special.stdtr(noise.df, -t),
        p_better=special.stdtr(noise.df, t),
        upper=upper,
        least=least,
        bound=math.log1p(policy.unchanged_below),
        few=~noise.measured,
    )


def scaled_shift(
    current: Sequence[Estimate],
    before: Sequence[Estimate],
    metric: Metric,
    policy: Policy,
    *,
    history: Sequence[Estimate] | None = None,
    shared: float = SHARED,
    elsewhere: NoiseElsewhere | None = None,
) -> Shift | None:
    """The move of a figure on a log or logit scale: t = d / standard error, d = candidate - level (``noise``; decision.md, 4).

    current: the figure of the candidate, or of all M runs of it when it was confirmed; d is then that of their mean. before:
    the baselines' figures, oldest first; history: with those of earlier epochs, for the noise alone. shared: what the runs have
    in common of their variance. elsewhere: noise that stands in while there are few baselines. None when a run of the candidate
    or every baseline has no place on the scale.
    """
    n = common_count((*current, *before))
    own, values = ([on_scale(estimate, metric, n) for estimate in side] for side in (current, before))
    ys = [y for y in own if y is not None]
    known = [y for y in values if y is not None]
    if not ys or len(ys) < len(own) or not known:
        return None
    past = None if history is None else [y for each in history if (y := on_scale(each, metric, n)) is not None]
    noise = noise_of(known, metric, policy, history=past, elsewhere=elsewhere)
    between = noise.sd
    noise = replace(noise, sd=max(between, sampling_sd(noise.level, metric, n)))
    y = math.fsum(ys) / len(ys)
    moved = y - noise.level
    found = shifts_over(np.array([ys]), _alone(noise), policy, sign=metric.worse_sign, shared=shared)
    error = float(found.error[0])
    least, bound = share_margins(noise.level, metric, policy)
    reach = t_quantile(1.0 - (1.0 - CONFIDENCE) / 2.0, noise.df) * error
    return Shift(
        metric=metric,
        k=noise.k,
        baseline=from_scale(noise.level, metric),
        current=current[0].value if len(ys) == 1 else from_scale(y, metric),
        change=relative_change(metric, noise.level, moved),
        change_low=relative_change(metric, noise.level, moved - reach),
        change_high=relative_change(metric, noise.level, moved + reach),
        worse=float(found.worse[0]),
        upper=min(float(found.upper[0]), _upper_by_points(noise, between, y, metric, n)),
        p=float(found.p[0]),
        p_better=float(found.p_better[0]),
        noise=noise.sd,
        error=error,
        df=noise.df,
        least=max(float(found.least[0]), least),
        bound=bound,
        again=noise.error(1 + FURTHER_RUNS, shared=shared),
        few=noise.few,
        source=noise.source,
    )


def _alone(noise: Noise) -> Noises:
    """One figure's noise as an array of one."""
    level, sd, df, k = (np.array([float(each)]) for each in (noise.level, noise.sd, noise.df, noise.k))
    return Noises(level=level, sd=sd, df=df, k=k, known=np.array([noise.known]), measured=np.array([not noise.few]))
