from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.machine.plans import phase, scenario
from velro_gate.engine.machine.forecast import (
    IDLE_SHARE,
    MOST_SHARDS,
    SATURATED_COST,
    SHARD_SHARE,
    WAKING_COST,
    cpu_share,
    descriptors_needed,
    forecast,
    shards_needed,
)
from velro_gate.model.scenario import ClosedArrivals, Journey, OpenArrivals, Phase


def test_the_forecast_adds_up_requests_journeys_and_seconds() -> None:
    both = forecast([phase(rate=100.0), phase(rate=10.0)], scenario=scenario())
    assert both.requests == pytest.approx(110.0 * (60.0 + 15.0))
    assert both.journeys == pytest.approx(both.requests / 1.5)
    assert both.seconds == 180.0
    assert [part.rate for part in both.phases] == [100.0, 10.0]


def test_the_forecast_takes_the_peak_of_what_phases_do_not_share() -> None:
    both = forecast([phase(users=10), phase(users=500)], scenario=scenario())
    assert both.descriptors == both.phases[1].descriptors == 564
    assert both.memory == both.phases[1].memory


def test_a_plan_without_phases_takes_nothing() -> None:
    nothing = forecast([], scenario=scenario())
    assert (nothing.requests, nothing.seconds, nothing.memory) == (0, 0, 0)


def test_tls_costs_more_of_everything() -> None:
    plain, tls = (forecast([phase()], scenario=scenario(url)) for url in ("http://a.test", "https://a.test"))
    assert tls.memory > plain.memory
    assert tls.cpu_share > plain.cpu_share


def test_a_closed_loop_is_forecast_from_its_think_time() -> None:
    closed = Phase(name="c", users=100, ramp=0.0, duration=60.0, arrivals=ClosedArrivals(think_time=2.0))
    part = forecast([closed], scenario=scenario()).phases[0]
    assert part.rate == 50.0
    assert part.answer_within is None


def test_the_open_loop_says_within_which_time_answers_have_to_come() -> None:
    assert forecast([phase(users=1000, rate=100.0)], scenario=scenario()).phases[0].answer_within == 10.0


@given(st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_more_requests_take_more_of_the_core(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert cpu_share(low, "http") <= cpu_share(high, "http")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_core_is_full_exactly_at_the_saturated_rate(scheme: str) -> None:
    assert cpu_share((1.0 - IDLE_SHARE) / SATURATED_COST[scheme], scheme) == pytest.approx(1.0)


def test_a_lonely_request_costs_its_waking_as_well() -> None:
    more = cpu_share(1.0, "http") - cpu_share(0.0, "http")
    assert more == pytest.approx(SATURATED_COST["http"] + WAKING_COST["http"] * (1.0 - IDLE_SHARE), rel=1e-3)


@pytest.mark.parametrize(
    ("scheme", "measured"),
    [
        ("http", {200.0: 0.064, 1_000.0: 0.174, 2_500.0: 0.304, 5_000.0: 0.488, 10_000.0: 0.644, 20_000.0: 0.886}),
        ("https", {200.0: 0.078, 1_000.0: 0.208, 2_500.0: 0.390, 5_000.0: 0.592, 10_000.0: 0.848, 20_000.0: 0.950}),
    ],
)
def test_the_forecast_is_near_what_the_engine_was_measured_to_take(scheme: str, measured: dict[float, float]) -> None:
    for rate, share in measured.items():
        assert share * 0.92 <= cpu_share(rate, scheme) <= share * 1.35


def test_descriptors_are_for_the_busiest_shard_of_the_busiest_phase() -> None:
    assert descriptors_needed([phase(users=11), phase(users=3)], shards=2) == 6 + 64
    assert descriptors_needed([]) == 64


def shards(rate: float, cores: float, *, local: bool = False) -> int:
    return shards_needed([phase(rate=rate)], scenario=scenario(), cores=cores, service_is_local=local)


def test_a_small_plan_stays_in_one_process_on_any_machine() -> None:
    assert shards(100.0, 64.0) == 1


def test_a_large_plan_takes_the_cores_there_are_and_leaves_one_to_a_service_on_this_machine() -> None:
    assert shards(1e6, 4.0) == 4
    assert shards(1e6, 4.0, local=True) == 3
    assert shards(1e6, 1.0, local=True) == 1
    assert shards(1e6, 0.5) == 1
    assert shards(1e6, 2.9) == 2
    assert shards(1e6, 1_000.0) == MOST_SHARDS


@given(st.floats(1.0, 1e5), st.floats(0.1, 100.0), st.booleans())
def test_no_more_shards_are_taken_than_bring_each_to_half_a_core(rate: float, cores: float, local: bool) -> None:
    count = shards(rate, cores, local=local)
    assert 1 <= count <= max(cores, 1.0)
    if count > 1:
        assert forecast([phase(rate=rate)], scenario=scenario(), shards=count - 1).cpu_share > SHARD_SHARE * (count - 1)


def test_a_journey_written_in_python_makes_one_request_a_step_and_each_costs_more() -> None:
    plain = scenario()
    python = dataclasses.replace(plain, journey=Journey(function="a:b"))
    rate = OpenArrivals(rate=100.0, journeys=True)
    for arrivals, expected in ((rate, 150.0), (ClosedArrivals(think_time=2.0), 750.0), (ClosedArrivals(think_time=0.0), 1e5)):
        (made,) = forecast([dataclasses.replace(phase(), arrivals=arrivals)], scenario=python).phases
        (fixed,) = forecast([phase(rate=expected)], scenario=plain).phases
        assert made.rate == pytest.approx(expected)
        assert made.journeys == pytest.approx(made.requests / 1.5)
        assert made.answer_within is None
        assert made.cpu_share > fixed.cpu_share
        assert made.memory > fixed.memory
