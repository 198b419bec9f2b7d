"""The trend of main: several figures of the stored runs, with what happened at which run. What is stored is read once
for all figures; nothing is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from velro_gate.gate.judge.history import History, HistoryEntry, histories
from velro_gate.gate.measure.capacity.record import SUFFIX
from velro_gate.model.charts.trend import Mark, TrendEvent, TrendGroup, TrendPoint, TrendSeries
from velro_gate.model.metric.broken import is_of_experiment
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.parts.history import MOST_RUNS
from velro_gate.store.baselines import Listing, list_baselines

FIGURES = ("p95", "throughput", "error_rate", "hit_rate")
"""What is shown by default."""


def main_trend(root: Path, metrics: Sequence[str], step: str, scenario: str | None) -> list[TrendGroup]:
    """The trends of these metrics of a step, of one scenario's runs. metrics: empty: the usual ones. scenario: None: of all.

    Raises:
        BaselineError: the folder cannot be read.
    """
    listing = _stored(root, scenario)
    return list(trends(listing, [(metric, step) for metric in metrics] or usual_figures(listing, step)))


def main_history(root: Path, metric: str, step: str, scenario: str | None) -> list[History]:
    """The histories of one figure, of one scenario's runs; None: of all.

    Raises:
        BaselineError: the folder cannot be read.
    """
    return list(histories(_stored(root, scenario), metric, step))


def _stored(root: Path, scenario: str | None) -> Listing:
    """The stored runs of one scenario and of its searches for the capacity; None: of all."""
    listing = list_baselines(root)
    if scenario is None:
        return listing
    wanted = (scenario, scenario + SUFFIX)
    return replace(listing, found=tuple(pair for pair in listing.found if pair[1].plan.scenario in wanted))


def usual_figures(listing: Listing, step: str) -> tuple[tuple[str, str], ...]:
    """The figures (metric, step) that are shown where none is named: ``FIGURES`` of a step, and those of experiments."""
    broken = {
        (name, summary.step): None
        for _, run in listing.found
        for phase in run.phases
        for summary in phase.steps
        for name in summary.measurements
        if is_of_experiment(name) and step in (summary.step, ALL_STEPS)
    }
    return (*((name, step) for name in FIGURES), *broken)


def trends(listing: Listing, wanted: Sequence[tuple[str, str]]) -> tuple[TrendGroup, ...]:
    """The trend of each plan and environment, the one with the newest run last, of the figures that are stored.

    wanted: (metric, step).
    """
    found: dict[tuple[str, ...], list[TrendSeries]] = {}
    heads: dict[tuple[str, ...], History] = {}
    for metric, step in wanted:
        for history in histories(listing, metric, step):
            key = (history.scenario, history.digest, history.profile, history.environment)
            heads[key] = history
            found.setdefault(key, []).extend(_series(history, metric, step))
    return tuple(
        TrendGroup(
            scenario=head.scenario,
            profile=head.profile,
            runner=head.runner,
            environment=head.environment,
            series=tuple(found[key]),
        )
        for key, head in heads.items()
    )


def _series(history: History, metric: str, step: str) -> list[TrendSeries]:
    made = [
        TrendSeries(
            phase=phase,
            step=step,
            metric=metric,
            points=tuple(_point(entry, phase) for entry in history.lines[-MOST_RUNS:]),
            outlooks=tuple(found for found in history.outlooks if found.phase == phase),
        )
        for phase in history.phases
    ]
    return [series for series in made if series.accepted]


def _point(entry: HistoryEntry, phase: str) -> TrendPoint:
    return TrendPoint(
        run=entry.run.id,
        started_at=entry.run.started_at,
        revision=entry.run.revision.sha,
        value=entry.values.get(phase),
        quarantined=entry.run.quarantined,
        marks=tuple(_marks(entry, phase)),
    )


def _marks(entry: HistoryEntry, phase: str) -> list[Mark]:
    marks = [Mark(event=TrendEvent.RELEASE, name=entry.release)] if entry.release is not None else []
    points = [point for point in entry.points if point.phase == phase]
    for point in points:
        event = TrendEvent.ACCEPTED if point.accepted else TrendEvent.WORSE if point.worse else TrendEvent.BETTER
        marks.append(Mark(event=event, change=point.change))
    # An accepted change shows as a change point at its run or next to it; where it does not, it is marked by itself.
    if any(level.phase == phase for level in entry.epochs) and not any(point.accepted for point in points):
        marks.append(Mark(event=TrendEvent.ACCEPTED))
    return marks
