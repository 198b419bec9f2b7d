"""Whether main itself has moved: change points in its history, and its last runs against a pinned release.

A comparison with the last baselines cannot see a slow drift: each run is as bad as those before it. So the history is examined
as a whole, and compared with a pinned release, which stays where it was. Findings only warn, since this run did not cause them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from velro_gate.analysis.rows.family import Row, choose_rows
from velro_gate.analysis.rows.noise import LEAST_SD, MEDIAN_OF_SQUARED_DIFFERENCES, common_count, on_scale
from velro_gate.analysis.rows.shifts import relative_change
from velro_gate.analysis.stored.comparison import shift_of
from velro_gate.analysis.stored.rules import ROUNDING
from velro_gate.arrays import Floats
from velro_gate.model.metrics import METRICS, Scale
from velro_gate.model.record import NewLevel, Release, RunRecord
from velro_gate.model.scenario import Policy

LEAST_RUNS = 10
"""A shorter history does not distinguish a change from noise."""

LASTING = 5
"""Runs that a level must have lasted, so that two outliers in a row cannot be its median: they are not a change."""

NEWEST = 3
"""Runs of the newest level, which has had no time to last: a step is to be seen while people remember what they merged."""

PENALTY = 1.5
"""Times ln(n): what one more change point must save, in noise. Chosen on real series so that a step is seen as early as Apache
Otava sees it (``benchmarks.change_points``); tests/analysis/stored/test_drift.py simulates how many unchanged histories show
one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A run of main from which on a figure had another level."""

    phase: str
    step: str
    metric: str
    index: int
    """Its place in the history."""
    run: RunRecord
    change: float
    """The relative change of the figure."""
    worse: bool
    """Whether the figure became worse."""
    accepted: bool
    """Whether somebody accepted it, so that an epoch begins there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A figure whose median over the last runs is worse than the pinned release."""

    phase: str
    step: str
    metric: str
    release: float
    now: float
    change: float | None
    """The relative change; None where the release's figure is zero."""
    p: float
    k: int


def change_points(values: Sequence[float]) -> tuple[int, ...]:
    """The indices at which a new level begins, by PELT on absolute deviations (Killick, Fearnhead, Eckley 2012).

    values: one a run, oldest first, on the comparison scale. Each is divided by the robust noise of successive differences,
    so that the penalty of PENALTY ln(n) means the same for every figure. Absolute deviations: an outlier shall not be a level.
    Levels last LASTING runs at least, the newest one NEWEST.
    """
    n = len(values)
    if n < LEAST_RUNS:
        return ()
    ys = np.asarray(values, float)
    scaled = ((ys - np.median(ys)) / robust_sd(ys)).reshape(-1, 1)
    lasting = _least_cost(scaled, LASTING)
    newest = _least_cost(scaled, NEWEST)[-1:]
    # A new level is to be seen before it has lasted as long as older ones must: nobody wants to wait that long for news of a
    # change.
    if not newest or n - newest[0] >= LASTING:
        return lasting
    return (*(point for point in lasting if newest[0] - point >= LASTING), *newest)


def robust_sd(ys: Floats) -> float:
    """The noise of one run, from ys (runs,): by successive differences, which neither a step nor a slope changes much."""
    return max(math.sqrt(float(np.median(np.diff(ys) ** 2)) / MEDIAN_OF_SQUARED_DIFFERENCES), LEAST_SD)


def _least_cost(scaled: Floats, least: int) -> tuple[int, ...]:
    """Where the stretches of ``least`` runs or more begin that cost least; the first one is not named."""
    # Not at the top: it brings scipy.stats with it, and takes as long as the rest of a judgement that has no such history.
    from ruptures import Pelt

    ends = Pelt(model="l1", min_size=least, jump=1).fit(scaled).predict(pen=PENALTY * math.log(len(scaled)))
    return tuple(int(end) for end in ends[:-1])


def changes_of(history: Sequence[RunRecord], phase: str, step: str, metric: str, policy: Policy) -> tuple[ChangePoint, ...]:
    """Every change of level of one figure that reaches the margin, oldest first. history: accepted runs, oldest first.

    Figures without a logarithm or log-odds have none: an error rate that is nearly always zero has no level to speak of.
    """
    kind = METRICS[metric]
    if kind.scale is Scale.LINEAR:
        return ()
    measured = [
        (i, figure)
        for i, run in enumerate(history)
        if (one := run.phase(phase)) is not None and (figure := one.measurement(metric, step)) is not None
    ]
    n = common_count(figure for _, figure in measured)
    found = [(i, y) for i, figure in measured if (y := on_scale(figure, kind, n)) is not None]
    ys = [y for _, y in found]
    starts = change_points(ys)
    bounds = (0, *starts, len(ys))
    named = NewLevel(phase=phase, step=step, metric=metric)
    points = []
    for before, start, end in zip(bounds, starts, bounds[2:], strict=False):
        old, new = median(ys[before:start]), median(ys[start:end])
        if abs(new - old) < math.log1p(policy.margin) - ROUNDING:
            continue
        # An agreed change and the point at which it shows may lie a run apart.
        near = [history[found[j][0]] for j in range(max(start - 1, 0), min(start + 2, len(found)))]
        points.append(
            ChangePoint(
                phase=phase,
                step=step,
                metric=metric,
                index=found[start][0],
                run=history[found[start][0]],
                change=relative_change(kind, old, new - old) or 0.0,
                worse=(new - old) * kind.worse_sign > 0.0,
                accepted=any(named in run.new_levels for run in near),
            )
        )
    return tuple(points)


def recent_worsenings(history: Sequence[RunRecord], rows: Sequence[Row], policy: Policy) -> tuple[ChangePoint, ...]:
    """The changes of primary rows for the worse, not accepted, and so young that the level still holds both sides."""
    oldest = len(history) - policy.max_baselines
    points = [
        point for row in rows if row.primary for point in changes_of(history, row.phase, row.step, row.metric.name, policy)
    ]
    return tuple(point for point in points if point.worse and not point.accepted and point.index >= oldest)


def drift_from(release: Release, history: Sequence[RunRecord], rows: Sequence[Row], policy: Policy) -> tuple[Drift, ...]:
    """Of the primary rows, those whose median over the last runs is worse than the release by the margin, and certainly so.

    The test of the screen (decision.md, 4) the other way round: is the release better than the last K runs, p <= the
    confirmation level. Epochs do not count here: also what was agreed to, a little at a time, is drift.
    """
    plain = release.record.phases
    # Also the runs before the last K: they give the noise.
    others = [replace(run, new_levels=()) for run in history if run.id != release.record.id]
    found = []
    for row in rows:
        pinned = next((phase for phase in plain if phase.name == row.phase), None)
        if not row.primary or pinned is None or not others:
            continue
        shift = shift_of(row.step, row.metric, [pinned], others, policy)
        if shift is None or shift.p_better > policy.confirm_alpha or -shift.worse < shift.least - ROUNDING:
            continue
        found.append(
            Drift(
                phase=row.phase,
                step=row.step,
                metric=row.metric.name,
                release=shift.current,
                now=shift.baseline,
                change=shift.baseline / shift.current - 1.0 if shift.current else None,
                p=shift.p_better,
                k=shift.k,
            )
        )
    return tuple(found)


def deciding_rows(history: Sequence[RunRecord], policy: Policy) -> tuple[Row, ...]:
    """The figures that would decide the newest run of a history; none of an empty one."""
    return tuple(row for row in choose_rows(history[-1], history[:-1], policy) if row.primary) if history else ()
