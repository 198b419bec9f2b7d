"""Main's own history: where its level changed, and how far it has come from a release."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.analysis.runs import baselines, run, summary
from velro_gate.analysis.stored.drift import (
    LASTING,
    LEAST_RUNS,
    NEWEST,
    PENALTY,
    change_points,
    changes_of,
    deciding_rows,
    drift_from,
    recent_worsenings,
)
from velro_gate.analysis.verdict.drift_findings import drift_findings
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.record import NewLevel, Release, RunRecord
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import Level
from velro_gate.report.sentences.findings import words

POLICY = Policy()


def main(*times: float, **changed: object) -> list[RunRecord]:
    """Accepted runs of main with these response times, oldest first."""
    return [run(summary(times=factor, **changed), number=number) for number, factor in enumerate(times)]  # type: ignore[arg-type]


def wander(count: int, sd: float = 0.01, seed: int = 3) -> list[float]:
    return list(np.exp(np.random.default_rng(seed).normal(0.0, sd, count)))


SHIFTED = [*wander(15), *(1.2 * factor for factor in wander(6, seed=4))]


def best_segmentation(values: Sequence[float]) -> tuple[int, ...]:
    """Brute force: of all ways to cut the series into stretches of five or more, the one of least cost.

    Recipe: y / s with s = max(sqrt(median(D^2) / .9099), .005); cost of a stretch = sum |y - median|; 1.5 ln n for each cut.
    """
    y = np.asarray(values)
    y = y / max(math.sqrt(np.median(np.diff(y) ** 2) / 0.9099), 0.005)
    n = len(y)

    def cost(cuts: tuple[int, ...]) -> float:
        parts = np.split(y, cuts)
        if min(map(len, parts)) < 5:
            return math.inf
        return sum(float(np.abs(part - np.median(part)).sum()) for part in parts) + 1.5 * math.log(n) * len(cuts)

    every = (cuts for count in range(3) for cuts in itertools.combinations(range(1, n), count))
    return min(every, key=cost)


@pytest.mark.parametrize("seed", range(8))
def test_the_change_points_are_those_of_least_cost_among_all_segmentations(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    steps = np.repeat(drawn.choice([0.0, 0.05, 0.1], 3), 6)
    values = (drawn.normal(0.0, 0.01, 18) + steps).tolist()
    assert change_points(values) == best_segmentation(values)
    assert (PENALTY, LASTING, NEWEST) == (1.5, 5, 3)


def test_a_shift_is_dated_to_the_run_with_which_it_came() -> None:
    (point,) = changes_of(main(*SHIFTED), "steady", "all", "p95", POLICY)
    assert (point.index, point.run.id, point.worse, point.accepted) == (15, "run-15", True, False)
    assert point.change == pytest.approx(0.2, abs=0.02)


def test_two_odd_runs_are_no_new_level() -> None:
    times = wander(20)
    times[12:14] = [1.5, 1.6]
    assert changes_of(main(*times), "steady", "all", "p95", POLICY) == ()


def test_the_newest_level_need_not_have_lasted() -> None:
    (point,) = changes_of(main(*wander(20), 1.2, 1.21, 1.19), "steady", "all", "p95", POLICY)
    assert point.index == 20
    assert changes_of(main(*wander(20), 1.2), "steady", "all", "p95", POLICY) == ()


def test_a_short_history_has_no_change_points() -> None:
    assert change_points([0.0] * 5 + [1.0] * (LEAST_RUNS - 6)) == ()
    assert change_points([]) == ()


def test_a_constant_history_has_none_and_divides_by_nothing() -> None:
    assert change_points([1.0] * 30) == ()


def test_less_than_the_margin_is_not_worth_a_word() -> None:
    assert changes_of(main(*[1.0] * 15, *[1.03] * 15), "steady", "all", "p95", POLICY) == ()
    assert len(changes_of(main(*[1.0] * 15, *[1.06] * 15), "steady", "all", "p95", POLICY)) == 1


def test_less_throughput_is_a_change_for_the_worse_and_faster_times_are_none() -> None:
    lower = [run(summary(changed={"throughput": 100.0 if number < 12 else 80.0}), number=number) for number in range(20)]
    (point,) = changes_of(lower, "steady", "all", "throughput", POLICY)
    assert point.worse
    assert point.change == pytest.approx(-0.2)
    (faster,) = changes_of(main(*[1.0] * 12, *[0.8] * 8), "steady", "all", "p95", POLICY)
    assert not faster.worse


def test_a_full_hit_rate_over_more_requests_is_no_new_level() -> None:
    history = [run(summary(changed={"hit_rate": 1.0}, n=6_000 * (1 + number // 10)), number=number) for number in range(20)]
    assert changes_of(history, "steady", "all", "hit_rate", POLICY) == ()


def test_an_error_rate_and_a_figure_that_nobody_measured_have_no_levels() -> None:
    assert changes_of(main(*SHIFTED), "steady", "all", "error_rate", POLICY) == ()
    assert changes_of(main(*SHIFTED), "steady", "all", "hit_rate", POLICY) == ()
    assert changes_of(main(*SHIFTED), "no such phase", "all", "p95", POLICY) == ()


def accepted(history: Sequence[RunRecord], index: int) -> list[RunRecord]:
    levels = tuple(
        NewLevel(phase="steady", step=step, metric=m) for step in ("all", "login", "authorize") for m in ("p50", "p95")
    )
    return [replace(one, new_levels=levels) if i == index else one for i, one in enumerate(history)]


def test_an_accepted_change_is_marked_and_warns_of_nothing() -> None:
    history = accepted(main(*SHIFTED), 15)
    (point,) = changes_of(history, "steady", "all", "p95", POLICY)
    assert point.accepted
    assert recent_worsenings(history, deciding_rows(history, POLICY), POLICY) == ()
    assert recent_worsenings(main(*SHIFTED), deciding_rows(history, POLICY), POLICY) != ()


def test_an_old_change_warns_of_nothing_any_more() -> None:
    history = main(*wander(10), *(1.2 * factor for factor in wander(20, seed=5)))
    assert changes_of(history, "steady", "all", "p95", POLICY)
    assert recent_worsenings(history, deciding_rows(history, POLICY), POLICY) == ()


def test_the_verdict_warns_that_main_itself_became_worse() -> None:
    verdict = judge(run(summary(times=1.2), number=90), main(*SHIFTED))
    (finding,) = [found for found in verdict.findings if found.subject == "main"]
    assert finding.level is Level.WARN
    assert "p95 of all requests in steady +20 % since the run of 2025-01-01 (0000000)" in words(finding).sentence
    assert "baseline history" in words(finding).advice


def test_a_calm_main_is_not_mentioned() -> None:
    verdict = judge(run(summary(), number=90), baselines(20, sd=0.01))
    assert not [found for found in verdict.findings if found.subject == "main"]


def moved_by_the_margin(values: Sequence[float]) -> bool:
    """Whether a history shows a change that is worth a word."""
    ends = [0, *change_points(values), len(values)]
    middles = [np.median(values[a:b]) for a, b in itertools.pairwise(ends)]
    return any(abs(b - a) >= math.log1p(POLICY.margin) for a, b in itertools.pairwise(middles))


@pytest.mark.slow
@pytest.mark.parametrize("odd", [0.0, 0.05])
def test_few_histories_of_an_unchanged_build_show_a_change_odd_runs_among_them_or_not(odd: float) -> None:
    drawn = np.random.default_rng(11)
    noise = drawn.normal(0.0, 0.02, (100, 20))
    noise += np.where(drawn.random((100, 20)) < odd, drawn.uniform(0.06, 0.16, (100, 20)), 0.0)
    assert sum(moved_by_the_margin(list(values)) for values in noise) <= 2


@pytest.mark.slow
def test_a_step_of_ten_percent_is_mostly_seen_after_three_runs() -> None:
    drawn = np.random.default_rng(13)
    noise = drawn.normal(0.0, 0.02, (60, 30))
    noise[:, 27:] += 0.1
    assert sum(change_points(list(values))[-1:] == (27,) for values in noise) >= 48


def test_a_shift_of_three_sd_is_mostly_found_within_a_run_of_where_it_was() -> None:
    drawn = np.random.default_rng(12)
    noise = drawn.normal(0.0, 0.02, (60, 20))
    noise[:, 12:] += 0.06
    assert sum(any(abs(point - 12) <= 1 for point in change_points(list(values))) for values in noise) >= 42


# The pinned release


def creeping(count: int = 30, step: float = 0.004) -> list[RunRecord]:
    """Each run a little slower than the one before, so that no comparison with the last ones ever fails."""
    return main(*((1.0 + step) ** number for number in range(count)))


def test_what_creeps_is_seen_from_the_release() -> None:
    history = creeping()
    release = Release(name="v1", record=history[0])
    found = drift_from(release, history, deciding_rows(history, POLICY), POLICY)
    whole = next(one for one in found if (one.step, one.metric) == ("all", "p95"))
    # The median of the last ten of thirty lies between the 25th and the 26th.
    assert whole.change == pytest.approx(1.004**24.5 - 1.0)
    assert (whole.release, whole.k) == (pytest.approx(0.012), 10)
    assert "error_rate" not in {one.metric for one in found}


def test_the_warning_names_the_release_and_the_figures() -> None:
    history = creeping()
    (finding,) = drift_findings(history, Release(name="v1.2", record=history[0]), POLICY)
    assert finding.level is Level.WARN
    assert "the median of main's last 10 runs is worse than the pinned release v1.2" in words(finding).sentence
    assert "(12.0 ms -> 13.2 ms)" in words(finding).sentence


def test_a_release_as_fast_as_main_warns_of_nothing() -> None:
    history = baselines(20, sd=0.01)
    assert list(drift_findings(history, Release(name="v1", record=history[0]), POLICY)) == []


def test_main_that_is_faster_than_the_release_warns_of_nothing() -> None:
    history = creeping(step=-0.004)
    assert drift_from(Release(name="v1", record=history[0]), history, deciding_rows(history, POLICY), POLICY) == ()


def test_agreeing_to_every_step_does_not_hide_the_way_they_went() -> None:
    history = accepted(main(*[1.0] * 12, *[1.3] * 12), 12)
    release = Release(name="v1", record=history[0])
    assert drift_from(release, history, deciding_rows(history, POLICY), POLICY)


def test_more_errors_than_the_release_are_reported_in_points() -> None:
    history = [run(summary(failed=0 if number == 0 else 60), number=number) for number in range(12)]
    (finding,) = drift_findings(history, Release(name="v1", record=history[0]), POLICY)
    assert "error rate in steady +1" in words(finding).sentence
    assert "points" in words(finding).sentence


def test_a_release_alone_is_compared_with_nothing() -> None:
    (only,) = main(1.0)
    assert drift_from(Release(name="v1", record=only), [only], deciding_rows([only], POLICY), POLICY) == ()
    assert list(drift_findings([], Release(name="v1", record=only), POLICY)) == []


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.floats(0.8, 1.25), min_size=10, max_size=20), st.floats(0.1, 10.0))
def test_scaling_all_times_moves_no_change_point(times: list[float], factor: float) -> None:
    before = changes_of(main(*times), "steady", "all", "p95", POLICY)
    after = changes_of(main(*(factor * each for each in times)), "steady", "all", "p95", POLICY)
    assert [point.index for point in before] == [point.index for point in after]


@settings(max_examples=30)
@example([0.0] * 8 + [0.125] * 2)
@given(st.lists(st.floats(-0.2, 0.2), min_size=10, max_size=24))
def test_every_level_lasts_at_least_five_runs_and_the_newest_three(values: list[float]) -> None:
    lengths = [end - start for start, end in itertools.pairwise([0, *change_points(values), len(values)])]
    assert all(length >= 5 for length in lengths[:-1])
    assert lengths[-1] >= 3
