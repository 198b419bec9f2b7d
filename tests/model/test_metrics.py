"""The registry: each metric carries its direction, kind and scale, so no caller decides them again."""

from __future__ import annotations

import pytest

from velro_gate.model.metrics import LATENCY_QUANTILES, METRICS, Direction, Metric, MetricKind, Scale

ALL = list(METRICS.values())


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_found_under_its_own_name(metric: Metric) -> None:
    assert METRICS[metric.name] is metric
    assert metric.label


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_worse_has_the_sign_against_the_good_direction(metric: Metric) -> None:
    assert metric.worse_sign == (1 if metric.direction is Direction.LOWER else -1)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_latency_quantile_is_a_time_that_should_be_low(metric: Metric) -> None:
    if metric.quantile is not None:
        assert 0.0 < metric.quantile < 1.0
        assert (metric.kind, metric.direction, metric.scale) == (MetricKind.SECONDS, Direction.LOWER, Scale.LOG)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_an_assumed_noise_is_positive(metric: Metric) -> None:
    assert metric.prior_sd is None or metric.prior_sd > 0.0


def test_shares_that_can_be_full_are_compared_where_full_has_room() -> None:
    assert METRICS["hit_rate"].scale is Scale.LOGIT
    assert METRICS["error_rate"].scale is Scale.LINEAR


def test_the_quantiles_kept_for_every_step_agree_with_the_registry() -> None:
    assert {name: METRICS[name].quantile for name in LATENCY_QUANTILES} == dict(LATENCY_QUANTILES)


def test_a_tail_is_assumed_noisier_than_the_middle() -> None:
    priors = [METRICS[name].prior_sd for name in ("p50", "p90", "p95", "p99", "p999")]
    assert priors == sorted(priors, key=lambda prior: prior or 0.0)


def test_the_registry_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(TypeError):
        METRICS["p50"] = METRICS["p95"]  # type: ignore[index]
