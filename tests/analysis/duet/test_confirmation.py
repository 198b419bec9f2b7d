"""Suspicions, measured side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.analysis.duet.test_comparison import dead, doubt
from tests.analysis.duets import block, duet, noisy, pair
from tests.analysis.runs import baselines, run, summary
from velro_gate.analysis.duet.confirmation import confirm_side_by_side
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.duet import Duet
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level, Trust, Verdict
from velro_gate.report.sentences.explanations import explanation_sentence
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason

SOME = baselines(10, sd=0.01)


def judged(first: float, next_to: Duet, **missing: str) -> Verdict:
    return judge(run(summary(times=first)), SOME, repeats=(), duet=next_to, missing=missing)


def p95(verdict: Verdict) -> Comparison:
    return next(row for row in verdict.comparisons if (row.metric, row.step) == ("p95", "all"))


def test_what_shows_side_by_side_is_a_regression_with_the_figures_of_the_pairs() -> None:
    verdict = judged(1.3, noisy(factor=1.2))
    found = p95(verdict)
    assert (found.verdict, found.level, found.pairs, found.k) == (Change.REGRESSION, Level.FAIL, 10, 10)
    assert found.change == pytest.approx(0.2, abs=0.02)
    assert row_reason(found) == "confirmed: 10 of 10 pairs are at least 5 % worse"
    assert "slower than in the base build" in words(verdict.findings[0]).sentence
    assert verdict.level is Level.FAIL


def test_a_day_that_makes_both_builds_slow_fails_nobody() -> None:
    verdict = judged(1.3, noisy(factor=1.0, unit=1.3))
    found = p95(verdict)
    assert (found.verdict, found.level) == (Change.UNCHANGED, Level.PASS)
    assert row_reason(found).startswith("not confirmed: 0 of 10 pairs")
    assert "unchanged compared with the base build" in row_reason(found)
    # Advisory figures of the first run may still warn.
    assert verdict.level <= Level.WARN


def test_a_build_that_is_better_side_by_side_is_called_better() -> None:
    found = p95(judged(1.3, noisy(factor=0.8, unit=1.6)))
    assert (found.verdict, found.level) == (Change.IMPROVEMENT, Level.PASS)


def test_pairs_that_cannot_decide_leave_it_open() -> None:
    found = p95(judged(1.3, noisy(factor=1.07, sd=0.15)))
    assert (found.verdict, found.level) == (Change.INCONCLUSIVE, Level.INCONCLUSIVE)
    assert "pairs are at least 5 % worse" in row_reason(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_no_reason_says_the_same_thing_twice(seed: int) -> None:
    verdict = judged(1.3, noisy(factor=1.05, sd=0.12, seed=seed))
    said = [row_reason(row).removeprefix("not confirmed: ").split("; ") for row in verdict.comparisons]
    assert all(len(set(clauses)) == len(clauses) for clauses in said)


def test_pairs_that_agree_and_are_too_few_leave_it_suspicious() -> None:
    found = p95(judged(1.3, noisy(6, factor=1.2)))
    assert (found.verdict, found.level) == (Change.SUSPICIOUS, Level.INCONCLUSIVE)
    assert "6 of 6 pairs are at least 5 % worse; so few pairs agree by chance as often as once in 64" in row_reason(found)


def test_pairs_that_cannot_be_trusted_leave_it_open_with_the_reason() -> None:
    broken = block(doubts=(doubt(Trust.BROKEN),))
    verdict = judged(1.3, duet(*(pair(broken, broken) for _ in range(10))))
    assert p95(verdict).verdict is Change.SUSPICIOUS
    assert verdict.level is Level.INCONCLUSIVE
    assert "10 of 10 pairs of blocks could not be used" in row_reason(p95(verdict))


def test_a_phase_that_is_not_in_the_pairs_stays_open_with_the_reason() -> None:
    verdict = judged(1.3, noisy(factor=1.2), steady="there was no time")
    assert (p95(verdict).verdict, row_reason(p95(verdict))) == (Change.SUSPICIOUS, "there was no time")
    assert verdict.level is Level.INCONCLUSIVE


def test_a_figure_that_the_pairs_do_not_hold_stays_open() -> None:
    verdict = judged(1.3, duet(*(pair(block(summary("other")), block(summary("other"))) for _ in range(10))))
    assert row_reason(p95(verdict)) == "the pairs of blocks hold no such figure"
    assert verdict.level is Level.INCONCLUSIVE


def test_the_duet_fails_a_row_that_the_screen_had_passed_in_a_phase_that_it_measured() -> None:
    found = p95(judged(1.0, noisy(factor=1.2)))
    assert (found.verdict, found.level, found.pairs, found.confirmation) == (Change.REGRESSION, Level.FAIL, 10, None)


def test_all_rows_of_a_phase_that_the_duet_finds_unchanged_are_so_however_open_the_screen_left_them() -> None:
    wide = baselines(10, sd=0.12)
    assert judge(run(summary()), wide).level is Level.INCONCLUSIVE
    verdict = judge(run(summary()), wide, repeats=(), duet=noisy())
    primary = [row for row in verdict.comparisons if row.primary]
    assert {(row.verdict, row.level, row.pairs) for row in primary} == {(Change.UNCHANGED, Level.PASS, 10)}
    assert verdict.level is Level.PASS


def test_a_phase_without_pairs_keeps_the_screens_rows_and_one_with_pairs_none_of_them() -> None:
    other = summary("other")
    many = [replace(each, phases=(*each.phases, summary("other"))) for each in SOME]
    screened = compare(run(summary(times=1.3), other), many, Policy())
    found = confirm_side_by_side(screened, noisy(factor=1.2))
    assert {row.pairs for row in found if row.phase == "steady"} == {10}
    assert [row for row in found if row.phase == "other"] == [row for row in screened if row.phase == "other"]


def test_only_the_duet_fails_a_row_of_the_phases_that_went_to_it() -> None:
    broken = block(doubts=(doubt(Trust.BROKEN),))
    screened = compare(run(summary(times=2.0)), SOME, Policy())
    assert Change.REGRESSION in {row.verdict for row in screened}
    found = confirm_side_by_side(screened, duet(*(pair(broken, broken) for _ in range(10))))
    assert Level.FAIL not in {row.level for row in found}


def test_a_head_build_that_dies_side_by_side_fails_and_a_base_build_that_does_answers_nothing() -> None:
    died = block(replace(summary(), service_gone="it ended with status 1"))
    verdict = judged(1.3, duet(*(pair(block(), died) for _ in range(10))))
    assert verdict.level is Level.FAIL
    assert "the head build stopped responding in 10 of 10 blocks" in words(verdict.findings[0]).sentence
    verdict = judged(1.3, duet(*(pair(died, block()) for _ in range(10))))
    assert (p95(verdict).verdict, verdict.level) == (Change.SUSPICIOUS, Level.INCONCLUSIVE)
    assert "the base build stopped responding" in row_reason(p95(verdict))


def test_a_duet_that_cannot_be_trusted_is_a_caveat_and_the_screens_open_rows_stand() -> None:
    broken = block(doubts=(doubt(Trust.BROKEN), doubt(Trust.CAVEAT, "few-users-of-a-block")))
    wide = baselines(10, sd=0.15)
    verdict = judge(run(summary()), wide, repeats=(), duet=duet(*(pair(broken, broken) for _ in range(10))))
    assert verdict.is_open
    (said,) = [each for each in verdict.trust if "using stored baselines" in words(each).sentence]
    assert said.trust is Trust.CAVEAT
    assert verdict.trust == (said,), "what is said of the blocks concerns figures that are not in the verdict"
    (left_open,) = [each for each in verdict.findings if each.code == "open"]
    assert "--base-command" not in words(left_open).advice, "the base build has been measured side by side"


def test_a_head_build_that_answers_nothing_side_by_side_fails_whatever_the_screen_had_found() -> None:
    found = p95(judged(1.0, duet(*(pair(block(), block(dead())) for _ in range(10)))))
    assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.FAIL)


def test_a_regression_that_the_pairs_confirm_is_still_explained() -> None:
    (explained,) = judged(1.3, noisy(factor=1.2)).explanations
    assert "slower" in explanation_sentence(explained)


def test_a_run_that_needs_a_baseline_has_been_compared_where_its_base_build_was_measured_next_to_it() -> None:
    strict = Policy(require_baseline=True)
    assert judge(run(summary()), (), policy=strict).level is Level.FAIL
    assert judge(run(summary()), (), policy=strict, repeats=(), duet=noisy()).level is Level.PASS
