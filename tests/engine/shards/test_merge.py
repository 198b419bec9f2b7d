"""What several shards hand on is, put together, what one process would have handed on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.phases import STEPS, health, run_of
from tests.analysis.phases import samples as rows_of
from tests.model.values import samples
from tests.store.values import equal
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.shards.merge import LayerNames, merged_health, merged_progress, merged_run, merged_ticks
from velro_gate.model.run import PhaseRun, Progress, Shard, Tick
from velro_gate.model.samples import COLUMNS, FIRST_CACHE_LAYER, Samples
from velro_gate.model.scenario import OpenArrivals, Phase


def measured(size: int) -> Samples:
    """Rows of a phase of 10 s and 60 s, two steps and fifty users."""
    random = np.random.default_rng(size)
    chosen = {"step": random.integers(0, 2, size), "user": random.integers(0, 50, size)}
    return rows_of(random.uniform(0.0, 70.0, size), random.exponential(0.02, size), **chosen)


def ordered(rows: Samples) -> Samples:
    """The same rows in the order of their users' numbers, which are unique here."""
    order = np.argsort(rows.user)
    return Samples(**{name: getattr(rows, name)[order] for name in COLUMNS})


@given(samples(), st.integers(1, 9), st.randoms(use_true_random=False))
def test_the_columns_of_all_shards_are_the_columns_of_the_whole(whole: Samples, count: int, random: object) -> None:
    names = ["redis", "memory", "disk"]
    whole = dataclasses.replace(whole, cache=(whole.user % 5).astype(np.uint8))  # none, a miss, or one of three layers
    run, parts = LayerNames(), []
    for index in range(count):
        own = whole.where(whole.user % count == index)
        # Each shard has met the layers in an order of its own.
        order = random.sample(names, 3)  # type: ignore[attr-defined]
        codes = np.array([0, 1, *(FIRST_CACHE_LAYER + order.index(name) for name in names)], np.uint8)
        parts.append(run.renumbered(dataclasses.replace(own, cache=codes[own.cache]), order))
    together = Samples.concatenate(parts)
    back = np.array([0, 1, *(FIRST_CACHE_LAYER + names.index(name) for name in run.names)], np.uint8)
    assert equal(ordered(dataclasses.replace(together, cache=back[together.cache])), ordered(whole))


def test_layers_beyond_the_most_share_the_last_code() -> None:
    run = LayerNames()
    many = [f"layer-{number}" for number in range(CacheLayers.MOST)]
    rows = dataclasses.replace(measured(1), cache=np.array([FIRST_CACHE_LAYER], np.uint8))
    run.renumbered(rows, many)
    assert run.renumbered(rows, ["one more"]).cache.tolist() == [FIRST_CACHE_LAYER + CacheLayers.MOST - 1]
    assert run.names == many


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(1, 7), st.integers(0, 300))
def test_the_summary_of_the_merged_phase_is_that_of_the_whole(count: int, size: int) -> None:
    whole = measured(size)
    runs, parts = [], []
    for index in range(count):
        own = whole.where(whole.user % count == index)
        parts.append(own)
        runs.append(run_of(own, users=len(Shard(index=index, count=count).users(50)), ticks=(), connections_opened=7))
    phase = Phase(name="steady", users=50, ramp=10.0, duration=60.0, arrivals=OpenArrivals(rate=100.0))
    alone = run_of(whole, ticks=(), connections_opened=7 * count)
    together = merged_run(runs, interrupted=False)
    assert dataclasses.replace(together, health=alone.health) == alone
    merged = summarise(phase, STEPS, together, Samples.concatenate(parts), [], [])
    expected = summarise(phase, STEPS, alone, whole, [], [])
    for one, other in zip(merged.steps, expected.steps, strict=True):
        assert (one.counts, set(one.measurements)) == (other.counts, set(other.measurements))
        for name, figure in one.measurements.items():
            assert figure.value == pytest.approx(other.measurements[name].value, rel=1e-12)


def runs(**changed: object) -> list[PhaseRun]:
    first = run_of(measured(10))
    return [first, dataclasses.replace(first, **changed)]  # type: ignore[arg-type]


def test_a_shard_that_ended_because_another_did_is_no_interruption() -> None:
    assert not merged_run(runs(interrupted=True), interrupted=False).interrupted
    assert merged_run(runs(interrupted=True), interrupted=True).interrupted
    assert not merged_run(runs(), interrupted=True).interrupted


def test_a_service_that_is_gone_for_some_shards_is_gone_and_it_is_said_for_how_many() -> None:
    assert merged_run(runs(), interrupted=False).service_gone is None
    assert merged_run(runs(service_gone="refused"), interrupted=False).service_gone == "refused (so 1 of 2 shards)"


def test_what_shards_count_of_redirects_and_sessions_is_added_and_the_first_fault_is_reported() -> None:
    both = merged_run(runs(redirects_followed=3, sessions_reused=2, tls_fault="expired"), interrupted=False)
    assert (both.redirects_followed, both.sessions_reused, both.tls_fault) == (3, 2, "expired")


def test_a_shard_that_could_not_begin_does_not_move_the_measured_stretch() -> None:
    first = run_of(measured(10), begin=10.0)
    absent = dataclasses.replace(first, measured_from=first.started, measured_until=first.started, ended=first.started, due={})
    both = merged_run([absent, first], interrupted=False)
    assert (both.measured_from, both.measured_until, both.ended) == (first.measured_from, first.measured_until, first.ended)


def test_ticks_are_added_second_by_second_and_a_shard_that_has_ended_stands_with_its_last() -> None:
    def tick(at: float, connected: int, sent: int) -> Tick:
        return Tick(at=at, connected=connected, in_flight=1, sent=sent, ok=sent, failed=0)

    merged = merged_ticks([[tick(1.0, 5, 10), tick(2.1, 5, 20)], [tick(1.2, 6, 7)], []])
    assert merged == (
        Tick(at=1.2, connected=11, in_flight=2, sent=17, ok=17, failed=0),
        Tick(at=2.1, connected=11, in_flight=2, sent=27, ok=27, failed=0),
    )


def test_the_worst_shard_speaks_for_the_generator_and_memory_is_added() -> None:
    gc_pause = health(steal_share=None, descriptors_free=None, ports_free=9, gc_full_collections=1, memory_free=5)
    busy = health(
        cpu_share=0.8,
        loop_lag_max=0.2,
        gc_full_collections=2,
        gc_pause_max=0.3,
        descriptors_free=4,
        ports_free=7,
        memory_free=6,
        throttled_share=0.1,
    )
    assert merged_health([gc_pause, busy]) == health(
        cpu_share=0.8,
        steal_share=0.0,
        loop_lag_max=0.2,
        gc_full_collections=3,
        gc_pause_max=0.3,
        rss_start=2 * gc_pause.rss_start,
        rss_peak=2 * gc_pause.rss_peak,
        descriptors_free=4,
        ports_free=7,
        memory_free=5,
        throttled_share=0.1,
    )
    assert merged_health([gc_pause]) == gc_pause


def test_a_view_adds_what_can_be_added_and_shows_the_worst_latencies() -> None:
    one = Progress(
        phase="p",
        phase_number=1,
        phase_count=1,
        stage="measure",
        users=5,
        connected=4,
        rate=50.0,
        offered_rate=None,
        p50=None,
        p95=None,
        p99=None,
        errors=1,
        error_rate=0.02,
        hit_rate=None,
        lateness_p99=None,
        elapsed=3.0,
        remaining=1.0,
    )
    other = dataclasses.replace(one, p50=0.2, p95=0.3, p99=0.4, error_rate=0.0, errors=0, hit_rate=0.5, lateness_p99=0.001)
    both = merged_progress([one, other])
    assert merged_progress([dataclasses.replace(one, rate=None)] * 2).rate is None
    assert (both.users, both.connected, both.rate, both.offered_rate, both.errors) == (10, 8, 100.0, None, 1)
    assert (both.p50, both.p95, both.p99, both.error_rate, both.hit_rate) == (0.2, 0.3, 0.4, 0.01, 0.5)
    assert merged_progress([one]) == one
