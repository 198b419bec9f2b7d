"""The process that carries out faults: takes orders, and ends when whoever started it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest

from velro_gate.engine.faults.injector import Injector, running_injector
from velro_gate.engine.faults.messages import packed_fault
from velro_gate.errors import BrokenError
from velro_gate.model.resilience.network import NetworkFault, Outage, WireProtocol


@contextlib.contextmanager
def answering():
    """A port that answers PONG to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with accepted:
                        accepted.recv(100)
                        accepted.sendall(b"+PONG\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def heard(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as stream:
        stream.sendall(b"PING\r\n")
        return stream.recv(100)


def test_a_proxy_is_opened_broken_and_repaired_by_orders() -> None:
    with answering() as there, running_injector() as injector:
        port = injector.open_proxy("redis", "127.0.0.1", there, protocol=WireProtocol.REDIS)
        assert heard(port) == b"+PONG\r\n"
        injector.order("network", name="redis", fault=packed_fault(NetworkFault(outage=Outage.REFUSE)))
        with pytest.raises(ConnectionRefusedError):
            heard(port)
        injector.order("network", name="redis", fault=packed_fault(None))
        assert heard(port) == b"+PONG\r\n"
        counts = injector.counts()["redis"]
        assert (counts.accepted, counts.failed, counts.requests) == (2, 0, 2)


def test_a_port_that_is_taken_is_refused_with_its_reason() -> None:
    with answering() as taken, running_injector() as injector, pytest.raises(BrokenError, match=f"on 127.0.0.1:{taken}"):
        injector.open_proxy("redis", "127.0.0.1", 1, listen=("127.0.0.1", taken))


def asked_on(injector: Injector) -> None:
    """Ask again and again."""
    while True:
        injector.counts()


def test_an_injector_that_was_killed_is_an_error_and_not_a_wait() -> None:
    with running_injector() as injector:
        os.kill(injector.pid, signal.SIGKILL)
        with pytest.raises(BrokenError, match="has ended"):
            asked_on(injector)


@pytest.mark.hostile("experiments")
def test_an_injector_that_somebody_has_stopped_goes_on_and_undoes_what_there_is_to_undo() -> None:
    with running_injector(seconds=0.2) as injector:
        os.kill(injector.pid, signal.SIGSTOP)
        assert injector.counts() == {}
        os.kill(injector.pid, signal.SIGSTOP)
    assert not psutil.pid_exists(injector.pid)


@pytest.mark.hostile("experiments")
def test_an_injector_that_never_replies_is_an_error_and_not_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velro_gate.engine.faults.injector._AWAKE_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        injector = Injector(process, seconds=0.1)
        with pytest.raises(BrokenError, match="did not reply within"):
            # More than a pipe holds, as an environment may be.
            injector.begin("a", {"environ": {"A": "a" * 200_000}})
    assert process.returncode == -signal.SIGKILL


@pytest.mark.hostile("experiments")
def test_a_dependency_and_an_address_without_a_proper_name_end_no_injector() -> None:
    with running_injector() as injector:
        port = injector.open_proxy("redis", "a..b", 6379)
        with contextlib.suppress(ConnectionError):
            assert heard(port) == b""
        with pytest.raises(BrokenError, match="cannot listen"):
            injector.open_proxy("other", "127.0.0.1", 1, listen=("a..b", 6379))
        assert injector.counts()["redis"].failed == 1


_RUN = """
import time
from velro_gate.engine.faults.injector import running_injector
with running_injector() as injector:
    print(injector.pid, flush=True)
    time.sleep(600)
"""


def test_an_injector_does_not_outlive_a_run_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _RUN], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}) as run:
        assert run.stdout is not None
        injector = psutil.Process(int(run.stdout.readline()))
        run.kill()
        run.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        injector.wait(30.0)
    assert not injector.is_running() or injector.status() == psutil.STATUS_ZOMBIE
