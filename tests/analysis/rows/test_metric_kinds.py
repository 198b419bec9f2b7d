"""Every kind of figure is compared as its kind asks: what is zero, full, constant, missing or better when it is higher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.phases import counts
from tests.analysis.runs import baselines, run, summary, with_counts
from velro_gate.analysis.rows.noise import sampling_sd
from velro_gate.analysis.rows.shifts import scaled_shift
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.metrics import METRICS, Direction, Scale
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason

GATED = [name for name, metric in METRICS.items() if metric.prior_sd is not None and metric.scale is Scale.LOG]
WORSE = (Change.REGRESSION, Change.SUSPICIOUS)


def only(metric: str) -> Policy:
    """A policy under which this figure of all steps alone may fail a run."""
    return Policy(primary=(("all", metric),))


@cache
def usual(number: int) -> RunRecord:
    return run(summary(), number=number)


def holding(metric: str, value: float, *, n: int = 100_000, number: int = 0) -> RunRecord:
    """A run of which this figure is measured beside the usual ones."""
    record = usual(number)
    (phase,) = record.phases
    steps = [
        replace(step, measurements={**step.measurements, metric: Estimate.exact(value, n=n)}) if step.step == "all" else step
        for step in phase.steps
    ]
    return replace(record, phases=(replace(phase, steps=tuple(steps)),))


def against(metric: str, value: float, before: Sequence[float], *, n: int = 100_000, base_n: int = 100_000) -> Comparison:
    known = [holding(metric, one, n=base_n, number=number) for number, one in enumerate(before)]
    rows = compare(holding(metric, value, n=n, number=99), known, only(metric))
    return next(row for row in rows if row.primary)


def finite(row: Comparison) -> bool:
    numbers = [getattr(row, field.name) for field in fields(row)]
    return all(math.isfinite(number) for number in numbers if isinstance(number, float))


# Which way is better


@pytest.mark.slow
@pytest.mark.parametrize("metric", GATED)
# For each of eighteen metrics.
@settings(max_examples=12)
@given(factor=st.floats(1.0, 20.0), base=st.floats(1e-3, 1e3))
def test_a_figure_that_moves_the_wrong_way_is_never_better_and_the_right_way_never_worse(
    metric: str, factor: float, base: float
) -> None:
    up, down = (against(metric, base * by, [base] * 6) for by in (factor, 1.0 / factor))
    worse, better = (up, down) if METRICS[metric].direction is Direction.LOWER else (down, up)
    assert worse.verdict is not Change.IMPROVEMENT
    assert better.verdict not in WORSE
    assert (worse.worse or 0.0) >= 0.0 >= (better.worse or 0.0)
    if factor > 1.2:
        assert worse.verdict is Change.REGRESSION
        assert better.verdict is Change.IMPROVEMENT


def test_less_throughput_fails_a_closed_loop_and_more_is_an_improvement() -> None:
    """Without an offered rate, throughput itself is primary."""

    def closed(rate: float, number: int) -> RunRecord:
        return run(replace(summary(changed={"throughput": rate}), offered_rate=None), number=number)

    known = [closed(100.0, number) for number in range(6)]
    low, high = (judge(closed(rate, 9), known) for rate in (80.0, 120.0))
    assert low.level is Level.FAIL
    assert "throughput is 20 % lower" in words(low.findings[0]).sentence
    assert [row.metric for row in high.comparisons if row.verdict is Change.IMPROVEMENT] == ["throughput"]


# Constant figures


@given(value=st.floats(1e-6, 1e4), k=st.integers(5, 12))
def test_a_figure_that_never_moves_is_unchanged_and_claims_no_endless_precision(value: float, k: int) -> None:
    row = against("p50", value, [value] * k)
    assert row.verdict is Change.UNCHANGED
    assert finite(row)
    assert (row.noise or 0.0) >= 0.005


# Hit rates


@pytest.mark.parametrize("n", [1_000, 100_000])
@pytest.mark.parametrize("rate", [1.0, 0.999, 0.5])
@pytest.mark.parametrize("k", [1, 4, 10])
def test_equal_hit_rates_are_unchanged(rate: float, n: int, k: int) -> None:
    if rate == 0.5 and (n == 1_000 or k < 5):
        return  # there a thousand requests show no single point
    assert against("hit_rate", rate, [rate] * k, n=n, base_n=n).verdict is Change.UNCHANGED


@pytest.mark.parametrize(("rate", "change"), [(0.998, Change.UNCHANGED), (0.996, Change.UNCHANGED), (0.98, Change.REGRESSION)])
def test_a_hit_rate_near_one_has_to_lose_half_a_point_to_be_worse(rate: float, change: Change) -> None:
    assert against("hit_rate", rate, [1.0] * 10).verdict is change
    assert against("hit_rate", rate, [0.9995] * 10).verdict is change


def test_a_wider_margin_asks_for_more_points() -> None:
    before = [holding("hit_rate", 0.9999, number=i) for i in range(10)]
    policy = replace(only("hit_rate"), margin=0.2, unchanged_below=0.4)
    (row,) = (each for each in compare(holding("hit_rate", 0.985, number=99), before, policy) if each.primary)
    assert row.verdict is Change.UNCHANGED


HUGE = st.floats(5e-324, 1.7e308)


@given(value=HUGE, before=st.lists(HUGE, min_size=1, max_size=12), k=st.integers(1, 12))
def test_the_smallest_and_the_largest_numbers_are_compared_without_a_fault(value: float, before: list[float], k: int) -> None:
    row = against("cpu_per_1000", value, before[:k])
    assert row.verdict in Change
    assert finite(row)


def test_a_full_hit_rate_over_fewer_requests_is_no_lower() -> None:
    row = against("hit_rate", 1.0, [1.0] * 6, n=1_000, base_n=100_000)
    assert row.verdict not in WORSE
    assert row.worse == pytest.approx(0.0)


def test_one_miss_of_a_thousand_where_there_was_none_is_no_regression() -> None:
    assert against("hit_rate", 0.999, [1.0] * 6, n=1_000, base_n=1_000).verdict is not Change.REGRESSION


def test_a_hundred_times_the_misses_are_a_regression_also_near_one() -> None:
    row = against("hit_rate", 0.99, [0.9999] * 6)
    assert row.verdict is Change.REGRESSION
    assert row.change == pytest.approx(0.99 / 0.9999 - 1.0, abs=1e-4)


def test_a_cache_that_no_longer_answers_is_a_regression() -> None:
    assert against("hit_rate", 0.0, [0.95] * 6).verdict is Change.REGRESSION


def test_chance_alone_moves_the_log_odds_as_far_as_counted() -> None:
    """Recipe: draw 200,000 binomials of n = 400, p = .9 with numpy; sd of ln((h + .5) / (n - h + .5))."""
    hits = np.random.default_rng(4).binomial(400, 0.9, 200_000)
    drawn = np.std(np.log((hits + 0.5) / (400 - hits + 0.5)))
    assert sampling_sd(math.log(0.9 / 0.1), METRICS["hit_rate"], 400) == pytest.approx(drawn, rel=0.02)
    assert sampling_sd(1.0, METRICS["p95"], 400) == 0.0


@given(
    value=st.floats(0.0, 1.0),
    before=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8),
    n=st.integers(1, 10**7),
    base_n=st.integers(1, 10**7),
)
def test_any_share_can_be_compared_with_any_other(value: float, before: list[float], n: int, base_n: int) -> None:
    assert finite(against("hit_rate", value, before, n=n, base_n=base_n))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_swapping_two_hit_rates_mirrors_the_move(a: int, b: int) -> None:
    one, other = (Estimate.exact(hits / 1000, n=1000) for hits in (a, b))
    there = scaled_shift([one], [other], METRICS["hit_rate"], Policy())
    back = scaled_shift([other], [one], METRICS["hit_rate"], Policy())
    assert there is not None
    assert back is not None
    assert there.worse == pytest.approx(-back.worse)


# Error rates


@given(ok=st.integers(0, 20_000), failed=st.integers(0, 20_000), base_failed=st.integers(0, 500))
def test_any_count_of_errors_gives_finite_figures_and_nothing_green_where_nothing_was_answered(
    ok: int, failed: int, base_failed: int
) -> None:
    known = [run(summary(failed=base_failed), number=number) for number in range(6)]
    candidate = with_counts(run(summary(), number=9), "all", counts(ok=ok, failed=failed))
    verdict = judge(candidate, known)
    assert all(finite(row) for row in verdict.comparisons)
    if ok == 0 and failed:
        assert verdict.level >= Level.FAIL


def test_no_error_in_any_run_is_unchanged_and_divides_by_nothing() -> None:
    row = next(row for row in compare(run(number=9), baselines(6), Policy()) if row.metric == "error_rate" and row.primary)
    assert row.verdict is Change.UNCHANGED
    assert (row.baseline, row.current, row.worse) == (0.0, 0.0, 0.0)


def test_a_run_in_which_every_request_failed_fails_and_improves_nothing() -> None:
    silent = run(summary(failed=6000, without=("p50", "p95", "p99")), number=9)
    verdict = judge(silent, baselines(6))
    assert verdict.level is Level.FAIL
    assert not [row for row in verdict.comparisons if row.verdict is Change.IMPROVEMENT]
    assert {row.verdict for row in verdict.comparisons if METRICS[row.metric].quantile} == {Change.NOT_COMPARED}


def test_a_baseline_in_which_every_request_failed_makes_a_good_run_no_regression() -> None:
    known = [run(summary(failed=6000, without=("p50", "p95", "p99")), number=number) for number in range(6)]
    verdict = judge(run(number=9), known)
    assert not [row for row in verdict.comparisons if row.verdict in WORSE]
    assert verdict.level is not Level.PASS, "its response times could be compared with nothing"


# What is no number


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_never_becomes_a_figure(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Estimate.exact(value, n=1)


# Too few requests beyond a quantile


@given(n=st.integers(1, 1_200))
def test_a_quantile_is_gated_exactly_from_thirty_requests_beyond_it_on(n: int) -> None:
    known = [holding("p95", 0.012, n=n, number=number) for number in range(6)]
    rows = compare(holding("p95", 0.012, n=n, number=9), known, only("p95"))
    row = next(row for row in rows if row.primary)
    assert (row.verdict is not Change.NOT_COMPARED) is (n * 5 >= 30 * 100)
    if row.verdict is Change.NOT_COMPARED:
        assert "600 are needed" in row_reason(row)
        assert row.level is Level.WARN


# A step that is not there


def test_a_step_that_no_baseline_knew_is_said_to_have_none_and_one_that_is_gone_breaks_the_run() -> None:
    def without(record: RunRecord, name: str) -> RunRecord:
        phases = [replace(one, steps=tuple(step for step in one.steps if step.step != name)) for one in record.phases]
        return replace(record, phases=tuple(phases))

    known = baselines(6)
    assert judge(without(run(number=9), "login"), known).level is Level.BROKEN
    fresh = judge(run(number=9), [without(one, "login") for one in known])
    assert fresh.level is not Level.BROKEN
    login = [row for row in fresh.comparisons if row.step == "login"]
    assert {row.verdict for row in login} == {Change.NOT_COMPARED}
