"""The running load, as a live view in a terminal and as plain lines in a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from velro_gate import units
from velro_gate.model.run import Progress, Stage
from velro_gate.report.text.bars import bars
from velro_gate.report.text.escape import visible

_POINTS = 40
"""Of a sparkline, one a second."""

_KEPT = 8
"""Finished phases that stay in view."""

_STAGES = {Stage.RAMP: "ramping up", Stage.MEASURE: "measuring", Stage.DRAIN: "draining"}


def progress_line(progress: Progress) -> str:
    """One line, the same order every time, so that a log can be read down its columns."""
    return "  ".join(
        (
            f"[{_place(progress, '/')}] {visible(progress.phase)}",
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


@dataclass(slots=True)
class LiveView:
    """The panel of the running phase, below the phases that are over. It remembers rate and p95 of each second."""

    rates: list[float] = field(default_factory=list)
    p95s: list[float] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    last: Progress | None = None

    def update(self, progress: Progress) -> RenderableType:
        """Take the newest state in, and draw."""
        last = self.last
        if last is not None and (last.phase, last.phase_number) != (progress.phase, progress.phase_number):
            self.finished.append(self._over(last))
            self.rates, self.p95s = [], []
        self.last = progress
        if progress.stage == Stage.MEASURE:
            if progress.rate is not None:
                self.rates.append(progress.rate)
            if progress.p95 is not None:
                self.p95s.append(progress.p95)
        lines = [Text(line, style="dim") for line in self.finished[-_KEPT:]]
        return Group(*lines, self._panel(progress))

    def _over(self, last: Progress) -> str:
        """A finished phase in one line: its mean rate, the median of its p95, its errors."""
        rate = units.format_rate(fmean(self.rates)) if self.rates else units.MISSING
        tail = units.format_seconds(median(self.p95s)) if self.p95s else units.MISSING
        return f"✓ {visible(last.phase)}: {_users(last)} users, {rate}, p95 {tail}, errors {_errors(last)}"

    def _panel(self, progress: Progress) -> RenderableType:
        return Panel(
            Group(_figures(progress), *self._details(progress), _bar(progress)),
            title=_title(progress),
            title_align="left",
            subtitle=Text(_left(progress)),
            subtitle_align="right",
            border_style="red" if progress.error_rate >= 0.01 else "cyan",
            padding=(0, 1),
        )

    def _details(self, progress: Progress) -> list[RenderableType]:
        """Steps, cache layers, what the service uses, and two sparklines: each line only where there is something to show."""
        steps = " · ".join(f"{visible(step)} {units.format_seconds(p95)}" for step, p95 in progress.steps)
        layers = " · ".join(f"{visible(layer)} {units.format_share(share)}" for layer, share in progress.layers)
        cpu = None if progress.service_cpu is None else f"CPU {units.format_share(progress.service_cpu)} of a core"
        pool = (
            None
            if progress.pool is None
            else f"pool {units.format_whole(progress.pool[0])} of {units.format_whole(progress.pool[1])}"
        )
        service = " · ".join(part for part in (cpu, pool) if part is not None)
        lines = {
            "p95 of steps": steps,
            "cache": layers,
            "service": service,
            "rate": _sparkline(self.rates, units.format_rate),
            "p95": _sparkline(self.p95s, units.format_seconds),
        }
        grid = Table.grid(padding=(0, 1))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, line in lines.items():
            if line:
                grid.add_row(name, Text(line))
        return [grid] if grid.row_count else []


def _sparkline(values: Sequence[float], words: Callable[[float], str]) -> str:
    """The newest values with that of the highest bar; empty where ``newest_bars`` is."""
    drawn = newest_bars(values)
    return f"{drawn} up to {words(max(values[-_POINTS:]))}" if drawn else ""


def newest_bars(values: Sequence[float]) -> str:
    """The newest values as bars from zero to the largest of them; empty with fewer than two."""
    shown = values[-_POINTS:]
    most = max(shown, default=0.0)
    if len(shown) < 2 or most <= 0.0:
        return ""
    return bars(shown, 0.0, most)


def _title(progress: Progress) -> Text:
    return Text.assemble(f"{_place(progress, ' of ')} ", (visible(progress.phase), "bold"), f" · {_STAGES[progress.stage]}")


def _place(progress: Progress, of: str) -> str:
    """Which phase it is, and of how many where that is known: a search does not know it."""
    number, count = progress.phase_number, progress.phase_count
    return f"{number}{of}{count}" if count else str(number)


def _figures(progress: Progress) -> RenderableType:
    """Three columns of figures, which fit 80 characters."""
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
    return grid


def _bar(progress: Progress) -> ProgressBar:
    """The phase's time."""
    return ProgressBar(total=max(progress.elapsed + progress.remaining, 1e-9), completed=progress.elapsed)


def _users(progress: Progress) -> str:
    return f"{units.format_count(progress.connected)} of {units.format_count(progress.users)}"


def _rate(progress: Progress) -> str:
    rate = units.format_rate(progress.rate)
    return rate if progress.offered_rate is None else f"{rate} of {units.format_rate(progress.offered_rate)}"


def _errors(progress: Progress) -> str:
    return f"{units.format_count(progress.errors)} ({units.format_share(progress.error_rate)})"


def _left(progress: Progress) -> str:
    return f"{units.format_whole_duration(progress.remaining)} left"
