"""A delay of the generator counts only where a result could have been another one without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import health, phase, record, summary
from velro_gate.analysis.verdict.generator_delay import Decided, GeneratorDelay, changed_by, least_value
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.record import Estimate, PhaseSummary
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change, Comparison, Level

P95 = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.020)


def measured(p95: float, late: float, **figures: float) -> PhaseSummary:
    """A phase with this p95 and lateness p99, in seconds."""
    named = {"p95": p95, "lateness_p99": late, **figures}
    return summary({"all": {name: Estimate.exact(value, n=6000) for name, value in named.items()}})


def level(p95: float, late: float, *requirements: Requirement, **figures: float) -> Level:
    """What a run comes to by its requirements and its trust."""
    verdict = judge(record(measured(p95, late, **figures)), (), phases=[phase(*requirements or (P95,))])
    return max(finding.level for finding in verdict.findings if finding.subject in ("steady", "requirements"))


@pytest.mark.parametrize(
    ("p95", "late", "expected"),
    [
        (0.006, 0.0045, Level.WARN),  # met in spite of the delay
        (0.006, 0.0001, Level.PASS),
        (0.023, 0.0045, Level.BROKEN),  # 18.5 ms without it
        (0.023, 0.0030, Level.FAIL),  # 20.0 ms without it are no less than 20 ms
        (0.040, 0.0045, Level.FAIL),
        (0.0205, 0.0010, Level.FAIL),  # a delay that every run has is no reason to doubt a limit so large
    ],
)
def test_lateness_breaks_a_run_only_where_a_limit_was_missed_by_less(p95: float, late: float, expected: Level) -> None:
    assert level(p95, late) is expected


def test_a_looser_limit_never_changes_a_run_that_meets_the_tighter_one() -> None:
    for target in (0.010, 0.020, 0.040, 1.0):
        assert level(0.006, 0.0045, replace(P95, target=target)) < Level.BROKEN


def test_a_limit_on_the_generators_lateness_is_none_on_the_service() -> None:
    own = Requirement(metric="lateness_p99", comparator=Comparator.BELOW, target=0.002)
    assert phase(own).tightest_latency_limit is None
    assert phase(own, P95).tightest_latency_limit == 0.020
    assert level(0.006, 0.001, own, P95) is Level.PASS
    assert level(0.006, 0.003, own, P95) is Level.BROKEN, "what the service did not do must not fail it"
    assert level(0.006, 0.003, replace(own, required=False)) is Level.WARN


def test_reading_late_is_judged_as_sending_late_is() -> None:
    busy = replace(measured(0.023, 0.0001), health=health(loop_lag_p99=0.005, loop_lag_max=0.005))
    gc_pause = replace(measured(0.006, 0.0001), health=busy.health)
    levels = [judge(record(each), (), phases=[phase(P95)]).level for each in (busy, gc_pause)]
    assert levels == [Level.BROKEN, Level.NO_BASELINE]


def test_a_regression_that_is_no_larger_than_the_delay_is_none() -> None:
    row = Comparison(
        phase="steady",
        step="all",
        metric="p95",
        verdict=Change.REGRESSION,
        primary=True,
        level=Level.FAIL,
        baseline=0.010,
        current=0.014,
        margin=0.05,
    )
    decided = Decided(comparisons=[row])
    assert changed_by(GeneratorDelay(sending=0.004), measured(0.014, 0.004), decided, least=0.2) == (
        FigureName(step="all", metric="p95"),
    )
    assert changed_by(GeneratorDelay(sending=0.003), measured(0.014, 0.003), decided, least=0.2) == ()
    assert changed_by(GeneratorDelay(reading=0.004), measured(0.014, 0.004), decided) == (FigureName(step="all", metric="p95"),)
    waived = Decided(comparisons=[replace(row, level=Level.WARN)])
    assert changed_by(GeneratorDelay(sending=0.004), measured(0.014, 0.004), waived) == ()


def test_a_stop_that_met_few_requests_leaves_the_quantiles_below_them() -> None:
    slow = measured(0.5, 0.0, p90=0.3, p50=0.25)
    stop = GeneratorDelay(sending=3.0, reading=3.0, share=0.05)
    assert least_value(stop, slow, "p95") == 0.3
    failed = Decided(requirements=check_requirements([phase(replace(P95, target=0.2))], record(slow)))
    assert changed_by(stop, slow, failed) == ()
    assert changed_by(replace(stop, share=0.5), slow, failed) == (FigureName(step="all", metric="p95"),)


def test_the_service_time_holds_what_was_read_late_but_not_what_was_sent_late() -> None:
    found = measured(0.5, 0.0, service_p95=0.4)
    delay = GeneratorDelay(sending=0.2, reading=0.1)
    assert least_value(delay, found, "service_p95") == pytest.approx(0.3)
    assert least_value(delay, found, "p95") == pytest.approx(0.2)


@given(st.floats(0.001, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_delay_never_makes_a_verdict_surer(p95: float, less: float, more: float) -> None:
    found = measured(p95, 0.0)
    failed = Decided(requirements=check_requirements([phase(P95)], record(found)))
    small, large = (GeneratorDelay(sending=seconds) for seconds in (less, less + more))
    assert set(changed_by(small, found, failed)) <= set(changed_by(large, found, failed))
