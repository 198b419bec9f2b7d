"""One task serves many sockets, with epoll and with the standard library's selectors alike."""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable
from time import perf_counter

import pytest
import trio

from velro_gate.engine.http.poller import READ, WRITE, Poller, ReadySet, SelectorSet

SETS: list[Callable[[], ReadySet]] = [select.epoll, SelectorSet, lambda: SelectorSet(selectors.EpollSelector())]


@pytest.mark.parametrize("make", SETS)
def test_every_ready_socket_is_served(make: Callable[[], ReadySet]) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    seen: dict[int, bytes] = {}

    async def main() -> None:
        poller = Poller(make())
        done = trio.Event()

        def handler(number: int) -> Callable[[int], None]:
            def ready(events: int) -> None:
                assert events & READ
                seen[number] = pairs[number][0].recv(100)
                poller.remove(pairs[number][0].fileno())
                if len(seen) == len(pairs):
                    done.set()

            return ready

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            for number, (mine, other) in enumerate(pairs):
                mine.setblocking(False)
                poller.add(mine.fileno(), READ, handler(number))
                other.send(b"%d" % number)
            with trio.fail_after(5):
                await done.wait()
            nursery.cancel_scope.cancel()
        assert len(poller) == 0
        poller.close()

    trio.run(main)
    assert seen == {number: b"%d" % number for number in range(50)}
    for pair in pairs:
        for end in pair:
            end.close()


@pytest.mark.parametrize("make", SETS)
def test_interest_can_change_and_the_end_of_a_socket_is_seen(make: Callable[[], ReadySet]) -> None:
    mine, other = socket.socketpair()
    mine.setblocking(False)
    seen: list[int] = []
    poller = Poller(make(), perf_counter)
    poller.add(mine.fileno(), READ, seen.append)
    poller.turn()
    assert seen == []
    poller.change(mine.fileno(), WRITE)
    poller.turn()
    assert len(seen) == 1
    assert seen[0] & WRITE
    poller.change(mine.fileno(), READ)
    other.close()
    poller.turn()
    assert seen[1] & READ
    assert mine.recv(1) == b""
    poller.remove(mine.fileno())
    poller.turn()
    assert len(seen) == 2
    mine.close()
    poller.close()


def test_a_handler_may_remove_another_socket_of_the_same_batch() -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    poller = Poller(now=perf_counter)
    seen: list[int] = []

    def make(number: int) -> Callable[[int], None]:
        def ready(_: int) -> None:
            seen.append(number)
            poller.remove(pairs[1 - number][0].fileno())

        return ready

    for number, (mine, other) in enumerate(pairs):
        poller.add(mine.fileno(), READ, make(number))
        other.send(b"x")
    poller.turn()
    assert len(seen) == 1
    for pair in pairs:
        for end in pair:
            end.close()
    poller.close()
