from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio

from velro_gate.monitor.sources.service import ServiceProcesses, source_at
from velro_gate.monitor.watching import SourceError

# A small real service: listens, forks as many workers as asked, and obeys one-line orders on its standard input.
SERVICE = """
import os, socket, sys, time
server = socket.socket(socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET)
server.bind(("::1" if sys.argv[2] == "6" else "127.0.0.1", 0))
server.listen(64)
workers, held, ballast, asked = [], [], [], os.pipe()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os.close(asked[1])
        os.read(asked[0], 1)
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        os._exit(0)
    workers.append(pid)
print(server.getsockname()[1], flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "accept":
        held += [server.accept()[0] for _ in range(int(number))]
    elif word == "burn":
        until = time.process_time() + float(number)
        while time.process_time() < until:
            pass
    elif word == "grow":
        ballast.append(b"x" * int(number))
    elif word == "reap":
        os.write(asked[1], b"x" * len(workers))
        for pid in workers:
            os.waitpid(pid, 0)
    print("done", flush=True)
"""


class Service:
    """A running small service; ``order`` returns when it has obeyed."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def order(self, word: str, number: float = 0) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextlib.contextmanager
def small_service(workers: int = 0, family: int = 4) -> Iterator[Service]:
    command = [sys.executable, "-c", SERVICE, str(workers), str(family)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Service(process, int(process.stdout.readline()))
        process.stdin.close()
        process.wait(10)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_service_is_found_by_its_port_and_read() -> None:
    with small_service() as service:

        async def main() -> dict[str, float]:
            return dict(await ServiceProcesses(service.port).read())

        values = trio.run(main)
    assert values["processes"] == 1
    assert values["threads"] >= 1
    assert values["rss"] > 2**20
    assert values["cpu_seconds"] >= 0.0
    assert values["connections"] == 0


def test_cpu_and_memory_grow_as_the_service_uses_them() -> None:
    with small_service() as service:
        source = ServiceProcesses(service.port)
        before = source.read_blocking()
        service.order("burn", 0.2)
        service.order("grow", 64 * 2**20)
        after = source.read_blocking()
    assert after["cpu_seconds"] - before["cpu_seconds"] >= 0.15
    assert after["rss"] - before["rss"] > 32 * 2**20


def test_connections_are_counted_at_the_service_and_descriptors_with_them() -> None:
    with small_service() as service, contextlib.ExitStack() as stack:
        clock = Clock()
        source = ServiceProcesses(service.port, clock=clock)
        before = source.read_blocking()
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
        service.order("accept", 20)
        assert "connections" not in source.read_blocking()
        clock.now += 20.0
        after = source.read_blocking()
    assert (before["connections"], after["connections"]) == (0, 20)
    if "descriptors" in before:
        assert after["descriptors"] - before["descriptors"] == 20


def test_workers_belong_to_the_service() -> None:
    with small_service(workers=3) as service:
        values = ServiceProcesses(service.port).read_blocking()
        service.order("reap")
    assert values["processes"] == 4


def test_the_cpu_of_workers_that_ended_is_not_forgotten() -> None:
    """Each worker burns 0.2 s and is reaped: the sum goes on where it was instead of falling."""
    with small_service(workers=2) as service:
        source = ServiceProcesses(service.port)
        before = source.read_blocking()
        service.order("reap")
        after = source.read_blocking()
    assert after["processes"] == 1
    assert after["cpu_seconds"] - before["cpu_seconds"] >= 0.3


def test_a_service_on_ipv6_is_found_as_well() -> None:
    with small_service(family=6) as service:
        assert ServiceProcesses(service.port).read_blocking()["processes"] == 1


def test_a_port_on_which_nothing_listens_is_reported() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(SourceError, match="listens on port"):
            ServiceProcesses(bound.getsockname()[1]).read_blocking()


def test_this_process_is_never_taken_for_the_service() -> None:
    """It holds the load's connections, so its CPU and memory would be called the service's."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        with pytest.raises(SourceError):
            ServiceProcesses(ours.getsockname()[1]).read_blocking()


def test_a_service_that_has_died_is_reported() -> None:
    with small_service() as service:
        source = ServiceProcesses(service.port)
        source.read_blocking()
        service.process.kill()
        service.process.wait(10)
        with pytest.raises(SourceError):
            source.read_blocking()


def test_a_service_that_was_restarted_on_its_port_is_found_again() -> None:
    with small_service() as service:
        source = ServiceProcesses(service.port)
        source.read_blocking()
        service.process.kill()
        service.process.wait(10)
        with small_service() as second:
            source._port = second.port  # a real restart keeps the port; a test cannot promise that it stays free
            assert source.read_blocking()["processes"] == 1


def test_a_service_is_found_by_its_pid_or_by_words_of_its_command_and_its_children_count_with_it() -> None:
    with small_service(workers=2) as service:
        for url in (f"pid:{service.process.pid}", f"command:{SERVICE[:60]}", f"port:{service.port}"):
            source = source_at(url, verify=True)
            assert source.read_blocking()["processes"] == 3, url
            assert service.process.pid in source.pids
        service.order("reap")


def test_a_process_that_is_not_there_is_reported_as_it_was_named() -> None:
    with small_service() as service:
        pid = service.process.pid
    with pytest.raises(SourceError, match=f"no process {pid}"):
        source_at(f"pid:{pid}", verify=True).read_blocking()
    with pytest.raises(SourceError, match="'no such program anywhere' in its command"):
        source_at("command:no such program anywhere", verify=True).read_blocking()


def test_the_busiest_process_is_known_and_not_only_all_together() -> None:
    with small_service(workers=1) as service:
        clock = Clock()
        source = ServiceProcesses(service.port, clock=clock)
        assert "cpu_busiest" not in source.read_blocking()
        service.order("burn", 0.2)
        clock.now += 0.5
        after = source.read_blocking()
        service.order("reap")
    assert 0.3 <= after["cpu_busiest"] <= 1.0
