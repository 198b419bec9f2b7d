"""The running load, as a live view in a terminal and as plain lines in a log."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from velro_gate import units
from velro_gate.model.run import Progress, Stage
from velro_gate.report.text.escape import visible

_STAGES = {Stage.RAMP: "ramping up", Stage.MEASURE: "measuring", Stage.DRAIN: "draining"}


def progress_line(progress: Progress) -> str:
    """One line, the same order every time, so that a log can be read down its columns."""
    return "  ".join(
        (
            f"[{progress.phase_number}/{progress.phase_count}] {visible(progress.phase)}",
            _STAGES[progress.stage],
            f"users {_users(progress)}",
            f"rate {_rate(progress)}",
            f"p50 {units.format_seconds(progress.p50)}",
            f"p95 {units.format_seconds(progress.p95)}",
            f"p99 {units.format_seconds(progress.p99)}",
            f"errors {_errors(progress)}",
            f"cache hits {units.format_share(progress.hit_rate)}",
            f"lateness p99 {units.format_seconds(progress.lateness_p99)}",
            _left(progress),
        )
    )


def progress_view(progress: Progress) -> RenderableType:
    """A panel to be redrawn about once a second."""
    return Panel(
        _figures(progress),
        title=_title(progress),
        title_align="left",
        subtitle=Text(_left(progress)),
        subtitle_align="right",
        border_style="red" if progress.error_rate >= 0.01 else "cyan",
        padding=(0, 1),
    )


def _title(progress: Progress) -> Text:
    where = f"{progress.phase_number} of {progress.phase_count} "
    return Text.assemble(where, (visible(progress.phase), "bold"), f" · {_STAGES[progress.stage]}")


def _figures(progress: Progress) -> RenderableType:
    """Three columns of figures, which fit 80 characters, over a bar of the phase's time."""
    grid = Table.grid(padding=(0, 2))
    for index in range(6):
        grid.add_column(justify="left" if index % 2 else "right", style="" if index % 2 else "dim", no_wrap=True)
    seconds = units.format_seconds
    errors = Text(_errors(progress), style="bold red" if progress.errors else "")
    elapsed = units.format_whole_duration(progress.elapsed)
    grid.add_row("users", _users(progress), "p50", seconds(progress.p50), "errors", errors)
    tail = Text(seconds(progress.p95), style="bold")
    grid.add_row("rate", _rate(progress), "p95", tail, "lateness p99", seconds(progress.lateness_p99))
    grid.add_row("cache hits", units.format_share(progress.hit_rate), "p99", seconds(progress.p99), "elapsed", elapsed)
    total = max(progress.elapsed + progress.remaining, 1e-9)
    return Group(grid, ProgressBar(total=total, completed=progress.elapsed))


def _users(progress: Progress) -> str:
    return f"{units.format_count(progress.connected)} of {units.format_count(progress.users)}"


def _rate(progress: Progress) -> str:
    rate = units.format_rate(progress.rate)
    return rate if progress.offered_rate is None else f"{rate} of {units.format_rate(progress.offered_rate)}"


def _errors(progress: Progress) -> str:
    return f"{units.format_count(progress.errors)} ({units.format_share(progress.error_rate)})"


def _left(progress: Progress) -> str:
    return f"{units.format_whole_duration(progress.remaining)} left"
