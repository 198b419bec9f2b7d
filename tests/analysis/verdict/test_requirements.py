"""Requirements: every way in which one is met, missed, critical, marginal or not measured, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import counts, phase, record, summary, window
from velro_gate.analysis.verdict.requirements import check_requirements, headroom_share
from velro_gate.model.metrics import METRICS, Decides, Direction
from velro_gate.model.record import Estimate, PhaseSummary
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Level, RequirementResult, RequirementStatus
from velro_gate.report.sentences.kinds.requirements import requirement_sentence


def under(target: float, metric: str = "p95", **changed: Any) -> Requirement:
    return Requirement(metric=metric, comparator=Comparator.BELOW, target=target, **changed)


def at_least(target: float, metric: str = "throughput", **changed: Any) -> Requirement:
    return Requirement(metric=metric, comparator=Comparator.AT_LEAST, target=target, **changed)


def around(value: float, half: float = 0.0, n: int = 6000) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def measuring(metric: str, estimate: Estimate, step: str = "all", **changed: Any) -> PhaseSummary:
    return summary({"all": {}} | {step: {metric: estimate}}, **changed)


def check(requirement: Requirement, found: PhaseSummary | None) -> RequirementResult:
    phases = () if found is None else (found,)
    (result,) = check_requirements([phase(requirement)], record(*phases))
    return result


def test_a_value_inside_the_target_is_met_and_says_how_much_room_is_left() -> None:
    result = check(
        under(0.075, step="login"), measuring("p95", Estimate(value=0.0612, low=0.0601, high=0.0629, n=900), step="login")
    )
    assert (result.status, result.met, result.level) == (RequirementStatus.MET, True, Level.PASS)
    assert requirement_sentence(result) == "p95 of login 61.2 ms (60.1 to 62.9 ms) is under 75 ms, headroom 18 %"
    assert result.headroom == pytest.approx(0.184)


def test_a_value_outside_the_target_is_missed_and_fails_when_required() -> None:
    result = check(under(0.075), measuring("p95", around(0.084, 0.002)))
    assert (result.status, result.met, result.level) == (RequirementStatus.MISSED, False, Level.FAIL)
    assert requirement_sentence(result) == "p95 of all requests 84.0 ms (82.0 to 86.0 ms) misses < 75 ms by 12 %"


def test_a_value_outside_the_target_warns_when_not_required() -> None:
    result = check(under(0.075, required=False), measuring("p95", around(0.084, 0.002)))
    assert (result.status, result.met, result.level) == (RequirementStatus.MISSED, False, Level.WARN)


@pytest.mark.parametrize("required", [True, False])
def test_a_value_outside_the_critical_level_fails_whether_required_or_not(required: bool) -> None:
    result = check(under(0.075, critical=0.1, required=required), measuring("p95", around(0.12, 0.001)))
    assert (result.status, result.met, result.level) == (RequirementStatus.CRITICAL, False, Level.FAIL)
    assert (
        requirement_sentence(result)
        == "p95 of all requests 120 ms (119 to 121 ms) is above the critical level of 100 ms (target 75 ms)"
    )


def test_a_value_between_target_and_critical_level_is_missed_only() -> None:
    result = check(under(0.075, critical=0.1), measuring("p95", around(0.09, 0.001)))
    assert result.status is RequirementStatus.MISSED


def test_a_rate_below_its_critical_level_says_below() -> None:
    result = check(at_least(1000.0, critical=800.0), measuring("throughput", around(700.0)))
    assert requirement_sentence(result) == "throughput 700/s is below the critical level of 800/s (target 1,000/s)"


def test_met_with_an_interval_across_the_target_is_marginal_and_warns() -> None:
    result = check(under(0.075), measuring("p95", around(0.074, 0.002)))
    assert (result.status, result.met, result.level) == (RequirementStatus.MARGINAL, True, Level.WARN)
    assert "its interval reaches 76.0 ms" in requirement_sentence(result)
    assert "76.0 ms" in requirement_sentence(result)


def test_missed_with_an_interval_across_the_target_is_marginal_and_fails_and_says_how_close_it_was() -> None:
    result = check(under(0.075), measuring("p95", around(0.076, 0.002)))
    assert (result.status, result.met, result.level) == (RequirementStatus.MARGINAL, False, Level.FAIL)
    assert "by 1.3 %" in requirement_sentence(result)
    assert "74.0 ms, so another run may meet it" in requirement_sentence(result)


def test_the_limit_itself_is_inside_for_at_least_and_outside_for_below() -> None:
    assert check(at_least(100.0), measuring("throughput", around(100.0))).status is RequirementStatus.MET
    assert check(under(0.075), measuring("p95", around(0.075))).status is RequirementStatus.MISSED


def test_a_metric_that_was_not_measured_breaks_the_run() -> None:
    result = check(at_least(200.0, "database_connections"), summary())
    assert (result.status, result.level, result.estimate) == (RequirementStatus.NOT_MEASURED, Level.BROKEN, None)
    assert requirement_sentence(result) == "database connections not measured: the run holds no such figure of all steps"


def test_a_step_that_is_not_in_the_record_is_not_measured() -> None:
    assert check(under(0.075, step="checkout"), summary()).status is RequirementStatus.NOT_MEASURED


def test_a_phase_that_was_not_reached_is_not_measured() -> None:
    result = check(under(0.075), None)
    assert (result.status, result.level) == (RequirementStatus.NOT_MEASURED, Level.BROKEN)
    assert "the phase steady was not reached" in requirement_sentence(result)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"interrupted": True}, "interrupted"),
        ({"shards_lost": ("shard 2",), "interrupted": True}, "a process of the generator was lost"),
    ],
)
def test_a_phase_that_did_not_end_is_not_measured_however_good_its_figures(changed: dict[str, Any], words: str) -> None:
    result = check(under(0.075), measuring("p95", around(0.01), **changed))
    assert (result.status, result.level, result.estimate) == (RequirementStatus.NOT_MEASURED, Level.BROKEN, None)
    assert words in requirement_sentence(result)


@pytest.mark.parametrize(
    ("changed", "words"), [({"service_gone": "refused"}, "stopped responding"), ({"hopeless": "only 401"}, "was ended early")]
)
def test_where_the_service_ended_the_phase_what_was_not_missed_is_not_measured_and_both_fail(
    changed: dict[str, Any], words: str
) -> None:
    met = check(under(0.075), measuring("p95", around(0.01), **changed))
    missed = check(under(0.075), measuring("p95", around(0.2), **changed))
    assert (met.status, met.level) == (RequirementStatus.NOT_MEASURED, Level.FAIL)
    assert words in requirement_sentence(met)
    assert (missed.status, missed.level) == (RequirementStatus.MISSED, Level.FAIL)


@pytest.mark.parametrize("metric", ["p50", "p95", "p999", "p95_all", "service_p99"])
def test_a_latency_of_a_step_that_answered_nothing_well_fails_for_it_is_the_services_doing(metric: str) -> None:
    found = summary({"login": {}}, books={"login": counts(ok=0, failed=400)})
    result = check(under(0.075, metric, step="login", required=False), found)
    assert (result.status, result.level, result.met, result.estimate) == (RequirementStatus.MISSED, Level.FAIL, False, None)
    assert "all 400 requests failed" in requirement_sentence(result)


def test_a_hit_rate_without_a_good_answer_fails_but_without_a_cache_header_it_was_not_measured() -> None:
    requirement = at_least(0.95, "hit_rate", critical=0.9)
    nothing = check(requirement, summary({"all": {}}, books={"all": counts(ok=0, failed=10)}))
    assert (nothing.status, nothing.level) == (RequirementStatus.CRITICAL, Level.FAIL)
    assert check(requirement, summary({"all": {}})).level is Level.BROKEN


def test_arrivals_that_were_all_blocked_are_the_services_doing_too() -> None:
    found = summary({"all": {}}, books={"all": counts(ok=0, blocked=50)})
    assert check(under(0.075), found).level is Level.FAIL


def test_a_latency_without_any_request_was_not_measured() -> None:
    found = summary({"all": {}}, books={"all": counts(ok=0)})
    assert check(under(0.075), found).level is Level.BROKEN


def test_the_generators_own_lateness_is_not_counted_as_the_services() -> None:
    found = summary({"all": {}}, books={"all": counts(ok=0, failed=10)})
    assert check(under(0.005, "lateness_p99"), found).status is RequirementStatus.NOT_MEASURED


def test_a_scaled_requirement_says_what_it_was_scaled_from() -> None:
    result = check(at_least(1000.0, "users_held", scaled_from=10_000.0), measuring("users_held", Estimate.exact(1000.0, n=10)))
    assert requirement_sentence(result) == "users held 1,000 is at least 1,000 (scaled from 10,000 by the profile)"


def test_every_window_that_reached_the_rate_is_said() -> None:
    found = measuring("sustained_throughput", Estimate.exact(100.0, n=6))
    result = check(at_least(90.0, "sustained_throughput"), found)
    assert result.level is Level.PASS
    assert requirement_sentence(result).endswith("; all 6 windows of 10 s reached 90/s")


def test_the_share_of_windows_below_is_said() -> None:
    windows = tuple(window(10.0 * i, 800 if i < 3 else 1000) for i in range(60))
    found = measuring("sustained_throughput", Estimate.exact(80.0, n=60), windows=windows)
    result = check(at_least(90.0, "sustained_throughput"), found)
    assert result.level is Level.FAIL
    assert requirement_sentence(result).endswith("; 3 of 60 windows of 10 s (5.0 %) were below 90/s")


def test_a_sustained_rate_over_one_short_window_says_so() -> None:
    found = measuring(
        "sustained_throughput", Estimate.exact(100.0, n=1), windows=(window(0.0, 800, seconds=8.0),), measured_seconds=8.0
    )
    assert requirement_sentence(check(at_least(90.0, "sustained_throughput"), found)).endswith(
        "; measured over one window of 8 s"
    )


def test_a_limit_of_zero_has_no_headroom() -> None:
    requirement = Requirement(metric="error_rate", comparator=Comparator.AT_MOST, target=0.0)
    result = check(requirement, measuring("error_rate", around(0.0)))
    assert (result.headroom, result.level) == (None, Level.PASS)
    assert requirement_sentence(result) == "error rate 0 % is at most 0 %"


def test_every_requirement_of_every_phase_has_a_result_in_order() -> None:
    first, second = phase(under(0.075), under(0.05, step="login"), name="a"), phase(at_least(90.0), name="b")
    results = check_requirements([first, second], record(summary(name="b")))
    assert [(r.phase, r.requirement) for r in results] == [
        ("a", first.requirements[0]),
        ("a", first.requirements[1]),
        ("b", second.requirements[0]),
    ]


limits = st.floats(0.001, 1000.0)


@given(st.sampled_from(sorted(METRICS)), limits, limits, st.floats(0.0, 0.5), st.booleans(), st.booleans())
def test_for_any_figure_the_status_agrees_with_the_value_and_a_failure_is_never_hidden(
    metric: str, target: float, value: float, half: float, strict: bool, required: bool
) -> None:
    lower = METRICS[metric].direction is Direction.LOWER
    names = ("BELOW", "AT_MOST") if lower else ("ABOVE", "AT_LEAST")
    comparator = Comparator[names[not strict]]
    requirement = Requirement(metric=metric, comparator=comparator, target=target, required=required)
    result = check(requirement, measuring(metric, around(value, half * value)))
    if METRICS[metric].decides is Decides.BOUND:
        # Missed only when the whole interval is.
        value += (-half if lower else half) * value
    assert result.met is comparator.holds(value, target)
    room = headroom_share(requirement, value)
    assert room is not None
    assert result.met == (room > 0.0) or room == 0.0
    if result.status is RequirementStatus.MET:
        assert result.level is Level.PASS
    if not result.met:
        fails = Level.BROKEN if metric == "lateness_p99" else Level.FAIL
        assert result.level is (fails if required else Level.WARN)
    assert "None" not in requirement_sentence(result)


@given(limits, limits, st.floats(0.0, 1.0))
def test_a_worse_value_never_has_a_better_level(target: float, value: float, more: float) -> None:
    requirement = under(target, critical=target * 1.5, required=False)
    better = check(requirement, measuring("p95", around(value)))
    worse = check(requirement, measuring("p95", around(value * (1.0 + more))))
    assert worse.level >= better.level
