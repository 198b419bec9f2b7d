"""Workers and clusters for tests that connect to none."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.facts import WorkerFacts
from velro_gate.engine.machine.limits import MachineLimits

FACTS = WorkerFacts(
    tool="1.2.3",
    code="0123456789abcdef",
    python="3.11.7",
    numpy="2.4.6",
    host="one",
    machine="a",
    cpu_model="CPU",
    memory=8 * 2**30,
    kernel="Linux 6.1",
    limits=MachineLimits(descriptors_reachable=20_000, ports=28_000, memory=6 * 2**30, cores=2.0, listen_backlog=4096),
)


def elsewhere(host: str, **changed: Any) -> WorkerFacts:
    """The same on another machine."""
    return dataclasses.replace(FACTS, host=host, machine=host, **changed)


@dataclass
class FutureTask:
    """A task of Dask as its client sees it."""

    task: Future[None]

    @property
    def status(self) -> str:
        if not self.task.done():
            return "pending"
        return "error" if self.task.exception() else "finished"

    def exception(self, timeout: float) -> BaseException | None:
        return self.task.exception(timeout)

    def release(self) -> None:
        """Nothing to release."""


@dataclass
class ThreadClient:
    """Runs each task in a thread of its own, so that a worker costs no process; what it was asked is kept. silent: who does not
    answer.
    """

    status: str = "running"
    asked: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    work: Callable[[Callable[[Any], None], Any], None] = lambda work, ticket: work(ticket)
    silent: frozenset[str] = frozenset()

    def run(self, call: Callable[[], object], workers: Sequence[str], on_error: str) -> dict[str, object]:
        if not self.silent.isdisjoint(workers):
            raise OSError("it has closed its connection")
        return {address: call() for address in workers}

    def scheduler_info(self, n_workers: int) -> dict[str, dict[str, object]]:
        return {"workers": {}}

    def get_events(self, _: str) -> tuple[tuple[float, dict[str, str]], ...]:
        return ()

    def submit(self, work: Callable[[Any], None], ticket: Any, **options: Any) -> FutureTask:
        self.asked.append((ticket, options))
        task: Future[None] = Future()

        def carry_out() -> None:
            try:
                self.work(work, ticket)
                task.set_result(None)
            except BaseException as error:
                task.set_exception(error)

        threading.Thread(target=carry_out, daemon=True).start()
        return FutureTask(task)


def cluster_of(facts: Sequence[WorkerFacts], client: Any = None, *, tls: bool = False) -> Cluster:
    """A cluster of these, for which a thread stands each."""
    return Cluster(
        client=client or ThreadClient(),
        scheduler="tls://10.0.0.1:8786" if tls else "tcp://10.0.0.1:8786",
        tls=tls,
        workers=tuple(f"tcp://10.0.0.{index + 2}:4000" for index in range(len(facts))),
        facts=tuple(facts),
        here=FACTS,
    )


def failing() -> Cluster:
    """One whose workers fail as soon as they are to send."""

    def fail(_: object, __: object) -> None:
        raise ImportError("as was to be shown")

    return cluster_of([FACTS, FACTS], ThreadClient(work=fail))
