"""Metrics of what is broken on purpose.

Such a metric is called ``experiment:NAME:KIND``, as in ``experiment:redis_down:recovery``: a record can be judged anywhere, and
the figures of two experiments are never compared with each other. Many of these figures are coarse: recovery is seen in windows
of a second, and nothing lies between one lost write and two. How coarse is their ``resolution``.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from velro_gate.model.resilience.experiment import Expected

BROKEN = "experiment"
"""The first part of their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one kind of figure of an experiment is compared."""

    label: str
    """With the experiment's name in it."""
    kind: MetricKind
    resolution: float
    """In base units."""
    prior_sd: float
    """Run-to-run noise that is assumed until runs have shown their own, on the comparison scale."""
    advice: str


_SLOWER = "See in the report's charts, where the experiment is marked, what the service did at that time."
_TIME, _SHARE, _COUNT = MetricKind.SECONDS, MetricKind.SHARE, MetricKind.COUNT
_KINDS = {
    Expected.ERRORS: _Kind(
        label="errors during {}", kind=_SHARE, resolution=0.0, prior_sd=0.3, advice="See which requests failed meanwhile."
    ),
    Expected.P95: _Kind(label="p95 during {}", kind=_TIME, resolution=0.0, prior_sd=0.2, advice=_SLOWER),
    Expected.DEGRADED: _Kind(
        label="degraded answers during {}",
        kind=_SHARE,
        resolution=0.0,
        prior_sd=0.3,
        advice="See which other answers there were.",
    ),
    Expected.BREAKER: _Kind(
        label="time until the breaker opens in {}", kind=_TIME, resolution=0.5, prior_sd=0.2, advice=_SLOWER
    ),
    Expected.RECOVERY: _Kind(label="recovery after {}", kind=_TIME, resolution=1.0, prior_sd=0.3, advice=_SLOWER),
    Expected.RETRIES: _Kind(
        label="requests at the dependency in {}, as a multiple",
        kind=_COUNT,
        resolution=0.2,
        prior_sd=0.2,
        advice="See what repeats its requests, and how soon.",
    ),
    Expected.STALE: _Kind(
        label="stale reads after {}", kind=_SHARE, resolution=0.0, prior_sd=0.3, advice="See which cache layer kept the value."
    ),
    Expected.CONSISTENCY: _Kind(label="last stale read after {}", kind=_TIME, resolution=0.2, prior_sd=0.3, advice=_SLOWER),
    Expected.LOAD: _Kind(
        label="load on the dependency after {}, as a multiple",
        kind=_COUNT,
        resolution=0.2,
        prior_sd=0.2,
        advice="See which requests reach the dependency while the cache is cold.",
    ),
    Expected.HIT_RATE: _Kind(label="hit rate back after {}", kind=_TIME, resolution=1.0, prior_sd=0.3, advice=_SLOWER),
    Expected.LOST: _Kind(
        label="writes lost in {}", kind=_COUNT, resolution=1.0, prior_sd=0.3, advice="See which writes were acknowledged."
    ),
    Expected.FAILOVER: _Kind(
        label="time until others take over in {}", kind=_TIME, resolution=1.0, prior_sd=0.3, advice=_SLOWER
    ),
}


def is_of_experiment(metric: str) -> bool:
    """Whether it is a figure of something that was broken on purpose."""
    return metric.startswith(f"{BROKEN}:")


def name_of_experiment_metric(experiment: str, kind: Expected) -> str:
    """Its name in the registry and in records."""
    return f"{BROKEN}:{experiment}:{kind.value}"


@cache
def experiment_metric(name: str) -> Metric:
    """The definition that a name of this form stands for.

    Raises:
        KeyError: it is not of this form.
    """
    experiment, _, wanted = name.removeprefix(f"{BROKEN}:").rpartition(":")
    if not is_of_experiment(name) or not experiment or wanted not in set(Expected):
        raise KeyError(name)
    expected = Expected(wanted)
    known = _KINDS[expected]
    return Metric(
        name=name,
        label=known.label.format(experiment),
        kind=known.kind,
        direction=Direction.HIGHER if expected.at_least else Direction.LOWER,
        scale=Scale.LOGIT if known.kind is MetricKind.SHARE else Scale.LOG,
        resolution=known.resolution,
        prior_sd=known.prior_sd,
        quantile=None,
        times=None,
        scope=Scope.STEP,
        party=Party.SERVICE,
        pooling=Pooling.MIDDLE,
        role=Role.ADVISORY,
        condition=Condition.ALWAYS,
        decides=Decides.VALUE,
        scaling=Scaling.NONE,
        needs=frozenset(),
        readings=(),
        advice=known.advice,
    )
