"""A leak is a slope that is surely above its limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.analysis.phases import run_of
from tests.analysis.runs import planned, run, summary
from velro_gate.analysis.summaries.growth import growth, relative_growth, theil_sen
from velro_gate.analysis.summaries.resources import resource_measurements, resource_summaries, series_of
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.model.facts.findings import Leak
from velro_gate.model.record import Estimate
from velro_gate.model.run import Reading
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Finding, Level, RequirementResult, RequirementStatus
from velro_gate.report.sentences.findings import words as finding_words
from velro_gate.report.sentences.kinds.requirements import requirement_sentence

MIB = 2.0**20
TIMES = np.arange(60.0)


def wander(length: int, rho: float, seed: int) -> np.ndarray:
    """An AR(1) of unit variance."""
    draw = np.random.default_rng(seed)
    series = np.empty(length)
    series[0] = draw.normal()
    for i, shock in enumerate(draw.normal(0.0, np.sqrt(1.0 - rho * rho), length - 1), start=1):
        series[i] = rho * series[i - 1] + shock
    return series


@pytest.mark.parametrize("ties", [0, 1])
def test_slope_and_interval_are_those_of_scipy(ties: int) -> None:
    """Recipe: scipy.stats.theilslopes(value, at, alpha=0.95), which is Sen's (1968) with its correction for ties."""
    value = np.round(0.05 * TIMES + np.random.default_rng(3).normal(0.0, 1.0, 60), 6 - 6 * ties)
    reference = stats.theilslopes(value, TIMES, alpha=0.95)
    assert theil_sen(TIMES, value) == pytest.approx((reference.slope, reference.low_slope, reference.high_slope))


def test_sens_own_example_of_seven_points() -> None:
    """Sen 1968, section 6: t = 1, 2, 3, 4, 10, 12, 18 and X = 9, 15, 19, 20, 45, 55, 78: the median slope is 4."""
    at = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 18.0])
    assert theil_sen(at, np.array([9.0, 15.0, 19.0, 20.0, 45.0, 55.0, 78.0]))[0] == pytest.approx(4.0)


def test_growth_is_reported_a_minute_and_an_odd_reading_does_not_bend_it() -> None:
    value = 100.0 * MIB + TIMES * MIB
    value[30] = 900.0 * MIB
    found = growth(TIMES, value)
    assert found is not None
    assert found.value == pytest.approx(60.0 * MIB)
    assert found.n == 60


def test_what_never_moves_does_not_grow() -> None:
    assert growth(TIMES, np.full(60, 5.0 * MIB)) == Estimate.exact(0.0, n=60)


def test_nine_readings_show_nothing() -> None:
    assert growth(TIMES[:9], TIMES[:9]) is None


def test_half_an_hour_of_readings_is_put_together_first() -> None:
    found = growth(np.arange(3600.0), np.arange(3600.0))
    assert found is not None
    assert found.value == pytest.approx(60.0)
    assert found.n == 3600


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_interval_holds_no_growth_in_about_95_of_100_cases_where_there_is_none(rho: float) -> None:
    held = 0
    for seed in range(200):
        found = growth(np.arange(120.0), wander(120, rho, seed))
        assert found is not None
        held += found.low <= 0.0 <= found.high
    assert 180 <= held <= 200


@given(st.lists(st.floats(0.0, 1e10), min_size=10, max_size=30), st.floats(0.1, 10.0))
def test_the_interval_holds_the_slope_and_another_unit_changes_nothing_else(values: list[float], factor: float) -> None:
    at, value = np.arange(float(len(values))), np.array(values)
    found, scaled = growth(at, value), growth(at, value * factor)
    assert found is not None
    assert scaled is not None
    assert found.low <= found.value <= found.high
    assert scaled.value == pytest.approx(found.value * factor, rel=1e-6, abs=1e-3)


def test_memory_that_was_read_in_less_than_half_of_the_stretch_has_no_growth() -> None:
    measured = run_of(Samples.empty())  # from 10 to 70 s

    def found(until: float) -> dict[str, Estimate]:
        series = series_of([Reading(at=at, source="service", name="rss", value=at * MIB) for at in np.arange(10.0, until)])
        return resource_measurements(series, resource_summaries(series, measured), measured, 100)

    assert found(70.0)["rss_growth"].value == pytest.approx(60.0 * MIB)
    assert "rss_growth" not in found(35.0)


def judged(low: float, value: float, high: float) -> RequirementResult:
    """Against a limit of 5 MiB a minute, and a critical one of 50."""
    wanted = Requirement(metric="rss_growth", comparator=Comparator.BELOW, target=5.0 * MIB, critical=50.0 * MIB)
    estimate = Estimate(value=value * MIB, low=low * MIB, high=high * MIB, n=60)
    made = summary()
    whole = replace(made.steps[0], measurements={**made.steps[0].measurements, "rss_growth": estimate})
    (phase,) = (replace(one, requirements=(wanted,)) for one in planned())
    (found,) = check_requirements((phase,), run(replace(made, steps=(whole, *made.steps[1:]))))
    return found


@pytest.mark.parametrize(
    ("interval", "status", "level"),
    [
        ((0.0, 1.0, 2.0), RequirementStatus.MET, Level.PASS),
        ((-3.0, 4.0, 11.0), RequirementStatus.MARGINAL, Level.WARN),
        ((2.0, 8.0, 14.0), RequirementStatus.MARGINAL, Level.WARN),
        ((6.0, 8.0, 14.0), RequirementStatus.MISSED, Level.FAIL),
        ((40.0, 80.0, 120.0), RequirementStatus.MISSED, Level.FAIL),
        ((60.0, 80.0, 120.0), RequirementStatus.CRITICAL, Level.FAIL),
    ],
)
def test_only_a_slope_that_is_certainly_above_the_limit_is_a_leak(
    interval: tuple[float, float, float], status: RequirementStatus, level: Level
) -> None:
    found = judged(*interval)
    assert (found.status, found.level) == (status, level)


def test_a_growth_that_is_not_sure_says_so() -> None:
    assert requirement_sentence(judged(2.0, 8.0, 14.0)) == (
        "memory growth 8.00 MiB/min (2.00 to 14.0 MiB/min) may miss < 5 MiB/min; its interval includes values that meet it"
    )


def test_readings_of_one_instant_have_no_growth() -> None:
    assert growth(np.full(12, 3.0), np.arange(12.0)) is None
    # So many readings are thinned first: one that is later vanishes in it.
    assert growth(np.array([3.0] * 1599 + [4.0]), np.arange(1600.0)) is None
    with pytest.raises(ValueError, match="one instant"):
        theil_sen(np.full(12, 3.0), np.arange(12.0))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_readings_that_are_no_numbers_are_refused_in_words(odd: float) -> None:
    spoiled = np.where(TIMES == 7.0, odd, TIMES)
    with pytest.raises(ValueError, match="must be finite numbers: 1 of 60 are not"):
        growth(TIMES, spoiled)
    with pytest.raises(ValueError, match="times of readings must be finite"):
        growth(spoiled, TIMES)


def test_what_the_monitor_read_at_no_time_is_left_out() -> None:
    readings = [Reading(at=at, source="service", name="rss", value=1.0) for at in (1.0, np.nan, 2.0)]
    assert series_of(readings)["service", "rss"][0].tolist() == [1.0, 2.0]


MINUTES = np.arange(180.0)


def test_a_leak_is_a_share_of_the_median_a_minute_once_the_service_is_warm() -> None:
    warm_up = np.where(MINUTES < 60.0, MINUTES, 60.0)  # fills its caches in the first minute
    found = relative_growth(MINUTES, 100.0 + warm_up, begin=0.0, end=180.0)
    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    leaking = relative_growth(MINUTES, 100.0 + warm_up + MINUTES / 6.0, begin=0.0, end=180.0)
    assert leaking is not None
    assert leaking.value == pytest.approx(10.0 / 180.0, rel=0.01)
    assert leaking.low > 0.05


def test_what_rose_after_the_warm_up_and_levelled_off_is_no_leak() -> None:
    rising = np.minimum(np.maximum(MINUTES - 60.0, 0.0), 60.0)
    found = relative_growth(MINUTES, 100.0 + rising + wander(180, 0.5, 4), begin=0.0, end=180.0)
    assert found is not None
    assert found.value > 0.01
    assert found.low < 0.01


@pytest.mark.parametrize(
    ("at", "value", "end"),
    [
        (MINUTES[:119], MINUTES[:119], 119.0),  # shorter than two minutes
        (MINUTES[:110], MINUTES[:110], 180.0),  # read in less than half of what is left
        (MINUTES, np.zeros(180), 180.0),  # a share of nothing
    ],
)
def test_a_relative_growth_needs_two_minutes_of_readings_of_something(at: np.ndarray, value: np.ndarray, end: float) -> None:
    assert relative_growth(at, value, begin=0.0, end=end) is None


def test_growth_of_memory_and_of_descriptors_are_metrics_of_a_long_phase() -> None:
    readings = [
        Reading(at=at, source="service", name=name, value=value)
        for at in np.arange(10.0, 190.0)
        for name, value in (("rss", 100.0 * MIB + at * MIB / 6.0), ("descriptors", 500.0))
    ]
    measured = run_of(Samples.empty(), seconds=180.0)
    series = series_of(readings)
    found = resource_measurements(series, resource_summaries(series, measured), measured, 100)
    assert found["rss_growth_share"].low > 0.05
    assert found["descriptor_growth_share"].value == 0.0


def leaking(low: float, *requirements: Requirement) -> tuple[list[Finding], list[RequirementResult]]:
    """The findings of a phase whose memory grew by at least this share a minute, and how its requirements fared."""
    made = summary()
    grown = Estimate(value=low + 0.01, low=low, high=low + 0.02, n=120)
    whole = replace(made.steps[0], measurements={**made.steps[0].measurements, "rss_growth_share": grown})
    (phase,) = (replace(one, duration=180.0, requirements=requirements) for one in planned())
    verdict = judge(run(replace(made, steps=(whole, *made.steps[1:])), plan=(phase,)), [])
    return [found for found in verdict.findings if isinstance(found.facts, Leak)], list(verdict.requirements)


def test_a_leak_is_reported_without_a_requirement_where_its_whole_interval_is_above_one_percent() -> None:
    (found,), _ = leaking(0.011)
    assert found.level is Level.WARN
    words = finding_words(found)
    assert words.sentence == "a leak: memory growth after the warm-up is 2.10 %/min (1.10 %/min to 3.10 %/min)"
    assert "heap profile" in words.advice
    assert leaking(0.009)[0] == []


def test_a_missed_requirement_on_a_leak_fails_and_is_not_reported_twice() -> None:
    wanted = Requirement(metric="rss_growth_share", comparator=Comparator.BELOW, target=0.01)
    found, (result,) = leaking(0.02, wanted)
    assert found == []
    assert (result.status, result.level) == (RequirementStatus.MISSED, Level.FAIL)


@pytest.mark.parametrize("rate", [0.984, 1.0, 1.004, 1.016])
def test_an_even_leak_of_whole_descriptors_is_certain_although_rounding_leaves_a_slow_sawtooth(rate: float) -> None:
    at = np.arange(120.0)
    found = relative_growth(at, np.floor(468.0 + rate * at), begin=0.0, end=120.0)
    assert found is not None
    assert found.low > 0.09
