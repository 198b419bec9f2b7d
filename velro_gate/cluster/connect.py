"""From what was asked for to workers that are ours: connect to the scheduler, wait, lock, compare versions. Sends no load.

Everything that Dask is asked here has a time limit, since a scheduler that stands still answers nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from velro_gate.cluster.calls import ANSWER_SECONDS, WORKER_SECONDS, answers, describe_there, nothing, within
from velro_gate.cluster.facts import WorkerFacts, describe, named, shape, worker_differences, workers_on_machine
from velro_gate.cluster.options import RAW, ClusterOptions, written_address
from velro_gate.engine.machine.limits import MachineLimits
from velro_gate.errors import BrokenError, UsageError
from velro_gate.units import format_duration

CONNECT_SECONDS = 10.0
"""How long the scheduler may take to accept a client."""
_GRACE_SECONDS = 2.0
"""Seconds for a client to be made, next to those of its connection."""
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
    from velro_gate.cluster.local.cluster import local_cluster

    for name in _LOUD:
        # What matters of it is said in our own words.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address, security = options.address, None
        if options.local is not None:
            started = stack.enter_context(local_cluster(options.local))
            address, security = started.address, started.security
        if options.file is not None:
            address = awaited_address(options.file, options.wait, say)
        assert address is not None, "a cluster that is not started here has an address"
        client = stack.enter_context(client_of(address, options, security))
        yield stack.enter_context(workers_by_client(client, options, say))


def awaited_address(file: Path, seconds: float, say: Callable[[str], None]) -> str:
    """What a scheduler has written to this file, after at most so long.

    Raises:
        UsageError: it does not.
    """
    say(f"waiting up to {format_duration(seconds)} for {file}, which the scheduler is to write")
    until = time.monotonic() + seconds
    while (found := written_address(file, last=time.monotonic() >= until)) is None:
        time.sleep(_LOOK_EVERY)
    return found


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

    class QuietClient(Client):  # type: ignore[misc]
        """Closed below; one that was never connected would close itself, for seconds and with a traceback."""

        def __del__(self) -> None:
            """Nothing."""

    arguments: dict[str, Any] = {
        "timeout": min(CONNECT_SECONDS, max(options.wait, 1.0)),
        "set_as_default": False,
        "name": "velro-gate",
    }
    if security is not None:
        arguments["security"] = security
    try:
        # Its own time limit ends with the connection: a server of another kind it would wait for without end.
        client = within(arguments["timeout"] + _GRACE_SECONDS, lambda: QuietClient(address, **arguments))
    except BrokenError as error:
        raise BrokenError(
            "no Dask scheduler answers",
            where=address,
            why="what listens there does not speak as a scheduler does"
            if error.__cause__ is None
            else str(error.__cause__) or type(error.__cause__).__name__,
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
    # First for nothing: a worker that is silent then was silent before, while it may import the package for longer than that.
    # Those of this command are its own, and greet their scheduler seldom.
    limit = WORKER_SECONDS if options.local is None else ANSWER_SECONDS
    answers(client, workers, nothing, limit=limit, wait=options.wait)
    here = describe()
    found = answers(client, workers, describe_there, limit=ANSWER_SECONDS, wait=options.wait)
    if client.status != "running":
        raise BrokenError("the cluster's scheduler was lost", where=str(client.scheduler.address))
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


def _unfit(name: str, reasons: Sequence[str]) -> BrokenError:
    return BrokenError(
        f"{name} cannot take part in the load",
        why="; ".join(reasons),
        hint="Install the same versions here and on every worker: pip install 'velro-gate[cluster]==VERSION'.",
    )
