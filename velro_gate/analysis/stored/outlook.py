"""When main will reach a limit if it goes on as it has: the slope of a figure over its accepted runs, where there is one.

A step is no slope: the runs that count begin at a change of level, unless a line describes what follows an earlier one as well
as the steps do, each step and the line at the same price. (A slope is always found as a row of steps, too.) What was accepted
is a step whatever it looks like. Nothing is said of a slope whose 95 % interval holds zero, nor of one that has not yet moved
the figure by twice what it moves by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from velro_gate.analysis.rows.noise import common_count, on_scale
from velro_gate.analysis.statistics.intervals import Z
from velro_gate.analysis.stored.drift import LEAST_RUNS, PENALTY, ChangePoint, changes_of, robust_sd
from velro_gate.analysis.summaries.growth import MINUTE, growth, theil_sen
from velro_gate.arrays import Floats
from velro_gate.model.facts.outlook import FARTHEST, Outlook
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.scenario import Policy, Requirement

MOST_RUNS = 60
"""The newest accepted runs that a trend is fitted to: an older level says nothing about what the next merges do."""
CLEAR = 2.0
"""Standard deviations about the slope by which it must have moved the figure."""


def outlook(history: Sequence[RunRecord], phase: str, requirement: Requirement, policy: Policy) -> Outlook | None:
    """The forecast for one limit; None where no slope is shown, it leads away from the limit, or that is reached already.

    history: accepted runs of main, oldest first.
    """
    metric, step, kind = requirement.metric, requirement.step, METRICS[requirement.metric]
    recent = history[-MOST_RUNS:]
    points = changes_of(recent, phase, step, metric, policy)
    found = [
        (index, figure)
        for index, run in enumerate(recent)
        if (one := run.phase(phase)) is not None and (figure := one.measurement(metric, step)) is not None
    ]
    n = common_count(figure for _, figure in found)
    known = [(index, y) for index, figure in found if (y := on_scale(figure, kind, n)) is not None]
    ys = _since_last_step(known, points)
    limit = on_scale(Estimate.exact(requirement.target, n=n), kind, n) if requirement.target > 0.0 else None
    if limit is None or kind.scale is Scale.LINEAR or len(ys) < 2:
        return None
    at = np.arange(len(ys), dtype=float)
    values = kind.worse_sign * np.array(ys)
    grown = growth(at, values)
    if grown is None or grown.low <= 0.0:
        return None
    slope, low, high = (one / MINUTE for one in (grown.value, grown.low, grown.high))
    left = values - slope * at
    now = float(np.median(left)) + slope * float(at[-1])
    spread = float(np.std(left, ddof=2)) if len(ys) > 2 else math.inf
    gap = kind.worse_sign * limit - now
    # What is reached already, or beyond all foresight, has no forecast.
    if slope * len(ys) < CLEAR * spread or gap <= 0.0 or gap / slope > FARTHEST:
        return None
    return Outlook(
        phase=phase,
        step=step,
        metric=metric,
        limit=requirement.target,
        now=found[-1][1].value,
        change=Estimate(value=math.expm1(slope), low=math.expm1(low), high=math.expm1(high), n=len(ys)),
        merges=_merges(kind.worse_sign * limit, values, (slope, low, high), spread),
        runs=len(ys),
    )


def _merges(limit: float, values: Floats, slopes: tuple[float, float, float], spread: float) -> Estimate:
    """Merges from the newest run until the line reaches the limit; the interval follows from those of slope and level.

    slopes: the slope with its interval, of one merge. spread: sd of the figures about the line. The level is known best in the
    middle of the history, from where the line is drawn: there it is a median's, with a standard error of 1.25 sd / sqrt(n).
    """
    at = np.arange(len(values), dtype=float) - (len(values) - 1) / 2.0
    # sqrt(pi / 2) = 1.2533, the asymptotic ratio of a median's standard error to a mean's for normal noise.
    half = Z * 1.25 * spread / math.sqrt(len(values))
    whole, late, soon = ((limit - float(np.median(values - one * at))) / one for one in slopes)
    ahead = whole - float(at[-1])
    return Estimate(
        value=max(ahead, 0.0),
        # Slope and level are about independent where time is counted from its middle, so their parts add up in quadrature.
        low=max(ahead - math.hypot(whole - soon, half / slopes[2]), 0.0),
        high=max(ahead + math.hypot(late - whole, half / slopes[1]), 0.0),
        n=len(values),
    )


def _since_last_step(known: Sequence[tuple[int, float]], points: Sequence[ChangePoint]) -> list[float]:
    """The figures since the last change of level that a line cannot explain. known: index in the history and figure of each."""
    first = max((point.index for point in points if point.accepted), default=0)
    starts = [first, *(point.index for point in points if point.index > first)]
    for start in starts:
        steps = [point.index for point in points if point.index > start]
        ys = np.array([y for index, y in known if index >= start])
        if not steps or len(ys) < LEAST_RUNS:
            return [float(y) for y in ys]
        levels = [np.array([y for index, y in known if low <= index < high]) for low, high in _between(start, steps)]
        sd = robust_sd(ys)
        stepped = sum(float(np.abs(level - np.median(level)).sum()) for level in levels if len(level)) / sd
        at = np.arange(len(ys), dtype=float)
        slope, _, _ = theil_sen(at, ys)
        left = ys - slope * at
        lined = float(np.abs(left - np.median(left)).sum()) / sd
        # What a change point has to save, once for the line's slope and once for each step.
        if lined <= stepped + (len(steps) - 1) * PENALTY * math.log(len(ys)):
            return [float(y) for y in ys]
    return []


def _between(start: int, steps: Sequence[int]) -> list[tuple[float, float]]:
    return list(pairwise([float(start), *map(float, steps), math.inf]))
