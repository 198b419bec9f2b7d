"""The screen: what it calls a regression, what it leaves open, and what it refuses to compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import counts
from tests.analysis.runs import baselines, run, summary, with_counts
from velro_gate.analysis.stored.comparison import compare, shift_of
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import RunnerSelftest, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level, worst
from velro_gate.report.sentences.reasons import row_reason

POLICY = Policy()
CALM = baselines(10, sd=0.01)


def row_of(rows: Sequence[Comparison], step: str, metric: str, phase: str = "steady") -> Comparison:
    return next(row for row in rows if (row.phase, row.step, row.metric) == (phase, step, metric))


def one(candidate: RunRecord, before: Sequence[RunRecord], step: str, metric: str, policy: Policy = POLICY) -> Comparison:
    return row_of(compare(candidate, before, policy), step, metric)


class TestWhatItCalls:
    def test_a_slower_step_is_a_regression_of_that_step_and_of_no_other(self) -> None:
        rows = compare(run(summary(steps={"authorize": 1.3})), CALM, POLICY)
        failing = [(row.step, row.metric) for row in rows if row.level is Level.FAIL]
        assert failing == [("authorize", "p95")]
        found = row_of(rows, "authorize", "p95")
        assert found.verdict is Change.REGRESSION
        assert found.change == pytest.approx(0.3, abs=0.02)
        assert found.change_low is not None
        assert found.change_high is not None
        assert found.change_low < 0.3 < found.change_high
        assert found.p is not None
        assert found.p < 0.001

    def test_an_unchanged_run_is_shown_to_be_unchanged(self) -> None:
        rows = compare(run(), CALM, POLICY)
        assert {row.verdict for row in rows if row.primary} == {Change.UNCHANGED}
        assert worst(row.level for row in rows) is Level.PASS

    def test_a_faster_run_is_an_improvement_and_passes(self) -> None:
        found = one(run(summary(times=0.8)), CALM, "all", "p95")
        assert (found.verdict, found.level) == (Change.IMPROVEMENT, Level.PASS)
        assert found.change == pytest.approx(-0.2, abs=0.02)

    def test_a_change_under_the_margin_is_no_regression_however_sure(self) -> None:
        still = [run(summary(), number=i) for i in range(30)]
        found = one(run(summary(times=1.045)), still, "all", "p95")
        assert found.p is not None
        assert found.p < POLICY.confirm_alpha
        assert (found.verdict, found.level) == (Change.UNCHANGED, Level.PASS)

    def test_a_change_of_exactly_the_margin_counts(self) -> None:
        still = [run(summary(), number=i) for i in range(30)]
        assert one(run(summary(times=1.05)), still, "all", "p95").verdict is Change.REGRESSION

    def test_what_is_suspicious_but_not_confirmed_leaves_the_run_inconclusive(self) -> None:
        noisy = baselines(10, sd=0.03, seed=2)
        rows = [one(run(summary(times=1.0 + step / 100)), noisy, "all", "p95") for step in range(40)]
        order = [row.verdict for row in rows]
        assert Change.SUSPICIOUS in order
        for row in rows:
            if row.verdict is Change.SUSPICIOUS:
                assert row.level is Level.INCONCLUSIVE
                assert row.p is not None
                assert row.p > POLICY.confirm_alpha / 12
            if row.verdict is Change.REGRESSION:
                assert row.p is not None
                assert row.p <= POLICY.confirm_alpha / 12

    def test_the_slower_the_run_the_worse_the_call(self) -> None:
        noisy = baselines(10, sd=0.03, seed=2)
        severity = [Change.IMPROVEMENT, Change.UNCHANGED, Change.INCONCLUSIVE, Change.SUSPICIOUS, Change.REGRESSION]
        calls = [
            severity.index(one(run(summary(times=1.0 + step / 100)), noisy, "all", "p95").verdict) for step in range(-40, 40)
        ]
        assert calls == sorted(calls)

    def test_not_significant_is_not_unchanged(self) -> None:
        wild = baselines(10, sd=0.15)
        found = one(run(summary(times=1.02)), wild, "all", "p95")
        assert (found.verdict, found.level) == (Change.INCONCLUSIVE, Level.INCONCLUSIVE)
        assert found.mde is not None
        assert found.mde > POLICY.unchanged_below
        assert "cannot be ruled out" in row_reason(found)

    def test_less_of_the_offered_rate_achieved_is_a_regression(self) -> None:
        found = one(run(summary(changed={"achieved_share": 0.8, "throughput": 80.0})), CALM, "all", "achieved_share")
        assert found.verdict is Change.REGRESSION
        assert found.change == pytest.approx(-0.2)

    def test_new_errors_are_a_regression(self) -> None:
        found = one(run(summary(failed=60)), CALM, "all", "error_rate")
        assert (found.verdict, found.level) == (Change.REGRESSION, Level.FAIL)
        assert (found.baseline, found.current) == (0.0, 0.01)

    def test_fewer_slow_answers_because_more_failed_are_no_improvement(self) -> None:
        found = one(run(summary(times=0.7, failed=60)), CALM, "all", "p95")
        assert (found.verdict, found.level) == (Change.INCONCLUSIVE, Level.WARN)
        assert "more requests failed (1.0 % now)" in row_reason(found)


class TestTheFamily:
    def test_holm_makes_a_neighbour_in_the_family_harder_to_suspect(self) -> None:
        noisy = baselines(10, sd=0.03, seed=2)
        alone = Policy(primary=(("all", "p95"),))
        found = [
            (one(run(summary(steps={"all": 1 + s / 100})), noisy, "all", "p95", p).p_adjusted)
            for s in (5, 8, 12)
            for p in (alone, POLICY)
        ]
        assert all(
            few is not None and many is not None and few < many for few, many in zip(found[::2], found[1::2], strict=True)
        )

    @pytest.mark.slow
    def test_more_phases_do_not_fail_a_run_at_a_weaker_level(self) -> None:
        """A p between the level of six rows and that of thirty-six: a regression of one phase, only suspicious among six."""
        noisy = [1.0, 1.03, 0.97, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1.0]
        names = [f"phase{i}" for i in range(6)]

        def runs(phases: list[str], times: float, number: int) -> RunRecord:
            first, *rest = phases
            return run(summary(first, times=times), *(summary(name) for name in rest), number=number)

        calls: dict[int, list[Change]] = {}
        for phases in (names[:1], names):
            before = [runs(phases, times, i) for i, times in enumerate(noisy)]
            calls[len(phases)] = [
                row_of(compare(runs(phases, 1.05 + s / 100, 99), before, POLICY), "all", "p95", "phase0").verdict
                for s in range(30)
            ]
        assert calls[1].index(Change.REGRESSION) < calls[6].index(Change.REGRESSION)
        assert calls[6][-1] is Change.REGRESSION

    def test_an_advisory_row_never_does_more_than_warn(self) -> None:
        rows = compare(run(summary(n=20_000, changed={"p99": 0.5})), baselines(10, n=20_000), POLICY)
        found = row_of(rows, "all", "p99")
        # No suspicion: it is what it is, and still only warns.
        assert (found.verdict, found.level, found.primary) == (Change.REGRESSION, Level.WARN, False)
        assert worst(row.level for row in rows) is Level.WARN

    def test_a_promoted_metric_can_fail_a_run(self) -> None:
        policy = Policy(primary=(("all", "p99"),))
        found = one(run(summary(n=20_000, changed={"p99": 0.5})), baselines(10, n=20_000), "all", "p99", policy)
        assert (found.verdict, found.level, found.primary) == (Change.REGRESSION, Level.FAIL, True)

    def test_a_demoted_metric_cannot(self) -> None:
        policy = Policy(primary=(("all", "p50"),))
        rows = compare(run(summary(steps={"authorize": 2.0})), CALM, policy)
        assert row_of(rows, "authorize", "p95").level is Level.WARN
        assert worst(row.level for row in rows) is Level.WARN

    def test_primary_rows_come_first_and_in_the_order_of_the_phases(self) -> None:
        before = [run(summary("a"), summary("b"), number=i) for i in range(5)]
        rows = compare(run(summary("a"), summary("b")), before, POLICY)
        assert [row.phase for row in rows] == sorted(row.phase for row in rows)
        for phase in "ab":
            mine = [row.primary for row in rows if row.phase == phase]
            assert mine == sorted(mine, reverse=True)


SELFTEST = RunnerSelftest(measured_at="2025-01-01T00:00:00Z", p95_noise=0.03, p95_seen=None, blind=False)


class TestFewBaselines:
    def test_without_a_baseline_nothing_is_compared_and_nothing_fails(self) -> None:
        rows = compare(run(summary(times=10.0)), (), POLICY)
        primary = [row for row in rows if row.primary]
        assert {(row.verdict, row.level, row_reason(row)) for row in primary} == {
            (Change.NOT_COMPARED, Level.NO_BASELINE, "no comparable baseline")
        }
        assert all(row.level is Level.PASS for row in rows if not row.primary)

    @pytest.mark.parametrize("k", [1, 4])
    def test_however_slow_a_run_few_baselines_of_unknown_noise_warn_by_name_and_fail_nothing(self, k: int) -> None:
        rows = compare(run(summary(times=3.0)), CALM[:k], POLICY)
        found = row_of(rows, "all", "p95")
        assert (found.verdict, found.level, found.mde) == (Change.SUSPICIOUS, Level.WARN, None)
        assert "not show how much this figure varies" in row_reason(found)
        assert all(row.level <= Level.NO_BASELINE for row in rows)

    def test_a_selftest_of_the_runner_shows_the_noise_of_few_baselines_and_is_named(self) -> None:
        slow = replace(run(summary(times=3.0)), selftest=SELFTEST)
        found = one(slow, CALM[:1], "all", "p95")
        assert (found.verdict, found.level) == (Change.REGRESSION, Level.FAIL)
        assert "noise taken from this runner's selftest of 2025-01-01" in row_reason(found)
        assert found.margin == pytest.approx(0.25)
        assert found.mde is not None

    def test_the_phases_own_history_under_another_profile_shows_the_noise_and_needs_no_wider_margin(self) -> None:
        others = [replace(each, plan=replace(each.plan, profile="night")) for each in baselines(20, sd=0.01)]
        rows = compare(run(summary(times=1.2)), CALM[:1], POLICY, other_profiles=others)
        found = row_of(rows, "all", "p95")
        assert (found.verdict, found.margin) == (Change.REGRESSION, pytest.approx(0.05))
        assert "noise taken from 20 runs of profile night" in row_reason(found)
        short = row_of(compare(run(summary(times=1.2)), CALM[:1], POLICY, other_profiles=others[:15]), "all", "p95")
        assert short.verdict is not Change.REGRESSION

    @pytest.mark.parametrize(("k", "times"), [(1, 1.24), (2, 1.14), (4, 1.14)])
    def test_few_baselines_confirm_nothing_under_their_margin(self, k: int, times: float) -> None:
        still = [run(number=i) for i in range(k)]
        rows = compare(run(summary(times=times)), still, POLICY)
        assert not [row for row in rows if row.verdict in (Change.REGRESSION, Change.SUSPICIOUS) and row.metric != "p50"]

    def test_what_too_few_baselines_leave_open_is_no_worse_than_having_none(self) -> None:
        found = one(run(), CALM[:3], "all", "p95")
        assert (found.verdict, found.level) == (Change.INCONCLUSIVE, Level.NO_BASELINE)

    def test_history_beyond_the_last_ten_makes_no_level(self) -> None:
        old = [run(summary(times=3.0), number=i) for i in range(25)]
        recent = [run(summary(), number=30 + i) for i in range(10)]
        assert one(run(), [*old, *recent], "all", "p95").change == pytest.approx(0.0)


class TestWhatCannotBeCompared:
    @pytest.mark.parametrize("metric", ["p50", "p95", "achieved_share"])
    def test_a_primary_figure_that_is_missing_breaks_the_run(self, metric: str) -> None:
        policy = Policy(primary=(("all", metric),)) if metric == "achieved_share" else POLICY
        found = one(run(summary(without=(metric,))), CALM, "all", metric, policy)
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.BROKEN)
        assert "was not measured in this run" in row_reason(found)

    def test_a_step_that_is_gone_breaks_the_run(self) -> None:
        whole = summary()
        without = replace(whole, steps=tuple(step for step in whole.steps if step.step != "authorize"))
        assert one(run(without), CALM, "authorize", "p95").level is Level.BROKEN

    def test_an_advisory_figure_that_is_missing_warns(self) -> None:
        before = [run(summary(changed={"rss": 2.0**28}), number=i) for i in range(5)]
        found = one(run(), before, "all", "rss")
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.WARN)

    def test_a_figure_that_no_baseline_holds_has_no_baseline(self) -> None:
        before = [run(summary(without=("p95",)), number=i) for i in range(5)]
        found = one(run(), before, "all", "p95")
        assert (found.level, row_reason(found)) == (Level.NO_BASELINE, "no baseline holds p95 of all requests")

    def test_a_phase_that_no_baseline_holds_has_no_baseline(self) -> None:
        found = row_of(compare(run(summary(), summary("new")), CALM, POLICY), "all", "p95", "new")
        assert found.level is Level.NO_BASELINE

    def test_a_phase_that_ended_early_is_not_compared(self) -> None:
        cut = replace(summary(), interrupted=True)
        found = one(run(cut), CALM, "all", "p95")
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.BROKEN)

    def test_nothing_answered_fails_and_is_not_called_a_latency_of_zero(self) -> None:
        dead = summary(n=6000, failed=6000, without=("p50", "p95", "p99"))
        found = one(run(dead), CALM, "all", "p95")
        assert (found.verdict, found.level, found.current) == (Change.NOT_COMPARED, Level.FAIL, None)
        assert row_reason(found) == "all requests failed"

    def test_no_throughput_at_all_fails(self) -> None:
        dead = summary(n=6000, failed=6000, without=("p50", "p95", "p99"), changed={"throughput": 0.0, "achieved_share": 0.0})
        assert one(run(dead), CALM, "all", "achieved_share").level is Level.FAIL

    def test_too_few_requests_beyond_the_quantile_are_not_gated_and_that_is_said(self) -> None:
        small = [run(summary(n=200), number=i) for i in range(5)]
        found = one(run(summary(n=200, times=3.0)), small, "all", "p95")
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.WARN)
        assert row_reason(found) == (
            "only 200 successful responses, 600 are needed to compare p95 (3 min would be enough); 12.0 ms before, "
            "36.0 ms now; p50 is compared instead"
        )

    def test_a_tail_twelve_times_as_slow_is_found_with_as_few_answers_as_a_short_phase_has(self) -> None:
        short = [run(summary(n=957, changed={"p95": 0.025}), number=i) for i in range(5)]
        found = one(run(summary(n=957, changed={"p95": 0.322})), short, "all", "p95")
        assert (found.verdict, found.level) == (Change.REGRESSION, Level.FAIL)

    def test_the_next_lower_quantile_is_primary_in_the_place_of_one_with_too_few_answers_beyond(self) -> None:
        held = {"p90": 0.010}
        before = [run(summary(n=400, changed=held), number=i) for i in range(5)]
        rows = compare(run(summary(n=400, times=2.0, changed=held)), before, POLICY)
        stand_ins = {
            (row.step, row.metric): row for row in rows if row.primary and "compared instead of p95" in row_reason(row)
        }
        assert set(stand_ins) == {(step, "p90") for step in ("all", "login", "authorize")}
        assert {row.verdict for key, row in stand_ins.items() if key[1] == "p90"} == {Change.REGRESSION}

    @given(n=st.integers(1, 900), times=st.floats(0.5, 20.0))
    def test_no_primary_response_time_that_was_not_compared_is_green(self, n: int, times: float) -> None:
        before = [run(summary(n=n), number=i) for i in range(5)]
        rows = compare(run(summary(n=n, times=times)), before, POLICY)
        assert all(row.level >= Level.WARN for row in rows if row.primary and row.verdict is Change.NOT_COMPARED)
        assert ("all", "p95") in {(row.step, row.metric) for row in rows if row.primary}

    def test_as_good_as_enough_answers_do_where_the_baselines_have_enough(self) -> None:
        before = [run(summary(n=610), number=i) for i in range(5)]
        assert one(run(summary(n=590)), before, "all", "p95").verdict is Change.UNCHANGED

    def test_fewer_answers_than_the_baselines_had_cannot_hide_a_step(self) -> None:
        found = one(run(summary(n=400)), CALM, "all", "p95")
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.INCONCLUSIVE)
        assert "the baselines had enough" in row_reason(found)

    def test_a_figure_without_a_ratio_cannot_be_primary(self) -> None:
        policy = Policy(primary=(("all", "users_held"),))
        found = one(run(summary(changed={"users_held": 50.0})), CALM, "all", "users_held", policy)
        assert found.level is Level.BROKEN
        assert "has requirements, but is not compared" in row_reason(found)

    def test_an_advisory_figure_of_zero_is_left_alone_with_a_warning(self) -> None:
        before = [run(summary(changed={"cpu_per_1000": 1.0}), number=i) for i in range(5)]
        found = one(run(summary(changed={"cpu_per_1000": 0.0})), before, "all", "cpu_per_1000")
        assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.WARN)

    def test_a_step_that_nobody_asked_for_has_no_error_rate(self) -> None:
        idle = with_counts(run(), "authorize", counts(ok=0))
        found = one(idle, CALM, "authorize", "error_rate")
        assert found.verdict is Change.NOT_COMPARED


TIMES = st.floats(0.3, 3.0)


class TestProperties:
    @given(TIMES, TIMES)
    def test_swapping_candidate_and_baseline_swaps_regression_and_improvement(self, a: float, b: float) -> None:
        mirror = {Change.REGRESSION: Change.IMPROVEMENT, Change.IMPROVEMENT: Change.REGRESSION}
        one, other = run(summary(times=a)), run(summary(times=b))
        for forth, back in zip(compare(one, [other], POLICY), compare(other, [one], POLICY), strict=True):
            if Change.REGRESSION in (forth.verdict, back.verdict) and forth.primary:
                assert back.verdict is mirror[forth.verdict]
            assert (forth.worse or 0.0) == pytest.approx(-(back.worse or 0.0))

    @given(TIMES, st.lists(st.floats(0.9, 1.1), min_size=1, max_size=12), st.floats(0.01, 100.0))
    def test_scaling_all_times_changes_no_call(self, times: float, before: list[float], factor: float) -> None:
        def rows(k: float) -> tuple[Comparison, ...]:
            return compare(
                run(summary(times=times * k)), [run(summary(times=b * k), number=i) for i, b in enumerate(before)], POLICY
            )

        for one, scaled in zip(rows(1.0), rows(factor), strict=True):
            assert scaled.verdict is one.verdict
            assert (scaled.change or 0.0) == pytest.approx(one.change or 0.0, abs=1e-9)
            assert (scaled.p or 0.0) == pytest.approx(one.p or 0.0, abs=1e-9)

    @given(st.sets(st.sampled_from(["p50", "p95", "achieved_share"]), min_size=1), st.integers(1, 12))
    def test_a_missing_primary_is_never_green(self, missing: set[str], k: int) -> None:
        rows = compare(
            run(summary(without=tuple(missing))), baselines(k), Policy(primary=tuple(("all", m) for m in sorted(missing)))
        )
        assert worst(row.level for row in rows if row.primary) is Level.BROKEN

    @given(TIMES, st.integers(0, 12), st.floats(0.0, 0.2))
    def test_figures_are_there_exactly_when_a_comparison_was_made_and_what_was_measured_is_shown_anyway(
        self, times: float, k: int, sd: float
    ) -> None:
        for row in compare(run(summary(times=times)), baselines(k, sd=sd), POLICY):
            compared = row.verdict is not Change.NOT_COMPARED
            assert compared is (row.p is not None) is (row.baseline is not None)
            assert row.current is not None or not compared
            assert compared is (row.k > 0)
            assert compared or row_reason(row)
            assert row.p_adjusted is None or row.p is None or row.p_adjusted >= row.p - 1e-15
            assert row.level is not Level.FAIL or row.primary

    @given(st.integers(1, 12), st.floats(0.0, 0.2), st.floats(0.8, 1.2))
    def test_what_is_called_unchanged_was_shown_to_lie_under_the_bound(self, k: int, sd: float, times: float) -> None:
        candidate, before = run(summary(times=times)), baselines(k, sd=sd)
        for row in compare(candidate, before, POLICY):
            if row.verdict is Change.UNCHANGED:
                shift = shift_of(row.step, METRICS[row.metric], candidate.phases, before, POLICY)
                assert shift is not None
                assert shift.upper < shift.bound
                assert shift.bound == (0.005 if row.metric == "error_rate" else pytest.approx(math.log(1.1)))

    @given(st.integers(1, 12), st.floats(0.0, 0.1), TIMES)
    def test_what_fails_reached_the_margin_and_the_level(self, k: int, sd: float, times: float) -> None:
        for row in compare(run(summary(times=times)), baselines(k, sd=sd), POLICY):
            if row.verdict is Change.REGRESSION and row.metric.startswith("p"):
                assert row.change is not None
                assert row.change >= 0.05 - 1e-6
                assert row.p is not None
                assert row.p <= POLICY.confirm_alpha


def wandering(random: np.random.Generator, sd: float, number: int, effect: float = 1.0) -> RunRecord:
    """A run of one draw: noise shared by all metrics and noise of each one's own, as decision.md's simulations have it."""
    shared = random.normal(0.0, sd * 0.6**0.5)
    own = {m: float(np.exp(shared + random.normal(0.0, sd * 0.4**0.5))) for m in ("p50", "p95", "p99")}
    usual: dict[str, Any] = {"p50": 0.005, "p95": 0.012, "p99": 0.020}
    return run(summary(times=effect, changed={m: usual[m] * own[m] for m in usual}), number=number)


class TestErrorRatesOfTheScreenItself:
    """A small, seeded simulation; loose bounds, so that it tells a broken screen and not an unlucky seed."""

    @pytest.mark.slow
    def test_unchanged_builds_hardly_ever_fail_with_two_percent_of_noise(self) -> None:
        random = np.random.default_rng(11)
        failed = passed = 0
        for _ in range(120):
            before = [wandering(random, 0.02, i) for i in range(30)]
            level = worst(row.level for row in compare(wandering(random, 0.02, 99), before, POLICY))
            failed += level is Level.FAIL
            passed += level <= Level.WARN
        assert failed <= 3
        assert passed >= 90

    @pytest.mark.slow
    def test_ten_percent_more_is_found_with_one_and_a_half_percent_of_noise(self) -> None:
        random = np.random.default_rng(12)
        found = missed = 0
        for _ in range(80):
            before = [wandering(random, 0.015, i) for i in range(30)]
            rows = compare(wandering(random, 0.015, 99, effect=1.10), before, POLICY)
            level = worst(row.level for row in rows)
            found += level is Level.FAIL
            missed += level <= Level.WARN
        assert found >= 72
        assert missed <= 1

    def test_thirty_percent_more_is_never_passed_even_with_five_percent_of_noise(self) -> None:
        random = np.random.default_rng(13)
        for _ in range(60):
            before = [wandering(random, 0.05, i) for i in range(10)]
            rows = compare(wandering(random, 0.05, 99, effect=1.30), before, POLICY)
            assert worst(row.level for row in rows) >= Level.INCONCLUSIVE
