"""Which figures of a run are compared, which of them may fail it, and what testing many of them at once costs.

Primary rows of each phase, at most eight (decision.md, 2): p50, p95, error rate and achieved/offered of all steps, and p95 of
the four most frequent steps. A quantile beyond which too few responses lie is not compared; the next lower one that has enough
stands in for it, so that no step and no phase is left without a response time that may fail the run. The family is that of the
whole run: with six phases it has up to 48 rows, since a step can become slow under the load of one phase only.
More rows buy more chances of a false alarm, so Holm runs over all of them, and the level at which one row may fail the run is
shared by all (``confirm_level``). Everything else that can be compared is advisory: a warning at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from velro_gate.analysis.statistics.finite import finite
from velro_gate.arrays import Floats
from velro_gate.model.facts.reasons import Reason, TooFewResponses
from velro_gate.model.metric.broken import is_of_experiment
from velro_gate.model.metric.own import is_own
from velro_gate.model.metrics import METRICS, TAIL, Condition, Metric, Role, compared, quantiles_of
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import Change, Comparison, Level

LEAST_BEYOND = 30
"""The number of requests that must lie beyond a quantile before it is compared. Its sampling error is part of the noise between
runs or blocks, which is measured; with fewer requests it depends on a handful of them, and that noise no longer follows
Student's t."""

STILL_BEYOND = 24
"""Enough for the run itself where its baselines have ``LEAST_BEYOND``: the number of responses varies from run to run."""

PRIMARY_STEPS = 4
"""Steps of a phase whose response time may fail the run: each more makes every row's level stricter (Holm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure to compare."""

    phase: str
    step: str
    metric: Metric
    primary: bool
    named: bool = False
    """Whether the scenario itself names it as primary, so that it must not be missing."""
    stands_for: str = ""
    """The quantile, by name, in whose place this lower one is primary, because too few responses lie beyond it."""


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
    before_or_mine = before or mine[:1]

    def count(step: str, metric: str) -> float:
        """Of the baselines, so that a candidate with few successful responses cannot choose itself out of the test."""
        return typical_count(before_or_mine, step, metric) * repeats

    rows = primary_rows(name, steps, policy, count, offered=mine[0].offered_rate is not None)
    taken = {(row.step, row.metric.name) for row in rows}
    rows += [
        Row(phase=name, step=step, metric=METRICS[metric], primary=False)
        for step, metric in _advisory(mine, before, steps)
        if (step, metric) not in taken
    ]
    return rows


def primary_rows(
    phase: str, steps: Sequence[str], policy: Policy, count: Callable[[str, str], float], *, offered: bool
) -> list[Row]:
    """The figures of a phase that may fail a run.

    offered: whether the phase has an offered rate. count: to a step and a metric, how many responses stand behind it.
    """
    named = policy.primary is not None
    primaries = policy.primary if policy.primary is not None else _usual(offered=offered)
    rows = [Row(phase=phase, step=s, metric=METRICS[m], primary=True, named=named) for s, m in primaries]
    if not named:
        rows += _step_rows(phase, steps, count)
    taken = {(row.step, row.metric.name) for row in rows}
    for row in tuple(rows):
        lower = None if row.stands_for else stand_in(row.metric, partial(count, row.step))
        if lower is not None and (row.step, lower.name) not in taken:
            taken.add((row.step, lower.name))
            rows.append(Row(phase=phase, step=row.step, metric=lower, primary=True, stands_for=row.metric.name))
    return rows


def _usual(*, offered: bool) -> tuple[tuple[str, str], ...]:
    """What may fail a run unless the scenario names it: the registry's primary metrics, of all steps together."""
    here = (Condition.ALWAYS, Condition.OFFERED if offered else Condition.NOT_OFFERED)
    return tuple((ALL_STEPS, each.name) for each in METRICS.values() if each.role is Role.PRIMARY and each.condition in here)


def _step_rows(phase: str, steps: Sequence[str], count: Callable[[str, str], float]) -> Iterator[Row]:
    """A response time of each of the most frequent steps, in the scenario's order: p95, or what stands in for it."""
    if len(steps) < 2:
        return
    tail = METRICS[TAIL]
    answers = {step: count(step, TAIL) for step in steps}
    chosen: dict[str, Metric] = {}
    # The most frequent first: their quantiles are known best, and they are most of what users see.
    for step in sorted(steps, key=lambda step: -answers[step]):
        metric = tail if is_enough(answers[step], tail) else stand_in(tail, partial(count, step))
        if metric is not None and len(chosen) < PRIMARY_STEPS:
            chosen[step] = metric
    for step in steps:
        if (metric := chosen.get(step)) is not None:
            yield Row(phase=phase, step=step, metric=metric, primary=True, stands_for="" if metric is tail else TAIL)


def stand_in(metric: Metric, answers: Callable[[str], float]) -> Metric | None:
    """The highest lower quantile that can be compared; None where the quantile itself can be, or nothing can.

    answers: to a metric's name, how many stand behind it in one run, or in all blocks of a build together.
    """
    if metric.times is None or metric.quantile is None or is_enough(answers(metric.name), metric):
        return None
    ranks = quantiles_of(metric.times)
    lower = sorted((name for name, rank in ranks.items() if rank < metric.quantile), key=lambda name: -ranks[name])
    return next((METRICS[name] for name in lower if is_enough(answers(name), METRICS[name])), None)


def is_enough(answers: float, metric: Metric) -> bool:
    """Whether that many responses are enough to compare a figure: ``LEAST_BEYOND`` of them have to lie beyond a quantile."""
    return metric.quantile is None or beyond(answers, metric.quantile) >= LEAST_BEYOND


def needed_answers(metric: Metric) -> int:
    """How many responses it takes to compare a figure; 0 for one that is not a quantile."""
    return 0 if metric.quantile is None else math.ceil(round(LEAST_BEYOND / (1.0 - metric.quantile), 6))


def too_few(metric: Metric, answers: float, seconds: float) -> TooFewResponses:
    """Why that many responses are not enough to compare a quantile, and how long a phase would have to be."""
    needed = needed_answers(metric)
    known = answers > 0.0 and seconds > 0.0
    return TooFewResponses(
        metric=metric.name,
        answers=round(answers),
        needed=needed,
        needed_seconds=seconds * needed / answers if known else None,
    )


def _advisory(mine: Sequence[PhaseSummary], before: Sequence[PhaseSummary], steps: Sequence[str]) -> list[tuple[str, str]]:
    chosen = []
    for step in (ALL_STEPS, *(steps if len(steps) > 1 else ())):
        summaries = [found for each in (*mine, *before) if (found := each.step(step)) is not None]
        failed = any(found.counts.error_rate for each in mine if (found := each.step(step)) is not None)
        for when in (Condition.ALWAYS, *((Condition.FAILURES,) if failed else ())):
            names = [metric.name for metric in compared(Role.PRIMARY, Role.ADVISORY, when=when)]
            chosen += [(step, name) for name in names if any(has(summary, name) for summary in summaries)]
        named = [name for summary in summaries for name in summary.measurements]
        own = dict.fromkeys(name for name in named if is_own(name) or is_of_experiment(name))
        chosen += [(step, name) for name in own]
    return chosen


def has(summary: StepSummary, metric: str) -> bool:
    """Whether the figure was measured; an error rate is, as soon as anything was asked."""
    return summary.counts.error_rate is not None if METRICS[metric].of_counts else metric in summary.measurements


def typical_count(phases: Sequence[PhaseSummary], step: str, metric: str) -> float:
    """Median number of observations behind a figure; 0 for a phase that lacks it."""
    counts = [found.n if (found := phase.measurement(metric, step)) else 0 for phase in phases]
    return median(counts) if counts else 0.0


def beyond(n: float, quantile: float) -> float:
    """How many of n observations lie beyond a quantile."""
    # Rounded, since 2,000 x (1 - .95) is a hair under 100 in binary.
    return round(n * (1.0 - quantile), 6)


SAME_JOB = 0.5
"""Share of the policy's level at which one job alone may fail a run: its runs share the machine and the quarter of an hour, so
an unusual machine looks like a slow build in all of them. Measured on hosted runners (``evaluate replay``, otel_java).
"""


def confirm_level(policy: Policy, family: int, *, second_job: bool = False) -> float:
    """The p at or under which one of ``family`` suspicious rows fails the run: the policy's level is that of the whole run.

    second_job: whether the further runs were made by another job.
    """
    return policy.confirm_alpha * (1.0 if second_job else SAME_JOB) / max(family, 1)


def not_compared(row: Row, level: Level, reason: Reason) -> Comparison:
    """A row of which there is nothing but the reason why it was not compared."""
    return Comparison(
        phase=row.phase,
        step=row.step,
        metric=row.metric.name,
        verdict=Change.NOT_COMPARED,
        primary=row.primary,
        level=level,
        reasons=(reason,),
    )


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values: family-wise, whatever the correlation between the rows (Holm 1979, Scandinavian
    Journal of Statistics 6:65). As many as p, in its order.

    Raises:
        ValueError: one is NaN or infinite.
    """
    return tuple(map(float, holm_over(finite(p, "p-values"))))


def holm_over(p: Floats) -> Floats:
    """``holm`` of many families at once, each along the last axis. NaN is not a row: it counts in no family and stays NaN."""
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

    scipy.stats has it too (a test compares the two), but importing that takes longer than a whole judgement.

    Raises:
        ValueError: one is NaN or infinite.
    """
    finite(p, "p-values")
    order = sorted(range(len(p)), key=lambda i: -p[i])
    adjusted = [1.0] * len(p)
    most = 1.0
    for above, i in enumerate(order):
        most = min(most, p[i] * len(p) / (len(p) - above))
        adjusted[i] = most
    return tuple(adjusted)
