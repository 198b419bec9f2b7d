"""The registry of metrics: all that is known of each, so that no caller ever decides it again.

A new metric is a row here and a line where it is computed (docs/architecture.md): whether it is compared, how blocks are put
together, what a profile does to its limits and what to do about a miss are read from its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from velro_gate.model.metric.broken import experiment_metric
from velro_gate.model.metric.definition import (
    Condition,
    Decides,
    Direction,
    FigureOrigin,
    Metric,
    MetricKind,
    Needs,
    Party,
    Pooling,
    ReadingSeries,
    Role,
    Scale,
    Scaling,
    Scope,
    Times,
)
from velro_gate.model.metric.own import is_own, own_metric

__all__ = [
    "CAPACITIES",
    "LATENCY_QUANTILES",
    "LEAKS",
    "LONG_STRETCH",
    "METRICS",
    "TAIL",
    "Condition",
    "Decides",
    "Direction",
    "FigureOrigin",
    "Metric",
    "MetricKind",
    "Needs",
    "Party",
    "Pooling",
    "ReadingSeries",
    "Role",
    "Scale",
    "Scaling",
    "Scope",
    "Times",
    "compared",
    "quantiles_of",
]


_SLOW = "Find out where the time goes: the report shows it step by step."
_SLOW_RESPONSES = (
    f"{_SLOW} Common causes are queries without an index ('EXPLAIN (ANALYZE, BUFFERS)' shows where one's time goes) and a cold "
    "or small cache (with Redis: 'redis-cli info stats')."
)
_MISSES = "See in the report which cache layer misses, and what a miss costs: keep entries longer, or make misses cheaper."
_KEPT = "See what the service keeps: compare a heap profile from the end of the phase with one from its beginning."
_OPENED = "See what the service opens and never closes: list its open files ('lsof -p PID') twice, some minutes apart."
_TOO_LITTLE = (
    "See what limited the throughput: slow responses, errors, or users that could not connect. Common causes are a small "
    "connection pool (with PostgreSQL: psql -c 'SELECT state, count(*) FROM pg_stat_activity GROUP BY state') and CPU ('top'): "
    "increase the pool, optimize, or scale horizontally."
)

CAPACITIES = frozenset({"capacity", "capacity_users"})
"""What a search for the capacity finds."""

LONG_STRETCH = 120.0
"""Seconds: in a shorter stretch a leak looks like the service warming up."""

_RSS = ReadingSeries(source="service", name="rss")
_DESCRIPTORS = ReadingSeries(source="service", name="descriptors")


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
        resolution=0.0,
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
        advice=_SLOW_RESPONSES,
    )


def _response(name: str, label: str, *, prior_sd: float) -> Metric:
    """A response time that is no quantile."""
    return _figure(
        name,
        label,
        MetricKind.SECONDS,
        Direction.LOWER,
        Scale.LOG,
        prior_sd=prior_sd,
        scope=Scope.STEP,
        pooling=Pooling.MOST if name == "max" else Pooling.MIDDLE,
        role=Role.NAMED,
        needs=frozenset({Needs.ANSWERS}),
        advice=_SLOW_RESPONSES,
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
        resolution=0.0,
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
        "resolution": 0.0,
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


def _cached(name: str, label: str) -> Metric:
    return _figure(
        name,
        label,
        MetricKind.SECONDS,
        Direction.LOWER,
        Scale.LOG,
        prior_sd=0.10,
        scope=Scope.STEP,
        role=Role.NAMED,
        needs=frozenset({Needs.ANSWERS}),
        advice=_MISSES,
    )


def _relative_growth(name: str, label: str, series: ReadingSeries, advice: str) -> Metric:
    return _figure(
        name,
        label,
        MetricKind.SHARE_PER_MINUTE,
        Direction.LOWER,
        Scale.LINEAR,
        role=Role.NEVER,
        decides=Decides.BOUND,
        needs=frozenset({Needs.READINGS, Needs.LONG_STRETCH}),
        readings=(series,),
        advice=advice,
    )


def _capacity(name: str, label: str, kind: MetricKind) -> Metric:
    return _figure(
        name,
        label,
        kind,
        Direction.HIGHER,
        Scale.LOG,
        # An assumption: ten searches of a simulated service differed by an sd of 2 % (``evaluate capacity``), a real one
        # differs more from day to day.
        prior_sd=0.06,
        role=Role.NAMED,
        # It misses a limit only when its whole interval does.
        decides=Decides.BOUND,
        needs=frozenset({Needs.SEARCH}),
        advice=_TOO_LITTLE,
    )


# Prior run-to-run noise: design figures for a quiet self-hosted runner (docs/decision.md).
_ALL = (
    _time("p50", "p50", 0.50, role=Role.PRIMARY, prior_sd=0.03),
    _time("p90", "p90", 0.90, prior_sd=0.05),
    _time("p95", "p95", 0.95, role=Role.PRIMARY, prior_sd=0.06),
    _response("mean", "mean response time", prior_sd=0.04),
    _response("max", "slowest response", prior_sd=0.30),
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
        advice="See the failed requests in the report and in log.txt, and the service's own log of that time. Under overload, "
        "circuit breakers and more resources keep errors few.",
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
        advice="See in the report how often each cache layer was hit, and whether keys, lifetimes or sizes have changed. Warm "
        "the cache and increase its TTLs; with Redis, 'redis-cli info stats' counts hits, misses and evictions.",
    ),
    _cached("hit_p50", "p50 of cache hits"),
    _cached("hit_p95", "p95 of cache hits"),
    _cached("miss_p50", "p50 of cache misses"),
    _cached("miss_p95", "p95 of cache misses"),
    _figure(
        "p95_from_misses",
        "share of p95 from cache misses",
        MetricKind.SHARE,
        Direction.LOWER,
        Scale.LINEAR,
        scope=Scope.STEP,
        role=Role.NEVER,
        needs=frozenset({Needs.ANSWERS}),
        advice=_MISSES,
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
            ReadingSeries(source="database", name="connections", origin=FigureOrigin.COUNTED),
            ReadingSeries(source="service", name="database_connections", origin=FigureOrigin.REPORTED),
            ReadingSeries(source="service", name="database_pool_size", origin=FigureOrigin.CONFIGURED),
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
        advice=_KEPT,
    ),
    _capacity("capacity", "capacity", MetricKind.PER_SECOND),
    _capacity("capacity_users", "capacity in users", MetricKind.COUNT),
    _relative_growth("rss_growth_share", "memory growth after the warm-up", _RSS, _KEPT),
    _relative_growth("descriptor_growth_share", "descriptor growth after the warm-up", _DESCRIPTORS, _OPENED),
)


class _Registry(Mapping[str, Metric]):
    """The metrics that every run has, by name; and by its name any that a scenario defines or that is of something broken on
    purpose, which no walk over all shows.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = dict(metrics)

    def __getitem__(self, name: str) -> Metric:
        found = self._metrics.get(name)
        if found is not None:
            return found
        return own_metric(name) if is_own(name) else experiment_metric(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)


METRICS: Mapping[str, Metric] = _Registry({metric.name: metric for metric in _ALL})
"""Every metric by its name; the names are what a scenario writes and a record stores."""


def quantiles_of(times: Times) -> Mapping[str, float]:
    """The quantiles that are kept of these times, by metric name: their ranks."""
    ranks = {metric.name: metric.quantile for metric in METRICS.values() if metric.times is times}
    return MappingProxyType({name: rank for name, rank in ranks.items() if rank is not None})


LEAKS: Mapping[str, float] = MappingProxyType({"rss_growth_share": 0.01, "descriptor_growth_share": 0.01})
"""The metrics that show a leak, with the share per minute above which one is reported in any case."""


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
