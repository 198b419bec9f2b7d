"""Ratios and their spread, from rounds in which the tools took turns. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.reports import RANKS
from benchmarks.peers.rounds import Outcome
from benchmarks.peers.tools import OURS
from benchmarks.table import NOT_MEASURED, Figure, Table, at_least, at_most

Rounds = Mapping[str, Sequence[Outcome]]
"""By tool, one outcome a round."""

Errors = Mapping[float, float]
"""By rank, seconds that a tool's percentile lies above the server's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median with its extremes over the rounds."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None without any value."""
        return cls(least=min(values), median=statistics.median(values), most=max(values)) if values else None

    def shown(self, show: Callable[[float], str]) -> str:
        """``median (least to most)``; the value alone where all are equal."""
        if self.least == self.most:
            return show(self.median)
        return f"{show(self.median)} ({show(self.least)} to {show(self.most)})"


def spread(outcomes: Sequence[Outcome], of: Callable[[Outcome], float | None]) -> Spread | None:
    """Over the rounds in which there was such a figure."""
    return Spread.of([value for value in map(of, outcomes) if value is not None])


def ratio(rounds: Rounds, peer: str) -> Spread | None:
    """Our rate divided by the peer's, round by round; None where no round has both."""
    pairs = zip(rounds.get(OURS, ()), rounds.get(peer, ()), strict=False)
    return Spread.of([ours.rate / theirs.rate for ours, theirs in pairs if ours.rate and theirs.rate])


def throughput_rows(label: str, rounds: Rounds) -> list[tuple[str, ...]]:
    """A row a tool."""
    rows: list[tuple[str, ...]] = []
    for name, outcomes in rounds.items():
        against = None if name == OURS else ratio(rounds, name)
        rows.append(
            (
                label,
                name,
                _shown(spread(outcomes, lambda found: found.rate), "{:,.0f}".format),
                "" if name == OURS else _shown(against, "{:.2f}".format),
                _shown(spread(outcomes, lambda found: found.cpu), "{:.0%}".format),
                _shown(spread(outcomes, lambda found: found.memory), _megabytes),
                errors(outcomes),
            )
        )
    return rows


def throughput_table(title: str, rows: Sequence[tuple[str, ...]], notes: Sequence[str] = ()) -> Table:
    """The rows of several loads under each other."""
    columns = ("load", "tool", "requests/s", "ours / it", "CPU of its core", "memory", "errors")
    return Table(title=title, columns=columns, rows=tuple(rows), notes=tuple(notes))


def errors(outcomes: Sequence[Outcome]) -> str:
    """What went wrong in any round; nothing is left out."""
    said: dict[str, None] = {}
    total = 0
    for outcome in outcomes:
        if outcome.report is not None:
            total += outcome.report.errors
            if outcome.report.detail:
                said[outcome.report.detail] = None
        if outcome.fault:
            said[outcome.fault] = None
    return "; ".join([f"{total:,}", *said])


def ratio_figure(name: str, rounds: Rounds, peer: str, limit: float) -> Figure:
    """The median ratio next to its target."""
    found = ratio(rounds, peer)
    figure = at_least(f"{name}, against {peer}", found.median if found else None, limit, "{:.2f} x")
    if found is None:
        return figure
    return Figure(name=figure.name, target=figure.target, measured=found.shown("{:.2f} x".format), reached=figure.reached)


def cost_figures(name: str, outcomes: Sequence[Outcome], *, cpu: float, memory: float) -> list[Figure]:
    """What ours takes for a given rate, next to what it may take: share of a core, bytes."""
    used, resident = spread(outcomes, lambda found: found.cpu), spread(outcomes, lambda found: found.memory)
    return [
        at_most(f"{name}: share of a core", used.median * 100 if used else None, cpu * 100, "{:.1f} %"),
        at_most(f"{name}: memory", resident.median / 1e6 if resident else None, memory / 1e6, "{:,.0f} MB"),
    ]


def delay_rows(label: str, found: Mapping[str, Sequence[Errors]]) -> list[tuple[str, ...]]:
    """A row a tool: what it says minus what the server logged, in milliseconds."""
    show = "{:+.2f} ms".format
    return [
        (label, name, *(_shown(Spread.of([each[rank] * 1e3 for each in runs if rank in each]), show) for rank in RANKS))
        for name, runs in found.items()
    ]


def _shown(found: Spread | None, show: Callable[[float], str]) -> str:
    return NOT_MEASURED if found is None else found.shown(show)


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"
