"""Nobody without a ticket is heard, a ticket is good once, and what was changed on the way is not believed."""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.cluster.values import FACTS, ThreadClient, cluster_of
from velro_gate.cluster import channel
from velro_gate.cluster.attending import MOST_STRANGERS, _Reception
from velro_gate.cluster.channel import MOST_FRAME, FrameKind, Refused, Ticket, WorkerChannel, admit, introduce, new_key
from velro_gate.cluster.host import WorkerHost
from velro_gate.cluster.worker import PONG

TICKET = Ticket(index=3, key=new_key(), hosts=("head",), port=1, tls=False)


def key_of(index: int) -> bytes | None:
    return TICKET.key if index == TICKET.index else None


def once() -> Callable[[int], bool]:
    taken: set[int] = set()
    return lambda index: index not in taken and not taken.add(index)  # type: ignore[func-returns-value]


async def introduced(
    ticket: Ticket = TICKET, take: Callable[[int], bool] | None = None
) -> tuple[WorkerChannel | str, WorkerChannel | str, trio.StapledStream]:
    """What the worker and the head have after the introduction: a channel, or why not; and the worker's end."""
    ours, theirs = memory_stream_pair()
    found: dict[str, WorkerChannel | str] = {}

    async def head() -> None:
        try:
            index, found["head"] = await admit(theirs, key_of, take or once(), theirs.send_stream.close)
            assert index == ticket.index
        except Refused as refused:
            found["head"] = str(refused)
            await theirs.aclose()

    async def worker() -> None:
        try:
            found["worker"] = await introduce(ours, ticket, ours.send_stream.close)
        except Refused as refused:
            found["worker"] = str(refused)
            await ours.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(head)
        nursery.start_soon(worker)
    return found["worker"], found["head"], ours


async def channels() -> tuple[WorkerChannel, WorkerChannel, trio.StapledStream]:
    worker, head, ours = await introduced()
    assert isinstance(worker, WorkerChannel)
    assert isinstance(head, WorkerChannel)
    return worker, head, ours


def test_both_sides_understand_each_other_once_they_have_proved_themselves() -> None:
    async def main() -> None:
        worker, head, _ = await channels()
        for sender, receiver in ((worker, head), (head, worker)):
            for kind, content in ((FrameKind.PING, b""), (FrameKind.BYTES, b"x" * MOST_FRAME)):
                await sender.send(kind, content)
                assert await receiver.receive() == (kind, content)
        worker.close()
        assert await head.receive() is None

    trio.run(main)


def test_what_the_head_says_together_with_its_proof_is_heard() -> None:
    async def main() -> None:
        ours, theirs = memory_stream_pair()

        async def head() -> None:
            # Nothing can be read before both were sent.
            held: list[bytes] = []
            sending = theirs.send_stream.send_all

            async def hold(data: bytes) -> None:
                held.append(bytes(data))
                await trio.lowlevel.checkpoint()

            theirs.send_stream.send_all = hold  # type: ignore[method-assign]
            _, channel = await admit(theirs, key_of, once(), theirs.send_stream.close)
            await channel.send(FrameKind.PING, b"now")
            await sending(b"".join(held))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(head)
            worker = await introduce(ours, TICKET, ours.send_stream.close)
            assert await worker.receive() == (FrameKind.PING, b"now")

    trio.run(main)


@pytest.mark.parametrize("other", [replace(TICKET, key=new_key()), replace(TICKET, index=4)], ids=["another key", "no ticket"])
def test_who_does_not_hold_the_ticket_is_refused_and_learns_nothing(other: Ticket) -> None:
    async def main() -> None:
        worker, head, _ = await introduced(other)
        assert isinstance(worker, str)
        assert isinstance(head, str)

    trio.run(main)


def test_a_ticket_that_is_shown_again_is_refused() -> None:
    async def main() -> None:
        take = once()
        assert isinstance((await introduced(take=take))[1], WorkerChannel)
        assert (await introduced(take=take))[1] == "its ticket was taken before"

    trio.run(main)


@pytest.mark.parametrize("place", [0, 5, 8, -1], ids=["kind", "content", "end of content", "tag"])
def test_a_frame_that_was_changed_on_the_way_ends_the_connection(place: int) -> None:
    async def main() -> None:
        worker, head, ours = await channels()
        sent: list[bytes] = []
        worker._stream = _Recorder(sent)  # type: ignore[assignment]
        await worker.send(FrameKind.BYTES, b"1234")
        changed = bytearray(sent[0])
        changed[place] ^= 2
        await ours.send_all(bytes(changed))
        assert await head.receive() is None

    trio.run(main)


def test_a_frame_that_is_sent_twice_or_left_out_ends_the_connection() -> None:
    async def main() -> None:
        for order in ((0, 0), (1,)):
            worker, head, ours = await channels()
            sent: list[bytes] = []
            worker._stream = _Recorder(sent)  # type: ignore[assignment]
            for content in (b"first", b"second"):
                await worker.send(FrameKind.BYTES, content)
            for number in order:
                await ours.send_all(sent[number])
            heard = [await head.receive() for _ in order]
            assert heard[-1] is None

    trio.run(main)


def test_the_key_of_a_ticket_is_in_no_text_and_reaches_the_worker() -> None:
    assert TICKET.key.hex() not in f"{TICKET!r} {TICKET}"
    assert repr(TICKET.key) not in f"{TICKET!r} {TICKET}"
    assert pickle.loads(pickle.dumps(TICKET)) == TICKET


class _Recorder:
    """A stream that keeps what is sent."""

    def __init__(self, sent: list[bytes]) -> None:
        self._sent = sent

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._sent.append(bytes(data))

    async def receive_some(self, max_bytes: int) -> bytes:
        raise AssertionError


@pytest.mark.hostile("cluster")
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (99, b""),
        (FrameKind.PONG, b"short"),
        (FrameKind.PONG, PONG.pack(-1.0, 1.0, 1.0)),
        (FrameKind.PONG, PONG.pack(1e300, 1.0, 1.0)),
        (FrameKind.PONG, PONG.pack(math.nan, 1.0, 1.0)),
        (FrameKind.PONG, PONG.pack(0.0, math.inf, 1.0)),
        (FrameKind.PONG, PONG.pack(0.0, -1e300, 1.0)),
        (FrameKind.PONG, PONG.pack(0.0, 1.0, 1e300)),
        (FrameKind.ENDED, b"\xff"),
    ],
)
def test_a_worker_that_sends_what_none_sends_is_lost_and_ends_nothing_else(kind: int, content: bytes) -> None:
    async def main() -> None:
        worker, head, ours = await channels()
        start = channel._HEAD.pack(kind, len(content))
        await ours.send_all(start + content + channel._tag(worker._keys[0], 0, start, content))
        host = WorkerHost("worker 1 of 1", head)
        await host.attend()
        assert host.lost
        assert await host.how_it_ended() == "sent what no worker sends"
        assert not host.clock.pings

    trio.run(main)


@pytest.mark.hostile("cluster")
def test_what_a_worker_says_of_its_end_is_one_short_line_without_control_characters() -> None:
    async def main() -> None:
        worker, head, _ = await channels()
        host = WorkerHost("worker 1 of 1", head)
        await worker.send(FrameKind.ENDED, b"was \x1b[2Jfine\n" + b"x" * 10_000)
        await host.attend()
        assert await host.how_it_ended() == "was  [2Jfine " + "x" * 187

    trio.run(main)


@pytest.mark.real
@pytest.mark.hostile("cluster")
@pytest.mark.parametrize("size", [1, 10 * 10**9, 2**62])
def test_a_worker_whose_shard_says_what_none_says_is_lost(size: int) -> None:
    async def main() -> None:
        worker, head, _ = await channels()
        host = WorkerHost("worker 1 of 1", head)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.attend)
            await worker.send(FrameKind.BYTES, struct.pack("=Q", size) + b"x")
            assert await host.link.read() is None
            worker.close()
            assert await host.how_it_ended() == "sent what no worker sends"
            assert host.lost

    trio.run(main)


@pytest.mark.real
@pytest.mark.hostile("cluster")
def test_strangers_that_say_nothing_are_few_at_a_time_and_keep_no_worker_out() -> None:
    async def main() -> None:
        closed: list[int] = []
        reception = _Reception(cluster_of([FACTS], ThreadClient()), foreign_code=False)
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(partial(trio.serve_listeners, reception.receive, [listener], handler_nursery=nursery))
            port = listener.socket.getsockname()[1]
            held = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MOST_STRANGERS + 1)]
            while reception.strangers < len(held):
                await trio.sleep(0.001)
            one_more = await trio.open_tcp_stream("127.0.0.1", port)
            with trio.fail_after(5.0):
                closed.append(len(await one_more.receive_some(1)))
            held.pop().socket.close()
            while reception.strangers > len(held):
                await trio.sleep(0.001)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            ticket = Ticket(index=0, key=reception.keys[0], hosts=("127.0.0.1",), port=port, tls=False)
            with trio.fail_after(5.0):
                await introduce(stream, ticket, stream.socket.close)
            assert closed == [0]
            for one in (*held, one_more, stream):
                one.socket.close()
            nursery.cancel_scope.cancel()

    trio.run(main)
