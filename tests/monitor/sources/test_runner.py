from __future__ import annotations

import socket
import time
from pathlib import Path

import psutil
import pytest
import trio

from velro_gate.monitor.sources.runner import RunnerMonitor


def test_this_machine_is_read() -> None:
    async def main() -> tuple[dict[str, float], dict[str, float]]:
        runner = RunnerMonitor()
        return dict(await runner.read()), dict(await runner.read())

    first, second = trio.run(main)
    assert "cpu_share" not in first
    assert first["memory_used"] > 0
    assert first["memory_available"] > 0
    assert first["load"] >= 0.0
    if "cpu_share" in second:  # two readings within one tick of the kernel have no share
        assert 0.0 <= second["cpu_share"] <= 1.0
        assert 0.0 <= second.get("steal_share", 0.0) <= 1.0


def test_bytes_over_loopback_are_counted() -> None:
    runner = RunnerMonitor()
    before = runner.read_blocking()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
            client.sendall(b"x" * 50_000)
            received = 0
            while received < 50_000:
                received += len(accepted.recv(65536))
    after = runner.read_blocking()
    assert after["network_sent_total"] - before["network_sent_total"] >= 50_000


def test_sockets_and_throttling_come_from_the_kernels_files(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/sockstat").write_text(
        "sockets: used 99\nTCP: inuse 15002 orphan 0 tw 317 alloc 15010 mem 4\nUDP: inuse 1\n"
    )
    (tmp_path / "cpu.stat").write_text("usage_usec 5000\nnr_throttled 2\nthrottled_usec 1500000\n")
    values = RunnerMonitor(proc=tmp_path, cgroup=tmp_path).read_blocking()
    assert values["tcp_sockets"] == 15_002
    assert values["tcp_time_wait"] == 317
    assert values["cpu_throttled_seconds"] == pytest.approx(1.5)


def test_what_cannot_be_read_is_absent_and_not_zero(tmp_path: Path) -> None:
    values = RunnerMonitor(proc=tmp_path, cgroup=tmp_path).read_blocking()
    assert values.keys().isdisjoint({"tcp_sockets", "tcp_time_wait", "cpu_throttled_seconds"})


def test_descriptors_connections_and_their_faults_come_from_the_kernels_files(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text("2144\t0\t9223372036854775807\n")
    (tmp_path / "net/snmp").write_text("Ip: A B\nIp: 1 2\nTcp: CurrEstab InSegs RetransSegs\nTcp: 37 9 4\n")
    (tmp_path / "net/netstat").write_text("TcpExt: ListenOverflows ListenDrops\nTcpExt: 6 5\n")
    local = "0100007F:1F90 0100007F:D431"
    rows = "".join(f"   {n}: {local} {state} 0\n" for n, state in enumerate(("0A", "01", "02", "02", "03", "04", "05", "08")))
    (tmp_path / "net/tcp").write_text("  sl  local_address rem_address   st\n" + rows)
    values = RunnerMonitor(proc=tmp_path, cgroup=tmp_path).read_blocking()
    assert values["descriptors"] == 2144
    assert values["descriptors_limit"] == pytest.approx(9.2e18, rel=0.01)
    assert (values["tcp_established"], values["tcp_retransmitted_total"], values["tcp_listen_dropped_total"]) == (37, 4, 5)
    states = ("tcp_syn_sent", "tcp_syn_received", "tcp_fin_wait", "tcp_close_wait")
    assert [values[name] for name in states] == [2, 1, 2, 1]


def test_sockets_are_counted_by_state_every_twenty_seconds_only(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("  sl\n")
    now = [0.0]
    runner = RunnerMonitor(proc=tmp_path, cgroup=tmp_path, clock=lambda: now[0])
    counted = []
    for now[0] in (0.0, 1.0, 19.0, 20.0):
        counted.append("tcp_close_wait" in runner.read_blocking())
    assert counted == [True, False, False, True]


def test_this_machines_memory_network_and_disks_are_what_psutil_reads() -> None:
    values = RunnerMonitor().read_blocking()
    assert values["memory_available"] == pytest.approx(psutil.virtual_memory().available, rel=0.05)
    assert values["memory_used"] == pytest.approx(psutil.virtual_memory().used, rel=0.2)
    assert values["swap_used"] == pytest.approx(psutil.swap_memory().used, rel=0.05)
    disks = psutil.disk_io_counters(nowrap=False)
    assert disks is None or values["disk_written_total"] == pytest.approx(disks.write_bytes, rel=0.05)
    assert values["network_received_total"] == pytest.approx(psutil.net_io_counters(nowrap=False).bytes_recv, rel=0.05)


def test_shares_are_what_the_kernels_ticks_say_and_guests_count_once(tmp_path: Path) -> None:
    runner = RunnerMonitor(proc=tmp_path, cgroup=tmp_path)
    (tmp_path / "stat").write_text("cpu 10 0 10 100 0 0 0 0 5 0\ncpu0 10 0 10 50 0 0 0 0 5 0\ncpu1 0 0 0 50 0 0 0 0\nintr 1\n")
    runner.read_blocking()
    (tmp_path / "stat").write_text("cpu 40 0 10 150 10 0 0 10 35 0\ncpu0 40 0 10 60 10 0 0 10 35 0\ncpu1 0 0 0 90 0 0 0 0\n")
    values = runner.read_blocking()
    assert values["cpu_share"] == pytest.approx(0.4)
    assert values["steal_share"] == pytest.approx(0.1)
    assert values["cpu_0_share"] == pytest.approx(40 / 60)
    assert values["cpu_1_share"] == 0.0


def test_a_core_that_was_taken_away_leaves_out_one_reading(tmp_path: Path) -> None:
    runner = RunnerMonitor(proc=tmp_path, cgroup=tmp_path)
    for text in ("cpu 1 0 0 1\ncpu0 1 0 0 1\ncpu1 1 0 0 1\n", "cpu 2 0 0 2\ncpu0 2 0 0 2\n"):
        (tmp_path / "stat").write_text(text)
        assert "cpu_share" not in runner.read_blocking()
    (tmp_path / "stat").write_text("cpu 4 0 0 3\ncpu0 4 0 0 3\n")
    assert runner.read_blocking()["cpu_share"] == pytest.approx(2 / 3)


def test_partitions_and_what_is_no_disk_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "block/sda").mkdir(parents=True)
    rows = ("8 0 sda 1 0 100 0 1 0 200 0 0 3000 0 0 0 0 0 0", "8 1 sda1 1 0 90 0 1 0 190 0 0 2000 0 0 0 0 0 0", "broken line")
    (tmp_path / "diskstats").write_text("\n".join(rows) + "\n")
    values = RunnerMonitor(proc=tmp_path, cgroup=tmp_path, disks=tmp_path / "block").read_blocking()
    found = values["disk_read_total"], values["disk_written_total"], values["disk_busy_seconds"]
    assert found == (51_200.0, 102_400.0, 3.0)


def test_bytes_of_all_interfaces_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n"
    rows = "    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\neth0:40000 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"
    (tmp_path / "net/dev").write_text(head + rows)
    values = RunnerMonitor(proc=tmp_path, cgroup=tmp_path).read_blocking()
    assert (values["network_received_total"], values["network_sent_total"]) == (40_100.0, 107.0)


def test_each_core_has_its_share() -> None:
    runner = RunnerMonitor()
    runner.read_blocking()
    until = time.monotonic() + 30.0
    while "cpu_0_share" not in runner.read_blocking():  # none from two readings within one tick of the kernel
        assert time.monotonic() < until
