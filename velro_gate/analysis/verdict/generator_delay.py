"""Whether a delay of the generator's own could have changed a run's result.

A response time counts from the due time until the response was read. What the generator delays, by sending late or by reading
late, is therefore part of it and can only have made it larger. So a limit that was met in spite of a delay is met, and one that
was missed by more than the delay is missed. Only in between is the result unknown, and the measurement broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.metrics import LATENCY_QUANTILES, METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Comparison, Level, RequirementResult, RequirementStatus

_SUSTAINED_SECONDS = 10.0
"""Length of the windows of the sustained throughput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorDelay:
    """What the generator may have added to the response times of a phase.

    A delay found by other means than lateness and loop lag is one more such value: ask ``changed_by`` about each of them.
    """

    sending: float = 0.0
    """Seconds by which requests may have been sent late."""
    reading: float = 0.0
    """Seconds by which responses may have been read late; that is part of the service time too."""
    share: float = 1.0
    """The share of the requests that it concerns, in (0, 1]; 1.0 where that is not known. A stop of 3 s in 60 s of open load is
    ``GeneratorDelay(sending=3.0, reading=3.0, share=3 / 60)``.
    """

    def __post_init__(self) -> None:
        if min(self.sending, self.reading) < 0.0 or not 0.0 < self.share <= 1.0:
            raise ValueError(f"a delay is not negative and of some requests, not {self}")

    def of(self, metric: str) -> float:
        """The seconds that a figure of this name may hold of it; 0 for what is not a time of the service."""
        if not METRICS[metric].of_service_time:
            return 0.0
        return self.reading if metric.startswith("service_") else self.sending + self.reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The results of a run so far: its requirements and comparisons."""

    requirements: Sequence[RequirementResult] = ()
    comparisons: Sequence[Comparison] = ()


def changed_by(delay: GeneratorDelay, summary: PhaseSummary, decided: Decided, *, least: float = 0.0) -> tuple[FigureName, ...]:
    """What fails in this phase and might not have failed without the delay, by name; empty when nothing does.

    Args:
        delay: what the generator may have added.
        decided: the run's results; those of other phases are passed over.
        least: the delay counts only where it is more than this share of the limit, or of the figure that is compared.
    """
    requirements = (each for each in decided.requirements if each.phase == summary.name and each.level is Level.FAIL)
    comparisons = (each for each in decided.comparisons if each.phase == summary.name and each.level is Level.FAIL)
    return tuple(dict.fromkeys((*_limits(delay, summary, requirements, least), *_changes(delay, summary, comparisons, least))))


def least_value(delay: GeneratorDelay, summary: PhaseSummary, metric: str, step: str = ALL_STEPS) -> float | None:
    """The least that a figure can have been without the delay, in its own unit; None when it was not measured.

    The q-quantile of times of which a share s was delayed by up to d is at least the measured one less d, and at least the
    measured (q - s)-quantile: of the times above that one, no more than s were delayed.
    """
    found = summary.measurement(metric, step)
    if found is None:
        return None
    rank = METRICS[metric].quantile
    least = max(found.value - delay.of(metric), 0.0)
    if rank is None or not METRICS[metric].of_service_time:
        return found.value
    lower = [
        below.value
        for name, other in LATENCY_QUANTILES.items()
        if metric in LATENCY_QUANTILES and other <= rank - delay.share + 1e-12
        if (below := summary.measurement(name, step)) is not None
    ]
    return min(max((least, *lower)), found.value)


def _limits(
    delay: GeneratorDelay, summary: PhaseSummary, failed: Iterator[RequirementResult], least: float
) -> Iterator[FigureName]:
    for result in failed:
        if result.status is RequirementStatus.NOT_MEASURED:
            continue
        wanted = result.requirement
        if wanted.definition.sustained and result.estimate is not None:
            # What a stop of the generator kept from a window of 10 s.
            whole = result.estimate.value / max(1.0 - (delay.sending + delay.reading) / _SUSTAINED_SECONDS, 1e-9)
            if delay.share < 1.0 and wanted.comparator.holds(whole, wanted.target):
                yield FigureName(step=wanted.step, metric=wanted.metric)
            continue
        value = least_value(delay, summary, wanted.metric, wanted.step)
        # What fails an optional requirement is its critical level.
        limit = wanted.target if wanted.required or wanted.critical is None else wanted.critical
        if value is not None and delay.of(wanted.metric) > least * limit and wanted.comparator.holds(value, limit):
            yield FigureName(step=wanted.step, metric=wanted.metric)


def _changes(delay: GeneratorDelay, summary: PhaseSummary, failed: Iterator[Comparison], least: float) -> Iterator[FigureName]:
    for row in failed:
        if row.verdict is not Change.REGRESSION or row.current is None or row.baseline is None:
            continue
        value, measured = least_value(delay, summary, row.metric, row.step), summary.measurement(row.metric, row.step)
        if value is None or measured is None or measured.value <= 0.0 or delay.of(row.metric) <= least * row.current:
            continue
        # ``current`` may be the mean of several runs: what counts is how much of it the delay can have been.
        without = row.current * value / measured.value
        if without <= row.baseline * (1.0 + (row.margin or 0.0)):
            yield FigureName(step=row.step, metric=row.metric)
