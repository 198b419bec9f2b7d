"""Figures of an evaluation on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table

from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.errors import GateFailedError
from velro_gate.model.evaluation import Aim, Figure
from velro_gate.units import format_share

MISSED = GateFailedError.exit_code


def print_figures(figures: Sequence[Figure], format: Format) -> int:
    """Every figure with its bound, what was to be reached, and the naive rules beside it; 1 when one was missed, else 0."""
    missed = [figure for figure in figures if figure.reached is False]
    if format is Format.JSON:
        put(json.dumps([_document(figure) for figure in figures], indent=2, ensure_ascii=False))
    else:
        show(_table(figures))
        judged = [figure for figure in figures if figure.reached is not None]
        put(f"{len(judged) - len(missed)} of {len(judged)} figures are reached")
    return MISSED if missed else 0


def _table(figures: Sequence[Figure]) -> Table:
    table = Table()
    for heading in ("experiment", "counted", "rate", "95 % bound", "to reach", "", "naive rules, on the same jobs"):
        table.add_column(heading, justify="right" if heading in ("rate", "95 % bound") else "left", overflow="fold")
    for figure in figures:
        side = "<=" if figure.aim is Aim.AT_MOST else ">="
        table.add_row(
            figure.experiment,
            f"{figure.what} {figure.hits} of {figure.count}",
            format_share(figure.rate),
            f"{side} {format_share(figure.bound)}",
            _wanted(figure),
            {True: "reached", False: "MISSED", None: ""}[figure.reached],
            ", ".join(f"{rule}: {format_share(rate)}" for rule, rate in figure.beside.items()),
        )
    return table


def _wanted(figure: Figure) -> str:
    if figure.target is not None:
        return f"{figure.aim.value} {format_share(figure.target)}"
    return "" if figure.forecast is None else f"forecast: {format_share(figure.forecast)}"


def _document(figure: Figure) -> dict[str, object]:
    return {
        "experiment": figure.experiment,
        "what": figure.what,
        "hits": figure.hits,
        "count": figure.count,
        "rate": figure.rate,
        "bound": figure.bound,
        "aim": figure.aim.value,
        "target": figure.target,
        "reached": figure.reached,
        "naive": dict(figure.beside),
        "forecast": figure.forecast,
    }
