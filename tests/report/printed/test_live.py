"""Progress: one look, or one line, tells where a run stands."""

from __future__ import annotations

import pytest

from tests.report.golden import shown
from tests.report.records import progress
from velro_gate.report.printed.live import LiveView, newest_bars, progress_line


def test_a_line_holds_every_figure_in_a_fixed_order() -> None:
    expected = (
        "[2/6] intermediate_scaling  measuring  users 2,500 of 2,500  rate 551/s of 550/s  p50 8.10 ms  "
        "p95 19.2 ms  p99 41.2 ms  errors 3 (< 0.01 %)  cache hits 93.1 %  lateness p99 900 µs  3 min 20 s left"
    )
    assert progress_line(progress()) == expected


def test_a_phase_without_answers_says_not_measured_and_never_zero() -> None:
    line = progress_line(progress(p50=None, p95=None, p99=None, hit_rate=None, lateness_p99=None))
    assert line.count("not measured") == 5


def test_a_closed_loop_has_no_offered_rate() -> None:
    assert "rate 551/s  p50" in progress_line(progress(offered_rate=None))


@pytest.mark.parametrize(("stage", "word"), [("ramp", "ramping up"), ("measure", "measuring"), ("drain", "draining")])
def test_the_stage_is_named(stage: str, word: str) -> None:
    assert f"  {word}  " in progress_line(progress(stage=stage))
    assert word in shown(LiveView().update(progress(stage=stage)))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_live_view_shows_every_figure_and_fits(width: int) -> None:
    text = shown(LiveView().update(progress()), width=width)
    assert max(map(len, text.splitlines())) <= width
    for figure in (
        "2 of 6",
        "intermediate_scaling",
        "2,500 of 2,500",
        "551/s of 550/s",
        "8.10 ms",
        "19.2 ms",
        "41.2 ms",
        "93.1 %",
        "900 µs",
    ):
        assert figure in text
    assert "3 min 20 s left" in text


def test_the_live_view_of_a_phase_that_has_just_begun_or_ended_is_drawn() -> None:
    assert "0 s left" in shown(LiveView().update(progress(elapsed=0.0, remaining=0.0)))


def test_a_hostile_phase_name_does_nothing() -> None:
    assert "\x1b" not in progress_line(progress(phase="a\x1b[2Jb\nc"))
    assert "\n" not in progress_line(progress(phase="a\x1b[2Jb\nc"))
    assert "[bold]x" in shown(LiveView().update(progress(phase="[bold]x")))


def test_the_live_view_shows_steps_layers_and_what_the_service_uses() -> None:
    seen = progress(
        steps=(("login", 0.0123), ("list", 0.045)), layers=(("memory", 0.9), ("miss", 0.1)), service_cpu=0.62, pool=(3.0, 20.0)
    )
    text = shown(LiveView().update(seen))
    assert "p95 of steps login 12.3 ms · list 45.0 ms" in text
    assert "memory 90.0 % · miss 10.0 %" in text
    assert "CPU 62.0 % of a core · pool 3 of 20" in text


def test_of_a_search_whose_length_is_not_known_only_the_number_of_the_trial_is_shown() -> None:
    seen = progress(phase="steady, 200/s", phase_number=4, phase_count=0)
    assert progress_line(seen).startswith("[4] steady, 200/s  ")
    assert "4 steady, 200/s" in shown(LiveView().update(seen))
    assert "of 0" not in shown(LiveView().update(seen))


def test_the_live_view_leaves_out_what_is_not_known() -> None:
    text = shown(LiveView().update(progress()))
    assert "p95 of steps" not in text
    assert "pool" not in text


def test_the_course_of_a_phase_is_drawn_from_zero_to_its_largest_value() -> None:
    assert newest_bars([0.0, 1.0, 2.0, 4.0]) == "▁▃▅█"
    assert newest_bars([3.0]) == ""
    assert newest_bars([0.0, 0.0]) == ""
    assert len(newest_bars([1.0] * 500)) == 40


def test_a_course_says_what_its_highest_bar_is_and_the_lines_begin_below_one_another() -> None:
    view = LiveView()
    for rate, p95 in ((250.0, 0.02), (500.0, 0.04)):
        text = shown(view.update(progress(rate=rate, p95=p95, steps=(("login", 0.0123),))))
    lines = text.splitlines()
    rate, p95 = (next(line for line in lines if end in line) for end in ("up to 500/s", "up to 40.0 ms"))
    steps = next(line for line in lines if "login 12.3 ms" in line)
    assert rate.index("▅█") == p95.index("▅█") == steps.index("login")


def test_finished_phases_stay_in_view_with_their_figures() -> None:
    view = LiveView()
    for rate in (500.0, 510.0, 520.0):
        view.update(progress(rate=rate, p95=0.02))
    text = shown(view.update(progress(phase="large_scale", phase_number=3, stage="ramp", rate=10.0)))
    assert "✓ intermediate_scaling: 2,500 of 2,500 users, 510/s, p95 20.0 ms, errors 3 (< 0.01 %)" in text
    assert "large_scale" in text
    assert "▁" not in text.splitlines()[-1], "the bars begin again"
