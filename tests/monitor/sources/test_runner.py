from __future__ import annotations

import socket
from pathlib import Path

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


def test_each_core_has_its_share() -> None:
    runner = RunnerMonitor()
    runner.read_blocking()
    found: set[str] = set()
    while not found:  # two readings within one tick of the kernel have no share
        found = {name for name in runner.read_blocking() if name.startswith("cpu_") and name.endswith("_share")}
    assert found & {"cpu_0_share", "cpu_share"}
