"""Charts: nothing measured is lost or invented on the way to coordinates."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.records import SHAPES, phase, record
from velro_gate.model.record import Window
from velro_gate.report.parts.charts import HEIGHT, MOST_POINTS, WIDTH, Chart, charts, thin


def window(start: float, **changed: object) -> Window:
    usual = Window(
        start=start,
        seconds=1.0,
        sent=100,
        ok=99,
        failed=1,
        connected=50,
        p50=0.01,
        p95=0.02,
        p99=0.04,
        hit_rate=0.9,
        lateness_p99=0.001,
    )
    return dataclasses.replace(usual, **changed)  # type: ignore[arg-type]


def drawn(*windows: Window) -> tuple[Chart, ...]:
    one = dataclasses.replace(phase(SHAPES[0]), windows=windows)
    return charts(dataclasses.replace(record(), phases=(one,)))


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_there_are_four_charts_with_a_panel_for_each_phase() -> None:
    made = charts(record())
    assert [chart.title for chart in made] == [
        "Successful responses per second",
        "Response time",
        "Errors",
        "Virtual users connected",
    ]
    assert all([panel.name for panel in chart.panels] == [shape[0] for shape in SHAPES] for chart in made)


def test_every_point_lies_inside_its_own_panel_sideways() -> None:
    for chart in charts(record()):
        for panel in chart.panels:
            for line in panel.lines:
                assert all(-0.1 <= x <= WIDTH + 0.1 for x, _ in points(line.path))


def test_a_higher_value_is_drawn_higher() -> None:
    response = drawn(window(0.0, p95=0.02), window(1.0, p95=0.03))[1]
    line = next(line for line in response.panels[0].lines if line.kind == "p95")
    (_, low), (_, high) = points(line.path)
    assert high < low


def test_a_stretch_without_answers_is_a_gap_and_not_a_zero() -> None:
    response = drawn(window(0.0), window(1.0, p50=None, p95=None, p99=None), window(2.0))[1]
    for line in response.panels[0].lines:
        assert line.path.count("M") == 2
        assert len(points(line.path)) == 2


def test_a_phase_without_any_answer_is_marked_as_not_measured() -> None:
    response = drawn(window(0.0, p50=None, p95=None, p99=None, ok=0, failed=0))[1]
    assert response.panels[0].empty
    assert not any(line.path for line in response.panels[0].lines)


def test_a_lone_window_is_still_visible() -> None:
    assert "h6" in drawn(window(0.0))[0].panels[0].lines[0].path


def test_a_run_without_windows_has_no_charts() -> None:
    assert drawn() == ()


def test_the_limit_of_a_phase_is_drawn_on_its_own_panel() -> None:
    response = charts(record())[1]
    stress, others = response.panels[4], (*response.panels[:4], response.panels[5])
    assert stress.limit is not None
    assert all(panel.limit is not None and panel.limit > stress.limit for panel in others)  # 75 ms lies below 100 ms


def test_many_phases_wrap_into_rows() -> None:
    one = phase(SHAPES[0])
    many = tuple(dataclasses.replace(one, name=f"phase_{index}") for index in range(8))
    made = charts(dataclasses.replace(record(), phases=many))
    assert [len(chart.panels) for chart in made] == [6] * 4 + [2] * 4


def test_each_panel_says_in_words_what_it_shows() -> None:
    one = charts(record())[1].panels[3]
    assert one.describe == "Response time in prd_compliance_validation, over 10 min"


def test_ticks_lie_inside_the_panels_from_the_bottom_up() -> None:
    for chart in charts(record()):
        heights = [tick.at for tick in chart.ticks]
        assert heights[0] == HEIGHT
        assert heights == sorted(heights, reverse=True)
        assert heights[-1] >= 0.0


@given(st.lists(st.tuples(st.integers(0, 500), st.one_of(st.none(), st.floats(0.001, 5.0))), min_size=1, max_size=700))
def test_thinning_keeps_every_answer_and_the_worst_latency(values: list[tuple[int, float | None]]) -> None:
    windows = [window(float(index), ok=ok, p99=p99) for index, (ok, p99) in enumerate(values)]
    thinned = thin(windows)
    assert len(thinned) <= MOST_POINTS
    assert sum(one.ok for one in thinned) == sum(ok for ok, _ in values)
    assert sum(one.seconds for one in thinned) == len(values)
    known = [p99 for _, p99 in values if p99 is not None]
    assert max((one.p99 for one in thinned if one.p99 is not None), default=None) == max(known, default=None)


def test_a_rare_peak_of_p99_does_not_flatten_everything_else() -> None:
    windows = [window(float(index), p99=5.0 if index == 50 else 0.04) for index in range(100)]
    line = next(line for line in drawn(*windows)[1].panels[0].lines if line.kind == "p50")
    assert all(y < HEIGHT * 0.95 for _, y in points(line.path))


def test_errors_are_drawn_by_kind_the_most_frequent_first_below_their_whole_rate() -> None:
    windows = [
        window(0.0, ok=90, failed=10, errors={"503": 9, "TIMEOUT": 1}),
        window(1.0, ok=98, failed=2, errors={"TIMEOUT": 2}),
    ]
    errors = drawn(*windows)[2]
    assert [entry.label for entry in errors.legend] == ["error rate", "503 Service Unavailable", "timeout", "limit"]
    whole, status, timeout = (points(line.path) for line in errors.panels[0].lines)
    # The height of a share is the distance from the bottom.
    assert [y for _, y in status][1] == HEIGHT
    for together, *parts in zip(whole, status, timeout, strict=True):
        assert sum(HEIGHT - y for _, y in parts) == pytest.approx(HEIGHT - together[1], abs=0.3)


def test_a_single_kind_of_error_is_named_where_the_rate_is() -> None:
    errors = drawn(window(0.0, errors={"REFUSED": 1}))[2]
    assert [entry.label for entry in errors.legend] == ["error rate (refused)", "limit"]


@given(st.lists(st.dictionaries(st.sampled_from(["503", "TIMEOUT", "RESET"]), st.integers(1, 9)), min_size=1, max_size=500))
def test_thinning_keeps_every_failure_of_every_kind(kinds: list[dict[str, int]]) -> None:
    thinned = thin([window(float(index), errors=errors) for index, errors in enumerate(kinds)])
    for kind in ("503", "TIMEOUT", "RESET"):
        assert sum(one.errors.get(kind, 0) for one in thinned) == sum(each.get(kind, 0) for each in kinds)
