"""When main will reach a limit if it goes on as it has: the slope of a figure over its accepted runs, where there is one.

A step is no slope, so only the runs since the last change of level count. Nothing is said of a slope whose 95 % interval
holds zero, nor of one that has not yet moved the figure by twice what it moves by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from velro_gate.analysis.rows.noise import common_count, on_scale
from velro_gate.analysis.stored.drift import changes_of
from velro_gate.analysis.summaries.growth import MINUTE, growth
from velro_gate.model.facts.outlook import FARTHEST, Outlook
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.scenario import Policy, Requirement

MOST_RUNS = 60
CLEAR = 2.0
"""Standard deviations about the slope by which it must have moved the figure."""


def outlook(history: Sequence[RunRecord], phase: str, requirement: Requirement, policy: Policy) -> Outlook | None:
    """The forecast for one limit; None where no slope is shown, it leads away from the limit, or that is reached already.

    history: accepted runs of main, oldest first.
    """
    metric, step, kind = requirement.metric, requirement.step, METRICS[requirement.metric]
    points = changes_of(history, phase, step, metric, policy)
    recent = history[points[-1].index if points else 0 :][-MOST_RUNS:]
    figures = [
        figure
        for run in recent
        if (one := run.phase(phase)) is not None and (figure := one.measurement(metric, step)) is not None
    ]
    n = common_count(figures)
    ys = [y for figure in figures if (y := on_scale(figure, kind, n)) is not None]
    limit = on_scale(Estimate.exact(requirement.target, n=n), kind, n) if requirement.target > 0.0 else None
    if limit is None or kind.scale is Scale.LINEAR or len(ys) < 2:
        return None
    at = np.arange(len(ys), dtype=float)
    values = kind.worse_sign * np.array(ys)
    found = growth(at, values)
    if found is None or found.low <= 0.0:
        return None
    slope, low, high = (one / MINUTE for one in (found.value, found.low, found.high))
    left = values - slope * at
    now = float(np.median(left)) + slope * float(at[-1])
    spread = float(np.std(left, ddof=2)) if len(ys) > 2 else math.inf
    gap = kind.worse_sign * limit - now
    if slope * len(ys) < CLEAR * spread or gap <= 0.0 or gap / slope > FARTHEST:
        return None
    return Outlook(
        phase=phase,
        step=step,
        metric=metric,
        limit=requirement.target,
        now=figures[-1].value,
        change=Estimate(value=math.expm1(slope), low=math.expm1(low), high=math.expm1(high), n=len(ys)),
        merges=Estimate(value=gap / slope, low=gap / high, high=max(gap / low, gap / slope), n=len(ys)),
        runs=len(ys),
    )
