"""A shard's own process: carries out its slice of the plan and hands everything on, until the run that started it hangs up.

Its clock shows the seconds since the start of the run, the same in every shard. So all shards compute the same due times and
ends, bit for bit, and what they hand on can be put together without converting anything.
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import sys
import traceback
from time import perf_counter

import trio

from velro_gate.engine.http.responses import CacheLayers
from velro_gate.engine.load.phase_sync import PhaseSync
from velro_gate.engine.run import Load, run_load
from velro_gate.engine.shards.messages import (
    Alive,
    Begin,
    Failed,
    Finished,
    Link,
    LoadEnded,
    Ready,
    SampleChunk,
    Seen,
    ShardOrder,
    Stop,
    Until,
)
from velro_gate.errors import VelroError, words_of
from velro_gate.hardening import close_to_others, ignore_unreadable_cookies
from velro_gate.model.run import PhaseRun, Progress
from velro_gate.model.samples import Samples

ALIVE_EVERY = 1.0
"""Seconds between two signs of life."""


class RunClock(trio.abc.Clock):
    """trio's clock, counting from the start of the run. zero: what the system's monotonic clock showed then."""

    def __init__(self, zero: float) -> None:
        self._zero = zero

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Seconds since the start of the run."""
        return perf_counter() - self._zero

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds until then."""
        return deadline - self.current_time()


class _Orders:
    """What the run has said, for the load to wait for."""

    def __init__(self, link: Link) -> None:
        self.stop = trio.Event()
        self._link = link
        self._tell_begin, self._begin = trio.open_memory_channel[float](1)
        self._tell_until, self._until = trio.open_memory_channel[float](1)

    async def listen(self) -> None:
        """Hear what the run says, until it hangs up."""
        while True:
            match await self._link.read():
                case None:
                    return
                case Begin(at=at):
                    self._tell_begin.send_nowait(at)
                case Until(at=at):
                    self._tell_until.send_nowait(at)
                case Stop():
                    self.stop.set()

    async def begin(self, _: int) -> float:
        """See PhaseSync."""
        self._link.post(Ready())
        return await self._begin.receive()

    async def end(self, until: float) -> float:
        """See PhaseSync."""
        self._link.post(LoadEnded(until=until))
        return await self._until.receive()


async def carry_out(line: socket.socket) -> None:
    """Take the order, carry it out, hand everything on, and wait for the other end to hang up."""
    link = Link(line)
    orders = _Orders(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.write)
        nursery.start_soon(_live, link)
        match await link.read():
            case ShardOrder(load=load, environ=environ):
                os.environ.update(environ)
                nursery.start_soon(_send, load, link, orders)
                await orders.listen()
        nursery.cancel_scope.cancel()
    link.close()


async def _live(link: Link) -> None:
    while True:
        link.post(Alive())
        await trio.sleep(ALIVE_EVERY)


async def _send(load: Load, link: Link, orders: _Orders) -> None:
    layers = CacheLayers(load.scenario.cache)

    def sink(phase: str, samples: Samples) -> None:
        link.post(SampleChunk(phase=phase, samples=samples, layers=tuple(layers.names)))

    def observe(progress: Progress) -> None:
        link.post(Seen(progress=progress))

    def finished(run: PhaseRun) -> None:
        link.post(Finished(run=run))

    try:
        await run_load(
            load,
            origin=0.0,
            sink=sink,
            observe=observe,
            finished=finished,
            stop=orders.stop,
            sync=PhaseSync(begin=orders.begin, end=orders.end),
            layers=layers,
        )
    except Exception as error:  # noqa: BLE001 (raised again where the run can be ended)
        link.post(_failure(error))


def _failure(error: Exception) -> Failed:
    trace = "".join(traceback.format_exception(error))
    while isinstance(error, ExceptionGroup):
        error = (error.subgroup(VelroError) or error).exceptions[0]
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (what we have just made)
    except Exception:  # noqa: BLE001 (an error of a library may say anything when it is copied)
        error = RuntimeError(words_of(error))
    return Failed(error=error, trace=trace)


def main(descriptor: str, zero: str) -> None:
    """Run a shard. descriptor: its end of the link. zero: the start of the run on the system's monotonic clock."""
    close_to_others()
    ignore_unreadable_cookies()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a journey prints is seen even where its process has to be killed.
        sys.stdout.reconfigure(line_buffering=True)
    with socket.socket(fileno=int(descriptor)) as line:
        trio.run(carry_out, line, clock=RunClock(float(zero)))


if __name__ == "__main__":
    main(*sys.argv[1:])
