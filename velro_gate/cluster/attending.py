"""All workers of a cluster connected to the head: tasks, tickets, and watching who is lost.

Rules. Each worker gets one task, pinned to it, without retries; its one-time ticket is all that Dask sees of the run. At the
end the connections are closed and the tasks waited for; a worker whose connection is closed ends its shard by itself.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import trio

from velro_gate.cluster.calls import answers, host_shard, nothing
from velro_gate.cluster.channel import Refused, Stream, Ticket, WorkerChannel, admit, new_key
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.host import FIRST_PINGS, SLOW_ANSWER, SLOW_PINGS, WorkerHost, round_trip_of
from velro_gate.cluster.worker import INTRODUCTION, SILENT
from velro_gate.errors import BrokenError, VelroError
from velro_gate.units import format_duration, format_seconds

TASK_SECONDS = 30.0
"""Seconds in which every worker has to connect: one that does not is busy with other work, or cannot reach the head."""

MOST_STRANGERS = 64
"""Connections that have not proved themselves yet, in addition to one for each worker; more are closed at once."""

_ASK_AFTER = 1.5
"""Seconds after which workers that have not come are asked whether they live: most come within one, and asking costs each a
call.
"""
_END_SECONDS = 5.0
"""How long tasks may take to end, or to say why they failed; a worker that is lost never does."""
_LOOK_EVERY = 0.1
"""Seconds between two looks for workers that connect."""
_WATCH_EVERY, _LOOKS = 0.25, 1
"""Seconds between two looks during a load, of which each costs the head half a millisecond, and after how many looks in a row a
late worker is given up.
"""
_LATE = 1.0
"""Seconds for which most workers let wait for an answer where machines are busy."""


@asynccontextmanager
async def known_errors() -> AsyncIterator[None]:
    """Of a group of errors that are all for users, raise the first by itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        known, others = group.split(VelroError)
        if known is None or others is not None:
            raise
        found: BaseException = known
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        raise found from group


@asynccontextmanager
async def attended(cluster: Cluster, *, foreign_code: bool = False, watched: bool = True) -> AsyncIterator[list[WorkerHost]]:
    """Every worker of the cluster connected, its clock compared; nothing runs there any more after the block.

    watched: whether a worker that answers slowly is refused, or given up; not where its connection is filled on purpose.

    Raises:
        BrokenError: one cannot take part.
    """
    reception = _Reception(cluster, foreign_code)
    async with trio.open_nursery() as nursery:
        listeners = await _listen(cluster)
        port = listeners[0].socket.getsockname()[1]
        futures: list[Any] = []
        try:
            nursery.start_soon(partial(trio.serve_listeners, reception.receive, listeners, handler_nursery=nursery))
            futures = await trio.to_thread.run_sync(partial(_submit, cluster, reception.keys, port))
            await _all_connected(cluster, reception, futures, watched=watched)
            hosts = [reception.hosts[index] for index in range(cluster.count)]
            for host in hosts:
                host.check_time_of_day()
                if watched:
                    host.check_round_trip()
            nursery.start_soon(_watch_scheduler, cluster, hosts)
            if watched:
                nursery.start_soon(_watch_answers, hosts)
            yield hosts
        finally:
            # One that was lost is not waited for.
            ending = [futures[index] for index, host in reception.hosts.items() if futures and not host.lost]
            for host in reception.hosts.values():
                host.kill()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(_release, cluster, futures, ending))


@dataclass(slots=True, eq=False)
class _Reception:
    """Takes in the workers that connect, each once."""

    cluster: Cluster
    foreign_code: bool
    keys: list[bytes] = field(init=False, repr=False)
    hosts: dict[int, WorkerHost] = field(default_factory=dict)
    strangers: int = 0
    """Connections that have not proved themselves yet."""
    _taken: set[int] = field(default_factory=set)
    _context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.keys = [new_key() for _ in self.cluster.workers]
        if self.cluster.tls:
            self._context = self.cluster.client.security.get_listen_args("client")["ssl_context"]

    async def receive(self, stream: trio.SocketStream) -> None:
        """Whoever has connected: a worker with its ticket, or nobody."""
        raw, index = stream.socket.close, -1
        channel: WorkerChannel | None = None
        # The port is open to the network: connections that prove nothing must not use up this process's descriptors.
        if self.strangers >= MOST_STRANGERS + self.cluster.count:
            raw()
            return
        self.strangers += 1
        with trio.move_on_after(INTRODUCTION), suppress(Refused, trio.BrokenResourceError, trio.ClosedResourceError):
            wire: Stream = stream
            if self._context is not None:
                wire = trio.SSLStream(stream, self._context, server_side=True)
            index, channel = await admit(wire, self._key, self._take, raw)
        self.strangers -= 1
        if channel is None:
            raw()
            return
        host = WorkerHost(self.cluster.names[index], channel, self.foreign_code, connecting=round_trip_of(stream.socket))
        self.hosts[index] = host
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.ping)
            await host.attend()
            nursery.cancel_scope.cancel()

    @property
    def connected(self) -> bool:
        """Whether all are here, and their clocks compared."""
        return len(self.hosts) == self.cluster.count and all(host.clock.pings >= FIRST_PINGS for host in self.hosts.values())

    def _key(self, index: int) -> bytes | None:
        return self.keys[index] if index < len(self.keys) else None

    def _take(self, index: int) -> bool:
        if index in self._taken:
            return False
        self._taken.add(index)
        return True


async def _listen(cluster: Cluster) -> list[trio.SocketListener]:
    host, port = cluster.listen or ("127.0.0.1" if cluster.all_here else "0.0.0.0", 0)  # noqa: S104 - a ticket is asked for
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise BrokenError(
            f"this machine cannot listen for its workers at {host}:{port}",
            why=error.strerror,
            hint="Name another --cluster-listen.",
        ) from error


def _submit(cluster: Cluster, keys: Sequence[bytes], port: int) -> list[Any]:
    """One task to each worker, which stays there and is not repeated."""
    hosts = (cluster.listen[0],) if cluster.listen else _own_addresses(cluster)
    number = new_key().hex()[:12]
    return [
        cluster.client.submit(
            host_shard,
            Ticket(index=index, key=key, hosts=hosts, port=port, tls=cluster.tls),
            key=f"velro-gate-{number}-{index}",
            workers=[address],
            allow_other_workers=False,
            retries=0,
            pure=False,
        )
        for index, (address, key) in enumerate(zip(cluster.workers, keys, strict=True))
    ]


def _own_addresses(cluster: Cluster) -> tuple[str, ...]:
    """Where workers can reach us: the address that faces the scheduler, by the routing table."""
    if cluster.all_here:
        return ("127.0.0.1",)
    from distributed.comm import get_address_host
    from distributed.utils import get_ip

    return (get_ip(get_address_host(cluster.scheduler)),)


async def _all_connected(cluster: Cluster, reception: _Reception, futures: Sequence[Any], *, watched: bool) -> None:
    """Wait until every worker is here. watched: see ``attended``.

    Raises:
        BrokenError: one does not come, or its task has failed.
    """
    with trio.move_on_after(TASK_SECONDS):
        async with trio.open_nursery() as nursery:
            # Aside: a worker that is far away takes a while to answer that, too.
            nursery.start_soon(_require_answers, cluster, reception)
            while not reception.connected:
                if not cluster.alive():
                    raise BrokenError("the cluster's scheduler was lost", where=cluster.scheduler)
                for index, future in enumerate(futures):
                    if future.status in ("error", "lost", "cancelled", "finished"):
                        raise await _not_connected(cluster, index, future)
                for host in reception.hosts.values() if watched else ():
                    host.check_round_trip()
                await trio.sleep(_LOOK_EVERY)
            nursery.cancel_scope.cancel()
    if not reception.connected:
        absent = next(
            i for i in range(cluster.count) if i not in reception.hosts or reception.hosts[i].clock.pings < FIRST_PINGS
        )
        raise BrokenError(
            f"{cluster.names[absent]} did not begin within {format_duration(TASK_SECONDS)}",
            why="it is busy with other work, or was lost",
            hint="Use workers that nothing else uses, and look at the worker's log.",
        )


async def _require_answers(cluster: Cluster, reception: _Reception) -> None:
    """Those that are not here yet answer at least: one that has no answer is not waited for."""
    names = dict(zip(cluster.workers, cluster.names, strict=True))
    while True:
        await trio.sleep(_ASK_AFTER)
        absent = [address for index, address in enumerate(cluster.workers) if index not in reception.hosts]
        ask = partial(answers, cluster.client, absent, nothing, names=names, wait=TASK_SECONDS)
        await trio.to_thread.run_sync(ask, abandon_on_cancel=True)


async def _not_connected(cluster: Cluster, index: int, future: Any) -> BrokenError:
    error = None
    if future.status == "error":
        with trio.move_on_after(_END_SECONDS):
            error = await trio.to_thread.run_sync(partial(future.exception, timeout=2), abandon_on_cancel=True)
    why = error.what if isinstance(error, BrokenError) else f"{type(error).__name__}: {error}" if error else "its task ended"
    if isinstance(error, BrokenError) and error.why:
        why += f" ({error.why})"
    return BrokenError(
        f"{cluster.names[index]} cannot take part in the load",
        why=why,
        hint="Workers connect to this machine: name an address and port that they can reach with --cluster-listen.",
    )


async def _watch_scheduler(cluster: Cluster, hosts: Sequence[WorkerHost]) -> None:
    """Without its scheduler the cluster's workers end sooner or later; the run is given up before."""
    while cluster.alive():
        await trio.sleep(_WATCH_EVERY)
    hosts[0].give_up(f"was given up: the cluster's scheduler at {cluster.scheduler} was lost")


async def _watch_answers(hosts: Sequence[WorkerHost]) -> None:
    """Give up a worker that answers late, or too slowly, while another one does not: its times are those of its network.

    Where all are slow, this machine is.
    """
    before = {host: host.clock.round_trip(FIRST_PINGS) for host in hosts}
    looks = 0
    while True:
        await trio.sleep(_WATCH_EVERY)
        there = [host for host in hosts if not host.gone.is_set()]
        if len(there) < 2:
            continue
        now = perf_counter()
        waited = {host: host.waited(now) for host in there}
        took = {host: host.clock.round_trip(SLOW_PINGS) for host in there}
        latest, slowest = max(there, key=lambda host: waited[host]), max(there, key=lambda host: took[host])
        # After a pause of our own, answers lie there that were not read yet. Where most are late, machines are busy.
        usual = median(value for host, value in waited.items() if host is not latest)
        looks = looks + 1 if waited[latest] > SILENT and usual < _LATE else 0
        if looks > _LOOKS:
            latest.give_up(f"has not answered for {format_duration(SILENT)}")
            return
        if took[slowest] - min(took.values()) > SLOW_ANSWER:
            slowest.give_up(
                f"answered slowly: the fastest of {SLOW_PINGS} answers took {format_seconds(took[slowest])}, and "
                f"{format_seconds(before[slowest])} before the load"
            )
            return


def _release(cluster: Cluster, futures: Sequence[Any], ending: Sequence[Any]) -> None:
    """Wait until these tasks have ended, so that their workers are free, and forget all."""
    until = time.monotonic() + _END_SECONDS
    while cluster.alive() and time.monotonic() < until and any(future.status == "pending" for future in ending):
        time.sleep(0.02)
    for future in futures:
        future.release()
