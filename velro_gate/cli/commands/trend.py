"""``velro-gate trend``: the figures of main over its stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from velro_gate.cli.options import DEFAULT_BASELINES, BaselineRoot, StoredScenario, TemplateFolder, TrendFormat

if TYPE_CHECKING:
    from velro_gate.model.charts.trend import TrendGroup


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: velro-gate trend --baselines baselines --format html > trend.html")(trend)


def trend(
    scenario: StoredScenario = None,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="A metric; may be repeated (default: p95 and others, and those of experiments)."),
    ] = None,
    step: Annotated[str, typer.Option(help="The step; 'all' for all steps together.")] = "all",
    template_dir: TemplateFolder = None,
    format: Annotated[TrendFormat, typer.Option("--format", help="text, html or csv.")] = TrendFormat.TEXT,
) -> int:
    """Show the figures of main over its stored runs, with change points, accepted changes and pinned releases."""
    from velro_gate.cli.asked import stored_name
    from velro_gate.cli.output import put
    from velro_gate.cli.printing import use_template_folder
    from velro_gate.errors import UsageError
    from velro_gate.gate.judge.trend import main_trend
    from velro_gate.model.metrics import METRICS
    from velro_gate.report.printed.trend_page import trend_csv, trend_html
    from velro_gate.store.baselines import find_baselines

    use_template_folder(template_dir)
    for name in metric or ():
        if name not in METRICS:
            raise UsageError(f"there is no metric {name!r}", hint=f"Choose from: {', '.join(METRICS)}.")
    root = find_baselines(baselines, scenario or Path())
    groups = main_trend(root, metric or (), step, stored_name(scenario))
    match format:
        case TrendFormat.HTML:
            put(trend_html(groups).removesuffix("\n"))
        case TrendFormat.CSV:
            put(trend_csv(groups).removesuffix("\n"))
        case TrendFormat.TEXT:
            _print(groups, root, scenario)
    return 0


def _print(groups: Sequence[TrendGroup], root: Path, scenario: Path | None) -> None:
    from rich.table import Table

    from velro_gate.cli.output import put, show
    from velro_gate.report.parts.history import (
        NO_SERIES,
        event_lines,
        forecast_lines,
        newest_words,
        series_title,
        span_words,
        sparkline,
    )
    from velro_gate.report.sentences.baselines import nothing_stored

    if not groups:
        put(nothing_stored(str(root), None if scenario is None else str(scenario)))
    for group in groups:
        title = f"{group.scenario}, profile {group.profile}, on {group.runner}"
        if not group.series:
            put(f"{title}: {NO_SERIES}")
            continue
        table = Table(title=title, title_justify="left")
        for heading in ("phase", "figure", "last runs", "newest", "range"):
            table.add_column(heading, justify="right" if heading in ("newest", "range") else "left", overflow="fold")
        for series in group.series:
            table.add_row(series.phase, series_title(series), sparkline(series), newest_words(series), span_words(series))
        show(table)
        for line in forecast_lines(group.series):
            put(f"Forecast: {line}.")
        for line in event_lines(group.series):
            put(line)
