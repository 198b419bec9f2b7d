from __future__ import annotations

import gc
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.exhaustion import no_free_descriptor
from velro_gate.engine.machine.health import Durations, HealthWatch, LoopLag

SECONDS = st.floats(min_value=1e-7, max_value=1e4)


@given(st.lists(SECONDS, min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_lies_within_an_eighth_above_the_exact_one(values: list[float], rank: float) -> None:
    turns = Durations()
    for value in values:
        turns.add(value)
    exact = float(np.quantile(values, rank, method="inverted_cdf"))
    assert exact * 0.999_999 <= turns.quantile(rank) <= exact * 1.125 * 1.000_001


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_the_longest_duration_is_kept_exactly_and_all_are_counted(values: list[float]) -> None:
    turns = Durations()
    for value in values:
        turns.add(value)
    assert turns.most == max(values)
    assert turns.quantile(1.0) == max(values)
    assert len(turns) == len(values)


@given(st.lists(SECONDS, min_size=2, max_size=50))
def test_quantiles_are_monotone_in_the_rank(values: list[float]) -> None:
    turns = Durations()
    for value in values:
        turns.add(value)
    found = [turns.quantile(rank) for rank in (0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)


def test_without_durations_the_quantile_is_zero() -> None:
    assert Durations().quantile(0.99) == 0.0


def test_a_clock_that_stood_still_counts_as_a_turn_of_no_length() -> None:
    turns = Durations()
    turns.add(0.0)
    assert len(turns) == 1
    assert turns.quantile(0.99) == 0.0


def test_clearing_forgets_everything() -> None:
    turns = Durations()
    turns.add(3.0)
    turns.clear()
    assert (len(turns), turns.most) == (0, 0.0)


def test_memory_does_not_grow_with_the_number_of_turns() -> None:
    turns = Durations()
    turns.add(1.0)
    before = len(turns._counts)
    for power in range(-25, 12):
        turns.add(2.0**power)
    assert len(turns._counts) == before


def test_a_task_that_blocks_the_loop_shows_as_loop_lag() -> None:
    lag = LoopLag()

    async def main() -> None:
        await trio.sleep(0)
        time.sleep(0.03)  # the fault under test: a task that does not give the loop back
        await trio.sleep(0)

    trio.run(main, instruments=[lag])
    assert lag.turns.most >= 0.03
    assert lag.turns.quantile(0.1) < 0.03


def test_waiting_for_io_is_no_loop_lag() -> None:
    lag = LoopLag()

    async def main() -> None:
        await trio.sleep(0.05)

    trio.run(main, instruments=[lag])
    assert lag.turns.most < 0.05


def run_watch(watch: HealthWatch, body: object = None) -> object:
    async def main() -> object:
        watch.begin()
        await trio.sleep(0)
        if callable(body):
            body()
        await trio.sleep(0)
        return watch.finish()

    return trio.run(main, instruments=[watch.instrument()])


def test_a_calm_stretch_reports_every_figure_on_this_machine() -> None:
    health = run_watch(HealthWatch(target_addresses=[("127.0.0.1", 9)]))
    assert health.cpu_share >= 0.0
    assert health.gc_full_collections == 0
    assert 0 < health.rss_start <= health.rss_peak
    assert health.loop_lag_p99 <= health.loop_lag_max
    if Path("/proc/stat").exists():
        assert 0.0 <= health.steal_share <= 1.0
        assert health.descriptors_free > 0
        assert health.ports_free > 0


def test_the_loop_lag_of_before_the_stretch_is_not_counted() -> None:
    watch = HealthWatch()

    async def main() -> float:
        time.sleep(0.05)  # before the stretch begins: not its fault
        await trio.sleep(0)
        watch.begin()
        await trio.sleep(0)
        return watch.finish().loop_lag_max

    assert trio.run(main, instruments=[watch.instrument()]) < 0.05


def test_full_collections_are_counted_and_young_ones_are_not() -> None:
    def collect() -> None:
        gc.collect(0)
        gc.collect(2)
        gc.collect(2)

    health = run_watch(HealthWatch(), collect)
    assert health.gc_full_collections == 2
    assert health.gc_pause_max > 0.0


def test_the_callback_is_taken_off_when_the_stretch_ends() -> None:
    before = list(gc.callbacks)
    run_watch(HealthWatch())
    assert gc.callbacks == before


def test_beginning_twice_leaves_one_callback_only() -> None:
    watch, before = HealthWatch(), len(gc.callbacks)
    watch.begin()
    watch.begin()
    assert len(gc.callbacks) == before + 1
    watch.finish()
    assert len(gc.callbacks) == before


def test_finishing_what_was_not_begun_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="begin"):
        HealthWatch().finish()


def test_busy_work_shows_in_the_cpu_share() -> None:
    def burn() -> None:
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass

    assert run_watch(HealthWatch(), burn).cpu_share > 0.1


def test_the_peak_of_memory_is_seen_by_a_sample_in_between() -> None:
    watch = HealthWatch()
    watch.begin()
    # Pages of its own, asked of the kernel: the heap could serve a large object from what an earlier test has freed.
    with mmap.mmap(-1, 64 * 2**20) as ballast:
        ballast.write(b"x" * len(ballast))
        watch.sample()
    health = watch.finish()
    assert health.rss_peak - health.rss_start > 32 * 2**20


def test_the_least_number_of_free_descriptors_is_kept() -> None:
    watch = HealthWatch()
    watch.begin()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    watch.sample()
    for number in opened:
        os.close(number)
    busy, gc_pause = watch.finish().descriptors_free, run_watch(HealthWatch()).descriptors_free
    assert gc_pause - busy >= 40


def fake_proc(folder: Path, *, stat: str = "cpu  10 0 10 80 0 0 0 0 0 0\n", time_wait: int = 0, tcp: str = "") -> Path:
    (folder / "net").mkdir(exist_ok=True)
    (folder / "self/fd").mkdir(parents=True, exist_ok=True)
    (folder / "sys/net/ipv4").mkdir(parents=True, exist_ok=True)
    (folder / "sys/net/ipv4/ip_local_port_range").write_text("1000\t1099\n")
    (folder / "net/sockstat").write_text(f"sockets: used 9\nTCP: inuse 5 orphan 0 tw {time_wait} alloc 5 mem 1\n")
    (folder / "net/tcp").write_text("  sl  local_address rem_address   st\n" + tcp)
    (folder / "stat").write_text(stat)
    return folder


def test_stolen_time_is_its_share_of_all_jiffies_of_the_stretch(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path)
    watch = HealthWatch(proc=proc)
    watch.begin()
    fake_proc(tmp_path, stat="cpu  60 0 30 100 0 0 0 10 50 0\n")
    # user +50 (guest time is in it already), system +20, idle +20, steal +10: 10 of 100.
    assert watch.finish().steal_share == pytest.approx(0.10)


def quota(folder: Path, throttled: int) -> Path:
    (folder / "cpu.stat").write_text(f"usage_usec 1\nnr_throttled 1\nthrottled_usec {throttled}\n")
    return folder


def test_time_for_which_a_quota_held_us_back_is_a_share_of_the_stretch(tmp_path: Path) -> None:
    watch = HealthWatch(cgroup=quota(tmp_path, 5_000_000))
    watch.begin()
    assert watch.finish().throttled_share == 0.0, "what was held back before the stretch does not count"
    watch.begin()
    quota(tmp_path, 905_000_000)
    assert watch.finish().throttled_share == 1.0, "several cores held back at once are no more than all of the time"


def test_a_quota_that_is_not_counted_is_missing_and_not_zero(tmp_path: Path) -> None:
    assert run_watch(HealthWatch(cgroup=tmp_path / "absent", proc=tmp_path)).throttled_share is None


def test_the_least_free_memory_of_the_stretch_is_kept(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("100\n")
    watch = HealthWatch(cgroup=tmp_path, proc=tmp_path)
    watch.begin()
    (tmp_path / "memory.current").write_text("800\n")
    watch.sample()
    (tmp_path / "memory.current").write_text("300\n")
    assert watch.finish().memory_free == 200


def test_without_kernel_files_the_figures_are_missing_and_not_zero(tmp_path: Path) -> None:
    health = run_watch(HealthWatch(target_addresses=[("127.0.0.1", 80)], proc=tmp_path / "absent"))
    assert health.steal_share is None
    assert health.ports_free is None


def test_without_targets_there_is_no_count_of_ports(tmp_path: Path) -> None:
    assert run_watch(HealthWatch(proc=fake_proc(tmp_path))).ports_free is None


def test_ports_in_time_wait_are_not_free(tmp_path: Path) -> None:
    health = run_watch(HealthWatch(target_addresses=[("127.0.0.1", 80)], proc=fake_proc(tmp_path, time_wait=30)))
    assert health.ports_free == pytest.approx(70, abs=1)


def test_the_connections_of_all_shards_take_ports_of_the_one_machine(tmp_path: Path) -> None:
    for shards, free in ((1, 90), (3, 70)):
        watch = HealthWatch(target_addresses=[("127.0.0.1", 80)], shards=shards, proc=fake_proc(tmp_path))
        assert watch._free_ports(10) == free


def test_each_source_address_has_all_the_ports(tmp_path: Path) -> None:
    for sources, free in ((1, 90), (3, 290)):
        watch = HealthWatch(target_addresses=[("127.0.0.1", 80)], sources=sources, proc=fake_proc(tmp_path))
        assert watch._free_ports(10) == free


def test_near_exhaustion_the_kernels_own_table_decides(tmp_path: Path) -> None:
    """Time-wait sockets toward other targets take no port of ours: the cheap bound cries wolf, the table does not."""
    ours = "   0: 0100007F:03E8 0100007F:0050 01 00000000:00000000\n"
    others = "   1: 0100007F:03E9 0100007F:0051 06 00000000:00000000\n"
    proc = fake_proc(tmp_path, time_wait=95, tcp=ours * 3 + others * 92)
    assert run_watch(HealthWatch(target_addresses=[("127.0.0.1", 80)], proc=proc)).ports_free == 97


def test_each_target_has_its_own_ports_and_the_busiest_one_counts(tmp_path: Path) -> None:
    row = "   0: 0100007F:03E8 0100007F:%04X 01 00000000:00000000\n"
    proc = fake_proc(tmp_path, time_wait=95, tcp=row % 80 * 60 + row % 81 * 20)
    assert run_watch(HealthWatch(target_addresses=[("127.0.0.1", 80), ("127.0.0.1", 81)], proc=proc)).ports_free == 40


def test_the_turn_in_which_the_stretch_begins_counts_from_there() -> None:
    watch = HealthWatch()

    async def main() -> float:
        await trio.sleep(0)
        time.sleep(0.05)  # a full collection before the stretch, for example
        watch.begin()
        await trio.sleep(0)
        return watch.finish().loop_lag_max

    assert trio.run(main, instruments=[watch.instrument()]) < 0.05


def test_one_watch_measures_stretch_after_stretch() -> None:
    """A collection and the memory of the first stretch are no part of the second."""
    watch = HealthWatch()
    watch.begin()
    gc.collect(2)
    first = watch.finish()
    watch.begin()
    second = watch.finish()
    assert (first.gc_full_collections, second.gc_full_collections) == (1, 0)
    assert second.gc_pause_max == 0.0


def test_a_sample_before_any_stretch_does_no_harm() -> None:
    watch = HealthWatch()
    watch.sample()
    watch.begin()
    assert watch.finish().rss_start > 0


def test_without_a_free_descriptor_the_stretch_is_measured_all_the_same() -> None:
    watch = HealthWatch()
    with no_free_descriptor():
        watch.begin()
        watch.sample()
        health = watch.finish()
    assert health.cpu_share >= 0.0
    assert health.steal_share is None
