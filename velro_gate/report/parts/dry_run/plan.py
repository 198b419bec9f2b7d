"""What a dry run says: the plan as a table, then sentences about whether this machine can carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from velro_gate import units
from velro_gate.model.scenario import Phase
from velro_gate.report.text.escape import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One phase of the plan. Seconds, requests per second."""

    phase: str
    users: int
    ramp: float
    duration: float
    offered: float | str | None
    """A rate; a text where something else than requests falls due; None in a closed loop."""
    requests: float | None
    """Expected; None where that depends on the answers."""

    @classmethod
    def of(cls, phase: Phase, requests: float | None) -> Self:
        """The row of a planned phase, and the requests that are expected of it."""
        return cls(
            phase=phase.name,
            users=phase.users,
            ramp=phase.ramp,
            duration=phase.duration,
            offered=offered(phase),
            requests=requests,
        )


_HEADS = ("Phase", "Users", "Ramp", "Measured", "Offered", "Requests")
_CLOSED = "closed loop"
_UNKNOWN = "depends on the responses"


def offered(phase: Phase) -> float | str | None:
    """What a phase offers: requests per second, a text where journeys fall due, None in a closed loop."""
    rate = phase.journey_rate
    return phase.offered_rate if rate is None else f"{units.format_count(rate)} journeys/s"


def plan_view(rows: Sequence[PlanRow], sentences: Sequence[str] = ()) -> RenderableType:
    """The plan for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(rows) > 1)
    for head, foot in zip(_HEADS, _totals(rows), strict=True):
        table.add_column(head, foot, justify="left" if head == "Phase" else "right", no_wrap=head != "Requests")
    for cells in map(_cells, rows):
        table.add_row(Text(cells[0], style="bold"), *cells[1:])
    return Group(table, *(Text(visible(words)) for words in sentences))


def _cells(row: PlanRow) -> Sequence[str]:
    rate = row.offered
    return (
        visible(row.phase),
        units.format_count(row.users),
        units.format_duration(row.ramp),
        units.format_duration(row.duration),
        _CLOSED if rate is None else rate if isinstance(rate, str) else units.format_rate(rate),
        _UNKNOWN if row.requests is None else units.format_whole(row.requests),
    )


def _totals(rows: Sequence[PlanRow]) -> Sequence[str]:
    requests = [row.requests for row in rows]
    known = [count for count in requests if count is not None]
    total = units.format_whole(sum(known)) if len(known) == len(requests) else _UNKNOWN
    ramp, measured = sum(row.ramp for row in rows), sum(row.duration for row in rows)
    most = max((row.users for row in rows), default=0)
    return (
        f"all, {units.format_duration(ramp + measured)}",
        f"at most {units.format_count(most)}",
        units.format_duration(ramp),
        units.format_duration(measured),
        "",
        total,
    )
