"""Other processes of this machine, from the kernel's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from velro_gate.monitor.sources.neighbours import Neighbours

TICK = os.sysconf("SC_CLK_TCK")


KERNEL = 0x0020_0000


def process(proc: Path, pid: int, command: str, seconds: float, *, parent: int = 1, flags: int = 4194304) -> None:
    """A process as /proc/PID/stat shows it: fields 14 and 15 are its ticks in user and in system mode."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    ticks = round(seconds * TICK)
    (folder / "stat").write_text(f"{pid} ({command}) S {parent} 1 1 0 -1 {flags} 9 0 0 0 {ticks} 0 7 7 20 0 1 0 100 1 1\n")


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


def test_others_are_named_by_their_command_with_their_share_of_a_core(tmp_path: Path, clock: list[float]) -> None:
    neighbours = Neighbours(proc=tmp_path, clock=lambda: clock[0])
    for pid, command in ((7, "python3"), (8, "python3"), (9, "tmux: server"), (10, "idle")):
        process(tmp_path, pid, command, 50.0)
    assert neighbours.read() == {}
    clock[0] += 2.0
    for pid, command, used in ((7, "python3", 0.6), (8, "python3", 0.36), (9, "tmux: server", 0.2), (10, "idle", 0.02)):
        process(tmp_path, pid, command, 50.0 + used)
    found = neighbours.read()
    assert found == {
        "process_python3_cpu_share": pytest.approx(0.48),
        "process_tmux_server_cpu_share": pytest.approx(0.1),
    }


def test_our_own_processes_and_the_services_are_no_neighbours(tmp_path: Path, clock: list[float]) -> None:
    neighbours = Neighbours(lambda: (50,), proc=tmp_path, clock=lambda: clock[0])
    ours = os.getpid()
    for seconds in (1.0, 3.0):
        process(tmp_path, ours, "velro-gate", seconds)
        process(tmp_path, ours + 1, "shard", seconds, parent=ours)
        process(tmp_path, 50, "uvicorn", seconds)
        process(tmp_path, 51, "worker) (odd", seconds, parent=50)
        process(tmp_path, 52, "grandchild", seconds, parent=51)
        found = neighbours.read()
        clock[0] += 2.0
    assert found == {}


def test_between_two_looks_nothing_is_read_and_a_reused_number_is_another_process(tmp_path: Path, clock: list[float]) -> None:
    neighbours = Neighbours(proc=tmp_path, clock=lambda: clock[0])
    process(tmp_path, 7, "old", 1.0)
    neighbours.read()
    clock[0] += 1.0
    process(tmp_path, 7, "new", 2.0)
    assert neighbours.read() == {}
    clock[0] += 1.0
    assert neighbours.read() == {}


def test_without_the_kernels_files_there_are_no_neighbours(tmp_path: Path) -> None:
    assert Neighbours(proc=tmp_path / "absent").read() == {}


def test_threads_of_the_kernel_are_looked_at_every_ten_seconds_and_keep_their_share_in_between(
    tmp_path: Path, clock: list[float]
) -> None:
    neighbours = Neighbours(proc=tmp_path, clock=lambda: clock[0])
    found = []
    for look in range(12):
        process(tmp_path, 9, "kswapd0", 10.0 + look, parent=2, flags=KERNEL)
        process(tmp_path, 8, "python3", 10.0 + look)
        found.append(neighbours.read())
        clock[0] += 2.0
    assert [set(each) for each in found[:5]] == [set(), *[{"process_python3_cpu_share"}] * 4]
    # A second of CPU in two seconds, over ten of them.
    assert all(each["process_kswapd0_cpu_share"] == pytest.approx(0.5) for each in found[5:])
    assert all(each["process_python3_cpu_share"] == pytest.approx(0.5) for each in found[1:])


def test_a_look_reads_no_file_of_a_known_thread_of_the_kernel(tmp_path: Path, clock: list[float]) -> None:
    neighbours = Neighbours(proc=tmp_path, clock=lambda: clock[0])
    process(tmp_path, 9, "kswapd0", 10.0, parent=2, flags=KERNEL)
    neighbours.read()
    process(tmp_path, 9, "kswapd0", 20.0, parent=2, flags=KERNEL)
    for _ in range(4):
        clock[0] += 2.0
        assert neighbours.read() == {}
