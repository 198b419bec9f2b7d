"""The decision on series."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from velro_gate.analysis.rows.noise import noise_of
from velro_gate.analysis.rows.shifts import scaled_shift
from velro_gate.analysis.stored.confirmation import confirms
from velro_gate.analysis.stored.rules import levels
from velro_gate.arrays import Floats
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.recorded.replay import POLICY, FurtherRuns, Replayed, flagged, replay_figures, replayed
from velro_gate.evaluation.recorded.series import Commit, Labelled, RecordedSeries, SeriesFound
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate


def series(values: Sequence[float], metric: str = "p95", *, raw: tuple[Floats, ...] = ()) -> RecordedSeries:
    return RecordedSeries(
        source="made up", name="x", figures=("all",), metrics=(metric,), values=np.array(values)[:, None, None], raw=raw
    )


def steady(count: int, seed: int = 1) -> list[float]:
    return list(0.02 * np.exp(np.random.default_rng(seed).normal(0.0, 0.01, count)))


def later(one: RecordedSeries) -> Replayed:
    (found,) = replayed(one, FurtherRuns.LATER_JOBS)
    return found


def test_a_steady_series_never_fails() -> None:
    found = later(series(steady(40)))
    assert len(found.failed) == 39
    assert not found.failed.any()


def test_a_lasting_step_fails_once_and_then_is_the_new_level() -> None:
    values = [v if i < 30 else v * 1.3 for i, v in enumerate(steady(50))]
    assert (1 + np.flatnonzero(later(series(values)).failed)).tolist() == [30]


def test_a_single_odd_run_is_measured_again_and_neither_fails_nor_blocks() -> None:
    values = steady(40)
    values[30] = 0.04
    found = later(series(values))
    assert found.again[29]
    assert found.over_previous[29]
    assert not found.failed.any()
    assert not found.blocked[29]


def test_a_step_in_the_last_run_has_nothing_to_be_confirmed_by_and_blocks() -> None:
    values = steady(40)
    values[39] = 0.04
    found = later(series(values))
    assert (found.again[-1], found.failed[-1], found.blocked[-1]) == (True, False, True)


def test_a_falling_rate_is_worse_and_a_falling_time_is_not() -> None:
    values = [v if i < 30 else v * 0.7 for i, v in enumerate(steady(50))]
    assert later(series(values, "throughput")).failed.any()
    assert not later(series(values, "p50")).failed.any()


def test_runs_without_a_figure_are_left_out() -> None:
    values = steady(40)
    values[10:20] = [math.nan] * 10
    assert len(later(series(values)).failed) == 29


def test_a_change_put_into_a_figure_is_found_the_surer_the_larger_it_is() -> None:
    found = later(series(steady(60))).found
    shares = [found[worse][20:].mean() for worse in (0.05, 0.10, 0.20)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


def test_an_odd_job_fails_by_further_runs_of_its_own_and_not_by_those_of_later_jobs() -> None:
    random = np.random.default_rng(4)
    values = 0.02 * np.exp(random.normal(0.0, 0.01, (40, 3, 1))) * [[[1.0], [1.4], [2.0]]]
    values[30] *= 1.5
    one = RecordedSeries(source="x", name="x", figures=("all",), metrics=("p95",), values=values, arms=("a", "b", "c"))
    assert [int(each.failed.sum()) for each in replayed(one, FurtherRuns.SAME_JOB)] == [1, 1, 1]
    assert [int(each.failed.sum()) for each in replayed(one, FurtherRuns.LATER_JOBS)] == [0, 0, 0]


def test_one_arm_has_no_further_runs_of_the_same_job() -> None:
    assert list(replayed(series(steady(40)), FurtherRuns.SAME_JOB)) == []


def test_few_baselines_fail_nothing_when_the_noise_is_unknown() -> None:
    values = [v if i < 30 else v * 1.6 for i, v in enumerate(steady(50))]
    (found,) = replayed(series(values), FurtherRuns.LATER_JOBS, kept=4)
    assert not found.failed.any()


def test_the_arrays_say_what_judging_run_by_run_says() -> None:
    random = np.random.default_rng(5)
    values = list(0.02 * np.exp(random.normal(0.0, 0.03, 120)))
    values[60:] = [value * 1.2 for value in values[60:]]
    metric, epoch, failed = METRICS["p95"], 0, []
    for i in range(1, len(values)):

        def move(*runs: float) -> float:
            known, past = ([Estimate.exact(v, n=10_000) for v in part] for part in (values[epoch:i], values[:i]))  # noqa: B023
            shift = scaled_shift([Estimate.exact(v, n=10_000) for v in runs], known, metric, POLICY, history=past)
            assert shift is not None
            return shift.p

        noise = noise_of([math.log(v) for v in values[epoch:i]], metric, POLICY, history=[math.log(v) for v in values[:i]])
        runs = values[i : i + 3]
        few = noise.k < 5 and not noise.known
        least = math.log1p(0.05)
        looks = move(values[i]) <= POLICY.screen_alpha and math.log(values[i]) - noise.level >= least
        level = float(levels(np.zeros((1, 1)), POLICY, second_job=True)[0, 0])
        moves = [math.log(v) - noise.level for v in runs]
        if not few and looks and len(runs) == 3 and confirms(move(*runs), moves, least, level):
            failed.append(i)
            epoch = i
    assert (1 + np.flatnonzero(later(series(values)).failed)).tolist() == failed
    assert failed


def test_raw_times_feed_the_naive_test() -> None:
    random = np.random.default_rng(2)
    raw = tuple(random.normal(0.0, 1.0, 500) + shift for shift in (0.0, 1.0))
    found = later(series([1.0, 1.0], "p50", raw=raw))
    assert found.raw is not None
    assert found.raw.tolist() == [True]


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="jobs, arms, figures"):
        RecordedSeries(source="x", name="x", figures=("a",), metrics=("p50",), values=np.zeros((3, 1)))
    with pytest.raises(ValueError, match="kinds"):
        RecordedSeries(source="x", name="x", figures=("a",), metrics=(), values=np.zeros((3, 1, 1)))


def labelled(jump: float) -> Labelled:
    random = np.random.default_rng(3)
    commits = [
        Commit(
            number=i, ratios=tuple(np.exp(random.normal(jump if i >= 15 else 0.0, 0.004, 3))), label="definite up" * (i == 15)
        )
        for i in range(20)
    ]
    return Labelled(name="inserts", commits=tuple(commits))


@pytest.mark.parametrize(("jump", "direction"), [(0.05, "up"), (-0.05, "down")])
def test_a_labelled_jump_is_seen_with_its_direction(jump: float, direction: str) -> None:
    seen = {commit.number: found for commit, found in flagged(labelled(jump))}
    assert seen[15] == (direction, True)
    assert not any(certain for number, (_, certain) in seen.items() if number != 15)


def test_figures_hold_what_is_there_and_the_naive_rules() -> None:
    found = SeriesFound(series=[series(steady(20))], labelled=[labelled(0.05)])
    figures = list(replay_figures(found))
    assert figures[0].count == 19
    assert set(figures[0].naive) == {naive_rules.PREVIOUS}
    whats = {figure.what for figure in figures}
    assert {"false fails", "blocked (exit code 3)", "inconclusive", "found +10% of one figure"} <= whats
    jumps = next(figure for figure in figures if "definite" in figure.what)
    assert (jumps.hits, jumps.count, jumps.reached) == (1, 1, True)


def test_a_jump_in_the_wrong_direction_is_missed() -> None:
    jumps = next(f for f in replay_figures(SeriesFound(labelled=[labelled(-0.05)])) if "definite" in f.what)
    assert (jumps.hits, jumps.reached) == (0, False)


def test_no_series_are_no_figures() -> None:
    assert list(replay_figures(SeriesFound())) == []
