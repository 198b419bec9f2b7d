"""Metrics that a scenario defines itself.

Such a metric is called ``own:NAME:UNIT:DIRECTION``, as in ``own:queue_length:count:lower``: its name says all that a judgement
has to know of it, so a record can be judged anywhere, and figures of another unit or direction are never compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from velro_gate.model.metric.definition import (
    Condition,
    Decides,
    Direction,
    Metric,
    MetricKind,
    Party,
    Pooling,
    Role,
    Scale,
    Scaling,
    Scope,
)

OWN = "own"
"""Source of the readings that own metrics are made of, and the first part of their names."""

BOUND = "_le_"
"""Between the name of a histogram and the upper bound of one of its buckets, in the name of a reading."""


class OwnUnit(StrEnum):
    """What a scenario writes as the unit."""

    TIME = "time"
    RATE = "rate"
    SHARE = "share"
    COUNT = "count"
    BYTES = "bytes"


class MetricOrigin(StrEnum):
    """Where the values of an own metric come from."""

    PROMETHEUS = "prometheus"
    COLLECTOR = "collector"
    STEPS = "steps"
    HEADER = "header"
    JSON = "json"

    @property
    def of_responses(self) -> bool:
        """Whether each response gives a value of its own."""
        return self in (MetricOrigin.HEADER, MetricOrigin.JSON)


class SeriesType(StrEnum):
    """What the values of a Prometheus family are."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class OwnValue(StrEnum):
    """What is made of the values over the measured stretch."""

    MEAN = "mean"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    MIN = "min"
    MAX = "max"
    RATE = "rate"
    """Per second, of what a counter rose by or of the values of responses."""
    SUM = "sum"
    """Of what a counter rose by, or of the values of responses."""
    SHARE = "share"
    """Of the responses, those with one certain value."""

    @property
    def rank(self) -> float | None:
        """Of a quantile."""
        return {OwnValue.P50: 0.50, OwnValue.P95: 0.95, OwnValue.P99: 0.99}.get(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric:
    """One metric of a scenario."""

    name: str
    """As it is written there."""
    origin: MetricOrigin
    value: OwnValue
    unit: OwnUnit
    better: Direction = Direction.LOWER
    what: str = ""
    """A Prometheus family, a key of what a collector returns, a header in lower case, or a path in JSON."""
    place: str = ""
    """The URL of the metrics page, empty for the service's own; or the collector, ``package.module:Class``."""
    folders: tuple[str, ...] = ()
    """Where its module is looked for."""
    labels: tuple[tuple[str, str], ...] = ()
    """Labels that lines of the family must have."""
    series: SeriesType = SeriesType.GAUGE
    steps: tuple[str, ...] = ()
    """A group whose time it is; or those whose responses it looks at, all without any."""
    equals: str = ""
    """The value whose share among the responses it is."""
    factor: float = 1.0
    """Turns values into base units."""

    def __post_init__(self) -> None:
        if not self.origin.of_responses and (self.origin is MetricOrigin.STEPS) is not bool(self.steps):
            raise ValueError(f"{self.name}: steps belong to the time of a group of steps")

    @property
    def metric(self) -> str:
        """Its name in the registry and in records."""
        return f"{OWN}:{self.name}:{self.unit.value}:{self.better.name.lower()}"


_KINDS = {
    OwnUnit.TIME: (MetricKind.SECONDS, Scale.LOG),
    OwnUnit.RATE: (MetricKind.PER_SECOND, Scale.LOG),
    OwnUnit.SHARE: (MetricKind.SHARE, Scale.LOGIT),
    OwnUnit.COUNT: (MetricKind.COUNT, Scale.LOG),
    OwnUnit.BYTES: (MetricKind.BYTES, Scale.LOG),
}
_PRIOR_SD = 0.10
"""Run-to-run noise that is assumed of a metric nobody has measured yet, as ``DEFAULT_PRIOR_SD`` of the comparison."""


def is_own(metric: str) -> bool:
    """Whether a scenario has defined the metric of this name."""
    return metric.startswith(f"{OWN}:")


@cache
def own_metric(name: str) -> Metric:
    """The definition that a name of this form stands for.

    Raises:
        KeyError: it is not of this form.
    """
    own, _, rest = name.partition(":")
    plain, _, tail = rest.partition(":")
    unit, _, better = tail.partition(":")
    known = own == OWN and plain and unit in set(OwnUnit) and better in _DIRECTIONS
    if not known:
        raise KeyError(name)
    kind, scale = _KINDS[OwnUnit(unit)]
    return Metric(
        name=name,
        label=plain.replace("_", " "),
        kind=kind,
        direction=_DIRECTIONS[better],
        scale=scale,
        resolution=0.0,
        prior_sd=_PRIOR_SD,
        quantile=None,
        times=None,
        scope=Scope.PHASE,
        party=Party.SERVICE,
        pooling=Pooling.MIDDLE,
        role=Role.ADVISORY,
        condition=Condition.ALWAYS,
        decides=Decides.VALUE,
        scaling=Scaling.NONE,
        needs=frozenset(),
        readings=(),
        advice=f"Find out what moved {plain.replace('_', ' ')}, a metric of this scenario.",
    )


_DIRECTIONS = {each.name.lower(): each for each in Direction}
