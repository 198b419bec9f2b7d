"""What runs on a worker, as a task of Dask: it connects to the head and passes bytes between it and a shard's process.

The shard is the same process as on a single machine. What the task itself sees of the run are bytes it does not look into. It
ends, and the shard with it, when the head hangs up or says nothing for ``SILENT`` seconds: a load never outlives its head.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import struct
import time
from contextlib import nullcontext
from functools import partial
from time import perf_counter

import trio

from velro_gate.cluster.channel import MOST_FRAME, FrameKind, Refused, Ticket, WorkerChannel, introduce
from velro_gate.engine.shards.hosts import exit_code, how_it_ended, start_process
from velro_gate.engine.shards.messages import until_silent
from velro_gate.errors import BrokenError
from velro_gate.leftovers import orphans_ended

SILENT = 3.0
"""Seconds without a word after which the other end counts as gone; pings come every ``PING_EVERY``."""

PING_EVERY = 0.5
"""Seconds between two signs of life."""
INTRODUCTION = 10.0
"""Seconds for connecting and introducing oneself."""

PONG = struct.Struct("!ddd")
"""When the ping was sent (the head's clock), what our monotonic clock showed, and our time of day."""


def host(ticket: Ticket) -> None:
    """See ``calls.host_shard``."""
    context = None
    if ticket.tls:
        from distributed import get_worker

        context = get_worker().security.get_connection_args("worker")["ssl_context"]
    trio.run(connect_and_host, ticket, context)


async def connect_and_host(ticket: Ticket, context: ssl.SSLContext | None) -> None:
    """Connect to the head and serve it until it hangs up; does nothing where it refuses the ticket.

    Raises:
        BrokenError: the head cannot be reached.
    """
    with trio.move_on_after(INTRODUCTION) as limit:
        stream = await _connect(ticket)
        try:
            channel = await _introduced(stream, ticket, context)
        except (Refused, trio.BrokenResourceError):
            stream.socket.close()
            return
    if limit.cancelled_caught:
        raise _unreachable(ticket, "it does not answer")
    try:
        await serve(channel)
    finally:
        channel.close()


async def _connect(ticket: Ticket) -> trio.SocketStream:
    problem: OSError | None = None
    for host in ticket.hosts:
        try:
            return await trio.open_tcp_stream(host, ticket.port)
        except OSError as error:
            problem = error
    raise _unreachable(ticket, str(problem))


def _unreachable(ticket: Ticket, why: str) -> BrokenError:
    return BrokenError(f"the head cannot be reached at {' or '.join(ticket.hosts)}, port {ticket.port}", why=why)


async def _introduced(stream: trio.SocketStream, ticket: Ticket, context: ssl.SSLContext | None) -> WorkerChannel:
    hang_up = stream.socket.close
    if context is None:
        return await introduce(stream, ticket, hang_up)
    return await introduce(trio.SSLStream(stream, context), ticket, hang_up)


async def serve(channel: WorkerChannel) -> None:
    """Do as the head says until it hangs up or falls silent."""
    pipe: trio.SocketStream | None = None
    heard = 0

    async def end_in_silence() -> None:
        """End the shard where the head has said nothing for too long: a worker that is cut off must not go on loading the
        service.
        """
        await until_silent(lambda: heard, SILENT)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_in_silence)
        while (frame := await channel.receive()) is not None:
            heard += 1
            kind, content = frame
            # Where the head or the shard has just gone, the next frame says so.
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if kind is FrameKind.PING:
                    await channel.send(FrameKind.PONG, content + struct.pack("!dd", perf_counter(), time.time()))
                elif kind is FrameKind.START and pipe is None:
                    pipe = await nursery.start(partial(_shard, channel, json.loads(content)))
                elif kind is FrameKind.BYTES and pipe is not None:
                    await pipe.send_all(content)
        nursery.cancel_scope.cancel()


async def _shard(channel: WorkerChannel, order: dict[str, float], *, task_status: trio.TaskStatus[trio.SocketStream]) -> None:
    """A shard's process, and what it says passed on, until it ends; killed where we end first."""
    # A journey's code may start processes.
    with orphans_ended() if order["foreign_code"] else nullcontext():
        process, ours = start_process(order["zero"])
        ours.setblocking(False)
        pipe = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        try:
            task_status.started(pipe)
            await _pass_on(pipe, channel)
            pipe.socket.close()
            code = await trio.to_thread.run_sync(exit_code, process)
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await channel.send(FrameKind.ENDED, how_it_ended(code).encode())
        finally:
            pipe.socket.close()
            process.kill()
            process.wait()


async def _pass_on(pipe: trio.SocketStream, channel: WorkerChannel) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while data := await pipe.receive_some(MOST_FRAME):
            await channel.send(FrameKind.BYTES, bytes(data))
