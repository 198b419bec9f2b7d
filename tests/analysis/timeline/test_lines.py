"""The timeline of a run: what happened when, from samples and readings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.phases import STEPS, run_of, samples
from velro_gate.analysis.summaries.reduced.bins import ERROR
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.windows import MOST_KINDS, chart_windows
from velro_gate.analysis.timeline.lines import timeline
from velro_gate.model.charts.timeline import RANKS, Timeline
from velro_gate.model.record import OTHER_FAILURES
from velro_gate.model.run import Reading, RunFacts
from velro_gate.model.samples import Outcome, Samples


def made(measured: Samples, readings: tuple[Reading, ...] = ()) -> Timeline:
    facts = RunFacts(phases=(run_of(measured),), readings=readings, layers=())
    return timeline(facts, STEPS, {"steady": measured})


DUE = np.arange(10.0, 70.0, 0.05)


def test_each_step_has_the_windows_of_its_phase_and_its_own_latencies() -> None:
    step = np.arange(len(DUE)) % 2
    measured = samples(DUE, np.where(step == 0, 0.010, 0.030), step=step)
    (phase,) = made(measured).phases
    windows = chart_windows(measured, run_of(measured))
    assert [each.step for each in phase.steps] == list(STEPS)
    assert [len(each.p95) for each in phase.steps] == [len(windows)] * 2
    assert phase.steps[0].p95 == pytest.approx([0.010] * 6)
    assert phase.steps[1].p50 == pytest.approx([0.030] * 6)


def test_a_window_without_a_response_has_no_latency_and_is_not_zero() -> None:
    quiet = DUE[(DUE < 30.0) | (DUE >= 40.0)]
    (phase,) = made(samples(quiet)).phases
    assert [value is None for value in phase.steps[0].p99] == [False, False, True, False, False, False]


def test_a_step_that_nobody_asked_for_is_left_out() -> None:
    (phase,) = made(samples(DUE)).phases
    assert [each.step for each in phase.steps] == ["login"]
    assert set(phase.spread) == {"all", "login"}


def test_failures_are_counted_by_status_or_outcome_when_they_ended() -> None:
    outcome = np.full(len(DUE), int(Outcome.OK))
    status = np.full(len(DUE), 200)
    first, last = DUE < 20.0, DUE >= 60.0
    outcome[first], status[first] = Outcome.STATUS, 503
    outcome[last], status[last] = Outcome.TIMEOUT, 0
    outcome[-3:] = Outcome.CANCELLED
    (phase,) = made(samples(DUE, outcome=outcome, status=status)).phases
    assert phase.errors["503"] == pytest.approx([20.0, 0.0, 0.0, 0.0, 0.0, 0.0], abs=0.2)
    assert phase.errors["TIMEOUT"][-1] == pytest.approx(19.7, abs=0.2)
    assert set(phase.errors) == {"503", "TIMEOUT"}
    windows = chart_windows(samples(DUE, outcome=outcome, status=status), run_of(samples(DUE)))
    assert [sorted(window.errors) for window in windows] == [["503"], [], [], [], [], ["TIMEOUT"]]
    assert [sum(window.errors.values()) for window in windows] == [window.failed for window in windows]


def test_the_rarest_kinds_of_failure_share_a_line() -> None:
    status = 500 + np.arange(len(DUE)) % 12
    (phase,) = made(samples(DUE, outcome=Outcome.STATUS, status=status)).phases
    assert len(phase.errors) == MOST_KINDS + 1
    assert sum(map(sum, phase.errors.values())) * 10.0 == pytest.approx(len(DUE), abs=1.0)
    assert OTHER_FAILURES in phase.errors


def test_a_distribution_is_that_of_the_successful_responses_of_the_measured_stretch() -> None:
    times = np.linspace(0.001, 0.1, len(DUE))
    ramp = samples([1.0, 2.0], 9.0)
    (phase,) = made(Samples.concatenate([ramp, samples(DUE, times)])).phases
    assert phase.spread["all"] == pytest.approx(np.quantile(times, RANKS))


def test_a_counter_becomes_what_it_rises_by_and_has_a_gap_where_it_began_again() -> None:
    used = [(1.0, 2.0), (2.0, 2.5), (3.0, 3.5), (4.0, 0.1), (5.0, 0.4)]
    readings = tuple(Reading(at=at, source="service", name="cpu_seconds", value=value) for at, value in used)
    line = made(samples(DUE), readings).readings["service", "cpu_seconds"]
    assert line.at == (2.0, 3.0, 4.0, 5.0)
    assert line.value == (pytest.approx(0.5), pytest.approx(1.0), None, pytest.approx(0.3))


def test_a_value_that_no_chart_shows_is_not_kept() -> None:
    readings = tuple(Reading(at=1.0, source="service", name=name, value=1.0) for name in ("rss", "threads"))
    assert set(made(samples(DUE), readings).readings) == {("service", "rss")}


def test_a_phase_without_a_measured_stretch_is_left_out() -> None:
    facts = RunFacts(phases=(run_of(samples([]), seconds=0.0),), readings=(), layers=())
    assert timeline(facts, STEPS, {}).phases == ()


def test_reduced_samples_give_the_same_timeline_to_the_error_of_their_bins() -> None:
    random = np.random.default_rng(2)
    outcome = np.where(np.arange(len(DUE)) % 20 == 0, Outcome.TIMEOUT, Outcome.OK)
    measured = samples(DUE, random.lognormal(-4.0, 0.5, len(DUE)), step=np.arange(len(DUE)) % 2, outcome=outcome)
    facts = RunFacts(phases=(run_of(measured),), readings=(), layers=())
    frame = Frame(measured_from=10.0, planned=60.0, steps=len(STEPS))
    (exact,), (found,) = (
        each.phases
        for each in (
            timeline(facts, STEPS, {"steady": measured}),
            timeline(facts, STEPS, {}, {"steady": reduced(measured, frame)}),
        )
    )
    assert found.errors == exact.errors
    assert found.spread.keys() == exact.spread.keys()
    for name, times in exact.spread.items():
        assert found.spread[name] == pytest.approx(times, rel=ERROR)
    for mine, whole in zip(found.steps, exact.steps, strict=True):
        assert mine.step == whole.step
        assert mine.p95 == pytest.approx(whole.p95, rel=ERROR)
