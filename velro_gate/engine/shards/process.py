"""A shard's own process: carries out its slice of the plan and hands everything on, until the run that started it hangs up.

Its clock shows the seconds since the start of the run, the same in every shard. So all shards compute the same due times and
ends, bit for bit, and what they hand on can be put together without converting anything.
"""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import perf_counter
from urllib.parse import urlsplit

import trio

from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.load.phase_sync import PhaseSync
from velro_gate.engine.machine.limits import raise_descriptor_limit
from velro_gate.engine.responder.process import running_responder
from velro_gate.engine.run import Load, run_load
from velro_gate.engine.shards.encoding import packed_message
from velro_gate.engine.shards.messages import (
    Alive,
    Begin,
    Failed,
    Finished,
    Link,
    LoadEnded,
    PhaseBegan,
    Ready,
    Seen,
    ShardOrder,
    Stop,
    Until,
    unpickled,
    until_silent,
)
from velro_gate.engine.shards.reducing import Reducing
from velro_gate.engine.shards.shipped import unpacked
from velro_gate.errors import VelroError
from velro_gate.hardening import close_to_others, ignore_unreadable_cookies
from velro_gate.model.run import PhaseRun, Progress
from velro_gate.model.scenario import Phase
from velro_gate.pacing import Schedule

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
        self._send_begin, self._begin = trio.open_memory_channel[float](1)
        self._send_until, self._until = trio.open_memory_channel[float](1)
        self._plan = ""
        self.heard = 0

    async def listen(self) -> None:
        """Hear what the run says, until it hangs up."""
        while True:
            message = await self._link.read()
            self.heard += 1
            match message:
                case None:
                    return
                case Begin(at=at):
                    self._send_begin.send_nowait(at)
                case Until(at=at):
                    self._send_until.send_nowait(at)
                case Stop():
                    self.stop.set()

    def planned(self, schedule: Schedule) -> None:
        """See PhaseSync."""
        digest = hashlib.blake2b(digest_size=16)
        for column in (schedule.due, schedule.user, schedule.step):
            digest.update(column.tobytes())
        self._plan = digest.hexdigest()

    async def begin(self, _: int) -> float:
        """See PhaseSync."""
        self._link.post(Ready(plan=self._plan))
        self._plan = ""
        return await self._begin.receive()

    async def end(self, until: float) -> float:
        """See PhaseSync."""
        self._link.post(LoadEnded(until=until))
        return await self._until.receive()

    def began(self, at: float, nursery: trio.Nursery) -> None:
        """Say when the phase really began: this process may have been late for it."""

        async def report() -> None:
            """Sleep until the instant, and report when that ended."""
            await trio.sleep_until(at)
            self._link.post(PhaseBegan(at=trio.current_time()))

        nursery.start_soon(report)


async def carry_out(line: socket.socket) -> None:
    """Take the order, carry it out, hand everything on, and wait for the other end to hang up."""
    link = Link(line, pack=packed_message, unpack=unpickled)
    orders = _Orders(link)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.write)
        nursery.start_soon(_live, link)
        match await link.read():
            case ShardOrder() as order:
                os.environ.update(order.environ)
                raise_descriptor_limit(order.descriptors)
                async with _target_of(order) as load:
                    nursery.start_soon(_send, load, link, orders, nursery if order.silence is not None else None, order.reduced)
                    if order.silence is not None:
                        nursery.start_soon(_end_in_silence, orders, order.silence, nursery.cancel_scope)
                    await orders.listen()
                    nursery.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    link.close()


async def _end_in_silence(orders: _Orders, seconds: float, scope: trio.CancelScope) -> None:
    await until_silent(lambda: orders.heard, seconds)
    scope.cancel()


@asynccontextmanager
async def _target_of(order: ShardOrder) -> AsyncIterator[Load]:
    """The load as it is sent from here: with the files that came along, and to a responder of ours where that is asked for."""
    with unpacked(order.load, order.files, order.modules) as load:
        if not order.responder:
            yield load
            return
        async with running_responder() as responder:
            target = load.scenario.target
            aimed = replace(target, url=responder.url + urlsplit(target.url).path)
            yield replace(load, scenario=replace(load.scenario, target=aimed))


async def _live(link: Link) -> None:
    while True:
        link.post(Alive())
        await trio.sleep(ALIVE_EVERY)


async def _send(
    load: Load, link: Link, orders: _Orders, beginnings: trio.Nursery | None, reduce: frozenset[str] = frozenset()
) -> None:
    """Carry out the load. beginnings: where the real beginning of each phase is waited for, if it is to be reported.

    reduce: the phases whose samples are reduced.
    """
    layers = CacheLayers(load.scenario.cache)
    reducing = Reducing(reduce, len(load.scenario.steps), lambda: tuple(layers.names), link.post)

    def observe(progress: Progress) -> None:
        """Send the state once a second, which also shows that this shard is alive."""
        link.post(Seen(progress=progress))

    def finished(run: PhaseRun) -> None:
        """Send the phase's facts, after the last of its samples: a link keeps the order."""
        reducing.finished(run.name)
        link.post(Finished(run=run))

    def began(phase: Phase, at: float) -> None:
        """Report the real beginning where several machines must begin together."""
        reducing.began(phase, at)
        if beginnings is not None:
            orders.began(at, beginnings)

    sync = PhaseSync(begin=orders.begin, end=orders.end, hands_on=True)
    if beginnings is not None:
        sync = replace(sync, planned=orders.planned)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reducing.run)
            await run_load(
                load,
                origin=0.0,
                sink=reducing.add,
                observe=observe,
                finished=finished,
                began=began,
                stop=orders.stop,
                sync=sync,
                layers=layers,
            )
            nursery.cancel_scope.cancel()
    except Exception as error:  # noqa: BLE001 (raised again where the run can be ended)
        link.post(_failure(error))


def _failure(error: Exception) -> Failed:
    trace = "".join(traceback.format_exception(error))
    while isinstance(error, ExceptionGroup):
        error = (error.subgroup(VelroError) or error).exceptions[0]
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
