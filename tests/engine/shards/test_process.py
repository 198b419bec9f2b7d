"""A shard, spoken to over its link: it begins and ends when it is told, and says what the run has to know."""

from __future__ import annotations

import dataclasses
import pickle
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.engine.peers import serving
from tests.engine.shards.test_run import phase, plan
from velro_gate.engine.run import Load
from velro_gate.engine.shards.encoding import unpacked_message
from velro_gate.engine.shards.messages import (
    Alive,
    Begin,
    Failed,
    Finished,
    Link,
    LoadEnded,
    PhaseBegan,
    Ready,
    SampleChunk,
    Seen,
    ShardOrder,
    Stop,
    Until,
    pickled,
    unpickled,
)
from velro_gate.engine.shards.process import RunClock, carry_out
from velro_gate.errors import MissingVariableError
from velro_gate.model.run import Shard
from velro_gate.model.scenario import BearerAuth, Phase


@asynccontextmanager
async def linked() -> AsyncIterator[Link]:
    """A shard in this loop, and the link to it; hung up at the end of the block, after which the shard must end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    link = Link(ours, pack=pickled, unpack=unpacked_message)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry_out, theirs)
            async with trio.open_nursery() as own:
                own.start_soon(link.write)
                yield link
                own.cancel_scope.cancel()
            link.close()


async def heard(link: Link, wanted: type) -> list[object]:
    """What the shard says up to the first message of this kind, signs of life left out."""
    said: list[object] = []
    while not said or not isinstance(said[-1], wanted):
        message = await link.read()
        assert message is not None
        if not isinstance(message, Alive | Seen):
            said.append(message)
    return said


def order(url: str, *phases: Phase, index: int = 0) -> ShardOrder:
    return ShardOrder(load=Load(scenario=plan(url), phases=phases or (phase(),), shard=Shard(index=index, count=2)))


def test_shards_that_are_given_one_instant_begin_and_end_at_it_to_the_last_bit() -> None:
    async def main() -> None:
        async with serving() as peer, linked() as one, linked() as other:
            begin = trio.current_time() + 0.3
            for index, link in enumerate((one, other)):
                link.post(order(peer.url, index=index))
                await heard(link, Ready)
            assert peer.accepted == 0
            for link in (one, other):
                link.post(Begin(at=begin))
            ends = [(await heard(link, LoadEnded))[-1] for link in (one, other)]
            assert ends == [LoadEnded(until=begin + 0.2 + 0.5)] * 2
            for link in (one, other):
                link.post(Until(at=begin + 0.2 + 0.5))
            runs = [(await heard(link, Finished))[-1].run for link in (one, other)]  # type: ignore[attr-defined]
            assert {(run.started, run.measured_from, run.measured_until) for run in runs} == {
                (begin, begin + 0.2, begin + 0.2 + 0.5)
            }
            assert sum(run.delivered_total for run in runs) == len(peer.requests)

    trio.run(main)


def test_the_books_end_where_the_run_says_and_not_where_the_shard_has_come_to() -> None:
    async def main() -> None:
        async with serving() as peer, linked() as link:
            link.post(order(peer.url, phase(ramp=0.0, duration=60.0)))
            await heard(link, Ready)
            begin = trio.current_time()
            link.post(Begin(at=begin))
            while len(peer.requests) < 20:
                await trio.lowlevel.checkpoint()
            link.post(Stop())
            ended = (await heard(link, LoadEnded))[-1]
            assert isinstance(ended, LoadEnded)
            until = (begin + ended.until) / 2.0
            link.post(Until(at=until))
            *pieces, finished = await heard(link, Finished)
            assert isinstance(finished, Finished)
            run = finished.run
            assert (run.measured_until, run.interrupted) == (until, True)
            rows = [due for piece in pieces if isinstance(piece, SampleChunk) for due in piece.samples.due.tolist()]
            assert len(rows) == run.sent_total
            assert sum(due < until for due in rows) == sum(run.due.values()) < len(rows)

    trio.run(main)


def test_an_error_is_passed_on_with_its_trace() -> None:
    async def main() -> None:
        async with linked() as link:
            scenario = plan("http://127.0.0.1:1", BearerAuth(variable="NOT_THERE"))
            link.post(ShardOrder(load=Load(scenario=scenario, phases=(phase(),))))
            failed = (await heard(link, Failed))[-1]
            assert isinstance(failed, Failed)
            assert isinstance(failed.error, MissingVariableError)
            assert "Traceback" in failed.trace

    trio.run(main)


def test_a_shard_whose_run_is_gone_before_the_order_ends() -> None:
    async def main() -> None:
        async with linked():
            pass

    trio.run(main)


def test_a_shard_of_another_machine_says_what_it_has_planned_and_when_it_began_and_ends_when_its_run_falls_silent() -> None:
    async def main() -> None:
        async with serving() as peer, linked() as link:
            link.post(dataclasses.replace(order(peer.url, phase(ramp=0.0, duration=60.0)), silence=1.0))
            ready = (await heard(link, Ready))[-1]
            assert isinstance(ready, Ready)
            assert len(ready.plan) == 32
            begin = trio.current_time() + 0.1
            link.post(Begin(at=begin))
            began = (await heard(link, PhaseBegan))[-1]
            assert isinstance(began, PhaseBegan)
            assert began.at >= begin
            # Signs of life keep it going, and without them it ends.
            for _ in range(3):
                link.post(Alive())
                await trio.sleep(0.5)
            before = len(peer.requests)
            assert before
            with trio.fail_after(20):
                while await link.read() is not None:
                    pass

    trio.run(main)


@pytest.mark.parametrize("size", [0, 1, 300_000, 3_000_000])
def test_a_message_of_any_size_arrives_whole_and_in_order(size: int) -> None:
    async def main() -> None:
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
        one, other = (Link(end, pack=pickled, unpack=unpickled) for end in ends)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.write)
            one.post(b"x" * size)
            one.post("end")
            assert await other.read() == b"x" * size
            assert await other.read() == "end"
            nursery.cancel_scope.cancel()
        one.close()
        assert await other.read() is None
        other.close()

    trio.run(main)


def test_a_link_whose_other_end_is_gone_takes_what_is_posted_without_a_fault() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.close()
        link = Link(ours, pack=pickled, unpack=unpickled)
        link.post(pickle.dumps(0))
        await link.write()
        assert await link.read() is None
        link.close()

    trio.run(main)


def test_the_clock_of_a_shard_shows_the_seconds_of_the_run() -> None:
    clock = RunClock(0.0)
    before = clock.current_time()
    assert trio.run(_now, clock=RunClock(before)) >= 0.0
    assert clock.deadline_to_sleep_time(before) <= 0.0


async def _now() -> float:
    await trio.sleep(0.001)
    return trio.current_time()
