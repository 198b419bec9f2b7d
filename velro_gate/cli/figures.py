"""Figures of an evaluation on standard output."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table

from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.errors import GateFailedError
from velro_gate.model.evaluation import Amount, Evaluated, Figure
from velro_gate.units import format_share

MISSED = GateFailedError.exit_code


def print_figures(figures: Sequence[Evaluated], format: Format) -> int:
    """Each figure with its interval, its target and the naive rules on the same jobs; 1 when a target was missed, else 0."""
    missed = [figure for figure in figures if figure.reached is False]
    if format is Format.JSON:
        put(json.dumps([_document(figure) for figure in figures], indent=2, ensure_ascii=False))
    else:
        show(_table(figures))
        judged = [figure for figure in figures if figure.reached is not None]
        put(f"{len(judged) - len(missed)} of {len(judged)} figures are reached")
    return MISSED if missed else 0


def _table(figures: Sequence[Evaluated]) -> Table:
    table = Table()
    for heading in ("experiment", "counted", "rate", "95 % interval", "to reach", "", "naive rules, on the same jobs"):
        table.add_column(heading, justify="right" if heading in ("rate", "95 % interval") else "left", overflow="fold")
    for figure in figures:
        counted, rate, between = _counted(figure) if isinstance(figure, Figure) else _averaged(figure)
        table.add_row(
            figure.experiment,
            counted,
            rate,
            between,
            _wanted(figure),
            {True: "reached", False: "MISSED", None: ""}[figure.reached],
            ", ".join(f"{rule}: {format_share(share)}" for rule, share in figure.naive.items())
            if isinstance(figure, Figure)
            else "",
        )
    return table


def _counted(figure: Figure) -> tuple[str, str, str]:
    between = f"{format_share(figure.low)} to {format_share(figure.high)}"
    return f"{figure.what} {figure.hits} of {figure.count}", format_share(figure.rate), between


def _averaged(figure: Amount) -> tuple[str, str, str]:
    return figure.what, f"{figure.value:.1f} {figure.unit}", f"{figure.low:.1f} to {figure.high:.1f}"


def _wanted(figure: Evaluated) -> str:
    if isinstance(figure, Amount):
        return "" if figure.target is None else f"{figure.aim.value} {figure.target:g} {figure.unit}"
    if figure.target is not None and figure.most is not None:
        return f"{figure.aim.value} {format_share(figure.target)} and {format_share(figure.most)}"
    if figure.target is not None:
        return f"{figure.aim.value} {format_share(figure.target)}"
    return "" if figure.forecast is None else f"forecast: {format_share(figure.forecast)}"


def _document(figure: Evaluated) -> dict[str, object]:
    common: dict[str, object] = {
        "experiment": figure.experiment,
        "what": figure.what,
        "count": figure.count,
        "low": figure.low,
        "high": figure.high,
        "aim": figure.aim.value,
        "target": figure.target,
        "reached": figure.reached,
    }
    if isinstance(figure, Amount):
        return {**common, "value": figure.value, "unit": figure.unit}
    return {
        **common,
        "hits": figure.hits,
        "rate": figure.rate,
        "most": figure.most,
        "naive": dict(figure.naive),
        "forecast": figure.forecast,
    }
