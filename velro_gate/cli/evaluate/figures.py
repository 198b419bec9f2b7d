"""Figures of an evaluation on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isfinite

from rich.table import Table

from velro_gate.cli.options import FigureFormat
from velro_gate.cli.output import put, show
from velro_gate.errors import GateFailedError
from velro_gate.evaluation.results import Amount, Evaluated
from velro_gate.units import MISSING, format_decimal, format_number, format_share

MISSED = GateFailedError.exit_code


def print_figures(figures: Sequence[Evaluated], format: FigureFormat) -> int:
    """Each figure with its interval, its target and the naive rules on the same jobs; 1 when a target was missed, else 0."""
    missed = [figure for figure in figures if figure.reached is False]
    match format:
        case FigureFormat.JSON:
            put(json.dumps([_document(figure) for figure in figures], indent=2, ensure_ascii=False))
        case FigureFormat.MARKDOWN:
            put("\n".join(_markdown(figures)))
        case FigureFormat.TEXT:
            show(_table(figures))
            judged = [figure for figure in figures if figure.reached is not None]
            put(f"{len(judged) - len(missed)} of {len(judged)} figures are reached")
    return MISSED if missed else 0


def _table(figures: Sequence[Evaluated]) -> Table:
    table = Table()
    for heading in ("experiment", *_HEADINGS):
        table.add_column(heading, justify="right" if heading in ("rate", "95 % interval") else "left", overflow="fold")
    for figure in figures:
        table.add_row(figure.experiment, *_cells(figure))
    return table


def _markdown(figures: Sequence[Evaluated]) -> Iterator[str]:
    """A table of pipes. An experiment is named in its first row."""
    headings = ("experiment", *_HEADINGS)
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    before = ""
    for figure in figures:
        name = "" if figure.experiment == before else figure.experiment
        before = figure.experiment
        yield f"| {' | '.join((name, *_cells(figure)))} |".replace("|  ", "| ")


_HEADINGS = ("counted", "rate", "95 % interval", "target", "result", "naive rules, on the same jobs")


def _cells(figure: Evaluated) -> tuple[str, ...]:
    result = {True: "reached", False: "MISSED", None: ""}[figure.reached]
    if isinstance(figure, Amount):
        value, between = (
            f"{format_decimal(figure.value, 2)} {figure.unit}",
            f"{format_decimal(figure.low, 2)} to {format_decimal(figure.high, 2)}" if isfinite(figure.high) else MISSING,
        )
        return figure.what, value, between, _wanted(figure), result, ""
    counted = f"{figure.what} {figure.hits} of {figure.count}"
    between = f"{format_share(figure.low)} to {format_share(figure.high)}"
    naive = ", ".join(f"{rule}: {format_share(share)}" for rule, share in figure.naive.items())
    return counted, format_share(figure.rate), between, _wanted(figure), result, naive


def _wanted(figure: Evaluated) -> str:
    if isinstance(figure, Amount):
        return "" if figure.target is None else f"{figure.aim.value} {format_number(figure.target)} {figure.unit}"
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
        # One job alone shows no interval, and JSON has no infinity.
        "low": figure.low if isfinite(figure.low) else None,
        "high": figure.high if isfinite(figure.high) else None,
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
