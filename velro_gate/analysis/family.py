"""Which figures of a run are compared, which of them may fail it, and what testing many of them at once costs.

Primary rows of each phase, at most eight (decision.md, 2): p50, p95, error rate and achieved/offered of all steps, and p95 of
the four most frequent steps that have 100 requests beyond the quantile. The family is that of the whole run: with six phases
it has up to 48 rows, since a step can become slow under the load of one phase only and that phase has to be able to say so.
More rows buy more chances of a false alarm, so Holm runs over all of them, and the level at which one row may fail the run is
that of eight rows shared by all (``confirm_level``). Everything else that can be compared is advisory: a warning at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from velro_gate.analysis.signflip import Floats
from velro_gate.model.metrics import METRICS, Metric
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import Change, Comparison, Level

LEAST_BEYOND = 100
"""So many requests must lie beyond a quantile before it is compared: fewer, and chance alone moves it."""

FAMILY = 8
PRIMARY_STEPS = 4
ADVISORY = ("p50", "p95", "p99", "error_rate", "hit_rate", "cpu_per_1000", "rss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure to compare. named: the scenario itself promotes it, so it must not be missing."""

    phase: str
    step: str
    metric: Metric
    primary: bool
    named: bool = False


def choose_rows(candidate: RunRecord, baselines: Sequence[RunRecord], policy: Policy) -> tuple[Row, ...]:
    """Every figure to compare, phase by phase, the primary ones of a phase first."""
    rows: list[Row] = []
    for phase in candidate.phases:
        before = [found for run in baselines if (found := run.phase(phase.name)) is not None]
        rows += phase_rows([phase], before, candidate.plan.steps, policy)
    return tuple(rows)


def phase_rows(
    mine: Sequence[PhaseSummary], before: Sequence[PhaseSummary], steps: Sequence[str], policy: Policy, *, repeats: int = 1
) -> list[Row]:
    """The figures of one phase to compare, the primary ones first.

    mine: the candidate's summaries of it, at least one; before: what they are compared with. repeats: how many summaries
    of each side are compared together, since the requests of all of them stand behind a quantile.
    """
    name = mine[0].name
    named = policy.primary is not None
    primaries = policy.primary if policy.primary is not None else _default_primaries(mine[0], before, steps, repeats)
    rows = [Row(phase=name, step=s, metric=METRICS[m], primary=True, named=named) for s, m in primaries]
    taken = set(primaries)
    rows += [
        Row(phase=name, step=step, metric=METRICS[metric], primary=False)
        for step, metric in _advisory(mine, before, steps)
        if (step, metric) not in taken
    ]
    return rows


def _default_primaries(
    phase: PhaseSummary, before: Sequence[PhaseSummary], steps: Sequence[str], repeats: int
) -> tuple[tuple[str, str], ...]:
    rate = "achieved_share" if phase.offered_rate is not None else "throughput"
    whole = [(ALL_STEPS, name) for name in ("p50", "p95", "error_rate", rate)]
    if len(steps) < 2:
        return tuple(whole)
    # The baselines choose the steps, so that a candidate with few good answers cannot choose itself out of the test.
    counts = {step: typical_count(before or [phase], step, "p95") * repeats for step in steps}
    enough = [step for step in steps if beyond(counts[step], 0.95) >= LEAST_BEYOND]
    chosen = sorted(enough, key=lambda step: -counts[step])[:PRIMARY_STEPS]
    return (*whole, *((step, "p95") for step in steps if step in chosen))


def _advisory(mine: Sequence[PhaseSummary], before: Sequence[PhaseSummary], steps: Sequence[str]) -> list[tuple[str, str]]:
    chosen = []
    for step in (ALL_STEPS, *(steps if len(steps) > 1 else ())):
        summaries = [found for each in (*mine, *before) if (found := each.step(step)) is not None]
        chosen += [(step, name) for name in ADVISORY if any(has(summary, name) for summary in summaries)]
        # Without a failure this is the p95 of the successes once more.
        failed = any(found.counts.error_rate for each in mine if (found := each.step(step)) is not None)
        if failed and any(has(summary, "p95_all") for summary in summaries):
            chosen.append((step, "p95_all"))
    return chosen


def has(summary: StepSummary, metric: str) -> bool:
    """Whether the figure was measured; an error rate is, as soon as anything was asked."""
    return summary.counts.error_rate is not None if metric == "error_rate" else metric in summary.measurements


def typical_count(phases: Sequence[PhaseSummary], step: str, metric: str) -> float:
    """Median number of observations behind a figure; 0 for a phase that lacks it."""
    counts = [found.n if (found := phase.measurement(metric, step)) else 0 for phase in phases]
    return median(counts) if counts else 0.0


def beyond(n: float, quantile: float) -> float:
    """How many of n observations lie beyond a quantile."""
    # Rounded, since 2,000 x (1 - .95) is a hair under 100 in binary.
    return round(n * (1.0 - quantile), 6)


def confirm_level(policy: Policy, family: int) -> float:
    """The p at or under which one of ``family`` suspicious rows fails the run.

    A family of up to eight has the policy's own level; a larger one shares the error rate of eight, so that more phases do
    not mean more false alarms.
    """
    return policy.confirm_alpha * min(1.0, FAMILY / max(family, 1))


def not_compared(row: Row, level: Level, reason: str) -> Comparison:
    """A row of which there is nothing but the reason why it was not compared."""
    return Comparison(
        phase=row.phase,
        step=row.step,
        metric=row.metric.name,
        verdict=Change.NOT_COMPARED,
        primary=row.primary,
        level=level,
        reason=reason,
    )


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values: family-wise, whatever the correlation between the rows (Holm 1979, Scandinavian
    Journal of Statistics 6:65). As many as p, in its order.
    """
    return tuple(map(float, holm_over(np.asarray(p, float))))


def holm_over(p: Floats) -> Floats:
    """``holm`` of many families at once, each along the last axis. NaN is no row: it counts in no family and stays NaN."""
    order = np.argsort(p, axis=-1, kind="stable")  # NaN comes last
    rising = np.take_along_axis(p, order, axis=-1)
    family = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    stepped = np.minimum((family - np.arange(p.shape[-1])) * rising, 1.0)
    adjusted: Floats = np.empty_like(stepped)
    # NaN stays behind all numbers, so a running maximum never meets one before them.
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return adjusted


def false_discovery(p: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values whose threshold q keeps the expected share of false ones among those found at q (Benjamini, Hochberg
    1995): p of rank i times m/i, no larger than those of higher ranks.

    scipy.stats has it too (the tests hold one against the other), but importing that takes longer than a whole judgement.
    """
    order = sorted(range(len(p)), key=lambda i: -p[i])
    adjusted = [1.0] * len(p)
    most = 1.0
    for above, i in enumerate(order):
        most = min(most, p[i] * len(p) / (len(p) - above))
        adjusted[i] = most
    return tuple(adjusted)
