"""Which worker is waited for, and which is refused: slow, starting, silent, gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.cli.command import ROOT
from velro_gate.cluster import calls, connect
from velro_gate.cluster.calls import answers, nothing
from velro_gate.cluster.connect import client_of
from velro_gate.cluster.options import ClusterOptions
from velro_gate.errors import BrokenError

SILENT = "it has said nothing for 0.2 s: it stands still, was lost, or cannot be reached"


@dataclass
class SlowClient:
    """Of a scheduler whose clock is 1,000 s behind. late: by worker, how often the scheduler is asked before it answers."""

    late: dict[str, int] = field(default_factory=dict)
    joined: dict[str, float] = field(default_factory=dict)
    """When a worker joined."""
    greets: set[str] = field(default_factory=set)
    """Workers that greet their scheduler each time that it is asked."""
    status: str = "running"
    looks: int = 0
    looked: threading.Condition = field(default_factory=threading.Condition)
    over: bool = False

    def run(self, _: Callable[[], object], workers: Sequence[str], on_error: str) -> dict[str, object]:
        (address,) = workers
        with self.looked:
            self.looked.wait_for(lambda: self.over or self.looks >= self.late.get(address, 0))
        return {address: address.upper()}

    def scheduler_info(self, n_workers: int) -> dict[str, dict[str, dict[str, float]]]:
        with self.looked:
            self.looks += 1
            self.looked.notify_all()
        now = time.time() - 1_000.0
        seen = {address: now if address in self.greets else self.joined.get(address, 0.0) + 0.1 for address in self.late}
        return {"workers": {address: {"last_seen": at} for address, at in seen.items()}}

    def get_events(self, address: str) -> tuple[tuple[float, dict[str, str]], ...]:
        if address not in self.joined:
            return ((1.0, {"action": "worker-status-change"}),)
        return ((self.joined[address], {"action": "add-worker"}),)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowClient]:
    monkeypatch.setattr(calls, "_GREETINGS_EVERY", 0.05)
    made = SlowClient()
    yield made
    with made.looked:
        made.over = True
        made.looked.notify_all()


NEVER = 10**9


def refusal(client: SlowClient, *workers: str, wait: float = 0.5) -> str:
    with pytest.raises(BrokenError) as refused:
        answers(client, workers, nothing, limit=0.2, wait=wait)
    return f"{refused.value.what}; {refused.value.why}"


def test_what_all_workers_answer_is_returned_by_address(client: SlowClient) -> None:
    assert answers(client, ("a", "b"), nothing) == {"a": "A", "b": "B"}


def test_a_worker_that_is_starting_is_waited_for_until_it_answers(client: SlowClient) -> None:
    # Forty looks at its scheduler are more than the limit lasts.
    client.late, client.joined = {"b": 40}, {"b": 500.0}
    assert answers(client, ("a", "b"), nothing, limit=1.0, wait=60.0) == {"a": "A", "b": "B"}


def test_a_worker_that_greets_its_scheduler_meanwhile_is_waited_for_until_it_answers(client: SlowClient) -> None:
    client.late, client.greets = {"b": 40}, {"b"}
    assert answers(client, ("a", "b"), nothing, limit=1.0, wait=60.0) == {"a": "A", "b": "B"}


def test_a_worker_that_greets_and_never_answers_or_never_gets_started_is_refused_after_the_wait(client: SlowClient) -> None:
    client.late, client.greets = {"b": NEVER}, {"b"}
    said = refusal(client, "a", "b")
    assert said.startswith("worker 2 of 2 (b) does not answer; it greets its scheduler, and has answered nothing for 0.5 s: ")
    assert said.endswith("it is busy, or its address cannot be reached from the scheduler")
    client.greets, client.joined = set(), {"b": 500.0}
    said = refusal(client, "a", "b")
    assert said.startswith(
        "worker 2 of 2 (b) does not answer; it has joined, and said nothing since, for 0.5 s: it does not get started"
    )


@pytest.mark.parametrize("events", [{}, {"b": -500.0}])
def test_a_worker_that_has_gone_silent_is_refused_at_the_limit_however_long_others_may_take(
    client: SlowClient, events: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.late, client.joined = {"b": NEVER}, events
    # It greeted its scheduler long after it had joined, and not since.
    monkeypatch.setattr(client, "scheduler_info", lambda n_workers: {"workers": {"b": {"last_seen": 0.0}}})
    assert refusal(client, "a", "b", wait=3_600.0) == f"worker 2 of 2 (b) does not answer; {SILENT}"


def test_a_worker_has_more_time_where_another_one_was_slow_as_well(client: SlowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "scheduler_info", lambda n_workers: {"workers": {}})
    asked = calls._Asked(client=client, limit=0.2, wait=0.2)
    client.late = {"b": NEVER}
    asked.ask(("b",), nothing)
    asked._began -= 1.0
    assert asked.silence("b") == SILENT
    asked._took["a"] = 0.5
    assert asked.silence("b") is None


def test_a_worker_whose_call_fails_is_refused_with_the_reason_and_nobody_without_a_scheduler(client: SlowClient) -> None:
    def fail(*_: object, **__: object) -> dict[str, object]:
        raise OSError("its connection was closed")

    client.run = fail  # type: ignore[method-assign]
    assert refusal(client, "a") == "worker 1 of 1 (a) does not answer; OSError: its connection was closed"
    client.status = "closed"
    assert answers(client, ("a",), nothing) == {}


@pytest.mark.hostile("cluster")
def test_a_server_that_is_no_scheduler_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's client would wait for it without end."""
    monkeypatch.setattr(connect, "_GRACE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BrokenError, match="no Dask scheduler answers") as refused, client_of(address, options(address)):
            pytest.fail("it was taken")
    assert refused.value.where == address
    assert refused.value.why == "what listens there does not speak as a scheduler does"


def options(address: str) -> ClusterOptions:
    return ClusterOptions(address=address, wait=0.0)


def test_what_a_worker_imports_in_its_loop_is_little() -> None:
    """It answers nothing meanwhile; the engine alone takes seconds on a busy machine."""
    code = "import sys, velro_gate.cluster.calls; print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'trio')])"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    assert said == "[]\n"
