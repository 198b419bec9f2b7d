"""Jobs drawn from a bank of measured blocks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.banks import bank
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.recorded.bank_jobs import LEAST_CYCLES, drawn_pairs, effects_of, job_figures, job_verdict
from velro_gate.evaluation.results import Figure
from velro_gate.model.bank import Bank
from velro_gate.model.duet import LOOKS, Pair, Side, deciding
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Level

pytestmark = pytest.mark.slow


def drawn(held: Bank, seed: int = 1, *, count: int = 40) -> dict[tuple[str, str], Figure]:
    return {(figure.experiment, figure.what): figure for figure in job_figures(held, count, seed)}


@cache
def figures(*, sd: float = 0.01, hidden: float = 0.0) -> dict[tuple[str, str], Figure]:
    """Of the jobs that are drawn from such a bank: judging them takes seconds."""
    return drawn(bank(sd=sd, hidden=hidden))


def by_kind(kind: str, what: str, *, sd: float = 0.01, hidden: float = 0.0) -> Figure:
    found = figures(sd=sd, hidden=hidden)
    return next(figure for (name, counted), figure in found.items() if kind in name and counted == what)


def test_a_quiet_bank_reaches_all_its_figures() -> None:
    assert all(figure.reached is not False for figure in figures(sd=0.005).values())


def test_an_unchanged_block_that_is_slower_in_truth_is_no_reason_to_fail_since_either_may_be_the_base() -> None:
    # Which of both unchanged blocks is the base is drawn by lot, so a difference between them is noise like any other.
    assert by_kind("A/A", "false fails", hidden=0.30).hits <= 1


def test_a_bank_too_noisy_to_see_20_percent_misses_the_figure() -> None:
    figure = by_kind("+20 %", "found", sd=0.3)
    assert figure.reached is False
    assert by_kind("+20 %", "inconclusive", sd=0.3).hits > 0


def test_10_percent_stands_next_to_its_forecast_and_has_no_target() -> None:
    figure = by_kind("+10 %", "found", sd=0.005)
    assert figure.target is None
    assert figure.forecast is not None
    assert figure.forecast > 0.99
    assert figure.rate > 0.99


def test_the_naive_rules_stand_next_to_and_the_one_on_requests_is_wrong_far_more_often() -> None:
    figure = by_kind("A/A", "false fails", sd=0.05)
    assert set(figure.naive) == {naive_rules.PREVIOUS, naive_rules.RAW}
    assert figure.naive[naive_rules.RAW] > 0.2
    assert figure.hits == 0


def test_equal_seeds_draw_equal_jobs() -> None:
    assert drawn(bank(sd=0.05), count=8) == drawn(bank(sd=0.05), count=8)


def test_a_bank_of_too_few_cycles_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        list(job_figures(bank(LEAST_CYCLES - 1), 10, 1))


def test_half_a_cycle_counts_for_nothing() -> None:
    held = bank(3)
    cut = Bank(head=held.head, blocks=held.blocks[:-1])
    assert len(cut.cycles) == 2
    assert Bank(head=held.head).cycles == ()


def test_what_a_slowdown_did_is_measured_against_the_unchanged_blocks() -> None:
    found = {(row.metric.name, row.step): change for row, change in effects_of(bank(sd=0.001), 0.10).items()}
    assert found["p95", "all"] == pytest.approx(0.10, abs=0.005)
    assert found["achieved_share", "all"] == pytest.approx(0.0, abs=1e-9)


@given(seed=st.integers(0, 2**31), slowdown=st.sampled_from((0.0, 0.1, 0.2)))
def test_no_cycle_serves_a_job_twice_and_both_blocks_of_a_pair_are_of_one_cycle(seed: int, slowdown: float) -> None:
    pairs = drawn_pairs(bank(20).cycles, slowdown, np.random.default_rng(seed))
    assert len({base.cycle for base, _ in pairs}) == len(pairs) == LEAST_CYCLES
    for base, head in pairs:
        assert base.cycle == head.cycle
        assert base is not head
        assert (base.slowdown, head.slowdown) == (0.0, slowdown)


def test_a_job_that_is_decided_at_the_first_look_that_may_fail_it_needs_no_further_pairs() -> None:
    pairs = [
        Pair(base=base.block, head=head.block, first=Side.BASE)
        for base, head in drawn_pairs(bank(sd=0.005).cycles, 0.2, np.random.default_rng(1))
    ]
    verdict = job_verdict(pairs, ("login", "authorize"), Policy(), 1)
    assert verdict.level is Level.FAIL
    assert {row.pairs for row in verdict.comparisons if row.primary} == {deciding(LOOKS)[0].pairs}
