from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio

from velro_gate.monitor.runner import RunnerMonitor


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
