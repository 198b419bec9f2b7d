"""From trials at several loads to the load at which the requirements stop being met, with its interval.

More load never makes a service faster, so the scores are made monotone first (isotonic regression, weighted by their errors):
where they cross zero is the first estimate. Around it the score rises about linearly in ln(load): with enough trials there, the
crossing of that line is the estimate, and its interval follows from how far the trials lie from the line. That spread, not the
error of a single trial, is what counts: near saturation one stretch of load differs from the next by more than either shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from velro_gate.arrays import Floats
from velro_gate.model.capacity import Trial
from velro_gate.model.record import Estimate

CERTAIN = 1.96
"""Standard errors from the limit beyond which a load is certainly met or missed."""

CLIP = 1.0
"""Scores beyond this count as this: how far a drowned service is from its limit says nothing about where it began."""

NEAR = 0.15
"""Of ln(load): what is near the estimate."""

LEAST_ERROR = 0.04
"""Of one trial's score: stretches of load differ by this even where each seems exact."""

BETWEEN = 0.018
"""Of ln(capacity): by this much, as a standard deviation, searches on one simulated service differ beyond what the trials of
each show, mostly upwards, since a trial of a minute misses the rare slow moments of an hour.
"""

_LINEAR = 0.8
"""Scores below this, on either side, lie on the line."""

_LEAST_NEAR = 4
"""Trials through which a line is laid: with its two parameters, fewer leave no more than one degree of freedom for the spread.
"""
_DRAWS = 1_000
"""Sets of scores drawn for an interval: its end points are then the 25th values from either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadScore:
    """All trials at one load together."""

    load: float
    score: float
    error: float
    trials: int

    @property
    def certain(self) -> bool:
        """Whether it is clear on which side of the limit it lies."""
        return abs(self.score) >= CERTAIN * self.error

    @property
    def missed(self) -> bool:
        """Whether the requirements are missed, as far as its value says."""
        return self.score > 0.0


def by_load(trials: Sequence[Trial]) -> tuple[LoadScore, ...]:
    """The loads in rising order, the trials at each averaged by their precision."""
    groups: dict[float, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.load, []).append(trial)
    return tuple(_pooled(load, groups[load]) for load in sorted(groups))


def _clipped(trial: Trial) -> float:
    return min(max(trial.score, -CLIP), CLIP)


def _pooled(load: float, trials: Sequence[Trial]) -> LoadScore:
    scores = [_clipped(trial) for trial in trials]
    weights = [max(trial.error, LEAST_ERROR) ** -2 for trial in trials]
    total = sum(weights)
    mean = sum(w * s for w, s in zip(weights, scores, strict=True)) / total
    # Trials that disagree by more than their own errors allow make the mean less certain.
    spread = sum(w * (s - mean) ** 2 for w, s in zip(weights, scores, strict=True)) / max(len(trials) - 1, 1)
    return LoadScore(load=load, score=mean, error=math.sqrt(max(1.0, spread) / total), trials=len(trials))


def capacity_of(trials: Sequence[Trial], *, seed: int = 1) -> Estimate | None:
    """The capacity with a 95 % interval that also allows for ``BETWEEN``; None where the scores lie on one side of zero."""
    found = crossing_of(trials, seed=seed)
    if found is None:
        return None
    # Independent of what the trials show, so it adds in quadrature, on the logarithmic scale on which it was measured.
    half = CERTAIN * BETWEEN
    low, high = math.log(found.value / found.low), math.log(found.high / found.value)
    return replace(
        found, low=found.value * math.exp(-math.hypot(low, half)), high=found.value * math.exp(math.hypot(high, half))
    )


def crossing_of(trials: Sequence[Trial], *, seed: int = 1) -> Estimate | None:
    """The load at which the scores of these trials cross zero, with a 95 % interval; None where they lie on one side of it."""
    loads = by_load(trials)
    if len(loads) < 2:
        return None
    logs = np.log([one.load for one in loads])
    scores = np.array([one.score for one in loads])
    errors = np.array([one.error for one in loads])
    found = _crossing(logs, scores, errors)
    if found is None:
        return None
    line = _line_crossing(trials, found)
    if line is not None:
        return _estimate(*line, len(trials))
    # Too few trials near the crossing for a line: the scores are drawn again within their errors (a parametric bootstrap; Efron
    # and Tibshirani 1993, An Introduction to the Bootstrap, section 6.5).
    random = np.random.default_rng(seed)
    drawn = [_crossing(logs, row, errors) for row in random.normal(scores, errors, (_DRAWS, len(scores)))]
    crossings = [one for one in drawn if one is not None]
    low, high = np.quantile(crossings, (0.025, 0.975)) if crossings else (found, found)
    return _estimate(found, float(low), float(high), len(trials))


def _estimate(found: float, low: float, high: float, n: int) -> Estimate:
    value = math.exp(found)
    return Estimate(value=value, low=min(math.exp(low), value), high=max(math.exp(high), value), n=n)


def _line_crossing(trials: Sequence[Trial], about: float) -> tuple[float, float, float] | None:
    """The crossing of the line through the trials near an estimate, and its interval, in ln(load).

    None where there are too few, or the line does not rise enough.
    """
    near = [one for one in trials if abs(math.log(one.load) - about) <= NEAR and abs(one.score) < _LINEAR]
    # Short ones miss the rare slow moments that long ones hold: their scores are too good.
    longest = max((one.seconds for one in near), default=0.0)
    long = [one for one in near if one.seconds >= 0.5 * longest]
    near = long if len(long) >= _LEAST_NEAR else near
    if len(near) < _LEAST_NEAR or len({one.load for one in near}) < 3:
        return None
    # Not at the top: it brings all of scipy.stats with it.
    from scipy.stats import t

    x = np.log([one.load for one in near])
    y = np.array([one.score for one in near])
    weights = np.array([max(one.error, LEAST_ERROR) ** -2 for one in near])
    weights /= weights.sum()
    centre, level = float(weights @ x), float(weights @ y)
    spread = float(weights @ (x - centre) ** 2)
    slope = float(weights @ ((x - centre) * (y - level))) / spread
    if slope <= 0.0:
        return None
    crossing = centre - level / slope
    if abs(crossing - about) > NEAR / 2.0:
        # A line that hardly rises crosses zero anywhere: it knows less than the order of the scores does.
        return None
    residuals = y - level - slope * (x - centre)
    n = len(near)
    sd = math.sqrt(max(float(weights @ residuals**2) * n / (n - 2), LEAST_ERROR**2))
    # The delta method for inverse prediction: the line's own error at the crossing, divided by its slope.
    error = sd / slope * math.sqrt(1.0 / n + (crossing - centre) ** 2 / (n * spread))
    half = float(t.ppf(0.975, n - 2)) * error
    if half > 2.0 * NEAR:
        return None
    return crossing, crossing - half, crossing + half


def _crossing(logs: Floats, scores: Floats, errors: Floats) -> float | None:
    """ln(load) at which the monotone scores cross zero; None where they do not."""
    level = monotone(scores, errors**-2)
    above = np.flatnonzero(level > 0.0)
    # Nothing missed, or nothing met: the crossing lies outside of what was tried.
    if not len(above) or above[0] == 0:
        return None
    right = int(above[0])
    low, high = level[right - 1], level[right]
    share = -low / (high - low)
    return float(logs[right - 1] + share * (logs[right] - logs[right - 1]))


def monotone(values: Floats, weights: Floats) -> Floats:
    """The nearest rising values in weighted least squares, in the order given, (n,) each (pool adjacent violators; Ayer et al.
    1955, Annals of Mathematical Statistics 26:641).
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        # Neighbours that fall are put together until none does.
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (left, light, few), (right, heavy, many) = blocks[-2:]
            total = light + heavy
            blocks[-2:] = [((left * light + right * heavy) / total, total, few + many)]
    return np.repeat([value for value, _, _ in blocks], [count for _, _, count in blocks])
