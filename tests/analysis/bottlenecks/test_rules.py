"""Each rule finds its cause in series that show it, and is silent where something is missing for it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.bottlenecks.observing import RATE, SECONDS, changed, codes, failed, found, quiet, ticks
from tests.analysis.phases import health
from velro_gate.analysis.bottlenecks.densest import densest
from velro_gate.analysis.bottlenecks.find import CLEAR
from velro_gate.model.facts.bottlenecks import (
    CacheMisses,
    DependencyDown,
    ErrorBurst,
    LockWaits,
    MemoryGrowth,
    NoisyNeighbour,
    PoolExhausted,
    RunnerCpu,
    Saturation,
    ServiceStall,
    SlowQuery,
    StepTail,
)
from velro_gate.model.record import ExperimentSummary
from velro_gate.model.run import Stall
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome

N = int(SECONDS)
POOL = {("service", "database_pool_size"): [10.0] * N}
MIB = 2.0**20


def test_a_quiet_phase_shows_no_bottleneck() -> None:
    ordinary = {
        ("runner", "cpu_share"): [0.5] * N,
        ("runner", "process_python3_cpu_share"): [0.06] * N,
        ("service", "cpu_busiest"): [0.4] * N,
        ("service", "rss"): [100 * MIB + 1000 * i for i in range(N)],
        ("service", "database_pool_in_use"): [float(i % 5) for i in range(N)],
        ("service", "database_pool_waiting"): [0.0] * N,
        ("database", "locks_waiting"): [0.0] * N,
        ("database", "longest_query"): [0.01] * N,
        ("monitor", "redis_up"): [1.0] * N,
        **POOL,
    }
    assert codes(None, ordinary) == []


def test_a_stretch_too_short_for_a_series_shows_none() -> None:
    rows = quiet(2.0)
    assert codes(failed(rows, np.ones(len(rows), bool)), seconds=2.0) == []


def test_a_pool_without_a_free_connection_while_requests_wait_is_exhausted() -> None:
    used = {**POOL, ("service", "database_pool_in_use"): [3.0] * 5 + [10.0] * 15}
    waiting = {("service", "database_pool_waiting"): [0.0] * 5 + [7.0] * 15}
    (one,) = found(None, used | waiting)
    assert one.facts == PoolExhausted(size=10.0, share=0.75, waiting=7.0)
    assert (one.start, one.end) == (5.5, 19.5)


def test_a_full_pool_for_which_nobody_waits_is_only_used_well() -> None:
    full = {**POOL, ("service", "database_pool_in_use"): [10.0] * N}
    assert codes(None, full | {("service", "database_pool_waiting"): [0.0] * N}) == []
    assert codes(None, full) == ["pool-exhausted"], "where waiting is not counted, a pool that is always full must do"
    half = {**POOL, ("service", "database_pool_in_use"): [10.0, 4.0] * (N // 2)}
    assert codes(None, half) == []


def test_a_process_that_uses_its_whole_core_bounds_the_service() -> None:
    assert codes(None, {("service", "cpu_busiest"): [0.97] * N}) == ["cpu-bound-service"]
    assert codes(None, {("service", "cpu_busiest"): [0.8] * N}) == []


def test_the_cpu_of_several_processes_together_bounds_none_of_them() -> None:
    used = {("service", "cpu_seconds"): [1.5 * i for i in range(N)]}
    assert codes(None, used | {("service", "processes"): [1.0] * N}) == ["cpu-bound-service"]
    assert codes(None, used | {("service", "processes"): [4.0] * N}) == []


def test_a_runner_without_a_free_core_is_starved_by_its_neighbours_which_are_named() -> None:
    busy = {("runner", "cpu_share"): [0.99] * N, ("runner", "process_cc1plus_cpu_share"): [0.9] * N}
    (one,) = found(None, busy)
    assert isinstance(one.facts, RunnerCpu)
    assert one.facts.share == pytest.approx(0.99)
    assert dict(one.facts.others) == {"cc1plus": pytest.approx(0.9)}
    # Generator and service alone may use what there is.
    assert codes(None, {("runner", "cpu_share"): [0.99] * N}) == []


def test_steal_starves_a_runner_whatever_runs_on_it() -> None:
    stolen = {("runner", "cpu_share"): [0.6] * N, ("runner", "steal_share"): [0.2] * N}
    assert codes(None, stolen) == ["cpu-starved-runner"]


def test_a_neighbour_is_named_with_its_share_where_the_runner_has_room() -> None:
    seen = {("runner", "cpu_share"): [0.7] * N, ("runner", "process_python3_cpu_share"): [0.48] * N}
    (one,) = found(None, seen)
    assert isinstance(one.facts, NoisyNeighbour)
    assert (one.facts.process, one.facts.share) == ("python3", pytest.approx(0.48))
    assert codes(None, {**seen, ("runner", "process_python3_cpu_share"): [0.9, *[None] * (N - 1)]}) == []


def test_memory_that_certainly_grows_faster_than_a_warm_up_is_found() -> None:
    (one,) = found(None, {("service", "rss"): [(100.0 + 2.0 * i) * MIB for i in range(N)]})
    assert isinstance(one.facts, MemoryGrowth)
    assert one.facts.rate == pytest.approx(120.0 * MIB, rel=0.01)
    assert one.strength < CLEAR, "a short stretch may be a warm-up, so what is clear stands before it"


def test_memory_that_rises_once_and_stays_does_not_grow() -> None:
    assert codes(None, {("service", "rss"): [100.0 * MIB] * 2 + [140.0 * MIB] * (N - 2)}) == []
    assert codes(None, {("service", "rss"): [(1000.0 + 0.2 * i) * MIB for i in range(N)]}) == []


def test_slow_misses_that_make_the_tail_are_found() -> None:
    rows = quiet()
    missed = np.random.default_rng(3).random(len(rows)) < 0.3
    slow = changed(rows, missed, 0.030, cache=CACHE_MISS)
    one = found(slow)[0]
    assert isinstance(one.facts, CacheMisses)
    assert one.facts.share == pytest.approx(0.32, abs=0.05)
    assert one.facts.slower == pytest.approx(4.0, rel=0.2)
    assert one.facts.explained > 0.9


def test_misses_as_fast_as_hits_explain_nothing() -> None:
    rows = quiet()
    missed = np.random.default_rng(3).random(len(rows)) < 0.3
    assert codes(changed(rows, missed, cache=CACHE_MISS)) == []


def test_a_few_misses_are_no_bottleneck_however_slow() -> None:
    rows = quiet()
    missed = np.random.default_rng(3).random(len(rows)) < 0.04
    assert "cache-misses" not in codes(changed(rows, missed, 0.030, cache=CACHE_MISS))


def test_the_tail_of_one_step_is_found_and_named() -> None:
    rows = quiet()
    slow = (rows.step == 1) & (np.random.default_rng(5).random(len(rows)) < 0.12)
    (one,) = found(changed(rows, slow, 0.120, cache=FIRST_CACHE_LAYER))
    assert isinstance(one.facts, StepTail)
    assert one.facts.step == "list"
    assert one.facts.p95 > 0.1


def test_the_tail_of_a_rare_step_is_found_though_another_step_is_the_slower_one_on_the_whole() -> None:
    rows = quiet()
    rare = np.random.default_rng(5).random(len(rows))
    rows = changed(rows, rows.step == 0, 0.020, cache=FIRST_CACHE_LAYER)
    (one,) = found(changed(rows, (rows.step == 1) & (rare < 0.06), 0.150, cache=FIRST_CACHE_LAYER))
    assert isinstance(one.facts, StepTail)
    assert one.facts.step == "list"
    assert one.facts.share > 0.9


def test_a_tail_that_all_steps_share_is_no_step_s_own() -> None:
    rows = quiet()
    slow = np.random.default_rng(5).random(len(rows)) < 0.12
    assert codes(changed(rows, slow, 0.120, cache=FIRST_CACHE_LAYER)) == []


def test_slow_requests_of_one_moment_are_no_tail() -> None:
    rows = quiet()
    moment = (rows.step == 1) & (rows.due > 8.0) & (rows.due < 10.4)
    assert "step-tail" not in codes(changed(rows, moment, 0.120))


def test_sessions_that_wait_for_locks_are_counted() -> None:
    waits = {("database", "locks_waiting"): [0.0] * 8 + [3.0] * 12, ("database", "longest_wait"): [0.0] * 8 + [1.2] * 12}
    (one,) = found(None, waits)
    assert one.facts == LockWaits(waiting=3.0, longest=1.2)
    assert codes(None, {("database", "locks_waiting"): [0.0] * 17 + [1.0] * 3}) == []


def test_a_slow_statement_is_named_where_statements_are_counted() -> None:
    slow = {
        ("database", "longest_query"): [0.8] * N,
        ("database", "statement_select_from_orders_seconds"): [2.0 * i for i in range(N)],
        ("database", "statement_insert_seconds"): [0.1 * i for i in range(N)],
    }
    (one,) = found(None, slow)
    assert one.facts == SlowQuery(longest=0.8, statement="select from orders")


def test_a_statement_that_waits_for_a_lock_is_not_called_slow() -> None:
    waits = {
        ("database", "longest_query"): [0.8] * N,
        ("database", "longest_wait"): [0.8] * N,
        ("database", "locks_waiting"): [2.0] * N,
    }
    assert codes(None, waits) == ["lock-waits"]


def test_errors_are_reported_by_kind_and_time() -> None:
    rows = quiet()
    burst = (rows.due > 9.0) & (rows.due < 14.2) & (np.arange(len(rows)) % 3 == 0)
    one = found(failed(rows, burst))[0]
    assert isinstance(one.facts, ErrorBurst)
    assert one.facts.kind == "503"
    assert one.start == pytest.approx(9.0, abs=0.2)
    assert one.end == pytest.approx(14.2, abs=0.2)
    assert one.facts.count == pytest.approx(RATE * 5.2 / 3.0, rel=0.1)


def test_a_burst_among_rare_errors_has_its_own_time_and_the_others_are_counted() -> None:
    rows = quiet(120.0)
    every = np.arange(len(rows))
    wrong = (every % 400 == 0) | ((rows.due > 70.0) & (rows.due < 72.0))
    one = found(failed(rows, wrong), seconds=120.0)[0]
    assert isinstance(one.facts, ErrorBurst)
    assert (one.start, one.end) == (pytest.approx(70.0, abs=0.05), pytest.approx(72.0, abs=0.05))
    assert one.facts.count == one.facts.of
    assert one.facts.count + one.facts.elsewhere == int(wrong.sum())


def test_each_kind_of_error_has_its_own_time() -> None:
    rows = quiet()
    early, late = (rows.due > 3.0) & (rows.due < 5.0), (rows.due > 15.0) & (rows.due < 16.0)
    both = changed(failed(rows, early, 503), late, outcome=Outcome.TIMEOUT, status=0)
    bursts = [(one.facts.kind, round(one.start), round(one.end)) for one in found(both) if isinstance(one.facts, ErrorBurst)]
    assert bursts == [("503", 3, 5), ("TIMEOUT", 15, 16)]


def test_errors_that_come_evenly_are_hardly_ever_given_a_time_of_their_own() -> None:
    random = np.random.default_rng(3)
    apart = 0
    for share in (0.02, 0.1, 0.5, 1.0) * 25:
        due = np.sort(random.uniform(5.0, 65.0, 2000))
        wrong = random.random(2000) < share
        start, end = densest(due, wrong, 5.0, 65.0)
        apart += float(((due[wrong] >= start) & (due[wrong] <= end)).mean()) < 0.9
    assert apart <= 2


def test_a_handful_of_errors_is_no_burst() -> None:
    rows = quiet()
    assert codes(failed(rows, np.arange(len(rows)) % 800 == 0)) == []


def test_a_service_that_answers_nothing_for_a_while_has_stalled() -> None:
    rows = quiet()
    inside = (rows.due > 4.0) & (rows.due < 8.0)
    stalled = changed(rows, inside, 8.0 - rows.due)
    one = found(stalled)[0]
    assert isinstance(one.facts, ServiceStall)
    assert one.code == "service-stall"
    assert one.start == pytest.approx(4.0, abs=0.1)
    assert one.end == pytest.approx(8.0, abs=0.1)
    assert one.facts.waiting > 500


def test_a_standstill_of_the_generator_is_no_stall_of_the_service() -> None:
    rows = quiet()
    inside = (rows.due > 4.0) & (rows.due < 8.0)
    stalled = changed(rows, inside, 8.0 - rows.due)
    assert "service-stall" not in codes(stalled, stalls=(Stall(start=4.0, end=8.0),))


def test_a_queue_that_grows_through_the_phase_is_saturation() -> None:
    grows = ticks(np.linspace(5.0, 400.0, N), 150.0 * np.arange(N))
    (one,) = found(None, ticks=grows)
    assert isinstance(one.facts, Saturation)
    assert (one.facts.offered, one.facts.answered) == (RATE, pytest.approx(150.0, abs=1.0))


def test_a_queue_that_is_worked_off_again_is_no_saturation() -> None:
    peak = ticks([*np.linspace(5.0, 100.0, N // 2), *np.linspace(100.0, 5.0, N - N // 2)], RATE * np.arange(N))
    assert codes(None, ticks=peak) == []


def test_users_too_few_for_the_rate_even_at_the_quickest_responses_are_no_saturation_of_the_service() -> None:
    rows = quiet()
    slow = changed(rows, np.ones(len(rows), bool), 0.3)
    few = dict.fromkeys(("login", "list"), 400)
    facts = {"ticks": ticks([50.0] * N, 150.0 * np.arange(N)), "blocked": few, "due": dict.fromkeys(few, 2_400)}
    assert codes(slow, **facts) == [], "200/s of 300 ms take 60 users, and there are 50"
    assert "saturation" in codes(changed(rows, rows.due > 2.0, 0.3), **facts)


@pytest.mark.parametrize(
    "limit",
    [{"health": health(cpu_share=0.97)}, {"missed": {"login": 40}}, {"stalls": (Stall(start=2.0, end=4.0),)}],
    ids=["cpu", "missed", "standstill"],
)
def test_a_generator_at_its_limit_is_reported(limit: dict[str, object]) -> None:
    rows = quiet()
    due = {
        name: int((rows.step == i).sum()) + (40 if name == "login" and "missed" in limit else 0)
        for i, name in enumerate(("login", "list"))
    }
    assert codes(rows, due=due, **limit)[0] == "generator-limit"


def test_a_dependency_that_does_not_answer_twice_in_a_row_is_down() -> None:
    up = [1.0] * 5 + [0.0] * 6 + [1.0] * 9
    (one,) = found(None, {("monitor", "redis_up"): up})
    assert one.facts == DependencyDown(source="redis", seconds=5.0)
    assert (one.start, one.end) == (5.5, 10.5)
    assert codes(None, {("monitor", "redis_up"): [1.0, 0.0] * (N // 2)}) == []
    assert codes(None, {("monitor", "metrics_up"): up}) == []


def test_what_brings_others_about_is_reported_before_them() -> None:
    rows = quiet()
    burst = (rows.due > 9.0) & (np.arange(len(rows)) % 2 == 0)
    pool = {
        **POOL,
        ("service", "database_pool_in_use"): [10.0] * N,
        ("service", "database_pool_waiting"): [30.0] * N,
    }
    grows = ticks(np.linspace(5.0, 400.0, N), 150.0 * np.arange(N))
    assert codes(failed(rows, burst), pool, ticks=grows) == ["pool-exhausted", "saturation", "errors"]


def experiment(begun: float, ended: float | None) -> ExperimentSummary:
    return ExperimentSummary(name="redis_silent", repeat=1, begun=begun, ended=ended, fault="", figures=())


@pytest.mark.slow
def test_what_an_experiment_broke_on_purpose_is_no_bottleneck_and_the_rest_of_the_phase_still_shows_one() -> None:
    rows = quiet()
    moment = (rows.due > 6.0) & (rows.due < 9.0)
    down = {("monitor", "redis_up"): [1.0] * 6 + [0.0] * 3 + [1.0] * (N - 9)}
    assert codes(failed(rows, moment), down) == ["dependency-down", "errors"]
    assert codes(failed(rows, moment), down, experiments=[experiment(5.8, 9.0)]) == []
    assert codes(failed(rows, moment), down, experiments=[experiment(14.0, 16.0)]) == ["dependency-down", "errors"]


def test_a_service_that_stands_still_in_an_experiment_is_no_stall_of_its_own() -> None:
    rows = quiet()
    still = (rows.due > 6.0) & (rows.due < 9.0)
    waiting = changed(rows, still, 9.5 - np.where(still, rows.due, 0.0))
    assert "service-stall" in codes(waiting)
    assert codes(waiting, experiments=[experiment(5.8, None)]) == []
