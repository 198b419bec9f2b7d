"""What Dask is asked to call on workers, and how long their answers are waited for.

Importing this costs a worker little: Dask imports it in the loop in which it also answers, and the rest of the package takes
seconds on a busy machine. So whatever needs more of it imports that in a thread of its own, while the worker goes on answering.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from velro_gate.errors import BrokenError
from velro_gate.units import format_duration

if TYPE_CHECKING:
    from velro_gate.cluster.channel import Ticket
    from velro_gate.cluster.facts import WorkerFacts

T = TypeVar("T")

ANSWER_SECONDS = 15.0
"""How long the scheduler may take to answer, or a worker to import the package: Dask itself waits without end."""
WORKER_SECONDS, TIMES_SLOWER = 3.0, 4.0
"""Seconds in which a worker answers a call that takes no time; one that stands still or is cut off does not. Where others
are slow, as on a busy machine, this many times the seconds of the slowest one that has answered.
"""

_LOOK_EVERY, _GREETINGS_EVERY = 0.05, 1.0
"""Seconds between two looks for answers, and for the workers' greetings to their scheduler."""
_STARTED = 0.9
"""Seconds after joining: a worker that has greeted its scheduler later than that has started. The first greeting is due after
one, and then at least every 2.3 of them.
"""


# On the worker


def host_shard(ticket: Ticket) -> None:
    """The task: host one shard, from the first word of the head to its last. Dask calls it in a thread."""
    from velro_gate.cluster.worker import host

    host(ticket)


async def describe_there() -> WorkerFacts:
    """See ``facts.describe``."""
    return await asyncio.to_thread(_describe)


def _describe() -> WorkerFacts:
    from velro_gate.cluster.facts import describe

    return describe()


def nothing() -> None:
    """Only to be answered."""


# On the head


def answers(
    client: Any,
    workers: Sequence[str],
    call: Callable[[], object],
    *,
    names: Mapping[str, str] | None = None,
    limit: float = WORKER_SECONDS,
    wait: float = ANSWER_SECONDS,
) -> dict[str, Any]:
    """What each worker answers to a call, or the error of it; incomplete only where the scheduler was lost.

    names: by address, what they are called; None: by their place. limit: seconds of silence after which a worker counts as
    gone. wait: seconds at most for which one is waited for that is starting, or greets its scheduler meanwhile: it is slow.

    Raises:
        BrokenError: names the first worker that does not answer.
    """
    asked = _Asked(client=client, limit=limit, wait=wait)
    asked.ask(workers, call)
    while client.status == "running" and not asked.failed and (waiting := asked.waiting()):
        asked.threads[waiting[0]].join(_LOOK_EVERY)
        asked.look(waiting)
        for address in waiting:
            if (why := asked.silence(address)) is not None:
                raise _no_answer(workers, address, names, why)
    for address, error in list(asked.failed.items()):
        if client.status == "running":
            raise _no_answer(workers, address, names, f"{type(error).__name__}: {error}")
    return dict(asked.answers)


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A call to several workers, each in a thread of its own: a call to one that stands still never returns.

    limit, wait: see ``answers``.
    """

    client: Any
    limit: float
    wait: float
    threads: dict[str, threading.Thread] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _greetings: _Greetings = field(init=False)

    def __post_init__(self) -> None:
        self._greetings = _Greetings(self.client)

    def ask(self, workers: Sequence[str], call: Callable[[], object]) -> None:
        """Begin."""

        def run(address: str) -> None:
            """Call one worker, and keep its answer or its error under its address."""
            try:
                self.answers[address] = self.client.run(call, workers=[address], on_error="return")[address]
                self._took[address] = time.monotonic() - self._began
            except Exception as error:  # noqa: BLE001 - named with its worker
                self.failed[address] = error

        for address in workers:
            self.threads[address] = threading.Thread(target=run, args=(address,), daemon=True, name="velro-gate cluster")
            self.threads[address].start()

    def waiting(self) -> list[str]:
        """The workers that have not answered."""
        return [address for address, thread in self.threads.items() if thread.is_alive()]

    def look(self, workers: Sequence[str]) -> None:
        """Now and then, whether their scheduler hears these workers."""
        if time.monotonic() >= self._looked + _GREETINGS_EVERY:
            self._greetings.look(workers)
            self._looked = time.monotonic()

    def silence(self, address: str) -> str | None:
        """Why this worker is not waited for any longer; None where it is."""
        now = time.monotonic()
        # A copy: the threads go on adding to it.
        slowest = max(list(self._took.values()), default=0.0)
        patience = max(self.limit, min(TIMES_SLOWER * slowest, ANSWER_SECONDS))
        if now < self._began + patience or not self.threads[address].is_alive():
            return None
        starting = self._greetings.is_starting(address)
        if not starting and now >= self._greetings.heard(address, self._began) + patience:
            return f"it has said nothing for {format_duration(patience)}: it stands still, was lost, or cannot be reached"
        if now < self._began + max(self.wait, patience):
            return None
        seconds = format_duration(max(self.wait, patience))
        if starting:
            return f"it has joined, and said nothing since, for {seconds}: it does not get started"
        return (
            f"it greets its scheduler, and has answered nothing for {seconds}: it is busy, or its address cannot be reached "
            "from the scheduler"
        )


@dataclass(slots=True)
class _Greetings:
    """When workers were heard by their scheduler. Its clock is compared with itself only."""

    client: Any
    _seen: dict[str, float] = field(default_factory=dict)
    _heard: dict[str, float] = field(default_factory=dict)
    _starting: set[str] = field(default_factory=set)

    def look(self, workers: Sequence[str]) -> None:
        """Ask the scheduler about these workers.

        Raises:
            BrokenError: it does not answer.
        """
        found = within(ANSWER_SECONDS, lambda: self.client.scheduler_info(n_workers=-1)["workers"])
        for address in workers:
            seen = float(found.get(address, {}).get("last_seen", 0.0))
            if self._seen.setdefault(address, seen) != seen:
                self._seen[address], self._heard[address] = seen, time.monotonic()
            joined = self._joined(address)
            if joined is not None and seen - joined < _STARTED:
                self._starting.add(address)
            else:
                self._starting.discard(address)

    def _joined(self, address: str) -> float | None:
        events = within(ANSWER_SECONDS, lambda: self.client.get_events(address))
        return max((float(at) for at, event in events or () if event.get("action") == "add-worker"), default=None)

    def heard(self, address: str, began: float) -> float:
        """When it was heard last, on our clock, since we asked at ``began``; that where it was not."""
        return self._heard.get(address, began)

    def is_starting(self, address: str) -> bool:
        """Whether it has said nothing yet since it joined."""
        return address in self._starting


def _no_answer(workers: Sequence[str], address: str, names: Mapping[str, str] | None, why: str) -> BrokenError:
    name = f"worker {workers.index(address) + 1} of {len(workers)} ({address})" if names is None else names[address]
    return BrokenError(
        f"{name} does not answer",
        why=why,
        hint="Look at its machine, its network and its log, or start another worker.",
    )


def within(seconds: float, call: Callable[[], T], *, quiet: bool = False) -> T:
    """The result of a call that may never return. quiet: whether to go on where it does not, or fails.

    Raises:
        BrokenError: it takes longer, or the scheduler is gone.
    """
    results: list[T] = []
    problems: list[Exception] = []

    def run() -> None:
        """Keep the result, or the error: neither may surface in a thread that nobody joins any more."""
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - raised where it can be handled
            problems.append(error)

    thread = threading.Thread(target=run, daemon=True, name="velro-gate cluster")
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if quiet:
        return None  # type: ignore[return-value]
    problem = problems[0] if problems else None
    raise BrokenError(
        "the cluster's scheduler does not answer",
        why=f"no answer for {format_duration(seconds)}" if problem is None else f"{type(problem).__name__}: {problem}",
        hint="Look at the scheduler's log; a scheduler that was restarted has to be named again.",
    ) from problem
