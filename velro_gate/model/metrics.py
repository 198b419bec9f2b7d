"""The registry of metrics: all that is known of each, so that no caller ever decides it again.

A new metric is a row here and a line where it is computed (docs/architecture.md): whether it is compared, how blocks are put
together, what a profile does to its limits and what to do about a miss are read from its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSeries:
    """A series of readings, by its source and name."""

    source: str
    name: str
    said: str = ""
    """A remark on a figure that is made of it; empty: none."""

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


_SLOW = "Find out where the time goes: the report shows it step by step."
_TOO_LITTLE = "See what limited the throughput: slow responses, errors, or users that could not connect."

CONFIGURED = "configured pool size, not counted"
"""What is said of a number of connections that somebody has set."""

_RSS = ReadingSeries(source="service", name="rss")


def _time(
    name: str,
    label: str,
    quantile: float,
    *,
    times: Times = Times.RESPONSE,
    role: Role = Role.NAMED,
    condition: Condition = Condition.ALWAYS,
    prior_sd: float | None = None,
) -> Metric:
    own = times is Times.LATENESS
    return Metric(
        name=name,
        label=label,
        kind=MetricKind.SECONDS,
        direction=Direction.LOWER,
        scale=Scale.LOG,
        prior_sd=prior_sd,
        quantile=quantile,
        times=times,
        scope=Scope.PHASE if own else Scope.STEP,
        party=Party.GENERATOR if own else Party.SERVICE,
        pooling=Pooling.MOST if own else Pooling.MIDDLE,
        role=role,
        condition=condition,
        decides=Decides.VALUE,
        scaling=Scaling.NONE,
        needs=frozenset({Needs.REQUESTS if own else Needs.ANSWERS}),
        readings=(),
        advice=_SLOW,
    )


def _rate(
    name: str,
    label: str,
    *,
    pooling: Pooling,
    scope: Scope = Scope.PHASE,
    role: Role = Role.NAMED,
    condition: Condition = Condition.ALWAYS,
    prior_sd: float | None = None,
) -> Metric:
    return Metric(
        name=name,
        label=label,
        kind=MetricKind.PER_SECOND,
        direction=Direction.HIGHER,
        scale=Scale.LOG,
        prior_sd=prior_sd,
        quantile=None,
        times=None,
        scope=scope,
        party=Party.SERVICE,
        pooling=pooling,
        role=role,
        condition=condition,
        decides=Decides.VALUE,
        scaling=Scaling.RATE,
        needs=frozenset({Needs.REQUESTS}),
        readings=(),
        advice=_TOO_LITTLE,
    )


def _figure(name: str, label: str, kind: MetricKind, direction: Direction, scale: Scale, **rest: Any) -> Metric:
    """What most figures of a whole phase have in common; rest: the fields that differ."""
    common: dict[str, Any] = {
        "prior_sd": None,
        "quantile": None,
        "times": None,
        "scope": Scope.PHASE,
        "party": Party.SERVICE,
        "pooling": Pooling.MIDDLE,
        "condition": Condition.ALWAYS,
        "decides": Decides.VALUE,
        "scaling": Scaling.NONE,
        "readings": (),
    }
    return Metric(name=name, label=label, kind=kind, direction=direction, scale=scale, **{**common, **rest})


# Prior run-to-run noise: design figures for a quiet self-hosted runner (docs/decision.md).
_ALL = (
    _time("p50", "p50", 0.50, role=Role.PRIMARY, prior_sd=0.03),
    _time("p90", "p90", 0.90, prior_sd=0.05),
    _time("p95", "p95", 0.95, role=Role.PRIMARY, prior_sd=0.06),
    _time("p99", "p99", 0.99, role=Role.ADVISORY, prior_sd=0.10),
    _time("p999", "p99.9", 0.999, prior_sd=0.15),
    _time(
        "p95_all",
        "p95 with failures",
        0.95,
        times=Times.WITH_FAILURES,
        role=Role.ADVISORY,
        # Without a failure this is the p95 of the successful responses once more.
        condition=Condition.FAILURES,
        prior_sd=0.06,
    ),
    _time("service_p50", "service time p50", 0.50, times=Times.SERVICE),
    _time("service_p95", "service time p95", 0.95, times=Times.SERVICE),
    _time("service_p99", "service time p99", 0.99, times=Times.SERVICE),
    _time("lateness_p99", "generator lateness p99", 0.99, times=Times.LATENESS),
    _figure(
        "error_rate",
        "error rate",
        MetricKind.SHARE,
        Direction.LOWER,
        Scale.LINEAR,
        scope=Scope.STEP,
        pooling=Pooling.COUNTS,
        role=Role.PRIMARY,
        needs=frozenset({Needs.REQUESTS}),
        advice="See the failed requests in the report, and the service's own log of that time.",
    ),
    _rate(
        "throughput",
        "throughput",
        pooling=Pooling.MIDDLE,
        scope=Scope.STEP,
        role=Role.PRIMARY,
        condition=Condition.NOT_OFFERED,
        prior_sd=0.03,
    ),
    _figure(
        "achieved_share",
        "achieved of offered",
        MetricKind.SHARE,
        Direction.HIGHER,
        Scale.LOG,
        prior_sd=0.03,
        role=Role.PRIMARY,
        condition=Condition.OFFERED,
        needs=frozenset({Needs.REQUESTS, Needs.OFFERED_RATE}),
        advice=_TOO_LITTLE,
    ),
    _rate("sustained_throughput", "sustained throughput", pooling=Pooling.LEAST),
    _rate("peak_throughput", "peak throughput", pooling=Pooling.MOST),
    _figure(
        "hit_rate",
        "cache hit rate",
        MetricKind.SHARE,
        Direction.HIGHER,
        Scale.LOGIT,
        prior_sd=0.10,
        scope=Scope.STEP,
        role=Role.ADVISORY,
        needs=frozenset({Needs.ANSWERS}),
        advice="See in the report how often each cache layer was hit, and whether keys, lifetimes or sizes have changed.",
    ),
    _figure(
        "users_held",
        "users held",
        MetricKind.COUNT,
        Direction.HIGHER,
        Scale.LINEAR,
        pooling=Pooling.LEAST,
        role=Role.NEVER,
        scaling=Scaling.USERS,
        needs=frozenset(),
        advice="See in the log how many users connected, and how many connections the service and its host allow.",
    ),
    _figure(
        "database_connections",
        "database connections",
        MetricKind.COUNT,
        Direction.HIGHER,
        Scale.LINEAR,
        pooling=Pooling.LEAST,
        role=Role.NEVER,
        needs=frozenset({Needs.READINGS}),
        # PostgreSQL's own count before the service's metric, and last a configured size.
        readings=(
            ReadingSeries(source="database", name="connections", said="counted by PostgreSQL"),
            ReadingSeries(source="service", name="database_connections", said="reported by the service's metric"),
            ReadingSeries(source="service", name="database_pool_size", said=CONFIGURED),
        ),
        advice="Check the size of the service's connection pool, and how many connections its database allows.",
    ),
    _figure(
        "cpu_per_1000",
        "CPU per 1,000 requests",
        MetricKind.SECONDS,
        Direction.LOWER,
        Scale.LOG,
        prior_sd=0.05,
        role=Role.ADVISORY,
        needs=frozenset({Needs.ANSWERS, Needs.READINGS}),
        readings=(ReadingSeries(source="service", name="cpu_seconds"),),
        advice=_SLOW,
    ),
    _figure(
        "rss",
        "resident memory",
        MetricKind.BYTES,
        Direction.LOWER,
        Scale.LOG,
        prior_sd=0.03,
        role=Role.ADVISORY,
        needs=frozenset({Needs.READINGS}),
        readings=(_RSS,),
        advice="See in the report how the figure moved, and what the service keeps.",
    ),
    _figure(
        "rss_growth",
        "memory growth",
        MetricKind.BYTES_PER_MINUTE,
        Direction.LOWER,
        Scale.LINEAR,
        role=Role.NEVER,
        # A slope over a short phase is mostly chance.
        decides=Decides.BOUND,
        needs=frozenset({Needs.READINGS}),
        readings=(_RSS,),
        advice="See what the service keeps: compare a heap profile from the end of the phase with one from its beginning.",
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric by its name; the names are what a scenario writes and a record stores."""


def quantiles_of(times: Times) -> Mapping[str, float]:
    """The quantiles that are kept of these times, by metric name: their ranks."""
    ranks = {metric.name: metric.quantile for metric in METRICS.values() if metric.times is times}
    return MappingProxyType({name: rank for name, rank in ranks.items() if rank is not None})


TAIL = "p95"
"""The quantile by which steps are compared, and which stands for a build's response times where one figure must."""

MEDIAN = "p50"
"""What half of the response times are under: the usual one."""

LATENCY_QUANTILES = quantiles_of(Times.RESPONSE)
"""Response-time quantiles kept for every step, by metric name."""

FAILING_QUANTILES = tuple(name for name in LATENCY_QUANTILES if METRICS[name].role is Role.PRIMARY)
"""Those that may fail a run by default, by metric name, lowest first."""

LATENESS = list(quantiles_of(Times.LATENESS))[-1]
"""The highest quantile of the generator's lateness that is kept."""


def compared(*roles: Role, when: Condition) -> Iterator[Metric]:
    """The metrics of these roles that are compared under this condition, in the registry's order."""
    return (metric for metric in METRICS.values() if metric.role in roles and metric.condition is when)
