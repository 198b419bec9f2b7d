"""The registry of metrics: what each is called, which way is better, and on which scale it is compared.

Direction and kind are the metric's own metadata, so no caller ever decides them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Direction(Enum):
    """Which way a metric gets better."""

    LOWER = "lower is better"
    HIGHER = "higher is better"


class MetricKind(Enum):
    """What a metric's value is, and so how it is printed."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measurable figure of a phase or of a step in it.

    prior_sd is the run-to-run standard deviation assumed on the comparison scale while few baselines exist
    (None: not compared with baselines). quantile is set for latency quantiles: the rank in (0, 1).
    """

    name: str
    label: str
    kind: MetricKind
    direction: Direction
    scale: Scale
    prior_sd: float | None = None
    quantile: float | None = None

    @property
    def worse_sign(self) -> int:
        """+1 when a growing value is worse, -1 when a shrinking one is."""
        return 1 if self.direction is Direction.LOWER else -1

    @property
    def of_service_time(self) -> bool:
        """Whether it is a quantile of times that the service takes; the generator's own lateness is none."""
        return self.quantile is not None and self.name != "lateness_p99"


def _time(name: str, label: str, quantile: float, prior_sd: float | None = None) -> Metric:
    return Metric(
        name=name,
        label=label,
        kind=MetricKind.SECONDS,
        direction=Direction.LOWER,
        scale=Scale.LOG,
        prior_sd=prior_sd,
        quantile=quantile,
    )


def _other(
    name: str, label: str, kind: MetricKind, direction: Direction, scale: Scale, prior_sd: float | None = None
) -> Metric:
    return Metric(name=name, label=label, kind=kind, direction=direction, scale=scale, prior_sd=prior_sd)


# Prior run-to-run noise: design figures for a quiet self-hosted runner (docs/decision.md).
_ALL = (
    _time("p50", "p50", 0.50, 0.03),
    _time("p90", "p90", 0.90, 0.05),
    _time("p95", "p95", 0.95, 0.06),
    _time("p99", "p99", 0.99, 0.10),
    _time("p999", "p99.9", 0.999, 0.15),
    _time("p95_all", "p95 with failures", 0.95, 0.06),
    _time("service_p50", "service time p50", 0.50),
    _time("service_p95", "service time p95", 0.95),
    _time("service_p99", "service time p99", 0.99),
    _time("lateness_p99", "generator lateness p99", 0.99),
    _other("error_rate", "error rate", MetricKind.SHARE, Direction.LOWER, Scale.LINEAR),
    _other("throughput", "throughput", MetricKind.PER_SECOND, Direction.HIGHER, Scale.LOG, 0.03),
    _other("achieved_share", "achieved of offered", MetricKind.SHARE, Direction.HIGHER, Scale.LOG, 0.03),
    _other("sustained_throughput", "sustained throughput", MetricKind.PER_SECOND, Direction.HIGHER, Scale.LOG),
    _other("peak_throughput", "peak throughput", MetricKind.PER_SECOND, Direction.HIGHER, Scale.LOG),
    _other("hit_rate", "cache hit rate", MetricKind.SHARE, Direction.HIGHER, Scale.LOGIT, 0.10),
    _other("users_held", "users held", MetricKind.COUNT, Direction.HIGHER, Scale.LINEAR),
    _other("database_connections", "database connections", MetricKind.COUNT, Direction.HIGHER, Scale.LINEAR),
    _other("cpu_per_1000", "CPU per 1,000 requests", MetricKind.SECONDS, Direction.LOWER, Scale.LOG, 0.05),
    _other("rss", "resident memory", MetricKind.BYTES, Direction.LOWER, Scale.LOG, 0.03),
    _other("rss_growth", "memory growth", MetricKind.BYTES_PER_MINUTE, Direction.LOWER, Scale.LINEAR),
)

METRICS = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric by its name; the names are what a scenario writes and a record stores."""

LATENCY_QUANTILES = MappingProxyType({"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999})
"""Response-time quantiles kept for every step, by metric name."""
