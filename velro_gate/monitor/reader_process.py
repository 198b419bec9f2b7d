"""The process that reads the sources, apart from the load: it takes its order, and says what it reads in lines of JSON.

It ends when the other end of its link closes, however the run ended.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import socket
import struct
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import trio

from velro_gate.hardening import close_to_others, ignore_unreadable_cookies
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.run import Reading
from velro_gate.model.scenario import Target
from velro_gate.monitor.selection import sources_for
from velro_gate.monitor.sources.page_connection import PageRoute
from velro_gate.monitor.watching import ReadingSource, watch

SIZE = struct.Struct("=Q")
"""Before the order: its length in bytes."""
START = struct.Struct("=d")
"""Behind it, when the run begins: the time of its start on the system's monotonic clock, in seconds."""
READY, READINGS, NOTE = "ready", "readings", "note"
"""What a line is, its first word: the sources are made; readings with their time; a sentence on what is not read."""
NICE = 10
"""How readily this process gives way to the others: a reading may be some milliseconds late, a request may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOrder:
    """What to read. It is sent over the link: an address may hold a password, and a command line can be read by others."""

    target: Target
    service_is_local: bool
    every: float
    """Seconds between two readings of one source."""
    own: Sequence[OwnMetric] = ()
    """The metrics that the scenario defines itself."""
    route: PageRoute | None = None
    """The way to the service, for its metrics page."""
    run: int | None = None
    """The process that sends the load, which with those below it is no neighbour; None: this one."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables, for the code of collectors and the clients of databases."""

    def sources(self) -> tuple[ReadingSource, ...]:
        """The sources that are named, not connected to."""
        ours: Collection[int] = () if self.run is None else (self.run,)
        return sources_for(self.target, service_is_local=self.service_is_local, route=self.route, own=self.own, ours=ours)


def main(descriptor: str) -> None:
    """Carry out one order. descriptor: this process's end of the link."""
    close_to_others()
    ignore_unreadable_cookies()
    os.nice(NICE)
    with socket.socket(fileno=int(descriptor)) as line:
        (size,) = SIZE.unpack(_exactly(line, SIZE.size))
        order: ReadingOrder = pickle.loads(_exactly(line, size))  # noqa: S301 (the run's own word, which started this process)
        os.environ.update(order.environ)
        trio.run(_carry_out, order, line)


def _exactly(line: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = line.recv(count - len(found))
        if not piece:
            raise SystemExit(0)
        found += piece
    return bytes(found)


async def _carry_out(order: ReadingOrder, line: socket.socket) -> None:
    line.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(line))
    post, posted = trio.open_memory_channel[Reading | str](math.inf)
    sources = order.sources()
    await stream.send_all(_line(READY))
    start = bytearray()
    while len(start) < START.size:
        piece = await stream.receive_some(START.size - len(start))
        if not piece:
            return
        start += piece
    (zero,) = START.unpack(start)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_say, stream, posted, nursery.cancel_scope)
        nursery.start_soon(
            partial(
                watch,
                sources,
                every=order.every,
                now=lambda: perf_counter() - zero,
                emit=post.send_nowait,
                note=post.send_nowait,
            )
        )
        # Nothing more is said to us: what comes is the end.
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.receive_some(1)
        nursery.cancel_scope.cancel()


async def _say(stream: trio.SocketStream, posted: trio.MemoryReceiveChannel[Reading | str], scope: trio.CancelScope) -> None:
    """Pass on what the sources give, all that comes at once in one line."""
    try:
        async for first in posted:
            given = [first]
            while True:
                try:
                    given.append(posted.receive_nowait())
                except trio.WouldBlock:
                    break
            rows = [(each.at, each.source, each.name, each.value) for each in given if isinstance(each, Reading)]
            lines = [_line(NOTE, each) for each in given if isinstance(each, str)]
            await stream.send_all(b"".join([_line(READINGS, rows), *lines] if rows else lines))
    except trio.BrokenResourceError:
        scope.cancel()


def _line(kind: str, said: object = None) -> bytes:
    return json.dumps([kind, said]).encode() + b"\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
