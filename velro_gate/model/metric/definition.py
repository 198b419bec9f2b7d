"""Everything that is known of a metric: its unit, which way is better, how it is compared and put together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """Which way a metric gets better."""

    LOWER = "lower is better"
    HIGHER = "higher is better"


class MetricKind(Enum):
    """What a metric's value is: its unit, and so how it is written and printed."""

    SECONDS = "seconds"
    PER_SECOND = "per second"
    SHARE = "share"
    COUNT = "count"
    BYTES = "bytes"
    BYTES_PER_MINUTE = "bytes per minute"
    SHARE_PER_MINUTE = "share per minute"


class Scale(Enum):
    """The scale on which run-to-run noise is about symmetric and a change is a difference."""

    LOG = "log"
    LOGIT = "logit"
    LINEAR = "linear"


class Scope(Enum):
    """What a requirement may ask it of."""

    STEP = "a phase and each of its steps"
    PHASE = "a whole phase"


class Party(Enum):
    """Whose figure it is. A limit on the generator that is missed breaks the run instead of failing it."""

    SERVICE = "the service"
    GENERATOR = "the generator"


class Times(Enum):
    """Of which times a quantile is taken. Within one kind a lower quantile stands in for a higher one."""

    RESPONSE = "response times of successful responses"
    WITH_FAILURES = "response times, a failure behind every response"
    SERVICE = "service times of successful responses"
    LATENESS = "the generator's lateness"


class Pooling(Enum):
    """How the figures of several blocks become one."""

    MIDDLE = "the middle of the blocks"
    LEAST = "the least block, for what must hold all the time"
    MOST = "the highest block, for what must never be exceeded"
    COUNTS = "the share of all requests of the blocks"


class Role(Enum):
    """Whether it is compared with other runs."""

    PRIMARY = "compared, and may fail a run"
    ADVISORY = "compared, a warning at most"
    NAMED = "compared where the scenario names it as primary"
    NEVER = "compared with requirements only"


class Condition(Enum):
    """When a metric that is compared is compared."""

    ALWAYS = "in every phase and step"
    OFFERED = "in phases with an offered rate"
    NOT_OFFERED = "in phases without an offered rate"
    FAILURES = "where requests failed"


class Decides(Enum):
    """What part of an estimate is compared with a limit."""

    VALUE = "its value"
    BOUND = "the better end of its interval: it misses only when its whole interval does"


class Scaling(Enum):
    """What a profile that scales the load does to a limit on it."""

    NONE = "nothing"
    RATE = "scaled like the rate"
    USERS = "scaled like the users"


class Needs(Enum):
    """Without what there is no figure. Where the service has not given it, its absence is the service's failure."""

    REQUESTS = "requests"
    ANSWERS = "successful responses"
    OFFERED_RATE = "an offered rate"
    READINGS = "readings of the monitor"
    LONG_STRETCH = "two minutes or more"
    SEARCH = "a search for the capacity, which no run of the plan is"


class FigureOrigin(Enum):
    """How a figure was obtained, where a reader needs to know."""

    COUNTED = "counted"
    """By the party that has the things counted, here PostgreSQL."""
    REPORTED = "reported"
    """By a metric of the service."""
    CONFIGURED = "configured"
    """A size that somebody has set: nothing was counted."""
    LOWER_BOUND = "lower-bound"
    """The highest load that a search tried, as it carried every one: the figure is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSeries:
    """A series of readings, by its source and name."""

    source: str
    name: str
    origin: FigureOrigin | None = None
    """How a figure that is made of it was obtained; None: there is only one way."""

    @property
    def key(self) -> tuple[str, str]:
        """Source and name."""
        return self.source, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measurable figure of a phase or of a step in it. No field has a default, so that none is forgotten."""

    name: str
    """The name in scenarios and records."""
    label: str
    """The name in reports."""
    kind: MetricKind
    direction: Direction
    scale: Scale
    prior_sd: float | None
    """The run-to-run standard deviation assumed on the comparison scale while few baselines exist; None: not compared with
    baselines, or by counts.
    """
    resolution: float
    """The least difference that the figure can show, in base units. A logarithm is taken of value + resolution, so that the
    value may be 0. 0.0: any difference shows.
    """
    quantile: float | None
    """The rank in (0, 1), of a quantile of ``times``; None, like ``times``, where it is not a quantile."""
    times: Times | None
    scope: Scope
    party: Party
    pooling: Pooling
    role: Role
    condition: Condition
    decides: Decides
    scaling: Scaling
    needs: frozenset[Needs]
    """What it needs: without, it is absent."""
    readings: tuple[ReadingSeries, ...]
    """The series it is made of: the first one that was read; empty: none."""
    advice: str
    """What to do when a limit on it is missed."""

    def __post_init__(self) -> None:
        if (self.quantile is None) is not (self.times is None):
            raise ValueError(f"{self.name}: a quantile is one of some times")
        if bool(self.readings) is not (Needs.READINGS in self.needs):
            raise ValueError(f"{self.name}: what needs readings names them")
        if not self.name or not self.label or not self.advice:
            raise ValueError(f"{self.name or 'a metric'}: name, label and advice must not be empty")

    @property
    def worse_sign(self) -> int:
        """+1 when a growing value is worse, -1 when a shrinking one is."""
        return 1 if self.direction is Direction.LOWER else -1

    @property
    def of_service_time(self) -> bool:
        """Whether it is a quantile of times that the service takes; the generator's own lateness is not."""
        return self.quantile is not None and self.party is Party.SERVICE

    @property
    def of_counts(self) -> bool:
        """Whether it is a share of counted requests, compared by the counts behind it, in percentage points."""
        return self.pooling is Pooling.COUNTS

    @property
    def sustained(self) -> bool:
        """Whether it is a rate that must be held all the time: that of the least window."""
        return self.kind is MetricKind.PER_SECOND and self.pooling is Pooling.LEAST

    @property
    def of_steps(self) -> bool:
        """Whether a single step has it, too."""
        return self.scope is Scope.STEP
