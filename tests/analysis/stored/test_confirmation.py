"""Suspicions, run again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.analysis.phases import phase
from tests.analysis.runs import baselines, planned, run, summary
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.stored.confirmation import SETTLING_SECONDS, confirm, confirms, needed_repeats
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason

SOME = baselines(10, sd=0.01)


def again(times: Sequence[float], **changed: object) -> list[RunRecord]:
    return [run(summary(times=factor, **changed), number=100 + i) for i, factor in enumerate(times)]  # type: ignore[arg-type]


def outcome(first: float, *further: float, before: Sequence[RunRecord] = SOME) -> Comparison:
    verdict = judge(run(summary(times=first)), before, repeats=again(further))
    return next(row for row in verdict.comparisons if (row.metric, row.step) == ("p95", "all"))


def test_what_shows_three_times_is_a_regression() -> None:
    found = outcome(1.2, 1.19, 1.21)
    assert (found.verdict, found.level, found.runs) == (Change.REGRESSION, Level.FAIL, 3)
    assert row_reason(found).startswith("confirmed: 3 of 3")
    assert found.change == pytest.approx(0.2, abs=0.02)


def test_the_sentence_says_how_often_it_was_confirmed() -> None:
    verdict = judge(run(summary(times=1.2)), SOME, repeats=again([1.19, 1.21]))
    assert "3 runs against 10 baselines" in words(verdict.findings[0]).sentence
    assert "confirmed: 3 of 3" in words(verdict.findings[0]).sentence
    assert verdict.level is Level.FAIL


def test_one_odd_run_is_forgotten_when_two_further_ones_are_as_before() -> None:
    found = outcome(1.5, 1.0, 1.0)
    assert (found.verdict, found.level) == (Change.UNCHANGED, Level.PASS)
    assert "2 further runs show it unchanged" in row_reason(found)
    # The first run's advisory figures may still warn.
    assert judge(run(summary(times=1.5)), SOME, repeats=again([1.0, 1.0])).level <= Level.WARN


def test_what_shows_only_sometimes_stays_suspicious() -> None:
    found = outcome(1.2, 1.0, 1.2)
    assert (found.verdict, found.level) == (Change.SUSPICIOUS, Level.INCONCLUSIVE)
    assert row_reason(found).startswith("not confirmed: 2 of 3")
    finding = judge(run(summary(times=1.2)), SOME, repeats=again([1.0, 1.2])).findings[0]
    assert "not confirmed: 2 of 3" in words(finding).sentence
    assert words(finding).advice


def test_however_sure_the_first_run_is_it_fails_nothing_alone() -> None:
    found = outcome(3.0)
    assert (found.verdict, found.level) == (Change.SUSPICIOUS, Level.INCONCLUSIVE)
    assert "not run again" in row_reason(found)
    assert outcome(3.0, 3.0).verdict is Change.SUSPICIOUS


def test_without_repeats_a_run_is_judged_alone_as_before() -> None:
    assert judge(run(summary(times=1.2)), SOME).level is Level.FAIL


def test_what_was_not_suspicious_is_left_as_it_was() -> None:
    gc_pause = run(summary(times=1.01))
    assert confirm(compare(gc_pause, SOME, Policy()), gc_pause, {}, SOME, Policy()) == compare(gc_pause, SOME, Policy())


def test_the_p_is_that_of_the_mean_of_three_runs() -> None:
    """Recipe: the design's formula with numpy and scipy.stats, M = 3, r = .8, K = 10, H = 10."""
    y = np.log([one.phases[0].measurement("p95").value for one in SOME])  # type: ignore[union-attr]
    s = max(np.std(y, ddof=1), math.sqrt(np.median(np.diff(y) ** 2) / 0.9099), 0.005)
    d = np.mean(np.log([0.012 * factor for factor in (1.06, 1.08, 1.07)])) - np.median(y)
    expected = stats.t.sf(d / (s * math.sqrt(0.8 + 0.2 / 3 + math.pi / 20)), 9 + 3)
    assert outcome(1.06, 1.08, 1.07).p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("p", "moves", "confirmed"),
    [
        (0.005, (0.05, 0.05, 0.05), True),
        (0.0051, (0.05, 0.05, 0.05), False),
        (0.001, (0.025, 0.05, 0.2), True),
        (0.001, (0.024, 0.05, 0.2), False),
        (0.001, (0.04, 0.049, 0.2), False),
    ],
)
def test_median_least_and_p_must_all_agree(p: float, moves: tuple[float, ...], confirmed: bool) -> None:
    assert confirms(p, moves, 0.05, 0.005) is confirmed


def test_a_run_again_that_holds_no_figure_confirms_nothing() -> None:
    verdict = judge(run(summary(times=1.2)), SOME, repeats=again([1.2, 1.2], without=("p95",)))
    row = next(row for row in verdict.comparisons if (row.metric, row.step) == ("p95", "all"))
    assert row.verdict is Change.SUSPICIOUS
    assert "no figure" in row_reason(row)


def test_a_run_again_that_was_interrupted_does_not_count() -> None:
    cut = [replace(each, phases=(replace(each.phases[0], interrupted=True),)) for each in again([1.2, 1.2])]
    verdict = judge(run(summary(times=1.2)), SOME, repeats=cut)
    assert verdict.level is Level.INCONCLUSIVE


def test_errors_are_confirmed_by_the_counts_of_all_runs() -> None:
    verdict = judge(run(summary(failed=60)), SOME, repeats=again([1.0, 1.0], failed=60))
    row = next(row for row in verdict.comparisons if (row.metric, row.step) == ("error_rate", "all"))
    assert row.verdict is Change.REGRESSION
    assert "0.1 percentage points" in row_reason(row)


def test_a_burst_of_errors_in_the_first_run_alone_is_not_confirmed() -> None:
    verdict = judge(run(summary(failed=60)), SOME, repeats=again([1.0, 1.0]))
    assert verdict.level <= Level.WARN


@pytest.mark.parametrize("k", [1, 4])
def test_few_baselines_confirm_nothing_and_ask_for_no_further_run(k: int) -> None:
    found = outcome(3.0, 3.0, 3.0, before=baselines(k))
    assert (found.verdict, found.level, found.confirmation) == (Change.SUSPICIOUS, Level.WARN, None)


def test_a_suspicion_that_the_further_runs_repeat_without_certainty_still_blocks() -> None:
    noisy = baselines(10, sd=0.03, seed=4)
    found = outcome(1.14, 1.12, 1.10, before=noisy)
    assert (found.verdict, found.level) == (Change.SUSPICIOUS, Level.INCONCLUSIVE)
    assert "further runs look worse too" in row_reason(found)


def test_a_suspicion_that_the_further_runs_do_not_repeat_is_refuted() -> None:
    noisy = baselines(10, sd=0.03, seed=4)
    found = outcome(1.14, 1.02, 1.02, before=noisy)
    assert found.verdict in (Change.INCONCLUSIVE, Change.UNCHANGED)
    assert found.confirmation is not None


def test_no_baseline_never_fails() -> None:
    verdict = judge(run(summary(times=9.0)), [], repeats=again([9.0, 9.0]))
    assert verdict.level is Level.NO_BASELINE


@given(st.lists(st.floats(0.7, 1.5), min_size=3, max_size=3))
def test_a_confirmed_regression_always_was_suspicious_and_large(times: list[float]) -> None:
    found = outcome(*times)
    if found.verdict is Change.REGRESSION:
        alone = next(
            row for row in compare(run(summary(times=times[0])), SOME, Policy()) if (row.metric, row.step) == ("p95", "all")
        )
        assert alone.verdict in (Change.REGRESSION, Change.SUSPICIOUS)
        assert sorted(times)[1] > 1.04


# What to run again


def rows(*slow: str) -> tuple[Comparison, ...]:
    names = ("calm", "busy", "peak")
    before = [run(*(summary(name) for name in names), number=i) for i in range(10)]
    phases = [summary(name, times=1.5 + names.index(name) if name in slow else 1.0) for name in names]
    return compare(run(*phases), before, Policy())


def test_only_suspicious_phases_are_run_again_in_the_plans_order() -> None:
    found = needed_repeats(rows("peak", "busy"), planned("calm", "busy", "peak"))
    assert found.phases == ("busy", "peak")
    assert found.runs == 2
    # Each phase of the plan has a ramp of 5 s and 60 s to measure.
    assert found.seconds == 2 * 2 * (65.0 + SETTLING_SECONDS)


def test_nothing_suspicious_costs_nothing() -> None:
    found = needed_repeats(rows(), planned("calm", "busy", "peak"))
    assert (found.phases, found.seconds, found.left_out) == ((), 0.0, ())


def test_a_limit_keeps_the_most_suspicious_and_names_what_is_left_out() -> None:
    found = needed_repeats(rows("busy", "peak"), planned("calm", "busy", "peak"), limit=150.0)
    assert found.phases == ("peak",)
    assert found.left_out == ("busy",)
    assert found.seconds <= 150.0


def test_a_short_phase_may_still_fit_where_a_long_one_does_not() -> None:
    plan = [phase(name="busy", duration=20.0), phase(name="peak", duration=600.0)]
    found = needed_repeats(rows("busy", "peak"), plan, limit=100.0)
    assert (found.phases, found.left_out) == (("busy",), ("peak",))


def test_repeats_of_other_phases_do_not_help() -> None:
    other: list[PhaseSummary] = [summary("other")]
    candidate = run(summary(times=1.3))
    found = confirm(compare(candidate, SOME, Policy()), candidate, {"other": other}, SOME, Policy())
    assert {row.verdict for row in found if row.primary} >= {Change.SUSPICIOUS}


@pytest.mark.slow
def test_a_second_job_may_fail_what_one_job_alone_may_not() -> None:
    noisy = baselines(10, sd=0.03, seed=4)

    def found(worse: float, *, second_job: bool) -> set[Change]:
        verdict = judge(run(summary(times=worse)), noisy, repeats=again([worse, worse]), second_job=second_job)
        return {row.verdict for row in verdict.comparisons if row.primary}

    steps = (1.05 + 0.0025 * step for step in range(100))
    worse = next(each for each in steps if Change.REGRESSION in found(each, second_job=True))
    alone = found(worse, second_job=False)
    assert Change.REGRESSION not in alone
    assert Change.SUSPICIOUS in alone
