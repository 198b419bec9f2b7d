"""The wire against real sockets: every fault gets its kind, nothing hangs, and connections are used again where they may be."""

from __future__ import annotations

import errno
import os
import resource
import ssl

import pytest
import trio
import trio.testing
import trustme

from tests.engine.peers import (
    OK,
    Client,
    Heard,
    Line,
    after_request,
    obedient,
    route_to,
    serving,
    talking,
    wired,
)
from tests.servers import free_port
from velro_gate.engine.http.connection import ConnectionState
from velro_gate.model.samples import Outcome

pytestmark = pytest.mark.hostile("hostile HTTP servers")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([OK], 200),
        ([OK, "half"], 200),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], 503),
        ([b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"], 429),
        ([b"HTTP/1.1 200 OK\r\n\r\nuntil the end"], 200),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"], 200),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"], 200),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK], 200),
        (["reset"], Outcome.RESET),
        ([], Outcome.RESET),
        (["half"], Outcome.RESET),
        ([HEAD + b"12345", "reset"], Outcome.RESET),
        ([HEAD + b"12345"], Outcome.RESET),
        ([HEAD[:12]], Outcome.RESET),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"], Outcome.RESET),
        ([b"garbage in, garbage out\r\n\r\n", "wait"], Outcome.PROTOCOL),
        ([b"\x00\xff" * 100, "wait"], Outcome.PROTOCOL),
        ([HEAD + b"x" * 10 + b"more than was said", "wait"], 200),
    ],
)
def test_whatever_a_service_does_with_a_request_has_its_kind(actions: list[bytes | str], expected: object) -> None:
    async def main() -> None:
        with trio.fail_after(10):
            async with talking(after_request(*actions)) as (client, _):
                reported = await client.ask()
                assert (reported.status if isinstance(reported, Heard) else reported) == expected
                assert client.connection.written
                if not isinstance(reported, Heard):
                    assert client.connection.state is ConnectionState.CLOSED

    trio.run(main)


def test_an_answer_byte_by_byte_is_whole() -> None:
    async def drip(line: Line) -> None:
        await line.request()
        for byte in OK:
            await line.say(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()

    async def main() -> None:
        async with talking(drip) as (client, _):
            reported = await client.ask()
            assert isinstance(reported, Heard)
            assert (reported.status, reported.body, reported.received) == (200, b"ok", len(OK))

    trio.run(main)


def test_a_connection_is_used_again_and_again() -> None:
    async def main() -> None:
        async with talking(obedient) as (client, peer):
            for _ in range(20):
                assert isinstance(await client.ask(), Heard)
                assert client.connection.state is ConnectionState.IDLE
            assert (peer.accepted, len(peer.requests)) == (1, 20)
            assert client.wire.opened == client.wire.established == 1
            assert len(client.wire.spare) == 1

    trio.run(main)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
def test_a_service_that_ends_an_idle_connection_is_noticed_at_once(said: bytes) -> None:
    async def bored(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.say(said)

    async def main() -> None:
        with trio.fail_after(10):
            async with talking(bored) as (client, _):
                assert isinstance(await client.ask(), Heard)
                while client.connection.state is not ConnectionState.CLOSED:
                    await trio.sleep(0)
                assert client.wire.established == 0
                assert await client.open() == "opened"

    trio.run(main)


def test_an_answer_to_head_ends_with_its_headers() -> None:
    async def handler(line: Line) -> None:
        while await line.request():
            await line.say(HEAD)

    async def main() -> None:
        async with talking(handler) as (client, _):
            for _ in range(3):
                reported = await client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", head=True)
                assert isinstance(reported, Heard)
                assert client.connection.state is ConnectionState.IDLE

    trio.run(main)


def test_a_large_request_and_a_large_answer_go_through() -> None:
    body = os.urandom(3 << 20)

    async def echo(line: Line) -> None:
        # Again and again: a service that left after one answer would close the connection that is looked at below.
        while (request := await line.request()) is not None:
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + request.partition(b"\r\n\r\n")[2])

    async def main() -> None:
        async with talking(echo, most_answer=4 << 20) as (client, _):
            reported = await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert isinstance(reported, Heard)
            assert reported.body == body
            assert client.connection.state is ConnectionState.IDLE

    trio.run(main)


def test_an_answer_that_comes_before_a_large_request_is_sent_counts_and_ends_the_connection() -> None:
    async def refuse(line: Line) -> None:
        await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    async def main() -> None:
        async with serving(refuse) as peer, wired(route_to(peer.host, peer.port)) as wire:
            client = Client(wire)
            client.connection.open()
            # Sent from within the callback would be the same: no turn of the loop lies between opening and sending.
            assert await client.next() == "opened"
            reported = await client.ask(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 99_999_999)
            assert isinstance(reported, Heard)
            assert reported.status == 413
            assert client.connection.state is ConnectionState.CLOSED
            assert not client.connection.written

    trio.run(main)


def test_an_answer_beyond_the_limit_is_refused() -> None:
    async def main() -> None:
        endless = after_request(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, "wait")
        async with talking(endless, most_answer=100_000) as (client, _):
            assert await client.ask() is Outcome.PROTOCOL

    trio.run(main)


def test_a_reset_before_any_byte_is_early_and_one_after_is_not() -> None:
    async def main() -> None:
        for actions, early in (((), True), ((HEAD[:9],), False)):
            async with talking(after_request(*actions)) as (client, _):
                assert await client.ask() is Outcome.RESET
                assert client.early is early

    trio.run(main)


# Connecting


def test_a_refused_connection_says_so() -> None:
    async def main() -> None:
        async with wired(route_to("127.0.0.1", free_port())) as wire:
            client = Client(wire)
            assert await client.open() is Outcome.REFUSED
            assert wire.established == wire.opened == 0

    trio.run(main)


def test_a_refusing_address_is_passed_over_and_the_good_one_remembered() -> None:
    async def main() -> None:
        async with serving() as peer:
            route = route_to("127.0.0.1", free_port(), peer.port)
            async with wired(route) as wire:
                first, second = Client(wire), Client(wire)
                assert await first.open() == "opened"
                assert route.preferred == 1
                assert await second.open() == "opened"
                assert isinstance(await second.ask(), Heard)
                first.connection.close()
                second.connection.close()

    trio.run(main)


def test_ten_thousand_refusals_make_no_deep_stack() -> None:
    async def main() -> None:
        async with wired(route_to("127.0.0.1", free_port()), dials_at_once=2) as wire:
            clients = [Client(wire) for _ in range(10_000)]
            for client in clients:
                client.connection.open()
            for client in clients:
                assert await client.next() is Outcome.REFUSED

    trio.run(main)


def test_no_more_connections_are_in_the_making_than_allowed_and_all_come_to_stand() -> None:
    async def main() -> None:
        async with serving() as peer, wired(route_to(peer.host, peer.port), dials_at_once=3) as wire:
            clients = [Client(wire) for _ in range(200)]
            for client in clients:
                client.connection.open()
            making = sum(client.connection.state is ConnectionState.DIALLING for client in clients)
            assert making <= 3
            clients[-1].connection.hurry()
            for client in clients:
                assert await client.next() == "opened"
            assert wire.established == 200
            for client in clients:
                client.connection.close()
            assert wire.established == 0
            assert len(wire.poller) == 0

    trio.run(main)


def test_running_out_of_descriptors_is_our_own_fault_and_not_the_services() -> None:
    async def main() -> None:
        async with serving() as peer, wired(route_to(peer.host, peer.port)) as wire:
            client = Client(wire)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                client.connection.open()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert client.reported == [None]
            assert wire.lacking == {errno.EMFILE}

    trio.run(main)


@pytest.mark.parametrize("state", ["waiting", "dialling", "receiving"])
def test_a_connection_can_be_closed_at_any_moment_and_opened_again(state: str) -> None:
    async def main() -> None:
        async with serving(after_request("wait")) as peer, wired(route_to(peer.host, peer.port), dials_at_once=1) as wire:
            blocker, client = Client(wire), Client(wire)
            if state == "waiting":
                blocker.connection.open()
            client.connection.open()
            if state == "receiving":
                assert await client.next() == "opened"
                client.connection.send(b"GET / HTTP/1.1\r\n\r\n")
            client.connection.close()
            assert await client.open() == "opened"
            assert client.reported == []
            client.connection.close()
            blocker.connection.close()
            assert wire.established == 0

    trio.run(main)


# TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, of one authority."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def test_tls_carries_requests_on_one_connection() -> None:
    server, trusting = contexts()

    async def main() -> None:
        async with serving(tls=server) as peer, wired(route_to(peer.host, peer.port, tls=trusting)) as wire:
            client = Client(wire)
            assert await client.open() == "opened"
            for _ in range(5):
                assert isinstance(await client.ask(), Heard)
            assert (peer.accepted, len(peer.requests)) == (1, 5)
            client.connection.close()

    trio.run(main)


def test_tls_carries_large_bodies_both_ways() -> None:
    server, trusting = contexts()
    body = os.urandom(1 << 20)

    async def echo(line: Line) -> None:
        while (request := await line.request()) is not None:
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + request.partition(b"\r\n\r\n")[2])

    async def main() -> None:
        server_side = serving(echo, tls=server)
        async with server_side as peer, wired(route_to(peer.host, peer.port, tls=trusting), most_answer=2 << 20) as wire:
            client = Client(wire)
            assert await client.open() == "opened"
            for _ in range(2):
                reported = await client.ask(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert isinstance(reported, Heard)
                assert reported.body == body
            client.connection.close()

    trio.run(main)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("untrusted", Outcome.CERTIFICATE),
        ("other name", Outcome.CERTIFICATE),
        ("not TLS", Outcome.TLS),
        ("closes", Outcome.TLS),
    ],
)
def test_faults_of_tls_have_their_kind(fault: str, expected: Outcome) -> None:
    server, trusting = contexts()

    async def plain(line: Line) -> None:
        if fault == "not TLS":
            await line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await trio.sleep_forever()

    async def main() -> None:
        is_plain = fault in ("not TLS", "closes")
        async with serving(plain if is_plain else obedient, tls=None if is_plain else server) as peer:
            context = ssl.create_default_context() if fault == "untrusted" else trusting
            name = "elsewhere.test" if fault == "other name" else "127.0.0.1"
            async with wired(route_to(peer.host, peer.port, tls=context, name=name)) as wire:
                client = Client(wire)
                reported = await client.open()
                assert reported is expected or (fault == "closes" and reported is Outcome.RESET)
                assert wire.established == 0
                assert len(wire.poller) == 0

    trio.run(main)


def test_the_numbers_of_our_own_faults_are_not_those_of_the_service() -> None:
    from velro_gate.engine.http import connection as wire

    assert {errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH}.isdisjoint(wire.OURS)
