"""The figures of any number of runs as pandas frames: one row a figure, for a notebook, a spreadsheet or a plot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from velro_gate.model.record import RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame

RUN = ("run", "started_at", "revision", "scenario", "profile", "runner", "quarantined", "phase")
FIGURES = (*RUN, "step", "metric", "value", "low", "high", "n")
RESOURCES = (*RUN, "source", "name", "least", "median", "most", "n")


def figures_frame(records: Iterable[RunRecord]) -> DataFrame:
    """Every figure of these runs, in the order in which they are given: the columns ``FIGURES``.

    value, low, high: in base units (seconds, requests per second, shares), with the 95 % interval; n: observations behind it.
    """
    # Not at the top: pandas takes as long to import as a whole judgement takes.
    from pandas import DataFrame, to_datetime

    rows = [
        (*_run(record), phase.name, step.step, metric, found.value, found.low, found.high, found.n)
        for record in records
        for phase in record.phases
        for step in phase.steps
        for metric, found in step.measurements.items()
    ]
    frame = DataFrame(rows, columns=list(FIGURES))
    return frame.assign(started_at=to_datetime(frame["started_at"]))


def resources_frame(records: Iterable[RunRecord]) -> DataFrame:
    """What was watched while these runs measured, over each phase: the columns ``RESOURCES``, in base units."""
    from pandas import DataFrame, to_datetime

    rows = [
        (*_run(record), phase.name, each.source, each.name, each.least, each.median, each.most, each.n)
        for record in records
        for phase in record.phases
        for each in phase.resources
    ]
    frame = DataFrame(rows, columns=list(RESOURCES))
    return frame.assign(started_at=to_datetime(frame["started_at"]))


def figures_csv(records: Iterable[RunRecord]) -> str:
    """``figures_frame`` as CSV, times in ISO 8601."""
    frame = figures_frame(records)
    return frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\n")


def _run(record: RunRecord) -> tuple[str, str, str, str, str, str, bool]:
    return (
        record.id,
        record.started_at,
        record.revision.sha or record.revision.label,
        record.plan.scenario,
        record.plan.profile,
        record.environment.runner,
        bool(record.quarantined),
    )
