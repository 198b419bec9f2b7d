"""What a scenario may ask: what is impossible is refused at birth, whoever builds it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.values import phase, step
from velro_gate.model.metrics import METRICS, Direction
from velro_gate.model.scenario import (
    ALL_STEPS,
    ClosedArrivals,
    Comparator,
    Feeder,
    NoAuth,
    OpenArrivals,
    Policy,
    Requirement,
    Scenario,
    Step,
    Target,
)

figures = st.floats(-1e6, 1e6, allow_nan=False)
LOWER = sorted(name for name, metric in METRICS.items() if metric.direction is Direction.LOWER)
HIGHER = sorted(set(METRICS) - set(LOWER))
UPPER_LIMITS = [Comparator.BELOW, Comparator.AT_MOST]
LOWER_LIMITS = [Comparator.ABOVE, Comparator.AT_LEAST]


def scenario(*steps: Step) -> Scenario:
    return Scenario(name="s", description="", digest="d", target=Target(url="http://127.0.0.1"), auth=NoAuth(), steps=steps)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.01])
def test_a_step_happens_with_a_probability_above_none_and_up_to_one(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        step(probability=probability)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_step_has_time_to_be_answered(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        step(timeout=timeout)


def test_no_step_takes_the_name_of_their_sum() -> None:
    with pytest.raises(ValueError, match=ALL_STEPS):
        step(ALL_STEPS)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_an_offered_rate_is_positive_and_finite(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        OpenArrivals(rate=rate)


def test_a_think_time_is_not_negative() -> None:
    assert ClosedArrivals(think_time=0.0).think_time == 0.0
    with pytest.raises(ValueError, match="think time"):
        ClosedArrivals(think_time=-0.1)


@pytest.mark.parametrize("changes", [{"users": 0}, {"ramp": -1.0}, {"duration": 0.0}])
def test_a_phase_needs_users_and_time(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="phase steady"):
        phase(**changes)


def test_a_closed_loop_offers_no_rate() -> None:
    assert phase().offered_rate == 20.0
    assert phase(arrivals=ClosedArrivals(think_time=1.0)).offered_rate is None


def test_a_feeder_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        Feeder(name="people", columns=("id",), rows=())


@given(st.sampled_from(list(Comparator)), figures, figures)
def test_a_limit_and_its_opposite_never_both_hold(comparator: Comparator, value: float, limit: float) -> None:
    opposite = {
        Comparator.BELOW: Comparator.AT_LEAST,
        Comparator.AT_LEAST: Comparator.BELOW,
        Comparator.ABOVE: Comparator.AT_MOST,
        Comparator.AT_MOST: Comparator.ABOVE,
    }[comparator]
    assert comparator.holds(value, limit) is not opposite.holds(value, limit)


@pytest.mark.parametrize("comparator", list(Comparator))
def test_only_the_limits_that_say_so_include_themselves(comparator: Comparator) -> None:
    assert comparator.holds(1.0, 1.0) is (comparator in (Comparator.AT_MOST, Comparator.AT_LEAST))


@given(st.sampled_from(LOWER), st.sampled_from(LOWER_LIMITS), figures)
def test_a_floor_under_what_should_be_low_is_refused(metric: str, comparator: Comparator, target: float) -> None:
    with pytest.raises(ValueError, match="wrong side"):
        Requirement(metric=metric, comparator=comparator, target=target)


@given(st.sampled_from(HIGHER), st.sampled_from(UPPER_LIMITS), figures)
def test_a_cap_on_what_should_be_high_is_refused(metric: str, comparator: Comparator, target: float) -> None:
    with pytest.raises(ValueError, match="wrong side"):
        Requirement(metric=metric, comparator=comparator, target=target)


@given(st.sampled_from(sorted(METRICS)), figures, st.floats(0.001, 1e3))
def test_a_critical_level_is_never_stricter_than_the_target(metric: str, target: float, gap: float) -> None:
    lower = metric in LOWER
    comparator = Comparator.BELOW if lower else Comparator.AT_LEAST
    lax, strict = (target + gap, target - gap) if lower else (target - gap, target + gap)
    assert Requirement(metric=metric, comparator=comparator, target=target, critical=lax).critical == lax
    with pytest.raises(ValueError, match="stricter"):
        Requirement(metric=metric, comparator=comparator, target=target, critical=strict)


def test_a_requirement_on_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        Requirement(metric="p96", comparator=Comparator.BELOW, target=1.0)


def test_the_tightest_latency_limit_is_the_smallest_of_the_latency_targets() -> None:
    requirements = tuple(
        Requirement(metric=metric, comparator=comparator, target=target)
        for metric, comparator, target in [
            ("p95", Comparator.BELOW, 0.075),
            ("p50", Comparator.BELOW, 0.050),
            ("error_rate", Comparator.BELOW, 0.01),
        ]
    )
    assert phase(requirements=requirements).tightest_latency_limit == 0.050
    assert phase(requirements=requirements[2:]).tightest_latency_limit is None


@pytest.mark.parametrize(
    "changes",
    [
        {"margin": 0.0},
        {"margin": 0.2},
        {"confirm_alpha": 0.0},
        {"confirm_alpha": 0.5},
        {"screen_alpha": 1.0},
        {"primary": ()},
        {"primary": tuple(("all", f"p{n}") for n in range(9))},
    ],
)
def test_a_policy_that_cannot_decide_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        dataclasses.replace(Policy(), **changes)


def test_a_scenario_has_steps_and_their_names_differ() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        scenario()
    with pytest.raises(ValueError, match="unique"):
        scenario(step("a"), step("a"))


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8))
def test_a_journey_has_as_many_requests_as_the_probabilities_add_up_to(probabilities: list[float]) -> None:
    steps = [step(f"s{i}", probability=p) for i, p in enumerate(probabilities)]
    assert scenario(*steps).requests_per_journey == pytest.approx(sum(probabilities))
