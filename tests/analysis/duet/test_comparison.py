"""The head build against the base build, side by side."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.duets import block, control, duet, noisy, of_phases, pair, swapped
from tests.analysis.phases import counts
from tests.analysis.runs import summary
from velro_gate.analysis.duet.comparison import compare_pairs, hopeless, next_look, settled
from velro_gate.analysis.duet.looks import random_orders
from velro_gate.analysis.duet.order_effects import ORDER_LEVEL, order_effects
from velro_gate.analysis.duet.pair_order import drawn_order
from velro_gate.analysis.duet.trust import duet_doubts
from velro_gate.analysis.verdict.judge_duet import judge_duet
from velro_gate.model.duet import LOOKS, Duet, Look, Side
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary, StepSummary
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Change, Comparison, Level, Trust, TrustFinding, worst
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason

FACTORS = st.lists(st.floats(0.5, 2.0), min_size=20, max_size=20)


def row(found: tuple[Comparison, ...], metric: str, step: str = "all") -> Comparison:
    return next(each for each in found if (each.metric, each.step) == (metric, step))


def changes(found: tuple[Comparison, ...], *wanted: Change) -> set[tuple[str, str]]:
    return {(each.step, each.metric) for each in found if each.verdict in wanted}


def with_errors(failed: int, **changed: object) -> PhaseSummary:
    return summary(failed=failed, **changed)  # type: ignore[arg-type]


def dead() -> PhaseSummary:
    """A phase in which requests were made and none was answered well."""
    books = counts(ok=0, failed=6000)
    steps = tuple(StepSummary(step=name, counts=books, measurements={}) for name in ("all", "login", "authorize"))
    return replace(summary(), steps=steps)


def doubt(trust: Trust, code: str = "generator-late") -> TrustFinding:
    return TrustFinding(
        trust=trust, phase="", figure=1.0, limit=0.5, facts=Worded(code=code, sentence="it was late", advice="mend it")
    )


# What it finds


def test_an_unchanged_build_passes_after_ten_pairs() -> None:
    verdict = judge_duet(noisy())
    assert verdict.level is Level.PASS
    assert settled(verdict.comparisons)
    assert {each.verdict for each in verdict.comparisons if each.primary} == {Change.UNCHANGED}


def test_a_build_that_is_ten_percent_slower_fails_after_ten_pairs() -> None:
    verdict = judge_duet(noisy(factor=1.10))
    assert verdict.level is Level.FAIL
    found = row(verdict.comparisons, "p95")
    assert found.verdict is Change.REGRESSION
    assert found.change == pytest.approx(0.10, abs=0.01)
    assert found.change_low is not None
    assert found.change_high is not None
    assert found.change_low < 0.10 < found.change_high
    assert found.pairs == 10


def test_the_sentence_names_the_builds_and_the_pairs() -> None:
    sentence = words(judge_duet(noisy(factor=1.10)).findings[0]).sentence
    assert "slower than in the base build" in sentence
    assert "10 pairs of blocks" in sentence
    assert "baseline" not in sentence


def test_a_build_that_is_faster_is_an_improvement_and_passes() -> None:
    verdict = judge_duet(noisy(factor=0.85))
    assert row(verdict.comparisons, "p95").verdict is Change.IMPROVEMENT
    assert verdict.level is Level.PASS


def test_one_slow_step_fails_alone() -> None:
    wander = np.exp(np.random.default_rng(2).normal(0.0, 0.01, (10, 2)))
    base = [summary(times=float(w)) for w in wander[:, 0]]
    found = compare_pairs(of_phases(base, [summary(times=float(w), steps={"login": 1.2}) for w in wander[:, 1]]))
    assert changes([each for each in found if each.primary], Change.REGRESSION) == {("login", "p95")}
    # Its other figures are as bad and only warn, but are told as what they are.
    assert {each.level for each in found if each.verdict is Change.REGRESSION and not each.primary} == {Level.WARN}


def test_a_change_under_the_margin_is_never_a_regression() -> None:
    found = row(compare_pairs(noisy(factor=1.04, sd=0.001)), "p95")
    assert found.p_adjusted is not None
    assert found.p_adjusted <= 0.004
    assert found.verdict is Change.UNCHANGED


def test_a_change_of_exactly_the_margin_counts() -> None:
    assert row(compare_pairs(of_phases([summary()] * 10, [summary(times=1.05)] * 10)), "p95").verdict is Change.REGRESSION


def test_noise_that_hides_a_change_leaves_it_inconclusive_and_says_what_it_could_have_seen() -> None:
    verdict = judge_duet(noisy(sd=0.2))
    assert verdict.level is Level.INCONCLUSIVE
    found = row(verdict.comparisons, "p95")
    assert "cannot be ruled out" in row_reason(found)
    assert found.mde is not None
    assert found.mde > 0.2


def test_the_estimate_and_the_p_are_those_of_a_plain_enumeration() -> None:
    """Recipe: Student's T under all 2^8 sign vectors, the largest over the family, and the median of all means of two."""
    held = noisy(8, sd=0.05, factor=1.03)
    found = compare_pairs(held)
    family = [each for each in found if each.primary]

    def column(each: Comparison) -> list[float]:
        if each.metric == "error_rate":
            return [0.0] * 8
        sign = METRICS[each.metric].worse_sign
        values = []
        for one in held.pairs:
            head, base = (b.phases[0].measurement(each.metric, each.step) for b in (one.head, one.base))
            assert head is not None
            assert base is not None
            values.append(sign * math.log(head.value / base.value))
        return values

    def t(d: list[float], signs: tuple[float, ...]) -> float:
        flipped = [s * x for s, x in zip(signs, d, strict=True)]
        q = sum(x * x for x in d)
        return sum(flipped) / math.sqrt(len(d) * q) if q else 0.0

    columns = [column(each) for each in family]
    largest = [max(t(d, signs) for d in columns) for signs in itertools.product((1.0, -1.0), repeat=8)]
    for each, d in zip(family, columns, strict=True):
        observed = t(d, (1.0,) * 8)
        assert each.p_adjusted == pytest.approx(sum(value >= observed - 1e-9 for value in largest) / 256)
        walsh = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(d, 2)]
        assert each.worse == pytest.approx(median(walsh), abs=1e-12)


# Looks


def test_nothing_is_decided_before_the_first_look_and_little_after_it() -> None:
    held = noisy(7)
    assert [held.look(pairs).alpha for pairs in (4, 6, 7, 10, 11, 16, 17)] == [0.0, 0.0, 0.004, 0.004, 0.006, 0.006, 0.006]
    assert next_look(held, compare_pairs(held)) == 10


def test_the_error_rates_are_shared_between_the_looks() -> None:
    assert sum(look.alpha for look in LOOKS) == pytest.approx(0.01)
    assert sum(look.beta for look in LOOKS) == pytest.approx(0.05)


def test_six_quiet_pairs_end_an_unchanged_duet_and_call_nothing_changed() -> None:
    quiet = noisy(6)
    rows = compare_pairs(quiet)
    assert {each.verdict for each in rows if each.primary} == {Change.UNCHANGED}
    assert next_look(quiet, rows) == 6
    slow = noisy(6, factor=2.0)
    assert Change.REGRESSION not in {each.verdict for each in compare_pairs(slow)}
    assert next_look(slow, compare_pairs(slow)) == 10


def test_a_pair_that_was_left_out_does_not_count_towards_a_look() -> None:
    held = noisy(10, factor=1.3)
    spoilt = replace(held.pairs[3], head=block(doubts=(doubt(Trust.BROKEN),)))
    held = replace(held, pairs=(*held.pairs[:3], spoilt, *held.pairs[4:]))
    assert next_look(held, compare_pairs(held)) == 10
    measured_again = replace(held, pairs=(*held.pairs, held.pairs[0]))
    assert next_look(measured_again, compare_pairs(measured_again)) == 10
    assert judge_duet(measured_again).level is Level.FAIL


def test_a_duet_goes_on_while_more_pairs_can_still_outweigh_those_that_were_left_out() -> None:
    quiet, spoilt = noisy(6).pairs, pair(block(doubts=(doubt(Trust.BROKEN),)), block())
    held = duet(*quiet, *[spoilt] * 3)
    assert next_look(held, compare_pairs(held)) == 10
    assert not hopeless(held)
    assert hopeless(duet(*quiet, *[spoilt] * 6))


def test_a_decided_duet_stops_at_the_first_look() -> None:
    held = noisy(10, factor=1.3)
    assert next_look(held, compare_pairs(held)) == 10


def test_an_undecided_duet_goes_on_to_the_last_look_and_no_further() -> None:
    held = noisy(10, sd=0.2)
    assert next_look(held, compare_pairs(held)) == 16
    longer = noisy(16, sd=0.2)
    assert next_look(longer, compare_pairs(longer)) == 16


def test_too_few_pairs_can_call_nothing_changed() -> None:
    verdict = judge_duet(noisy(4, factor=2.0))
    assert verdict.level is Level.INCONCLUSIVE
    assert row_reason(row(verdict.comparisons, "p95")).startswith("all 4 pairs are at least 5 % worse; so few pairs agree by ")


def test_what_looks_worse_and_is_not_decided_is_suspicious_and_blocks_while_the_merely_open_does_not() -> None:
    cut_short, wide = judge_duet(noisy(4, factor=2.0)), judge_duet(noisy(16, sd=0.4))
    assert row(cut_short.comparisons, "p95").verdict is Change.SUSPICIOUS
    assert cut_short.exit_code(block_inconclusive="suspicious") == 3
    assert row(wide.comparisons, "p95").verdict is Change.INCONCLUSIVE
    assert wide.exit_code(block_inconclusive="suspicious") == 0


# Errors


def test_more_errors_in_every_block_fail() -> None:
    verdict = judge_duet(of_phases([with_errors(0)] * 10, [with_errors(30)] * 10))
    assert row(verdict.comparisons, "error_rate").verdict is Change.REGRESSION
    assert "percentage points higher than in the base build" in words(verdict.findings[0]).sentence


def test_a_burst_of_errors_in_one_block_does_not_fail() -> None:
    head = [with_errors(300), *[with_errors(0)] * 9]
    assert row(compare_pairs(of_phases([with_errors(0)] * 10, head)), "error_rate").verdict is not Change.REGRESSION


def test_rates_that_are_zero_on_both_sides_are_unchanged() -> None:
    found = row(compare_pairs(noisy()), "error_rate")
    assert (found.verdict, found.baseline, found.current) == (Change.UNCHANGED, 0.0, 0.0)
    assert found.change is None


def test_a_few_errors_more_are_not_worth_acting_on() -> None:
    n = 100_000
    found = compare_pairs(of_phases([with_errors(0, n=n)] * 10, [with_errors(60, n=n)] * 10))
    assert row(found, "error_rate").verdict is Change.UNCHANGED


def test_fewer_slow_answers_because_more_failed_are_no_improvement() -> None:
    head = [with_errors(60, times=0.8)] * 10
    verdict = judge_duet(of_phases([with_errors(0)] * 10, head))
    assert row(verdict.comparisons, "p95").verdict is Change.INCONCLUSIVE
    assert "more requests failed" in row_reason(row(verdict.comparisons, "p95"))
    assert verdict.level is Level.FAIL


def test_a_head_build_that_answers_nothing_well_fails() -> None:
    verdict = judge_duet(of_phases([summary()] * 10, [dead()] * 10))
    assert verdict.level is Level.FAIL
    assert row(verdict.comparisons, "error_rate").verdict is Change.REGRESSION
    assert "succeeded in 10 of 10 blocks" in row_reason(row(verdict.comparisons, "p95"))


def test_a_base_build_that_answers_nothing_well_is_no_yardstick() -> None:
    verdict = judge_duet(of_phases([dead()] * 10, [summary()] * 10))
    assert verdict.level is Level.BROKEN


# What cannot be compared


def test_a_metric_that_a_block_lacks_breaks_the_run() -> None:
    head = [*[summary()] * 9, summary(without=("p95",))]
    verdict = judge_duet(of_phases([summary()] * 10, head))
    assert verdict.level is Level.BROKEN
    assert "1 of 10 blocks of the head build" in row_reason(row(verdict.comparisons, "p95"))


def test_a_step_that_is_missing_in_the_head_build_breaks_the_run() -> None:
    less = [replace(held := summary(), steps=tuple(s for s in held.steps if s.step != "login")) for _ in range(10)]
    verdict = judge_duet(of_phases([summary()] * 10, less))
    assert row(verdict.comparisons, "p95", "login").verdict is Change.NOT_COMPARED
    assert verdict.level is Level.BROKEN


def test_too_few_requests_beyond_the_quantile_are_not_gated_and_that_is_said() -> None:
    few = summary(n=50)
    found = row(compare_pairs(of_phases([few] * 10, [few] * 10)), "p95")
    assert found.verdict is Change.NOT_COMPARED
    assert "only 500 successful responses, 600 are needed" in row_reason(found)


def test_a_step_may_have_its_thirty_slow_requests_in_ten_blocks_together() -> None:
    some = summary(n=60)
    assert row(compare_pairs(of_phases([some] * 10, [some] * 10)), "p95", "login").verdict is Change.UNCHANGED


def test_fewer_answers_than_the_base_build_had_cannot_hide_a_step() -> None:
    found = row(compare_pairs(of_phases([summary(n=400)] * 10, [summary(n=40)] * 10)), "p95")
    assert (found.verdict, found.level) == (Change.NOT_COMPARED, Level.INCONCLUSIVE)


def test_figures_that_never_vary_are_unchanged() -> None:
    verdict = judge_duet(of_phases([summary()] * 10, [summary()] * 10))
    assert verdict.level is Level.PASS


@pytest.mark.parametrize(("base", "head", "change"), [(0.999, 0.999, Change.UNCHANGED), (0.999, 0.9, Change.REGRESSION)])
def test_hit_rates_near_one_are_compared_as_odds_and_only_warn(base: float, head: float, change: Change) -> None:
    before, after = summary(changed={"hit_rate": base}), summary(changed={"hit_rate": head})
    verdict = judge_duet(of_phases([before] * 10, [after] * 10))
    assert row(verdict.comparisons, "hit_rate").verdict is change
    assert verdict.level <= Level.WARN


def test_a_hit_rate_of_one_has_a_finite_place() -> None:
    whole = summary(changed={"hit_rate": 1.0})
    assert row(compare_pairs(of_phases([whole] * 10, [whole] * 10)), "hit_rate").verdict is Change.UNCHANGED


def test_a_full_hit_rate_over_more_requests_is_no_higher_and_over_fewer_no_lower() -> None:
    few, many = summary(changed={"hit_rate": 1.0}, n=6_000), summary(changed={"hit_rate": 1.0}, n=12_000)
    for base, head in ((few, many), (many, few)):
        found = row(compare_pairs(of_phases([base] * 10, [head] * 10)), "hit_rate")
        assert (found.verdict, found.change) == (Change.UNCHANGED, 0.0)


# Trust


def test_no_pair_is_broken() -> None:
    assert judge_duet(duet()).level is Level.BROKEN


def test_one_untrusted_block_leaves_its_pair_out_and_is_said() -> None:
    good = [pair(block(), block())] * 9
    verdict = judge_duet(duet(*good, pair(block(), block(doubts=(doubt(Trust.BROKEN),)))))
    assert verdict.level is Level.WARN
    assert verdict.comparisons[0].pairs == 9
    assert "1 of 10 pairs of blocks could not be used (it was late)" in words(verdict.findings[0]).sentence


def test_many_untrusted_blocks_break_the_run() -> None:
    bad = pair(block(doubts=(doubt(Trust.BROKEN),)), block())
    assert judge_duet(duet(*[pair(block(), block())] * 7, *[bad] * 3)).level is Level.BROKEN


def test_a_caveat_of_a_block_warns_once() -> None:
    blurred = pair(block(), block(doubts=(doubt(Trust.CAVEAT),)))
    verdict = judge_duet(duet(*[blurred] * 10))
    assert verdict.level is Level.WARN
    assert sum(words(found).sentence == "it was late" for found in verdict.findings) == 1


def test_a_control_that_moves_beyond_the_margin_breaks_the_run() -> None:
    slower = pair(block(controlled=0.001), block(summary(times=1.3), controlled=0.0011))
    verdict = judge_duet(duet(*[slower] * 10))
    assert verdict.level is Level.BROKEN
    assert "the runner changed, not the service" in words(verdict.findings[0]).sentence


def test_a_control_that_keeps_still_lets_a_regression_count() -> None:
    slower = pair(block(controlled=0.001), block(summary(times=1.3), controlled=0.00102))
    assert judge_duet(duet(*[slower] * 10)).level is Level.FAIL


def test_a_control_that_swings_but_keeps_its_middle_warns() -> None:
    up = pair(block(controlled=0.001), block(controlled=0.0012))
    down = pair(block(controlled=0.0012), block(controlled=0.001))
    verdict = judge_duet(duet(*[up, down] * 5))
    assert [found.code for found in verdict.trust] == ["control-unsteady"]
    assert verdict.level is Level.WARN


@pytest.mark.slow
def test_a_control_that_only_swings_hardly_ever_breaks_a_duet() -> None:
    random = np.random.default_rng(5)
    moved = 0
    for _ in range(500):
        swings = np.exp(random.normal(0.0, 0.12, (10, 2))) * 0.001
        pairs = [pair(block(controlled=float(base)), block(controlled=float(head))) for base, head in swings]
        moved += "control-moved" in [found.code for found in duet_doubts(duet(*pairs), ())]
    # At most 4 of 1,000 by the interval alone: eight or more of 500 are seen with a probability of 1 in 1,000.
    assert moved < 8


def test_a_control_that_fell_silent_is_no_proof_of_calm() -> None:
    silent = pair(block(controlled=0.001), block())
    assert judge_duet(duet(*[silent] * 10)).level is Level.BROKEN


def test_the_control_is_asked_of_its_own_summary() -> None:
    assert control(0.001).measurements["p50"].value == 0.001


# Invariants


@pytest.mark.slow
@given(FACTORS)
def test_swapping_the_builds_swaps_regression_and_improvement(factors: list[float]) -> None:
    held = of_phases([summary(times=f) for f in factors[:10]], [summary(times=f) for f in factors[10:]])
    forth, back = compare_pairs(held), compare_pairs(swapped(held))

    def worse(rows: tuple[Comparison, ...]) -> set[tuple[str, str]]:
        # A primary row that is undecided and looks worse is suspicious, and has no counterpart on the other side. An advisory
        # one that is decided is suspicious, too, unless it is overwhelming.
        return {
            (r.step, r.metric)
            for r in rows
            if r.verdict is Change.REGRESSION or (r.verdict is Change.SUSPICIOUS and not r.primary)
        }

    assert worse(forth) == changes(back, Change.IMPROVEMENT)
    assert changes(forth, Change.IMPROVEMENT) == worse(back)
    for mine, theirs in zip(forth, back, strict=True):
        assert mine.worse == pytest.approx(-(theirs.worse or 0.0), abs=1e-12)


@pytest.mark.slow
@given(FACTORS, st.floats(1e-3, 1e3))
def test_scaling_all_times_changes_nothing_relative(factors: list[float], k: float) -> None:
    def scaled(unit: float) -> Duet:
        base, head = ([summary(times=f * unit) for f in half] for half in (factors[:10], factors[10:]))
        return of_phases(base, head)

    for mine, theirs in zip(compare_pairs(scaled(1.0)), compare_pairs(scaled(k)), strict=True):
        assert mine.verdict is theirs.verdict
        assert mine.change == pytest.approx(theirs.change, abs=1e-9)
        assert mine.p_adjusted == pytest.approx(theirs.p_adjusted)


@given(st.lists(st.floats(0.9, 1.1), min_size=20, max_size=20))
def test_what_is_called_unchanged_was_shown_to_lie_under_the_bound(factors: list[float]) -> None:
    """By hand: of the 55 means of two, 10 lie above the one-sided 95 % bound of ten pairs (P(W <= 10) = 43/1024)."""
    held = of_phases([summary(times=f) for f in factors[:10]], [summary(times=f) for f in factors[10:]])
    d = [math.log(head / base) for base, head in zip(factors[:10], factors[10:], strict=True)]
    means = sorted((a + b) / 2.0 for a, b in itertools.combinations_with_replacement(d, 2))
    for each in compare_pairs(held):
        if each.verdict is Change.UNCHANGED and METRICS[each.metric].quantile is not None:
            assert median(means) < math.log(1.05)
            assert means[-11] < math.log(1.1) + 1e-9


@given(st.sampled_from(["p50", "p95", "achieved_share"]), st.integers(0, 9), st.sampled_from(list(Side)))
def test_a_primary_figure_that_one_block_lacks_is_never_green(metric: str, place: int, side: Side) -> None:
    phases = {each: [summary() for _ in range(10)] for each in Side}
    phases[side][place] = summary(without=(metric,))
    assert judge_duet(of_phases(phases[Side.BASE], phases[Side.HEAD])).level is Level.BROKEN


@given(FACTORS, st.sampled_from(list(Level)))
def test_another_finding_never_improves_the_verdict(factors: list[float], level: Level) -> None:
    held = of_phases([summary(times=f) for f in factors[:10]], [summary(times=f) for f in factors[10:]])
    verdict = judge_duet(held)
    assert worst([*(found.level for found in verdict.findings), level]) >= verdict.level


@given(FACTORS)
def test_every_figure_is_finite_and_the_interval_holds_the_estimate(factors: list[float]) -> None:
    held = of_phases([summary(times=f) for f in factors[:10]], [summary(times=f) for f in factors[10:]])
    for each in compare_pairs(held):
        numbers = (each.baseline, each.current, each.worse, each.p, each.p_adjusted, each.noise, each.mde)
        assert all(value is None or math.isfinite(value) for value in numbers)
        if each.change is not None and each.change_low is not None and each.change_high is not None:
            assert each.change_low <= each.change <= each.change_high


@given(st.integers(1, 9))
def test_the_order_of_the_pairs_does_not_matter(seed: int) -> None:
    held = noisy(10, sd=0.03, seed=seed)
    turned = replace(held, pairs=held.pairs[::-1])
    for mine, theirs in zip(compare_pairs(held), compare_pairs(turned), strict=True):
        assert (mine.verdict, mine.p_adjusted) == (theirs.verdict, pytest.approx(theirs.p_adjusted))


def test_a_policy_may_name_its_own_primaries() -> None:
    held = replace(noisy(), policy=Policy(primary=(("all", "p99"),)))
    assert [(each.step, each.metric) for each in compare_pairs(held) if each.primary] == [("all", "p99")]


def test_two_phases_are_one_family_and_sentences_name_theirs() -> None:
    one, other = summary("calm"), summary("busy")
    slow = summary("busy", times=1.4)
    verdict = judge_duet(duet(*[pair(block(one, other), block(one, slow))] * 10))
    assert {each.phase for each in verdict.comparisons if each.verdict is Change.REGRESSION} == {"busy"}
    assert "in busy" in words(verdict.findings[0]).sentence


def test_the_other_side_of_a_side_is_the_other_one() -> None:
    assert [side.other for side in Side] == [Side.HEAD, Side.BASE]


@pytest.mark.parametrize("broken", [{"pairs": 0, "alpha": 0.1}, {"pairs": 3, "alpha": -0.1}, {"pairs": 3, "alpha": 1.0}])
def test_a_look_that_cannot_be_is_refused(broken: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="look"):
        Look(**broken)  # type: ignore[arg-type]


# The order of the builds


def carried_over(slower: float, *, factor: float = 1.0, sd: float = 0.005) -> Duet:
    """The head build is ``factor`` times as slow, and slower still where it comes second."""
    held = noisy(10, sd=sd, factor=factor, seed=5)
    order = drawn_order((10,), 10, 1)
    pairs = tuple(
        replace(one, first=first, head=block(_slower(one.head.phases[0], 1.0 + slower * (first is Side.BASE))))
        for one, first in zip(held.pairs, order, strict=True)
    )
    return replace(held, pairs=pairs, balance=(10, 6))


def _slower(phase: PhaseSummary, factor: float) -> PhaseSummary:
    def one(step: StepSummary) -> StepSummary:
        figures = {
            name: replace(each, value=each.value * factor, low=each.low * factor, high=each.high * factor)
            if METRICS[name].quantile is not None
            else each
            for name, each in step.measurements.items()
        }
        return replace(step, measurements=figures)

    return replace(phase, steps=tuple(one(step) for step in phase.steps))


def test_a_head_build_that_is_only_slower_where_it_comes_second_breaks_the_duet_and_fails_nothing() -> None:
    verdict = judge_duet(carried_over(0.15))
    assert verdict.level is Level.BROKEN
    (found,) = (each for each in verdict.trust if each.code == "order")
    assert "+15 % where the head build comes second but" in words(found).sentence
    assert Change.REGRESSION not in {each.verdict for each in verdict.comparisons}
    assert row(verdict.comparisons, "p95").verdict is Change.SUSPICIOUS
    assert "depends on the order of the builds" in row_reason(row(verdict.comparisons, "p95"))


def test_an_effect_of_the_order_under_the_margin_is_a_caveat() -> None:
    verdict = judge_duet(carried_over(0.03))
    assert [(each.code, each.trust) for each in verdict.trust] == [("order", Trust.CAVEAT)]
    assert verdict.level is Level.WARN


def test_a_build_that_is_slower_in_both_orders_fails_whatever_the_order_adds() -> None:
    verdict = judge_duet(carried_over(0.1, factor=1.2))
    assert verdict.level is Level.FAIL
    assert [(each.code, each.trust) for each in verdict.trust] == [("order", Trust.CAVEAT)]


def test_hardly_any_duet_without_an_effect_of_the_order_is_said_to_have_one() -> None:
    random = np.random.default_rng(8)
    drawn = random_orders(random, 600)[:, :10]
    found = [order_effects(random.normal(0.0, 0.1, (10, 4)), order, 1) for order in drawn]
    reported = [each is not None and bool((each.p <= ORDER_LEVEL).any()) for each in found]
    # 1 % of 600, and three sd of that.
    assert sum(reported) <= 13


def test_pairs_of_one_order_alone_say_nothing_about_the_order() -> None:
    assert order_effects(np.ones((10, 2)), np.ones(10), 1) is None
