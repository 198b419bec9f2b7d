"""The trend of main: each figure, and what happened at which run, in the terminal's terms, as a page and as a table."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.runs import run, summary
from tests.gate.judge.test_history import P95, stored
from tests.report.formats.test_page import Page
from velro_gate.analysis.stored.trend import TREND, trend_frame
from velro_gate.gate.judge.trend import trends, usual_figures
from velro_gate.model.charts.trend import Mark, TrendEvent, TrendGroup, TrendPoint, TrendSeries
from velro_gate.model.record import NewLevel
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.report.parts.history import BLOCKS, MOST_RUNS, event_lines, forecast_lines, mark_words, sparkline
from velro_gate.report.printed.trend_page import _ends, _label, trend_csv, trend_html
from velro_gate.report.text.csv_text import csv_cell
from velro_gate.store.baselines import add_baseline, list_baselines


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrendGroup, ...]:
    root = tmp_path_factory.mktemp("baselines")
    stored(root)
    return trends(list_baselines(root), [(name, "all") for name in ("p95", "throughput", "hit_rate")])


def test_figures_that_no_run_holds_are_left_out(groups: tuple[TrendGroup, ...]) -> None:
    (group,) = groups
    assert [(series.metric, series.phase) for series in group.series] == [("p95", "steady"), ("throughput", "steady")]


def test_change_points_and_releases_are_marked_at_their_runs(groups: tuple[TrendGroup, ...]) -> None:
    p95 = groups[0].series[0]
    marked = {point.run: [mark.event for mark in point.marks] for point in p95.points if point.marks}
    assert marked == {"run-0": [TrendEvent.RELEASE], "run-12": [TrendEvent.WORSE]}
    lines = event_lines(groups[0].series)
    assert sum("release v1" in line for line in lines) == 1
    assert any("p95 of all requests in steady: +20 %, not accepted" in line for line in lines)


def test_an_accepted_change_is_marked_as_such(tmp_path: Path) -> None:
    for number in range(16):
        level: tuple[NewLevel, ...] = (P95,) if number == 8 else ()
        add_baseline(tmp_path, replace(run(summary(times=1.0 if number < 8 else 1.2), number=number), new_levels=level))
    (group,) = trends(list_baselines(tmp_path), [("p95", "all")])
    marks = [mark.event for point in group.series[0].points for mark in point.marks]
    assert marks == [TrendEvent.ACCEPTED]


def test_a_quarantined_run_is_shown_and_is_no_part_of_the_line(groups: tuple[TrendGroup, ...]) -> None:
    p95 = groups[0].series[0]
    assert len(p95.points) == len(p95.accepted) + 1
    assert len(sparkline(p95)) == len(p95.accepted)
    assert 'class="left-out"' in trend_html(groups)


def test_the_page_is_well_formed_needs_nothing_else_and_describes_each_chart(groups: tuple[TrendGroup, ...]) -> None:
    text = trend_html(groups)
    page = Page(text)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert 'aria-label="p95 of all requests in steady over 21 runs: 12.0 to 14.4 ms, newest 14.4 ms"' in text
    assert text.count('class="mark worse"') == 1
    assert "not accepted" in text
    assert "There are no stored baselines." in trend_html(())


def test_the_table_has_a_row_for_each_figure_of_each_run(groups: tuple[TrendGroup, ...]) -> None:
    head, *rows = csv.reader(io.StringIO(trend_csv(groups)))
    assert head == list(TREND)
    assert len(rows) == 2 * 21
    found = [dict(zip(TREND, row, strict=True)) for row in rows]
    assert [row["run"] for row in found if row["quarantined"]] == ["run-20", "run-20"]
    assert {row["events"] for row in found if row["events"]} == {"release v1", "'+20 %, not accepted"}
    assert all(float(row["value"]) > 0.0 for row in found)


@pytest.mark.parametrize(("slope", "said"), [(0.01, True), (0.0, False)])
def test_a_figure_that_creeps_has_a_forecast_and_an_unchanged_one_has_none(tmp_path: Path, slope: float, said: bool) -> None:
    limit = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.018)
    noise = np.random.default_rng(3).normal(0.0, 0.01, 25)
    for number, time in enumerate(np.exp(slope * np.arange(25) + noise).tolist()):
        one = run(summary(times=time), number=number)
        phases = tuple(replace(phase, requirements=(limit,)) for phase in one.plan.phases)
        add_baseline(tmp_path, replace(one, plan=replace(one.plan, phases=phases)))
    (group,) = trends(list_baselines(tmp_path), [("p95", "all"), ("throughput", "all")])
    lines = forecast_lines(group.series)
    assert [line.startswith("p95 of all requests in steady changes by +") for line in lines] == [True] * said
    assert ("its limit of 18.0 ms is reached in about" in trend_html([group])) is said


def series(values: list[float]) -> TrendSeries:
    points = [
        TrendPoint(run=f"r{index}", started_at="2026-11-24T12:00:00Z", revision="", value=value, quarantined="")
        for index, value in enumerate(values)
    ]
    return TrendSeries(phase="steady", step="all", metric="p95", points=tuple(points))


@settings(max_examples=30)
@given(st.text(max_size=12), st.text(max_size=12), st.floats(allow_nan=False, allow_infinity=False) | st.none())
def test_the_table_is_rfc_4180_text_with_unrounded_figures_and_guarded_texts(name: str, why: str, value: float | None) -> None:
    one = series([0.1])
    marks = (Mark(event=TrendEvent.RELEASE, name=name), Mark(event=TrendEvent.WORSE, change=0.2))
    point = replace(one.points[0], value=value, quarantined=why, marks=marks)
    group = TrendGroup(scenario=name, profile="pr", runner="r", environment="e", series=(replace(one, points=(point,)),))
    cells: list[str | float | None] = [name, "pr", "e", "r0", "2026-11-24T12:00:00Z", "", "steady", "all", "p95", value, why]
    cells.append(f"release {name}; +20 %, not accepted")
    rows = [list(TREND), *([[csv_cell(cell) for cell in cells]] if value is not None else [])]
    expected = io.StringIO()
    csv.writer(expected, lineterminator="\n").writerows(rows)
    assert trend_csv([group]) == expected.getvalue()


def test_the_trend_as_a_frame_has_the_types_that_are_documented_also_without_a_run(groups: tuple[TrendGroup, ...]) -> None:
    for some in (groups, ()):
        assert dict(trend_frame(some, mark_words).dtypes) == dict(TREND)


@given(st.lists(st.floats(0.0, 1e6), max_size=60))
def test_a_sparkline_has_a_block_a_run_and_keeps_their_order(values: list[float]) -> None:
    drawn, shown = sparkline(series(values)), values[-40:]
    assert len(drawn) == len(shown)
    heights = [BLOCKS.index(block) for block in drawn]
    assert all((a <= b) for a, x in zip(heights, shown, strict=True) for b, y in zip(heights, shown, strict=True) if x <= y)


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e3), min_size=1, max_size=30))
def test_a_page_of_any_values_has_no_coordinate_that_is_no_number(values: list[float]) -> None:
    group = TrendGroup(scenario="shop", profile="pr", runner="r", environment="0" * 12, series=(series(values),))
    paths = re.findall(r' d="([^"]*)"', trend_html([group]))
    assert all(re.fullmatch(r"(?:[MLHVh]-?[\d.]+(?: -?[\d.]+)?)*", path) for path in paths)


def test_a_long_history_is_bounded(tmp_path: Path) -> None:
    assert MOST_RUNS <= 500
    long = TrendGroup(scenario="shop", profile="pr", runner="r", environment="0" * 12, series=(series([0.01] * MOST_RUNS),) * 6)
    assert len(trend_html([long]).encode()) < 200_000


def test_figures_of_experiments_are_shown_without_being_named(tmp_path: Path) -> None:
    for number in range(3):
        add_baseline(tmp_path, run(summary(changed={"experiment:down:recovery": 2.0}), number=number))
    (group,) = trends(list_baselines(tmp_path), usual_figures(list_baselines(tmp_path), "all"))
    shown = next(series for series in group.series if (series.metric, series.step) == ("experiment:down:recovery", "all"))
    assert [point.value for point in shown.points] == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("metric", "least", "most"), [("hit_rate", 0.957, 0.957), ("error_rate", 0.0004, 0.0004), ("p95", 0.0, 0.0)]
)
def test_an_axis_ends_at_100_percent_and_its_ends_have_labels_of_their_own(metric: str, least: float, most: float) -> None:
    low, high = _ends(metric, least, most)
    assert low <= least <= most <= high <= 1.0
    assert _label(metric, low) != _label(metric, high)
