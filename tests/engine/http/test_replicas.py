"""Which connection goes to which replica, and how a replica that is away is noticed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trio
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.http.replicas import AWAY_AFTER, Replicas, keep_checking

HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def away(replicas: Replicas, *lost: int) -> Replicas:
    for replica in lost:
        for _ in range(AWAY_AFTER):
            replicas.checked(replica, well=False)
    return replicas


@given(st.integers(2, 8), st.integers(1, 50))
def test_connections_are_spread_evenly_over_all_replicas(count: int, each: int) -> None:
    replicas = Replicas([HEALTH] * count)
    assert set(Counter(replicas.of(turn) for turn in range(count * each)).values()) == {each}


def test_the_connections_of_a_lost_replica_are_spread_over_those_that_are_left_and_return() -> None:
    replicas = away(Replicas([HEALTH] * 3), 1)
    homes = [turn for turn in range(60) if turn % 3 == 1]
    assert Counter(replicas.of(turn) for turn in homes) == {0: 10, 2: 10}
    assert all(replicas.of(turn) == turn % 3 for turn in range(60) if turn % 3 != 1)
    assert replicas.checked(1, well=True)
    assert all(replicas.of(turn) == turn % 3 for turn in range(60))


def test_one_failed_check_moves_nobody_and_without_any_replica_all_are_tried() -> None:
    replicas = Replicas([HEALTH] * 2)
    assert not replicas.checked(0, well=False)
    assert replicas.well == (0, 1)
    assert not replicas.checked(0, well=True)
    assert away(replicas, 0).well == (1,)
    assert away(replicas, 1).well == (0, 1)


@contextmanager
def answering(status: int) -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield ("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def test_a_replica_that_refuses_or_is_ill_is_away() -> None:
    async def until_away(addresses: list[tuple[str, int]]) -> tuple[int, ...]:
        replicas = Replicas([HEALTH] * 3)
        with trio.fail_after(30.0):
            async with trio.open_nursery() as nursery:
                moved = trio.Event()

                def look() -> None:
                    if len(replicas.well) == 1:
                        moved.set()

                nursery.start_soon(keep_checking, replicas, lambda: addresses, None, "h", look)
                await moved.wait()
                nursery.cancel_scope.cancel()
        return replicas.well

    with answering(200) as gone:
        pass
    with answering(200) as well, answering(503) as ill:
        assert trio.run(until_away, [ill, well, gone]) == (1,)
