"""Which rows are compared, and the price of many."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.analysis.phases import counts
from tests.analysis.runs import STEPS, baselines, run, summary, with_counts
from velro_gate.analysis.rows.family import beyond, choose_rows, confirm_level, false_discovery, holm, typical_count
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.scenario import Policy

P = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6)


def many_steps(record: RunRecord, n: dict[str, int]) -> RunRecord:
    """The run with these steps, each with so many successful responses."""
    from dataclasses import replace

    from tests.analysis.runs import FIGURES, figures

    def phase(held: PhaseSummary) -> PhaseSummary:
        steps = [StepSummary(step=s, counts=counts(ok=c), measurements=figures(FIGURES, c)) for s, c in n.items()]
        return replace(held, steps=(held.steps[0], *steps))

    return replace(record, plan=replace(record.plan, steps=tuple(n)), phases=tuple(phase(held) for held in record.phases))


def primaries(candidate: RunRecord, before: list[RunRecord], policy: Policy | None = None) -> list[tuple[str, str]]:
    rows = choose_rows(candidate, before, policy or Policy())
    return [(row.step, row.metric.name) for row in rows if row.primary]


def test_by_default_the_whole_phase_and_the_p95_of_its_steps_may_fail_a_run() -> None:
    assert primaries(run(), baselines(5)) == [
        ("all", "p50"),
        ("all", "p95"),
        ("all", "error_rate"),
        ("all", "achieved_share"),
        ("login", "p95"),
        ("authorize", "p95"),
    ]


def test_at_most_four_steps_are_primary_the_most_frequent_in_the_order_of_the_scenario() -> None:
    n = {"a": 9000, "b": 2500, "c": 8000, "d": 2400, "e": 7000, "f": 6000}
    chosen = primaries(many_steps(run(), n), [many_steps(each, n) for each in baselines(5)])
    assert [step for step, metric in chosen if step != "all"] == ["a", "c", "e", "f"]
    assert len(chosen) == 8


def test_a_step_with_fewer_than_thirty_requests_beyond_its_quantile_is_not_primary() -> None:
    n = {"a": 600, "b": 599}
    chosen = primaries(many_steps(run(), n), [many_steps(each, n) for each in baselines(5)])
    assert ("a", "p95") in chosen
    assert ("b", "p95") not in chosen


def test_a_candidate_with_few_answers_cannot_choose_itself_out_of_the_test() -> None:
    usual, starved = {"a": 5000, "b": 5000}, {"a": 5000, "b": 100}
    chosen = primaries(many_steps(run(), starved), [many_steps(each, usual) for each in baselines(5)])
    assert ("b", "p95") in chosen


def test_a_scenario_of_one_step_is_not_counted_twice() -> None:
    n = {"a": 5000}
    rows = choose_rows(many_steps(run(), n), [many_steps(each, n) for each in baselines(5)], Policy())
    assert {row.step for row in rows} == {"all"}


def test_a_closed_loop_is_held_to_its_throughput() -> None:
    from dataclasses import replace

    closed = run(replace(summary(), offered_rate=None))
    assert ("all", "throughput") in primaries(closed, baselines(5))


def test_every_phase_has_its_own_rows() -> None:
    candidate = run(summary("calm"), summary("storm"))
    rows = choose_rows(candidate, [candidate], Policy())
    assert [row.phase for row in rows if row.primary] == ["calm"] * 6 + ["storm"] * 6


def test_the_scenario_decides_when_it_names_its_primaries() -> None:
    policy = Policy(primary=(("authorize", "p99"),))
    rows = choose_rows(run(), baselines(5), policy)
    assert [(row.step, row.metric.name, row.named) for row in rows if row.primary] == [("authorize", "p99", True)]
    assert ("all", "p95") in [(row.step, row.metric.name) for row in rows if not row.primary]


def test_no_row_is_there_twice() -> None:
    rows = choose_rows(run(summary(failed=5)), baselines(5), Policy())
    keys = [(row.phase, row.step, row.metric.name) for row in rows]
    assert len(keys) == len(set(keys))


def test_the_p95_with_failures_is_compared_only_where_something_failed() -> None:
    held = {"p95_all": 0.012}
    gc_pause = choose_rows(run(summary(changed=held)), baselines(5, changed=held), Policy())
    failing = choose_rows(run(summary(changed=held, failed=3)), baselines(5, changed=held), Policy())
    assert "p95_all" not in {row.metric.name for row in gc_pause}
    assert {row.step for row in failing if row.metric.name == "p95_all"} == {"all", *STEPS}


def test_a_figure_that_only_the_baselines_have_is_still_a_row() -> None:
    rows = choose_rows(run(), baselines(5, changed={"rss": 2.0**28}), Policy())
    assert "rss" in {row.metric.name for row in rows}


def test_two_thousand_requests_have_a_hundred_beyond_their_p95() -> None:
    assert beyond(2000, 0.95) == 100.0


def test_a_phase_without_the_figure_counts_as_nothing() -> None:
    phases = [summary(without=("p95",)), summary(n=100), summary(n=100)]
    assert typical_count(phases, "all", "p95") == 100
    assert typical_count([], "all", "p95") == 0


def holm_by_closed_testing(p: list[float]) -> list[float]:
    """Holm's procedure is the closed test of Bonferroni: H_i goes at the largest Bonferroni p of the sets that hold it."""
    indices = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(indices, size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in indices]


@given(P)
def test_holm_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    assert holm(p) == pytest.approx(holm_by_closed_testing(p))


def test_holm_by_hand() -> None:
    # Sorted: .01 x 4, .02 x 3, .03 x 2, .5 x 1, each at least its predecessor.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx((0.06, 0.04, 0.5, 0.06))


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == ()


@given(P)
def test_holm_never_lowers_a_p_and_never_leaves_one(p: list[float]) -> None:
    assert all(before <= after <= 1.0 for before, after in zip(p, holm(p), strict=True))


@given(P)
def test_the_false_discovery_rates_are_those_of_scipy(p: list[float]) -> None:
    assert false_discovery(p) == pytest.approx(tuple(stats.false_discovery_control(p)) if p else ())


def test_the_false_discovery_rates_by_hand() -> None:
    # Sorted: .01 x 4/1, .02 x 4/2, .03 x 4/3, .5 x 4/4, each at most its successor.
    assert false_discovery([0.03, 0.01, 0.5, 0.02]) == pytest.approx((0.04, 0.04, 0.5, 0.04))


@pytest.mark.parametrize(("family", "level"), [(0, 0.01), (1, 0.01), (8, 0.01 / 8), (48, 0.01 / 48)])
def test_all_primary_rows_of_a_run_share_its_error_rate(family: int, level: float) -> None:
    assert confirm_level(Policy(), family, second_job=True) == pytest.approx(level)
    assert confirm_level(Policy(), family) == pytest.approx(level / 2)


def test_another_books_keeping_does_not_change_what_is_primary() -> None:
    assert primaries(with_counts(run(), "login", counts(ok=10)), baselines(5)) == primaries(run(), baselines(5))
