"""Runs as pandas frames, for a notebook, a spreadsheet or a plot: a row for each figure, or for each value that was read.

pandas is imported by the functions, not at the top: that takes as long as a whole judgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from velro_gate.model.readings import unit_of
from velro_gate.model.record import RunRecord
from velro_gate.model.run import Reading

if TYPE_CHECKING:
    from pandas import DataFrame

PandasFrame: TypeAlias = "DataFrame"
"""For those above who pass frames on and know nothing of pandas."""

Columns = Mapping[str, str]
"""The columns of a frame in order, each with its type."""

TEXT, MOMENT, FLAG, NUMBER, COUNT = "str", "datetime64[us, UTC]", "bool", "float64", "int64"
"""The types of columns. NaN in a number: not measured."""


class RunCells(NamedTuple):
    """The cells of a row that say of which run it is."""

    run: str
    started_at: datetime
    revision: str
    scenario: str
    profile: str
    runner: str
    quarantined: bool


_RUN = dict(zip(RunCells._fields, (TEXT, MOMENT, TEXT, TEXT, TEXT, TEXT, FLAG), strict=True))

FIGURES: Columns = MappingProxyType(
    _RUN | {"phase": TEXT, "step": TEXT, "metric": TEXT, "value": NUMBER, "low": NUMBER, "high": NUMBER, "n": COUNT}
)
"""value, low, high: in base units (seconds, requests per second, bytes, shares), with the 95 % interval; n: observations
behind it."""

RESOURCES: Columns = MappingProxyType(
    _RUN | {"phase": TEXT, "source": TEXT, "name": TEXT, "least": NUMBER, "median": NUMBER, "most": NUMBER, "n": COUNT}
)
"""least, median, most: in base units; n: readings behind them."""

READINGS: Columns = MappingProxyType({"time": NUMBER, "source": TEXT, "series": TEXT, "value": NUMBER, "unit": TEXT})
"""time: seconds since the start of the run; value: in unit, which is a base unit."""


def figures_frame(records: Iterable[RunRecord]) -> DataFrame:
    """Every figure of these runs, in the order in which they are given: the columns ``FIGURES``."""
    rows = [
        (*_run(record), phase.name, step.step, metric, found.value, found.low, found.high, found.n)
        for record in records
        for phase in record.phases
        for step in phase.steps
        for metric, found in step.measurements.items()
    ]
    return frame_of(rows, FIGURES)


def resources_frame(records: Iterable[RunRecord]) -> DataFrame:
    """What was watched while these runs measured, over each phase: the columns ``RESOURCES``."""
    rows = [
        (*_run(record), phase.name, each.source, each.name, each.least, each.median, each.most, each.n)
        for record in records
        for phase in record.phases
        for each in phase.resources
    ]
    return frame_of(rows, RESOURCES)


def readings_frame(readings: Iterable[Reading]) -> DataFrame:
    """What was read while one run measured, in the order in which it was read: the columns ``READINGS``."""
    # A run of an hour holds a quarter of a million readings, of some dozens of series.
    units: dict[tuple[str, str], str] = {}
    rows = []
    for each in readings:
        key = (each.source, each.name)
        if key not in units:
            units[key] = unit_of(*key).value
        rows.append((each.at, each.source, each.name, each.value, units[key]))
    return frame_of(rows, READINGS)


def frame_of(rows: Sequence[tuple[object, ...]], columns: Columns) -> DataFrame:
    """Rows as a frame with the types of its columns, which it has without a row, too."""
    from pandas import DataFrame

    return DataFrame(rows, columns=list(columns)).astype(dict(columns))


def moment(text: str) -> datetime:
    """A time of a record; one without a zone is in UTC, as those of records are."""
    # As records are checked when they are read: pandas takes other texts for times than Python does.
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _run(record: RunRecord) -> RunCells:
    return RunCells(
        run=record.id,
        started_at=moment(record.started_at),
        revision=record.revision.sha or record.revision.label,
        scenario=record.plan.scenario,
        profile=record.plan.profile,
        runner=record.environment.runner,
        quarantined=bool(record.quarantined),
    )
