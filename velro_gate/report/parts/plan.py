"""What a dry run says: the plan as a table, then sentences about whether this machine can carry it out."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from velro_gate import units
from velro_gate.model.scenario import Phase
from velro_gate.report.text.escape import visible

PlanRow = tuple[str, int, float, float, float | str | None, float | None]
"""(phase, users, ramp in seconds, measured duration in seconds, offered rate or None, expected requests or None).

An offered rate of anything but requests is a text.
"""

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


def plan_text(rows: Sequence[PlanRow], sentences: Sequence[str] = ()) -> str:
    """The plan as plain text in aligned columns, for logs and files; ends in a newline."""
    lines = [_HEADS, *map(_cells, rows)]
    if len(rows) > 1:
        lines.append(_totals(rows))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    shown = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join((*(line.rstrip() for line in shown), *(["", *map(visible, sentences)] if sentences else ()))) + "\n"


def _cells(row: PlanRow) -> tuple[str, str, str, str, str, str]:
    phase, users, ramp, duration, rate, requests = row
    return (
        visible(phase),
        units.format_count(users),
        units.format_duration(ramp),
        units.format_duration(duration),
        _CLOSED if rate is None else rate if isinstance(rate, str) else units.format_rate(rate),
        _UNKNOWN if requests is None else units.format_whole(requests),
    )


def _totals(rows: Sequence[PlanRow]) -> tuple[str, str, str, str, str, str]:
    requests = [row[5] for row in rows]
    known = [count for count in requests if count is not None]
    total = units.format_whole(sum(known)) if len(known) == len(requests) else _UNKNOWN
    ramp, measured = sum(row[2] for row in rows), sum(row[3] for row in rows)
    most = max((row[1] for row in rows), default=0)
    return (
        f"all, {units.format_duration(ramp + measured)}",
        f"at most {units.format_count(most)}",
        units.format_duration(ramp),
        units.format_duration(measured),
        "",
        total,
    )
