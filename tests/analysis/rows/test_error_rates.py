"""Error rates against pooled baselines, checked against enumeration and published examples."""

from __future__ import annotations

import math
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.analysis.phases import counts
from velro_gate.analysis.rows.error_rates import asked_and_failed, dispersion, error_shift, fisher, newcombe
from velro_gate.analysis.rows.shifts import Shift
from velro_gate.model.record import Counts
from velro_gate.model.scenario import Policy

ASKED = st.integers(1, 400)


def shift(current: Counts, before: list[Counts]) -> Shift:
    found = error_shift([current], before, Policy())
    assert found is not None
    return found


def fisher_by_enumeration(e: int, n: int, base_e: int, base_n: int) -> float:
    """The share of all ways to lay the errors that give the candidate at least as many."""
    errors, total = e + base_e, n + base_n
    ways = sum(comb(n, i) * comb(base_n, errors - i) for i in range(e, min(n, errors) + 1) if errors - i <= base_n)
    return ways / comb(total, errors)


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_the_exact_test_counts_all_the_ways(n: int, base_n: int, data: st.DataObject) -> None:
    e, base_e = data.draw(st.integers(0, n)), data.draw(st.integers(0, base_n))
    assert fisher((e, n), (base_e, base_n)) == pytest.approx(fisher_by_enumeration(e, n, base_e, base_n))


def test_the_exact_test_is_fishers_of_scipy() -> None:
    expected = stats.fisher_exact([[30, 970], [120, 9880]], alternative="greater").pvalue
    assert fisher((30, 1000), (120, 10_000)) == pytest.approx(expected)


def test_newcombes_own_example() -> None:
    """Newcombe (1998), method 10, 56/70 against 48/80: .0524 to .3339."""
    assert newcombe((56, 70), (48, 80), 1.959964) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_newcombes_example_of_zero_events() -> None:
    """Newcombe (1998), method 10, 9/10 against 3/10: .1705 to .8090."""
    assert newcombe((9, 10), (3, 10), 1.959964) == pytest.approx((0.1705, 0.8090), abs=5e-5)


def test_blocked_arrivals_are_errors_and_cancelled_ones_are_nothing() -> None:
    assert asked_and_failed(counts(ok=90, failed=6, blocked=4, cancelled=7)) == (100, 10)


def test_errors_that_vary_like_a_coin_are_not_dispersed() -> None:
    assert dispersion([(1000, 10), (1000, 10), (1000, 10)]) == 1.0


def test_the_dispersion_by_hand() -> None:
    # Shares .00, .02, .04 around .02 of 100 each: sum of (e - 2)^2 / (100 x .02 x .98) = 8 / 1.96, over K - 1 = 2.
    assert dispersion([(100, 0), (100, 2), (100, 4)]) == pytest.approx(8 / 1.96 / 2)


@pytest.mark.parametrize("pairs", [[(100, 5)], [(100, 0), (100, 0)], [(10, 10), (10, 10)]])
def test_without_variation_to_see_there_is_no_dispersion(pairs: list[tuple[int, int]]) -> None:
    assert dispersion(pairs) == 1.0


def test_no_errors_in_both_are_unchanged() -> None:
    found = shift(counts(), [counts()] * 5)
    assert (found.worse, found.p, found.p_better) == (0.0, 1.0, 1.0)
    assert found.upper < found.bound
    assert found.change is None


def test_errors_where_there_were_none_are_significant() -> None:
    found = shift(counts(ok=5900, failed=100), [counts()] * 5)
    assert found.p < 1e-12
    assert found.worse == pytest.approx(100 / 6000)
    assert found.worse > found.least
    assert found.change is None


def test_a_few_more_errors_are_not_worth_acting_on() -> None:
    found = shift(counts(ok=99_950, failed=50), [counts(ok=100_000)] * 5)
    assert found.p < 0.001
    assert found.worse < found.least == pytest.approx(0.001)


def test_baselines_that_fail_in_bursts_make_a_burst_less_surprising() -> None:
    even = shift(counts(ok=5900, failed=100), [counts(ok=5960, failed=40)] * 6)
    bursts = shift(counts(ok=5900, failed=100), [counts(ok=6000), counts(ok=5920, failed=80)] * 3)
    assert even.baseline == bursts.baseline
    assert even.p < 0.001 < bursts.p


def test_only_the_last_ten_baselines_are_pooled() -> None:
    found = shift(counts(), [counts(ok=3000, failed=3000)] * 20 + [counts()] * 10)
    assert found.baseline == 0.0
    assert found.k == 10


def test_few_baselines_ask_for_a_larger_rise() -> None:
    assert shift(counts(), [counts()]).least == pytest.approx(0.005)
    assert shift(counts(), [counts()] * 3).least == pytest.approx(0.003)
    assert shift(counts(), [counts()] * 5).least == pytest.approx(0.001)


def test_nothing_asked_is_no_error_rate() -> None:
    assert error_shift([counts(ok=0)], [counts()], Policy()) is None
    assert error_shift([counts()], [counts(ok=0)], Policy()) is None
    assert error_shift([counts()], [], Policy()) is None


def test_a_million_requests_are_no_harder_than_a_thousand() -> None:
    found = shift(counts(ok=999_000, failed=1000), [counts(ok=999_500, failed=500)] * 10)
    assert 0.0 <= found.p < 1e-9
    assert found.change == pytest.approx(1.0)


@given(ASKED, ASKED, st.data())
def test_swapping_mirrors_the_errors_too(n: int, base_n: int, data: st.DataObject) -> None:
    mine = counts(ok=n, failed=data.draw(st.integers(0, 50)))
    theirs = counts(ok=base_n, failed=data.draw(st.integers(0, 50)))
    forth, back = shift(mine, [theirs]), shift(theirs, [mine])
    assert forth.worse == pytest.approx(-back.worse)
    assert forth.p == pytest.approx(back.p_better)


@given(ASKED, st.integers(0, 200), st.integers(0, 200))
def test_more_errors_are_never_less_suspicious(ok: int, one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    n = ok + more
    before = [counts(ok=500, failed=5)] * 3
    assert shift(counts(ok=ok, failed=more), before).p <= shift(counts(ok=n - fewer, failed=fewer), before).p + 1e-12


@given(ASKED, st.integers(0, 100), st.lists(st.tuples(ASKED, st.integers(0, 100)), min_size=1, max_size=12))
def test_every_figure_is_finite_and_the_interval_holds_the_difference(
    ok: int, failed: int, before: list[tuple[int, int]]
) -> None:
    found = shift(counts(ok=ok, failed=failed), [counts(ok=o, failed=f) for o, f in before])
    assert all(map(math.isfinite, (found.worse, found.upper, found.p, found.noise, found.error)))
    assert found.upper >= found.worse - 1e-12
    if found.change is not None:
        assert found.change_low is not None
        assert found.change_high is not None
        assert found.change_low <= found.change + 1e-9
        assert found.change <= found.change_high + 1e-9
