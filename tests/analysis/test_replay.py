"""The decision on series."""

from __future__ import annotations

import numpy as np
import pytest

from velro_gate.analysis import naive
from velro_gate.analysis.replay import flagged, replay_figures, replayed
from velro_gate.analysis.series import Commit, Group, Labelled, Line, SeriesFound


def group(values: list[float | None], metric: str = "p95") -> Group:
    return Group(name="x", lines=(Line(name="all", metric=metric, values=tuple(values)),))


def steady(count: int, seed: int = 1) -> list[float | None]:
    return list(0.02 * np.exp(np.random.default_rng(seed).normal(0.0, 0.01, count)))


def test_a_steady_series_never_fails() -> None:
    judged = list(replayed(group(steady(40))))
    assert len(judged) == 39
    assert not any(each.failed for each in judged)


def test_a_lasting_step_fails_once_and_then_is_the_new_level() -> None:
    values = [v if i < 30 or v is None else v * 1.3 for i, v in enumerate(steady(50))]
    assert [i for i, each in enumerate(replayed(group(values)), 1) if each.failed] == [30]


def test_a_single_odd_run_is_suspicious_and_fails_nothing() -> None:
    values = steady(40)
    values[30] = 0.04
    judged = list(replayed(group(values)))
    assert judged[29].suspicious
    assert judged[29].over_previous
    assert not any(each.failed for each in judged)


def test_a_step_in_the_last_run_has_nothing_to_be_confirmed_by() -> None:
    values = steady(40)
    values[39] = 0.04
    last = list(replayed(group(values)))[-1]
    assert (last.suspicious, last.failed) == (True, False)


def test_a_falling_rate_is_worse_and_a_falling_time_is_not() -> None:
    values = [v if i < 30 or v is None else v * 0.7 for i, v in enumerate(steady(50))]
    assert any(each.failed for each in replayed(group(values, "throughput")))
    assert not any(each.failed for each in replayed(group(values, "p50")))


def test_runs_without_a_figure_are_left_out() -> None:
    values = steady(40)
    values[10:20] = [None] * 10
    assert len(list(replayed(group(values)))) == 29


def test_raw_times_feed_the_naive_test() -> None:
    random = np.random.default_rng(2)
    raw = tuple(random.normal(0.0, 1.0, 500) + shift for shift in (0.0, 1.0))
    lines = (Line(name="all", metric="p50", values=(1.0, 1.0)),)
    judged = list(replayed(Group(name="x", lines=lines, raw=raw)))
    assert [each.raw for each in judged] == [True]


def test_lines_of_different_lengths_are_refused() -> None:
    lines = (Line(name="a", metric="p50", values=(1.0,)), Line(name="b", metric="p50", values=()))
    with pytest.raises(ValueError, match="one length"):
        Group(name="x", lines=lines)


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


def test_figures_hold_what_is_there_and_the_naive_rules_beside() -> None:
    found = SeriesFound(hosted=[group(steady(20))], labelled=[labelled(0.05)])
    figures = list(replay_figures(found))
    assert figures[0].count == 19
    assert set(figures[0].beside) == {naive.PREVIOUS}
    jumps = next(figure for figure in figures if "definite" in figure.what)
    assert (jumps.hits, jumps.count, jumps.reached) == (1, 1, True)


def test_a_jump_in_the_wrong_direction_is_missed() -> None:
    jumps = next(f for f in replay_figures(SeriesFound(labelled=[labelled(-0.05)])) if "definite" in f.what)
    assert (jumps.hits, jumps.reached) == (0, False)


def test_no_series_are_no_figures() -> None:
    assert list(replay_figures(SeriesFound())) == []
