from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from velro_gate.engine.machine.limits import (
    count_connections,
    free_memory,
    may_exceed_hard_limit,
    open_descriptors,
    port_count,
    raise_descriptor_limit,
    read_machine,
    usable_cores,
)


def test_this_machine_has_limits_that_make_sense() -> None:
    machine = read_machine()
    assert 0 < resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= machine.descriptors_reachable
    assert machine.cores > 0
    assert machine.memory is not None
    assert machine.memory > 0
    assert machine.ports is None or 0 < machine.ports < 65536


def test_where_nothing_can_be_read_the_limits_are_missing(tmp_path: Path) -> None:
    machine = read_machine(proc=tmp_path, cgroup=tmp_path)
    assert machine.ports is None
    assert machine.listen_backlog is None


def test_both_ends_of_the_port_range_count(tmp_path: Path) -> None:
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_local_port_range").write_text("32768\t60999\n")
    assert port_count(tmp_path) == 28_232


@pytest.mark.parametrize(
    ("mask", "may"), [("0000000001000000", True), ("0000000000000000", False), ("000001fffeffffff", False)]
)
def test_the_right_to_exceed_the_hard_limit_is_a_capability_and_not_the_name_root(tmp_path: Path, mask: str, may: bool) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text(f"Name:\tpython\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\n")
    assert may_exceed_hard_limit(tmp_path) is may


def test_a_quota_leaves_a_fraction_of_the_cores(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(tmp_path) == 0.5


@pytest.mark.parametrize("text", ["max 100000\n", ""])
def test_without_a_quota_all_cores_are_usable(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "absent") >= 1.0


def test_a_memory_limit_of_the_control_group_is_what_is_free(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert free_memory(tmp_path) == 600_000


def test_an_unlimited_control_group_leaves_the_machines_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("400000\n")
    free = free_memory(tmp_path)
    assert free is not None
    assert free > 1_000_000


def test_descriptors_are_counted_as_they_open_and_close() -> None:
    before = open_descriptors(exact=True)
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    during = open_descriptors(exact=True)
    for number in opened:
        os.close(number)
    assert before is not None
    assert during is not None
    assert during - before == 20


def test_an_older_kernels_folder_is_listed_only_when_an_exact_count_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    folder = tmp_path / "self/fd"
    folder.mkdir()
    if folder.stat().st_size == 0:  # like /proc before Linux 6.2
        assert open_descriptors(exact=False, proc=tmp_path) is None
        assert open_descriptors(exact=True, proc=tmp_path) == 0
    else:
        assert open_descriptors(exact=False, proc=tmp_path) == folder.stat().st_size


def limits_after(soft: int, hard: int, needed: int, proc: str = "/nonexistent") -> tuple[int, int]:
    """What raise_descriptor_limit answers, and the limit that then stands, in a process with these limits to begin with."""
    code = (
        "import resource; from velro_gate.engine.machine.limits import raise_descriptor_limit as up; from pathlib import Path;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        f"print(up({needed}, Path({proc!r})), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    reached, stands = done.stdout.split()
    return int(reached), int(stands)


def test_a_soft_limit_that_suffices_is_left_alone() -> None:
    assert limits_after(100, 500, 90) == (100, 100)


def test_a_soft_limit_is_raised_to_twice_the_need() -> None:
    assert limits_after(100, 500, 200) == (400, 400)


def test_the_hard_limit_is_the_end_without_the_right_to_exceed_it() -> None:
    assert limits_after(100, 500, 900) == (500, 500)


def test_a_refusal_to_exceed_the_hard_limit_still_leaves_all_up_to_it(tmp_path: Path) -> None:
    """The kernel's files promise the right; where the kernel refuses all the same, the hard limit is reached at least."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("CapEff:\t000001ffffffffff\n")
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/nr_open").write_text("1048576\n")
    reached, stands = limits_after(100, 500, 900, str(tmp_path))
    assert reached == stands
    assert reached in (500, 1800)


def test_asking_for_what_is_there_changes_nothing_in_this_process() -> None:
    assert raise_descriptor_limit(1) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_real_connections_to_a_target_are_counted_and_others_are_not(family: int, address: str) -> None:
    if not Path("/proc/net/tcp").exists():
        assert count_connections([(address, 1)]) is None
        return
    with socket.socket(family) as listener, socket.socket(family) as other:
        for server in (listener, other):
            server.bind((address, 0))
            server.listen()
        port = listener.getsockname()[1]
        clients = [socket.create_connection((address, port)) for _ in range(3)]
        clients.append(socket.create_connection((address, other.getsockname()[1])))
        try:
            assert count_connections([(address, port)]) == 3
        finally:
            for client in clients:
                client.close()


def test_a_table_longer_than_one_read_is_counted_whole(tmp_path: Path) -> None:
    line = "%4d: 0100007F:%04X 0200000A:1F90 %s 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    rows = "".join(line % (i, 1000 + i % 5000, "06" if i % 2 else "01") for i in range(4000))
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("  sl  local_address rem_address   st\n" + rows)
    assert count_connections([("10.0.0.2", 8080)], tmp_path) == 4000
    assert count_connections([("10.0.0.3", 8080)], tmp_path) == 0


def test_a_local_address_is_no_target(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(
        "head\n   0: 0100007F:1F90 0100007F:9C40 01 0:0\n   1: 0100007F:9C40 0100007F:1F90 01 0:0\n"
    )
    assert count_connections([("127.0.0.1", 8080)], tmp_path) == 1


def test_the_zone_of_a_link_local_address_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp6").write_text("head\n")
    assert count_connections([("fe80::1%eth0", 80)], tmp_path) == 0
