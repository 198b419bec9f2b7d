"""A phase, summarised: books that balance, figures that were measured, nothing that was not."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.phases import STEPS, phase, run_of, samples
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.summaries.windows import sustained_rates
from velro_gate.errors import BrokenError
from velro_gate.model.metrics import LATENCY_QUANTILES
from velro_gate.model.record import PhaseSummary
from velro_gate.model.run import PhaseRun, Reading
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import ClosedArrivals
from velro_gate.report.text.figures import detail


def summarised(
    measured: Samples, run: PhaseRun | None = None, readings: Sequence[Reading] = (), layers: Sequence[str] = ("l1", "redis")
) -> PhaseSummary:
    return summarise(phase(), STEPS, run or run_of(measured), measured, readings, layers)


def value(summary: PhaseSummary, metric: str, step: str = "all") -> float:
    found = summary.measurement(metric, step)
    assert found is not None, f"{metric} of {step} is missing"
    return found.value


def steady(n: int = 6000, seed: int = 1) -> Samples:
    """100 requests/s from 10 to 70 s, evenly due, over two steps."""
    random = np.random.default_rng(seed)
    due = 10.0 + np.arange(n) * (60.0 / n)
    return samples(due, random.lognormal(-4.0, 0.4, n), step=np.arange(n) % 2)


outcomes = st.sampled_from(list(Outcome))
rows = st.lists(
    st.tuples(st.floats(0.0, 80.0), st.floats(0.0, 5.0), st.integers(0, 1), outcomes, st.integers(0, 3)), max_size=80
)


@given(rows, st.integers(0, 5), st.integers(0, 5))
def test_for_any_samples_the_books_balance_and_figures_keep_their_order(
    drawn: list[tuple[float, float, int, Outcome, int]], blocked: int, missed: int
) -> None:
    columns = [np.array(column) for column in zip(*drawn, strict=True)] if drawn else [np.empty(0)] * 5
    due, response, step, outcome, cache = columns
    measured = samples(due, response, step=step, outcome=outcome, cache=cache)
    plain = run_of(measured)
    books = {"due": dict(plain.due) | {"login": plain.due["login"] + blocked + missed}}
    found = summarised(measured, run_of(measured, **books, blocked={"login": blocked}, missed={"login": missed}))
    together, login, listing = found.steps
    assert together.counts.due == login.counts.due + listing.counts.due
    assert together.counts.ok == login.counts.ok + listing.counts.ok
    for step_summary in found.steps:
        figures = step_summary.measurements
        latencies = [figures[name].value for name in LATENCY_QUANTILES if name in figures]
        assert latencies == sorted(latencies)
        assert (step_summary.counts.ok > 0) == ("p95" in figures) == ("p95_all" in figures) == ("service_p50" in figures)
        assert sum(step_summary.outcomes.values()) == step_summary.counts.sent
        assert 0.0 <= getattr(figures.get("error_rate"), "value", 0.0) <= 1.0
        assert ("hit_rate" in figures) == bool(step_summary.cache)


@pytest.mark.slow
@given(st.permutations(range(40)))
def test_the_order_of_the_samples_does_not_matter(order: list[int]) -> None:
    measured = steady(40)
    shuffled = Samples(**{name: getattr(measured, name)[order] for name in measured.__dataclass_fields__})
    assert summarised(measured) == summarised(shuffled)


def test_samples_of_the_ramp_and_after_the_end_are_in_no_book() -> None:
    measured = samples([1.0, 9.999, 10.0, 69.999, 70.0])
    found = summarised(measured)
    assert found.steps[0].counts.sent == 2
    assert found.sent_total == 5


def test_all_steps_come_first_then_each_in_the_scenarios_order() -> None:
    assert [step.step for step in summarised(steady()).steps] == ["all", "login", "list"]


def test_requests_that_are_no_step_of_the_journey_are_in_no_book() -> None:
    measured = samples([20.0, 21.0, 22.0], step=[0, 1, 2])
    assert summarised(measured).steps[0].counts.sent == 2


def test_books_that_do_not_balance_break_the_run_and_say_by_how_much() -> None:
    measured = samples([20.0, 21.0])
    with pytest.raises(BrokenError, match="3 requests fell due, but 2 were sent") as caught:
        summarised(measured, run_of(measured, due={"login": 3}))
    assert caught.value.where == "phase steady, step login"


def test_blocked_and_missed_arrivals_are_accounted_for() -> None:
    measured = samples([20.0, 21.0])
    found = summarised(measured, run_of(measured, due={"login": 7}, blocked={"login": 3}, missed={"login": 2}))
    counts = found.steps[0].counts
    assert (counts.due, counts.sent, counts.blocked, counts.missed) == (7, 2, 3, 2)
    assert value(found, "error_rate") == pytest.approx(3 / 5)
    assert value(found, "achieved_share") == pytest.approx(2 / 7)


def test_quantiles_are_those_of_the_successes_from_due_to_done() -> None:
    measured = steady()
    found = summarised(measured)
    for name, rank in LATENCY_QUANTILES.items():
        assert value(found, name) == pytest.approx(float(np.quantile(measured.response_time, rank)))
        mine = measured.response_time[measured.step == 1]
        assert value(found, name, "list") == pytest.approx(float(np.quantile(mine, rank)))


def test_service_time_counts_from_sent_and_lateness_to_sent() -> None:
    due = np.linspace(10.0, 69.0, 500)
    measured = samples(due, 0.05, sent=due + 0.01, queued=0.004)
    found = summarised(measured)
    assert value(found, "p50") == pytest.approx(0.05)
    assert value(found, "service_p50") == pytest.approx(0.04)
    assert value(found, "lateness_p99") == pytest.approx(0.006, rel=1e-4)


def test_without_a_good_answer_there_is_no_latency_but_an_error_rate_of_1() -> None:
    measured = samples(np.linspace(10.0, 69.0, 300), 0.001, outcome=Outcome.STATUS, status=500)
    found = summarised(measured)
    missing = {"p50", "p95", "p99", "p95_all", "service_p95", "hit_rate"}
    assert not missing & set(found.steps[0].measurements)
    assert value(found, "error_rate") == 1.0
    assert value(found, "throughput") == value(found, "sustained_throughput") == 0.0
    assert found.steps[0].statuses == {500: 300}
    assert found.steps[0].outcomes == {"STATUS": 300}


def test_a_phase_without_any_sample_measures_nothing() -> None:
    found = summarised(Samples.empty())
    names = set(found.steps[0].measurements)
    assert names == {"throughput", "sustained_throughput", "peak_throughput", "users_held"}
    assert value(found, "throughput") == 0.0


def test_a_phase_that_ended_in_its_ramp_measures_nothing_at_all() -> None:
    measured = samples([1.0, 2.0])
    found = summarised(measured, run_of(measured, seconds=0.0, interrupted=True))
    assert found.windows == ()
    assert found.steps[0].measurements == {}
    assert found.interrupted


def test_a_timeout_counts_as_its_time_among_all() -> None:
    response = np.full(100, 0.01)
    response[:10] = 2.0
    measured = samples(np.linspace(10.0, 69.0, 100), response, outcome=np.where(response > 1.0, Outcome.TIMEOUT, Outcome.OK))
    found = summarised(measured)
    assert value(found, "p95") == pytest.approx(0.01)
    assert value(found, "p95_all") == pytest.approx(2.0)


def test_slow_answers_that_turn_into_quick_errors_do_not_improve_the_figure_over_all() -> None:
    """Of 1,000 requests the slowest 80 fail at once instead of being answered late."""
    due = np.linspace(10.0, 69.0, 1000)
    slow = np.arange(1000) % 100 < 8
    before = summarised(samples(due, np.where(slow, 0.5, 0.01)))
    after = summarised(samples(due, np.where(slow & (np.arange(1000) > 8), 0.001, np.where(slow, 0.5, 0.01)),
                               outcome=np.where(slow & (np.arange(1000) > 8), Outcome.STATUS, Outcome.OK)))  # fmt: skip
    assert value(after, "p95") < value(before, "p95")
    assert value(after, "p95_all") >= value(before, "p95_all")


def test_without_failures_the_figure_over_all_is_that_of_the_successes() -> None:
    found = summarised(steady())
    assert found.measurement("p95_all") == found.measurement("p95")


def test_cancelled_requests_are_in_no_latency_and_in_no_error_rate() -> None:
    outcome = np.where(np.arange(100) < 50, Outcome.CANCELLED, Outcome.OK)
    measured = samples(np.linspace(10.0, 69.0, 100), np.where(np.arange(100) < 50, 9.0, 0.01), outcome=outcome)
    found = summarised(measured)
    assert value(found, "p95_all") == pytest.approx(0.01)
    assert value(found, "error_rate") == 0.0
    assert found.steps[0].counts.cancelled == 50


def test_throughput_is_good_answers_a_second_and_exact_when_all_that_was_due_was_answered() -> None:
    """Poisson arrivals vary, but the seed fixed them: nothing of that is the service's chance."""
    due = np.random.default_rng(2).uniform(10.0, 70.0, 6000)
    found = summarised(samples(due)).measurement("throughput")
    assert found is not None
    assert (found.value, found.n) == (100.0, 6000)
    assert found.high - found.low < 1e-9


def test_throughput_with_failures_in_bursts_has_an_interval() -> None:
    due = np.linspace(10.0, 69.99, 6000)
    burst = (due > 30.0) & (due < 35.0)
    found = summarised(samples(due, outcome=np.where(burst, Outcome.STATUS, Outcome.OK))).measurement("throughput")
    assert found is not None
    assert found.low < found.value - 5.0
    assert found.value == pytest.approx(91.7, abs=0.2)


def test_throughput_of_a_closed_loop_varies_with_its_windows() -> None:
    measured = samples(np.random.default_rng(3).uniform(10.0, 70.0, 6000))
    closed = summarise(phase(arrivals=ClosedArrivals(think_time=0.1)), STEPS, run_of(measured), measured, (), ())
    found = closed.measurement("throughput")
    assert found is not None
    assert found.low < 100.0 < found.high
    assert closed.offered_rate is None


def test_sustained_throughput_is_the_least_10_s_window_and_agrees_with_the_windows_of_the_record() -> None:
    due = np.concatenate([np.linspace(10.0, 40.0, 3000, endpoint=False), np.linspace(40.0, 69.99, 1500)])
    found = summarised(samples(due, 0.001))
    assert value(found, "sustained_throughput") == min(sustained_rates(found.windows)) == pytest.approx(50.0, abs=0.2)
    assert value(found, "peak_throughput") == pytest.approx(100.0, abs=1.1)
    assert value(found, "sustained_throughput", "list") == 0.0


def test_a_stall_shows_in_the_sustained_rate_although_every_request_is_answered_in_the_end() -> None:
    due = np.linspace(10.0, 69.99, 6000)
    stalled = (due >= 30.0) & (due < 38.0)
    found = summarised(samples(due, np.where(stalled, 40.0 - due, 0.01)))
    assert value(found, "throughput") == pytest.approx(100.0)
    assert value(found, "sustained_throughput") < 25.0
    assert value(found, "peak_throughput") > 800.0


def test_a_short_stretch_has_one_window_for_the_sustained_rate() -> None:
    measured = samples(np.linspace(10.0, 17.99, 800), 0.001)
    found = summarised(measured, run_of(measured, seconds=8.0))
    estimate = found.measurement("sustained_throughput")
    assert estimate is not None
    assert estimate.value == pytest.approx(100.0)
    assert estimate.n == 1
    assert len(found.windows) == 8


def test_hits_are_counted_by_layer_and_misses_as_misses() -> None:
    measured = samples(np.linspace(10.0, 69.0, 60), cache=np.repeat([0, 1, 2, 3, 3, 4], 10))
    found = summarised(measured)
    assert found.steps[0].cache == {"miss": 10, "l1": 10, "redis": 20, "layer 3": 10}
    estimate = found.measurement("hit_rate")
    assert estimate is not None
    assert (estimate.value, estimate.n) == (0.8, 50)


def test_answers_without_a_cache_header_leave_the_hit_rate_unmeasured() -> None:
    assert summarised(steady()).measurement("hit_rate") is None


def test_bytes_and_statuses_are_added_up() -> None:
    measured = samples([20.0, 21.0, 22.0], status=[200, 201, 0], outcome=[0, 0, Outcome.TIMEOUT], received=[100, 50, 0])
    found = summarised(measured).steps[0]
    assert found.received == 150
    assert found.statuses == {200: 1, 201: 1}
    assert found.outcomes == {"OK": 2, "TIMEOUT": 1}


def test_users_held_is_the_least_number_connected_and_unmeasured_without_ticks() -> None:
    measured = steady()
    run = run_of(measured)
    dropped = tuple(tick if tick.at != 30.0 else type(tick)(at=30.0, connected=41, in_flight=0, sent=0, ok=0, failed=0)
                    for tick in run.ticks)  # fmt: skip
    found = summarised(measured, run_of(measured, ticks=dropped)).measurement("users_held")
    assert found is not None
    assert (found.value, found.n) == (41.0, 60)
    assert summarised(measured, run_of(measured, ticks=())).measurement("users_held") is None


def test_readings_become_resources_and_figures_of_all_steps_only() -> None:
    readings = [Reading(at=at, source="service", name="rss", value=1e8) for at in range(80)]
    found = summarised(steady(), readings=readings)
    assert value(found, "rss") == 1e8
    assert found.measurement("rss", "list") is None
    assert found.resources[0].n == 60


def test_what_the_engine_reported_is_passed_on() -> None:
    measured = steady()
    run = run_of(measured, service_gone="connection refused", reconnects=3)
    found = summarised(measured, run)
    assert (found.service_gone, found.reconnects, found.health) == ("connection refused", 3, run.health)
    assert (found.measured_seconds, found.planned_seconds, found.offered_rate) == (60.0, 60.0, 100.0)
    assert not found.complete


@pytest.mark.slow
def test_a_million_samples_of_seven_steps_are_summarised_within_300_mb() -> None:
    random = np.random.default_rng(5)
    n, names = 1_000_000, tuple("abcdefg")
    measured = samples(
        random.uniform(0.0, 610.0, n),
        random.lognormal(-4.0, 1.0, n),
        step=random.integers(0, 7, n),
        outcome=np.where(random.random(n) < 0.01, Outcome.TIMEOUT, Outcome.OK),
        cache=random.integers(0, 4, n),
    )
    inside = measured.due >= 10.0
    due = {name: int((measured.step[inside] == i).sum()) for i, name in enumerate(names)}
    run = run_of(measured, seconds=600.0, due=due)
    tracemalloc.start()
    try:
        found = summarise(phase(duration=600.0), names, run, measured, (), ())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300e6
    assert all({"p50", "p90", "p95", "p99", "p999"} <= set(step.measurements) for step in found.steps)


def test_the_same_facts_give_the_same_summary() -> None:
    measured = steady()
    assert summarised(measured) == summarised(measured)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 5))
def test_parts_of_several_shards_sum_up_to_the_summary_of_all(seed: int, shards: int) -> None:
    """Percentiles are taken after the merge, so the number of shards does not show."""
    measured = steady(300, seed)
    owner = np.random.default_rng(seed).integers(0, shards, 300)
    merged = Samples.concatenate(measured.where(owner == shard) for shard in range(shards))
    assert summarised(merged) == summarised(measured)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (Outcome.OK, Outcome.CANCELLED)])
def test_every_kind_of_failure_counts_as_one(outcome: Outcome) -> None:
    found = summarised(samples([20.0, 21.0, 22.0, 23.0], outcome=[0, 0, 0, outcome]))
    assert found.steps[0].counts.failed == 1
    assert value(found, "error_rate") == 0.25
    assert found.steps[0].outcomes == {"OK": 3, outcome.name: 1}


@given(st.integers(1, 8), st.integers(0, 2**32 - 1), st.booleans())
def test_quantiles_of_a_handful_of_requests_are_finite_rise_and_are_marked(n: int, seed: int, equal: bool) -> None:
    random = np.random.default_rng(seed)
    due = np.sort(random.uniform(10.0, 14.0, n))
    measured = samples(due, 0.01 if equal else random.lognormal(-4.0, 1.5, n))
    found = summarise(phase(duration=4.0, rate=2.0), STEPS, run_of(measured, seconds=4.0), measured, (), ())
    estimates = [found.measurement(name) for name in LATENCY_QUANTILES]
    kept = [estimate for estimate in estimates if estimate is not None]
    assert len(kept) == len(estimates)
    for figures in ([e.value for e in kept], [e.low for e in kept], [e.high for e in kept]):
        assert figures == sorted(figures)
    assert all("lie beyond it" in detail("p95", estimate) for estimate in kept[1:])
