"""From what was asked for to workers that are ours: connect to the scheduler, wait, lock, compare versions. Sends no load.

Everything that Dask is asked here has a time limit, since a scheduler that stands still answers nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from velro_gate.cluster.facts import WorkerFacts, describe, named, shape, worker_differences, workers_on_machine
from velro_gate.cluster.options import RAW, ClusterOptions
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import BrokenError, UsageError
from velro_gate.units import format_duration

T = TypeVar("T")

CONNECT_SECONDS = 10.0
"""How long the scheduler may take to accept a client."""
ANSWER_SECONDS = 15.0
"""How long the scheduler may take to answer: Dask itself waits without end."""
WORKER_SECONDS, TIMES_SLOWER = 3.0, 4.0
"""Seconds in which a worker answers a call that takes no time; one that stands still or is cut off does not. Where others
are slow, as on a busy machine, this many times the seconds of the slowest one that has answered.
"""

_LOOK_EVERY = 0.2
"""Seconds between two looks for free workers."""
_LOUD = (
    "distributed",
    "distributed.client",
    "distributed.core",
    "distributed.comm",
    "distributed.scheduler",
    "tornado.application",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cluster:
    """Workers that are ours until the end of the block in which they were connected."""

    client: Any = field(repr=False)
    """A client of ``distributed``."""
    scheduler: str
    """Its address."""
    tls: bool
    workers: tuple[str, ...]
    """Their addresses, one a shard."""
    facts: tuple[WorkerFacts, ...]
    here: WorkerFacts
    """This machine."""
    listen: tuple[str, int] | None = None
    raw: int = RAW
    """See ClusterOptions."""

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self.workers)

    @property
    def names(self) -> tuple[str, ...]:
        """What the workers are called in reports."""
        facts = dict(zip(self.workers, self.facts, strict=True))
        return tuple(named(index, self.count, address, facts) for index, address in enumerate(self.workers))

    @property
    def shape(self) -> str:
        """See ``facts.shape``."""
        return shape(self.facts)

    @property
    def neighbours(self) -> dict[int, int]:
        """See ``facts.workers_on_machine``."""
        return workers_on_machine(self.facts)

    @property
    def limits(self) -> MachineLimits:
        """What all machines can carry together, each as much as the tightest one."""
        machines = list({each.machine: each.limits for each in self.facts}.values())
        ports = [each.ports for each in machines if each.ports is not None]
        return replace(
            machines[0],
            descriptors_reachable=self.count * min(each.descriptors_reachable for each in machines),
            ports=len(machines) * min(ports) if ports else None,
            cores=len(machines) * min(each.cores for each in machines),
        )

    @property
    def all_here(self) -> bool:
        """Whether all workers are on this machine."""
        return all(each.machine == self.here.machine for each in self.facts)

    def alive(self) -> bool:
        """Whether the connection to the scheduler stands."""
        return bool(self.client.status == "running")


def require_distributed() -> None:
    """Find out whether Dask is there.

    Raises:
        UsageError: it is not.
    """
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--cluster needs Dask, and the extra that brings it is not installed",
            why=str(error),
            hint="Install it here and on every worker: pip install 'velro-gate[cluster]'.",
        ) from error


@contextmanager
def connected(options: ClusterOptions, say: Callable[[str], None]) -> Iterator[Cluster]:
    """The workers that were asked for, locked for us and fit to send; free again at the end of the block.

    Raises:
        UsageError: the extra is not installed. BrokenError: there is no such cluster, it has too few workers, or one is unfit.
    """
    require_distributed()
    from velro_gate.cluster.local import local_cluster

    for name in _LOUD:
        # What matters of it is said in our own words.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address, security = options.address, None
        if options.local is not None:
            started = stack.enter_context(local_cluster(options.local))
            address, security = started.address, started.security
        assert address is not None, "a cluster that is not started here has an address"
        client = stack.enter_context(client_of(address, options, security))
        yield stack.enter_context(workers_by_client(client, options, say))


@contextmanager
def workers_by_client(client: Any, options: ClusterOptions, say: Callable[[str], None]) -> Iterator[Cluster]:
    """The same, by a client of Dask that is connected."""
    with _chosen(client, options, say) as workers:
        yield _examined(client, workers, options)


@contextmanager
def client_of(address: str, options: ClusterOptions, security: Any = None) -> Iterator[Any]:
    """A client of Dask, connected until the end of the block. security: None: as Dask's own settings say.

    Raises:
        BrokenError: there is no scheduler.
    """
    from distributed import Client

    arguments: dict[str, Any] = {
        "timeout": min(CONNECT_SECONDS, max(options.wait, 1.0)),
        "set_as_default": False,
        "name": "velro-gate",
    }
    if security is not None:
        arguments["security"] = security
    try:
        client = Client(address, **arguments)
    except (OSError, ValueError, RuntimeError, TypeError) as error:  # asyncio's TimeoutError is an OSError
        raise BrokenError(
            "no Dask scheduler answers",
            where=address,
            why=str(error) or type(error).__name__,
            hint="Start one with 'dask scheduler', check address, firewall and TLS settings; docs/cluster.md shows how.",
        ) from error
    try:
        yield client
    finally:
        within(ANSWER_SECONDS, lambda: client.close(timeout=2), quiet=True)


@contextmanager
def _chosen(client: Any, options: ClusterOptions, say: Callable[[str], None]) -> Iterator[tuple[str, ...]]:
    """The addresses of workers that no other run uses, locked for us."""
    from distributed import Lock

    held: dict[str, Any] = {}
    try:
        until, reported = time.monotonic() + options.wait, False
        while True:
            there = _workers(client)
            for address in there:
                if len(held) == (options.workers or len(there)):
                    break
                if address not in held:
                    lock = Lock(f"velro-gate worker {address}", scheduler_rpc=client.scheduler, loop=client.loop)
                    if within(ANSWER_SECONDS, partial(lock.acquire, blocking=False)):
                        held[address] = lock
            held = {address: lock for address, lock in held.items() if address in there}
            if held and len(held) >= (options.workers or len(there)):
                break
            if time.monotonic() > until:
                raise _too_few(options, there, list(held))
            if not reported:
                say(f"waiting up to {format_duration(options.wait)} for {options.workers or 'any'} workers of the cluster")
                reported = True
            time.sleep(_LOOK_EVERY)
        yield tuple(held)
    finally:
        if client.status == "running":
            within(ANSWER_SECONDS, lambda: [lock.release() for lock in held.values()], quiet=True)


def _workers(client: Any) -> list[str]:
    """The addresses of the workers that are there, those of one machine together."""
    found = within(ANSWER_SECONDS, lambda: client.scheduler_info(n_workers=-1)["workers"])
    return sorted(found, key=lambda address: (str(found[address].get("host")), str(found[address].get("name")), address))


def _too_few(options: ClusterOptions, there: Sequence[str], ours: Sequence[str]) -> BrokenError:
    used = [address for address in there if address not in ours]
    wanted = options.workers or 1
    why = f"{', '.join(used)} {'is' if len(used) == 1 else 'are'} used by another run" if used else None
    return BrokenError(
        f"the cluster has {len(ours)} of {wanted} workers that are free, after {format_duration(options.wait)}",
        why=why,
        hint="Start more workers ('dask worker SCHEDULER --nthreads 1'), ask for fewer with --cluster-workers, or wait longer "
        "with --cluster-wait.",
    )


def _examined(client: Any, workers: tuple[str, ...], options: ClusterOptions) -> Cluster:
    """The cluster of these workers, each fit to send.

    Raises:
        BrokenError: names the first that is not.
    """
    require_answers(client, workers)
    here = describe()
    run = lambda: client.run(describe, workers=list(workers), on_error="return")  # noqa: E731
    found = within(ANSWER_SECONDS, run)
    for index, address in enumerate(workers):
        theirs = found.get(address)
        name = f"worker {index + 1} of {len(workers)} ({address})"
        if not isinstance(theirs, WorkerFacts):
            raise _unfit(name, [f"velro-gate cannot be used there ({type(theirs).__name__}: {theirs})"])
        other = worker_differences(here, theirs)
        if other:
            raise _unfit(named(index, len(workers), address, found), other)
    scheduler = str(client.scheduler.address)
    return Cluster(
        client=client,
        scheduler=scheduler,
        tls=scheduler.startswith("tls://"),
        workers=workers,
        facts=tuple(found[address] for address in workers),
        here=here,
        listen=options.listen,
        raw=options.raw,
    )


def require_answers(client: Any, workers: Sequence[str], names: Mapping[str, str] | None = None) -> None:
    """Ask all workers for nothing at once. names: by address, what they are called; None: by their place.

    Raises:
        BrokenError: names the first that does not answer.
    """
    answered: dict[str, float] = {}
    began = time.monotonic()

    def ask(address: str) -> None:
        """In a thread of its own: a call to a worker that stands still never returns."""
        with suppress(Exception):
            client.run(os.getpid, workers=[address])
            answered[address] = time.monotonic() - began

    threads = [threading.Thread(target=ask, args=(address,), daemon=True) for address in workers]
    for thread in threads:
        thread.start()
    limit = WORKER_SECONDS
    while (waiting := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < began + limit:
        waiting[0].join(_LOOK_EVERY / 4.0)
        # A copy: the threads go on adding to it.
        slowest = max(list(answered.values()), default=0.0)
        limit = min(max(WORKER_SECONDS, TIMES_SLOWER * slowest), ANSWER_SECONDS)
    if client.status != "running":
        # Without its scheduler no worker can be asked.
        return
    for index, address in enumerate(workers):
        if address in answered:
            continue
        name = f"worker {index + 1} of {len(workers)} ({address})" if names is None else names[address]
        raise BrokenError(
            f"{name} does not answer",
            why=f"it has said nothing for {format_duration(limit)}: it stands still, was lost, or cannot be reached",
            hint="Look at its machine, its network and its log, or start another worker.",
        )


def _unfit(name: str, reasons: Sequence[str]) -> BrokenError:
    return BrokenError(
        f"{name} cannot take part in the load",
        why="; ".join(reasons),
        hint="Install the same versions here and on every worker: pip install 'velro-gate[cluster]==VERSION'.",
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
