"""A run over time, for charts: what a record is too small to hold. Computed from samples and readings while they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from velro_gate.model.capacity import CapacityResult
from velro_gate.model.duet import Pair
from velro_gate.model.record import RunRecord

RANKS = (
    *(0.0, 0.002, 0.01, 0.02),
    *(rank / 100.0 for rank in range(5, 90, 5)),
    *(rank / 100.0 for rank in range(90, 99)),
    *(0.99, 0.992, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999, 1.0),
)
"""The ranks at which a distribution of response times is kept: dense at both ends, of which a log axis makes much."""

CHARTED = frozenset(
    {
        ("service", "cpu_seconds"),
        ("service", "cpu_busiest"),
        ("service", "rss"),
        ("service", "connections"),
        ("service", "database_pool_size"),
        ("service", "database_pool_in_use"),
        ("service", "database_pool_waiting"),
        ("runner", "cpu_share"),
        ("runner", "tcp_established"),
        ("redis", "memory"),
        ("redis", "clients"),
        ("database", "connections"),
        ("database", "connections_active"),
    }
)
"""(source, name) of the readings that charts show."""

Values = tuple[float | None, ...]
"""One for each time of its line; None: not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLine:
    """One value over time."""

    at: tuple[float, ...]
    """Seconds since the start of the run, rising."""
    value: Values
    """Of the same length, in base units."""

    def __post_init__(self) -> None:
        if len(self.at) != len(self.value):
            raise ValueError("a line needs a value for each time")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLatency:
    """Response times of one step, one value for each window of its phase."""

    step: str
    p50: Values
    p95: Values
    p99: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimeline:
    """One phase. Its windows are those of its summary, in the same order; times are seconds since the start of the run."""

    name: str
    started: float
    measured_from: float
    measured_until: float
    steps: tuple[StepLatency, ...]
    errors: Mapping[str, tuple[float, ...]]
    """Kind of failure, an HTTP status or the name of an Outcome -> failed requests a second in each window."""
    spread: Mapping[str, tuple[float, ...]]
    """Step, ``all`` included -> response time of its successful responses at each of ``RANKS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One run."""

    phases: tuple[PhaseTimeline, ...]
    connected: TimeLine
    readings: Mapping[tuple[str, str], TimeLine] = field(default_factory=dict)
    """(source, name) -> its line; of a counter, what it rose by in a second."""

    def phase(self, name: str) -> PhaseTimeline | None:
        """One phase; None: the run did not reach it."""
        return next((phase for phase in self.phases if phase.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartData:
    """What charts show in addition to the record and its verdict, as far as it is there."""

    timeline: Timeline | None = None
    pairs: tuple[Pair, ...] = ()
    history: tuple[RunRecord, ...] = ()
    """The comparable accepted runs of main, oldest first."""
    releases: Mapping[str, str] = field(default_factory=dict)
    """Id of such a run -> name of the release."""
    capacity: CapacityResult | None = None
