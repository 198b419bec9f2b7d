"""The charts of the HTML report as data: what is drawn, what is left out, and nothing that could leave its script element."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

import pytest

from tests.report.charts.series import timeline
from tests.report.duets import judged, kept
from tests.report.examples import SITUATIONS, SMALL
from tests.report.hostile import NAME, hostile
from tests.report.records import PRD, accepted, measured, record
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit, Scalability, Trial
from velro_gate.model.charts.timeline import ChartData, TimeLine, Timeline
from velro_gate.model.facts.bottlenecks import Bottleneck, ServiceStall
from velro_gate.model.record import Estimate, ExperimentSummary, PhaseSummary, RunRecord
from velro_gate.report.charts.placed import placed
from velro_gate.report.charts.shapes import MOST_POINTS, AxisKind, ChartSet, ChartView, InteractiveChart, Line, thinned
from velro_gate.report.charts.together import chart_set, encoded


def drawn(run: RunRecord, data: ChartData | None = None) -> ChartSet:
    return chart_set(run, judge(run, ()), data or ChartData())


def named(charts: ChartSet, name: str) -> InteractiveChart:
    return next(chart for chart in charts.charts if chart.name == name)


@pytest.fixture(scope="module")
def whole() -> ChartSet:
    """All that there can be of a run compared with baselines."""
    made = SITUATIONS["fail-both"]()
    data = ChartData(
        timeline=timeline(made.run),
        history=made.baselines,
        releases={made.baselines[1].id: "v1.4.0"},
    )
    return chart_set(made.run, made.verdict, data)


def test_every_series_has_its_chart_the_rate_and_the_response_times_first(whole: ChartSet) -> None:
    names = [chart.name for chart in whole.charts]
    assert names == [
        "rate",
        "latency",
        "spread",
        "errors",
        "users",
        "hits",
        "cpu",
        "memory",
        "pool",
        "connections",
        "lateness",
        "trend",
    ]
    assert whole.missing == ()


def test_what_was_not_measured_has_no_chart_and_the_reason_is_given() -> None:
    run = record(phases=(PRD,), error_rate=0.0)
    found = drawn(run)
    assert {chart.name for chart in found.charts} == {"rate", "latency", "spread", "users", "hits", "lateness"}
    assert found.missing == (
        "failed requests (there were none)",
        "CPU (not watched)",
        "memory (not watched)",
        "connection pool (the service shows none)",
        "connections (not watched)",
    )


def test_a_run_that_measured_nothing_has_no_charts() -> None:
    run = record(phases=(PRD,), reshape=lambda one: dataclasses.replace(one, windows=()))
    assert drawn(run).charts == ()


def test_no_chart_and_no_view_is_empty(whole: ChartSet) -> None:
    for chart in whole.charts:
        assert chart.described
        for view in chart.views:
            assert view.lines
            assert all(line.known for line in view.lines)


def test_a_response_time_can_be_chosen_by_step_and_shows_limit_and_baselines(whole: ChartSet) -> None:
    latency = named(whole, "latency")
    assert latency.views[0].name == "all steps"
    assert "authorization_check" in [view.name for view in latency.views]
    assert [line.name for line in latency.views[0].lines] == ["p99", "p95", "p50"]
    (band, *_) = latency.views[0].bands
    assert band.name == "baselines, p95"
    assert band.low is not None
    assert band.high is not None
    assert band.low < band.value < band.high
    assert 75.0 in [level.value for level in latency.views[0].limits]


def test_phases_lie_one_after_the_other_with_their_ramps_and_as_they_were_where_that_is_known() -> None:
    run = record()
    for phases in (placed(run, None), placed(run, timeline(run))):
        for one, following in pairwise(phases):
            assert one.ramp < one.start < one.end <= following.ramp
    assert placed(run, timeline(run))[0].start == pytest.approx(32.0)


def test_an_experiment_is_marked_where_it_was_and_one_that_was_not_undone_until_the_end_of_its_phase() -> None:
    def breaks(one: object) -> object:
        made = (
            ExperimentSummary(name="redis gone", repeat=1, begun=10.0, ended=20.0, fault="", figures=()),
            ExperimentSummary(name="stuck", repeat=1, begun=30.0, ended=None, fault="it hung", figures=()),
        )
        return dataclasses.replace(one, experiments=made)  # type: ignore[type-var]

    run = record(phases=(PRD,), reshape=breaks)  # type: ignore[arg-type]
    found = drawn(run)
    (phase,) = found.phases
    assert [(each.name, each.start - phase.start) for each in found.broken] == [("redis gone", 10_000.0), ("stuck", 30_000.0)]
    assert found.broken[1].end == phase.end


def test_a_bottleneck_is_marked_where_it_was_unless_it_lasted_through_its_phase() -> None:
    def held_back(one: object) -> object:
        made = tuple(
            Bottleneck(start=start, end=end, strength=0.9, series=(), facts=ServiceStall(seconds=end - start, waiting=20))
            for start, end in ((4.0, 8.0), (0.0, 1e6))
        )
        return dataclasses.replace(one, bottlenecks=made)  # type: ignore[type-var]

    found = drawn(record(phases=(PRD,), reshape=held_back))  # type: ignore[arg-type]
    ((phase,), (only,)) = found.phases, found.held_back
    assert (only.name, only.start - phase.start, only.end - only.start) == ("service stall", 4_000.0, 4_000.0)


def test_what_hits_and_misses_took_is_drawn_where_the_record_says_it(whole: ChartSet) -> None:
    assert not [chart for chart in whole.charts if chart.name == "cache_times"]

    def timed(one: PhaseSummary) -> PhaseSummary:
        took = {"miss": 0.03, "memory": 0.01}
        return dataclasses.replace(one, windows=tuple(dataclasses.replace(each, cache_p50=took) for each in one.windows))

    (view,) = named(drawn(record(reshape=timed)), "cache_times").views
    assert [(line.name, line.known[0]) for line in view.lines] == [("memory", 10.0), ("misses", 30.0)]


def test_metrics_of_the_scenario_are_drawn_one_at_a_time_with_their_unit(whole: ChartSet) -> None:
    assert not [chart for chart in whole.charts if chart.name == "own"]

    def defined(one: PhaseSummary) -> PhaseSummary:
        values = {"own:queue_length:count:lower": 4.0, "own:render:time:lower": 0.003}
        return dataclasses.replace(one, windows=tuple(dataclasses.replace(each, own=values) for each in one.windows))

    chart = named(drawn(record(reshape=defined)), "own")
    assert [(view.name, view.unit, view.lines[0].known[0]) for view in chart.views] == [
        ("queue length", "", 4.0),
        ("render", "ms", 3.0),
    ]


def test_lines_have_a_gap_between_two_phases(whole: ChartSet) -> None:
    (good,) = (line for line in named(whole, "rate").views[0].lines if line.name == "successful")
    assert None in good.y
    assert list(good.x) == sorted(good.x)


def test_a_single_reading_is_a_dot_since_it_makes_no_line() -> None:
    once = Line(name="to the service", colour=1, x=(0.0, 1_000.0), y=(None, 206.0))
    view = ChartView(name="", lines=(once,))
    chart = InteractiveChart(name="connections", title="Connections", kind=AxisKind.TIME, unit="", described="", views=(view,))
    (written,) = json.loads(encoded(ChartSet(charts=(chart,))))["charts"]
    assert written["views"][0]["lines"][0]["dots"]


def test_a_long_line_is_thinned_and_keeps_its_peak() -> None:
    values = [1.0] * 36_000
    values[17_001] = 99.0
    x, y = thinned([float(index) for index in range(len(values))], values, max)
    assert len(x) == len(y) <= MOST_POINTS
    assert max(value for value in y if value is not None) == 99.0


def test_thinning_never_bridges_what_was_not_measured() -> None:
    values = [None if 10_000 <= index < 20_000 else 1.0 for index in range(30_000)]
    _, y = thinned([float(index) for index in range(len(values))], values, max)
    assert None in y


def test_an_hour_with_readings_every_second_stays_small() -> None:
    run = record()
    found = encoded(drawn(run, ChartData(timeline=timeline(run, every=0.5))))
    assert len(found.encode()) < 700_000


def test_distributions_compare_this_run_with_the_baselines(whole: ChartSet) -> None:
    spread = named(whole, "spread")
    assert spread.kind is AxisKind.SPREAD
    assert spread.views[0].name == PRD or spread.views[0].name in [phase.name for phase in whole.phases]
    view = next(view for view in spread.views if len(view.lines) == 2)
    assert [line.name for line in view.lines] == ["this run", "baselines"]
    for line in view.lines:
        assert list(line.x) == sorted(line.x)
        assert list(line.y) == sorted(line.known)


def test_without_samples_a_distribution_shows_the_quantiles_of_the_record() -> None:
    run = record(phases=(PRD,))
    (this,) = named(drawn(run), "spread").views[0].lines
    assert this.dots
    assert 95.0 in this.y


def test_a_duet_shows_both_builds_of_each_pair() -> None:
    run, verdict = judged(slower={"authorization_check": 1.3})
    data = ChartData(pairs=kept(pairs=10, sd=0.012, slower={"authorization_check": 1.3}).duet.pairs)
    pairs = named(chart_set(run, verdict, data), "pairs")
    base, head = pairs.views[0].lines
    assert (base.name, head.name) == ("base build", "head build")
    assert len(base.y) == len(head.y) == 10
    assert pairs.views[0].labels[0].startswith("pair 1, ")
    assert "authorization_check" in pairs.views[0].name
    latency = named(chart_set(run, verdict, data), "latency")
    assert latency.views[0].bands[0].name == "base build, p95"


def test_a_search_for_the_capacity_shows_its_trials_and_the_fitted_law() -> None:
    law = Scalability(
        rate=Estimate.exact(100.0, n=6),
        contention=Estimate.exact(0.05, n=6),
        coherence=Estimate.exact(0.001, n=6),
        knee=Estimate.exact(31.0, n=6),
        peak=Estimate.exact(900.0, n=6),
        points=6,
    )
    trials = tuple(
        Trial(
            load=100.0 * n, score=0.1 * (n - 6.5), error=0.01, seconds=10.0, throughput=100.0 * min(n, 7), concurrency=float(n)
        )
        for n in range(1, 9)
    )
    found = CapacityResult(
        unit=LoadUnit.RATE,
        phase=PRD,
        ending=Ending.FOUND,
        capacity=Estimate.exact(650.0, n=8),
        met=600.0,
        missed=700.0,
        wanted=500.0,
        trials=trials,
        scalability=law,
    )
    run = record(phases=(PRD,), reshape=lambda one: dataclasses.replace(one, windows=()))
    (chart,) = drawn(run, ChartData(capacity=found)).charts
    by_load, by_flight = chart.views
    assert [(line.name, len(line.x)) for line in by_load.lines] == [("requirements met", 6), ("missed", 2)]
    assert by_load.marks == ((650.0, "capacity"), (500.0, "the plan's load"))
    assert [line.name for line in by_flight.lines] == ["fitted law", "trials"]
    assert by_flight.marks == ((31.0, "knee"),)


def test_main_is_shown_with_this_run_and_its_release_is_marked(whole: ChartSet) -> None:
    view = named(whole, "trend").views[0]
    main, this = view.lines
    assert this.x == (len(main.x),)
    assert view.marks == ((1.0, "release v1.4.0"),)
    assert len(view.labels) == len(main.x) + 1


def test_fewer_than_two_accepted_runs_are_no_trend() -> None:
    run = measured(SMALL(), 3)
    charts = chart_set(run, judge(run, ()), ChartData(history=accepted(1, SMALL())))
    assert "trend" not in [chart.name for chart in charts.charts]


def test_a_timeline_of_another_run_is_never_drawn_over_this_one() -> None:
    run = record(phases=(PRD,))
    other = timeline(record())
    short = Timeline(
        phases=tuple(
            dataclasses.replace(phase, steps=tuple(dataclasses.replace(one, p95=(1.0,)) for one in phase.steps))
            for phase in other.phases
        ),
        connected=TimeLine(at=(), value=()),
    )
    found = drawn(run, ChartData(timeline=short))
    assert [line.name for line in named(found, "latency").views[1].lines] == ["p99", "p50"]


def test_hostile_names_stay_inside_the_data_and_mean_nothing_to_html() -> None:
    example = hostile()
    data = ChartData(timeline=timeline(example.run), history=example.baselines)
    text = encoded(chart_set(example.run, example.verdict, data))
    assert not {"<", ">", "&", "'", "\u2028", "\u2029", "\x1b", "\u202e"} & set(text)
    names = [phase["name"] for phase in json.loads(text)["phases"]]
    assert NAME in names


def test_the_same_run_gives_the_same_charts(whole: ChartSet) -> None:
    assert encoded(whole) == encoded(whole)


def test_errors_are_drawn_by_kind_from_the_samples_and_from_the_record_alone() -> None:
    def failing(one: PhaseSummary) -> PhaseSummary:
        kinds = [{"503": 8, "TIMEOUT": 2}, {"TIMEOUT": 1}]
        windows = tuple(
            dataclasses.replace(window, errors=kinds[index] if index < 2 else {}) for index, window in enumerate(one.windows)
        )
        return dataclasses.replace(one, windows=windows)

    run = record(phases=(PRD,), reshape=failing)
    for data in (None, ChartData(timeline=timeline(run))):
        (view,) = named(drawn(run, data), "errors").views
        assert [line.name for line in view.lines] == ["503 Service Unavailable", "timeout"]
    (view,) = named(drawn(run), "errors").views
    assert [line.y[:3] for line in view.lines] == [(0.8, 0.0, 0.0), (0.2, 0.1, 0.0)]
