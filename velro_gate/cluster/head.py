"""One load sent by the workers of a cluster, as seen from the head: tasks, connections, clocks, and what becomes of each.

Rules. Each worker gets one task, pinned to it, without retries; its one-time ticket is all that Dask sees of the run. The
worker connects back, and the order goes over that connection only, to a ticket that was not shown before. So nothing that Dask
does with a task (moving it, repeating it, running it on a worker that was restarted) can send a request twice.

The clocks are compared before the load and while it runs. At the end the connections are closed and the tasks waited for; a
worker whose connection is closed ends its shard by itself.
"""

from __future__ import annotations

import json
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import trio

from velro_gate.cluster.channel import MOST_FRAME, FrameKind, Refused, Stream, Ticket, WorkerChannel, admit, new_key
from velro_gate.cluster.clock import ClockWatch, Offset, offset_of, wall_offset
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.worker import INTRODUCTION, PING_EVERY, PONG, SILENT, host_shard
from velro_gate.engine.journeys.api import WALK
from velro_gate.engine.machine.forecast import descriptors_needed
from velro_gate.engine.run import Load
from velro_gate.engine.shards.hosts import Patience
from velro_gate.engine.shards.messages import Link, ShardOrder
from velro_gate.engine.shards.run import run_on
from velro_gate.engine.shards.shipped import certificate_files, journey_sources
from velro_gate.errors import BrokenError, VelroError
from velro_gate.model.run import LoadResult, PhaseRun, Progress, WorkerRun
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import Phase
from velro_gate.units import format_duration, format_seconds

TASK_SECONDS = 30.0
"""Seconds in which every worker has to connect: one that does not is busy with other work, or cannot reach the head."""

FIRST_PINGS = 12
FIRST_PING_EVERY = 0.005
MOST_WALL_OFFSET = 1.0
"""Seconds by which a worker's time of day may differ from ours."""

SILENT_LOOKS, START_LOOKS = 3, 60
"""See Patience."""

_LEAD = 0.2
_END_SECONDS = 5.0
_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """Who gets what the load shows; see ``run_load``."""

    sink: Callable[[str, Samples], None]
    observe: Callable[[Progress], None]
    finished: Callable[[PhaseRun], None]
    began: Callable[[Phase, float], None]


async def run_on_cluster(
    cluster: Cluster,
    load: Load,
    *,
    origin: float,
    observers: Observers,
    stop: trio.Event | None = None,
    responder: bool = False,
) -> LoadResult:
    """``run_load`` by all workers of a cluster. responder: each sends to a responder of its own instead of the target.

    Raises:
        BrokenError: a worker cannot take part. Else as ``run_sharded``.
    """
    order = ShardOrder(
        load=load,
        # Nothing else of this machine's environment: that is not theirs to know.
        environ=dict(load.secrets),
        files=certificate_files(load.scenario.target),
        modules=journey_sources(load.scenario.journey),
        descriptors=descriptors_needed(load.phases, shards=cluster.count),
        responder=responder,
        silence=SILENT,
    )
    foreign_code = load.scenario.journey not in (None, WALK)
    async with known_errors(), attended(cluster, foreign_code=foreign_code) as hosts:
        farthest = max(host.clock.now.uncertainty for host in hosts)

        def start(zero: float) -> Sequence[WorkerHost]:
            for host in hosts:
                host.begin(zero)
            return hosts

        return await run_on(
            start,
            order,
            origin=origin,
            sink=observers.sink,
            observe=observers.observe,
            finished=observers.finished,
            began=observers.began,
            stop=stop,
            patience=Patience(silent=SILENT_LOOKS, start=START_LOOKS, alive=True, lead=_LEAD + 4.0 * farthest),
            neighbours=cluster.neighbours,
        )


@dataclass(slots=True, eq=False)
class WorkerHost:
    """One worker: its connection, its clock, and what became of it. See ShardHost."""

    name: str
    channel: WorkerChannel = field(repr=False)
    foreign_code: bool = False
    clock: ClockWatch = field(default_factory=ClockWatch)
    walls: list[Offset] = field(default_factory=list)
    link: Link = field(init=False)
    answered: float = 0.0
    """When the last ping that was answered had been sent."""
    how: str = ""
    """How it ended, in words; empty while nobody has said."""
    gone: trio.Event = field(default_factory=trio.Event)
    lost: bool = False
    """Whether it ended before we hung up, or had to be ended."""
    _zero: float = 0.0
    _bytes: _Bytes = field(init=False)

    def __post_init__(self) -> None:
        self._bytes = _Bytes(self.channel, self._start_order)
        self.link = Link(self._bytes)

    def begin(self, zero: float) -> None:
        """The run started at this time of our monotonic clock; its order follows."""
        self._zero = zero + self.clock.settle().seconds

    def _start_order(self) -> bytes:
        return json.dumps({"zero": self._zero, "foreign_code": self.foreign_code}).encode()

    def kill(self) -> None:
        """See ShardHost."""
        self.lost = True
        self.channel.close()

    async def how_it_ended(self) -> str:
        """See ShardHost."""
        await self.gone.wait()
        return self.how or "closed its connection: its process ended, or was killed"

    def about(self, run: PhaseRun, begin: float, started: float | None) -> WorkerRun:
        """See ShardHost."""
        late = self.clock.late(begin if started is None else started, begin)
        return WorkerRun(
            name=self.name, health=run.health, late=late.seconds, uncertainty=late.uncertainty, drift=self.clock.drift
        )

    async def attend(self) -> None:
        """Take what the worker says, until it is gone."""
        try:
            while (frame := await self.channel.receive()) is not None:
                kind, content = frame
                if kind is FrameKind.PONG:
                    self._pong(content)
                elif kind is FrameKind.BYTES:
                    await self._bytes.feed(content)
                elif kind is FrameKind.ENDED:
                    self.how = self.how or content.decode()
                    break
        finally:
            self.lost = self.lost or not self._bytes.closed
            self._bytes.end()
            self.gone.set()

    async def ping(self) -> None:
        """Compare the clocks: often at first, then once a second, which also shows the worker that we are there."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await self.ping_once()
                await trio.sleep(FIRST_PING_EVERY if self.clock.pings < FIRST_PINGS else PING_EVERY)

    async def ping_once(self) -> float:
        """Send a ping; the time at which it left, which ``answered`` reaches when its answer is here.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the worker is gone.
        """
        sent = perf_counter()
        await self.channel.send(FrameKind.PING, struct.pack("!d", sent))
        return sent

    def _pong(self, content: bytes) -> None:
        received = perf_counter()
        sent, theirs, wall = PONG.unpack(content)
        self.answered = sent
        self.clock.add(sent, theirs, received)
        if len(self.walls) < FIRST_PINGS:
            to_wall = time.time() - received
            self.walls.append(offset_of(sent + to_wall, wall, received + to_wall))

    def check_time_of_day(self) -> None:
        """Refuse a worker whose time of day is wrong, or ours: time stamps and tokens in requests would be.

        Raises:
            BrokenError: names it.
        """
        off = wall_offset(self.walls)
        if abs(off.seconds) - off.uncertainty > MOST_WALL_OFFSET:
            direction = "ahead of" if off.seconds > 0.0 else "behind"
            raise BrokenError(
                f"the clock of {self.name} is {format_seconds(abs(off.seconds))} {direction} this machine's",
                hint="Synchronise both (chrony or systemd-timesyncd); 'timedatectl' shows whether a machine is.",
            )


class _Bytes:
    """The bytes of a link, over the frames of a channel. The first ones start the shard's process."""

    def __init__(self, channel: WorkerChannel, start: Callable[[], bytes]) -> None:
        self._channel, self._start, self._started = channel, start, False
        self.closed = False
        self._feed, self._fed = trio.open_memory_channel[bytes](8)

    async def send_all(self, data: bytes) -> None:
        """See ByteStream."""
        if not self._started:
            self._started = True
            await self._channel.send(FrameKind.START, self._start())
        for first in range(0, len(data), MOST_FRAME):
            await self._channel.send(FrameKind.BYTES, data[first : first + MOST_FRAME])

    async def receive_some(self, most: int) -> bytes:  # noqa: ARG002 - a frame is never larger
        """See ByteStream."""
        try:
            return await self._fed.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return b""

    async def feed(self, data: bytes) -> None:
        """These have come; waits where nobody takes them as fast."""
        with suppress(trio.BrokenResourceError):
            await self._feed.send(data)

    def end(self) -> None:
        """No more will come."""
        self._feed.close()

    def close(self) -> None:
        """See ByteStream."""
        self.closed = True
        self._channel.close()
        self._fed.close()


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
async def attended(cluster: Cluster, *, foreign_code: bool = False) -> AsyncIterator[list[WorkerHost]]:
    """Every worker of the cluster connected, its clock compared; nothing runs there any more after the block.

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
            await _all_connected(cluster, reception, futures)
            hosts = [reception.hosts[index] for index in range(cluster.count)]
            for host in hosts:
                host.check_time_of_day()
            nursery.start_soon(_watch_scheduler, cluster, hosts)
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
        with trio.move_on_after(INTRODUCTION), suppress(Refused, trio.BrokenResourceError, trio.ClosedResourceError):
            wire: Stream = stream
            if self._context is not None:
                wire = trio.SSLStream(stream, self._context, server_side=True)
            index, channel = await admit(wire, self._key, self._take, raw)
        if channel is None:
            raw()
            return
        host = WorkerHost(self.cluster.names[index], channel, self.foreign_code)
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


async def _all_connected(cluster: Cluster, reception: _Reception, futures: Sequence[Any]) -> None:
    """Wait until every worker is here.

    Raises:
        BrokenError: one does not come, or its task has failed.
    """
    with trio.move_on_after(TASK_SECONDS):
        while not reception.connected:
            if not cluster.alive():
                raise BrokenError("the cluster's scheduler was lost", where=cluster.scheduler)
            for index, future in enumerate(futures):
                if future.status in ("error", "lost", "cancelled", "finished"):
                    raise await _not_connected(cluster, index, future)
            await trio.sleep(_LOOK_EVERY)
    if not reception.connected:
        absent = next(
            i for i in range(cluster.count) if i not in reception.hosts or reception.hosts[i].clock.pings < FIRST_PINGS
        )
        raise BrokenError(
            f"{cluster.names[absent]} did not begin within {format_duration(TASK_SECONDS)}",
            why="it is busy with other work, or was lost",
            hint="Use workers that nothing else uses, and look at the worker's log.",
        )


async def _not_connected(cluster: Cluster, index: int, future: Any) -> BrokenError:
    error = None
    if future.status == "error":
        with trio.move_on_after(_END_SECONDS):
            error = await trio.to_thread.run_sync(partial(future.exception, timeout=2), abandon_on_cancel=True)
    why = (
        error.lines()[0]
        if isinstance(error, BrokenError)
        else f"{type(error).__name__}: {error}"
        if error
        else "its task ended"
    )
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
        await trio.sleep(_LOOK_EVERY)
    hosts[0].how = f"was given up: the cluster's scheduler at {cluster.scheduler} was lost"
    hosts[0].kill()


def _release(cluster: Cluster, futures: Sequence[Any], ending: Sequence[Any]) -> None:
    """Wait until these tasks have ended, so that their workers are free, and forget all."""
    until = time.monotonic() + _END_SECONDS
    while cluster.alive() and time.monotonic() < until and any(future.status == "pending" for future in ending):
        time.sleep(0.02)
    for future in futures:
        future.release()
