"""Figures of main over its stored runs: the values, and what happened at which run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.model.facts.outlook import Outlook


class TrendEvent(Enum):
    """What begins with a run of main."""

    WORSE = "worse"
    BETTER = "better"
    ACCEPTED = "accepted"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An event at one run."""

    event: TrendEvent
    change: float | None = None
    """Relative change at a change point."""
    name: str = ""
    """Name of a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """One stored run."""

    run: str
    started_at: str
    revision: str
    value: float | None
    quarantined: str
    """Why it is not a baseline; empty if it is one."""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendSeries:
    """One figure of one phase over the stored runs, oldest first."""

    phase: str
    step: str
    metric: str
    points: tuple[TrendPoint, ...]
    outlooks: tuple[Outlook, ...] = ()
    """When it reaches its limits, if main goes on as it has."""

    @property
    def accepted(self) -> tuple[TrendPoint, ...]:
        """The runs that are baselines and hold the figure."""
        return tuple(point for point in self.points if point.value is not None and not point.quarantined)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendGroup:
    """All series of one plan in one environment."""

    scenario: str
    profile: str
    runner: str
    environment: str
    series: tuple[TrendSeries, ...]
