"""The order of the builds in each pair, and the test over the orders that might have been drawn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.analysis.duet.looks import look_by_look, random_orders
from velro_gate.analysis.duet.pair_order import all_orders, balance_of, drawn_order, orders_of
from velro_gate.analysis.statistics.paired import Conclusion, paired
from velro_gate.analysis.statistics.sign_flip import family_p
from velro_gate.model.duet import LOOKS, Look, Side, deciding, one_look

BALANCE = balance_of(LOOKS)


def test_both_orders_come_equally_often_before_each_look_that_may_fail_a_run() -> None:
    assert BALANCE == (10, 6)
    for seed in range(20):
        order = drawn_order(BALANCE, 16, seed)
        assert [order[: look.pairs].count(Side.BASE) for look in deciding(LOOKS)] == [5, 8]
    assert len({drawn_order(BALANCE, 16, seed) for seed in range(20)}) > 15
    assert drawn_order(BALANCE, 16, 3) == drawn_order(BALANCE, 16, 3)


def test_so_few_pairs_that_balanced_orders_could_decide_nothing_are_drawn_one_by_one() -> None:
    # 35 x 2 balanced orders of 7 pairs cannot reach 1 %, 2^7 sign vectors can.
    assert balance_of([one_look(7)]) == ()
    assert balance_of([one_look(9)]) == (9,)
    assert len({drawn_order((), 7, seed).count(Side.BASE) for seed in range(40)}) > 3


def test_the_orders_are_counted_each_once_for_each_way_to_draw_it() -> None:
    every = all_orders(BALANCE)
    assert every is not None
    assert every.shape == (math.comb(10, 5) * math.comb(6, 3), 16)
    odd = all_orders((9,))
    assert odd is not None
    assert odd.shape == (2 * math.comb(9, 4), 9)
    assert (every[:, :10].sum(axis=1) == 0.0).all()
    assert all_orders((30,)) is None


@given(st.lists(st.floats(-5.0, 5.0).map(lambda x: round(x, 3)), min_size=10, max_size=10), st.integers(0, 1000))
def test_the_p_value_counts_the_balanced_orders_that_move_the_figure_as_far(d: list[float], seed: int) -> None:
    order = drawn_order((10,), 10, seed)
    first = [1.0 if side is Side.BASE else -1.0 for side in order]
    second_less_first = [sign * x for sign, x in zip(first, d, strict=True)]
    sums = []
    for places in itertools.combinations(range(10), 5):
        sums.append(sum(x if i in places else -x for i, x in enumerate(second_less_first)))
    size = math.sqrt(10 * sum(x * x for x in d)) or 1.0
    expected = sum((one - sum(d)) / size >= -1e-9 for one in sums) / len(sums)
    grew, _ = family_p(np.array(d)[:, None], 1, orders_of(order, (10,), seed))
    assert grew[0] == pytest.approx(expected)


@pytest.mark.slow
def test_the_test_is_exact_under_noise_that_only_the_drawing_of_orders_guards_against() -> None:
    """A disturbance with the period of two pairs: within balanced twos it would pass for a change in 3 %."""
    random = np.random.default_rng(2)
    second_less_first = np.tile([0.2, -0.2], 8)[None, :, None] + random.normal(0.0, 0.002, (4000, 16, 1))
    drawn = random_orders(random, 4000)
    ended = look_by_look(second_less_first * drawn[..., None], drawn)
    assert ended.failed.mean() <= 0.01


@pytest.mark.slow
def test_the_place_in_the_pair_costs_no_power() -> None:
    """Whatever comes second is 2 % slower."""
    random = np.random.default_rng(3)
    drawn = random_orders(random, 200)
    d = random.normal(0.0, 0.03, (200, 16, 8)) + 0.02 * drawn[..., None]
    d[:, :, 1] += math.log(1.10)
    ended = look_by_look(d, drawn)
    assert (ended.outcomes[:, 1] == Conclusion.REGRESSION).mean() > 0.9


def test_orders_that_were_not_drawn_balanced_are_judged_as_drawn_one_by_one() -> None:
    d = np.random.default_rng(4).normal(0.3, 1.0, (10, 2))
    plain = family_p(d, 1)
    for first, balance in (([Side.BASE] * 10, (10, 6)), ([Side.BASE, Side.HEAD] * 5, ()), ([Side.BASE] * 10, ())):
        assert np.array_equal(family_p(d, 1, orders_of(first, balance, 1)), plain)


def test_exchanging_the_builds_exchanges_the_two_sides_of_the_test() -> None:
    d = np.random.default_rng(5).normal(0.3, 1.0, (10, 3))
    order = drawn_order((10,), 10, 7)
    grew, shrank = family_p(d, 1, orders_of(order, (10,), 7))
    swapped = family_p(-d, 1, orders_of([side.other for side in order], (10,), 7))
    assert (list(swapped[0]), list(swapped[1])) == (list(shrank), list(grew))


def test_many_jobs_at_once_are_each_job_alone() -> None:
    random = np.random.default_rng(6)
    drawn = random_orders(random, 5)
    d = random.normal(0.02, 0.03, (5, 16, 3))
    together = look_by_look(d, drawn)
    for job in range(5):
        assert (look_by_look(d[job : job + 1], drawn[job : job + 1]).outcomes[0] == together.outcomes[job]).all()


def test_the_estimate_of_each_order_is_that_of_its_pairs_alone() -> None:
    order = (Side.BASE, Side.HEAD, Side.HEAD, Side.BASE)
    d = np.array([[0.1], [0.5], [0.7], [0.3]])
    found = paired(d, 1, orders_of(order, (4,), 1))
    assert (found.head_second[0], found.head_first[0]) == pytest.approx((0.2, 0.6))
    assert np.isnan(paired(d, 1).head_first).all()


def test_a_long_duet_counts_a_sample_of_its_orders_and_its_own_among_them() -> None:
    order = drawn_order((40,), 40, 1)
    found = orders_of(order, (40,), 1)
    assert (found.possible[0] == found.drawn).all()
    grew, _ = family_p(np.full((40, 1), 0.3) + np.linspace(0.0, 0.01, 40)[:, None], 1, found)
    assert grew[0] == pytest.approx(1.0 / len(found.possible))


def test_a_balance_needs_a_look_that_may_call_something_changed() -> None:
    assert balance_of([Look(pairs=6, alpha=0.0, beta=0.01)]) == ()
