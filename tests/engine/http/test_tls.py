"""TLS against real servers: whom we trust, what we show, what went wrong in words, and sessions that are taken up again."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.engine.authority import Authority
from tests.engine.peers import OK, Client, Heard, Line, Peer, found_route, obedient, serving, wired
from velro_gate.engine.http.connection import HANDSHAKES_A_TURN, ConnectionState
from velro_gate.engine.http.routes import tls_context
from velro_gate.engine.http.tls import client_context, tls_fault
from velro_gate.errors import UsageError
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Target


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def target(url: str, authority: Authority, **rest: Any) -> Target:
    return Target(url=url, **{"ca_file": authority.file(), **rest})


@asynccontextmanager
async def clients(to: Target, count: int = 1) -> AsyncIterator[list[Client]]:
    """Clients of one wire, not connected yet, closed at the end."""
    async with wired(await found_route(to)) as wire:
        made = [Client(wire) for _ in range(count)]
        try:
            yield made
        finally:
            for client in made:
                client.connection.close()


def outcome(server: ssl.SSLContext | None, authority: Authority, **rest: Any) -> tuple[object, str | None, Peer]:
    """What becomes of one request to a server of this kind, and why."""
    found: list[tuple[object, str | None, Peer]] = []

    async def main() -> None:
        with trio.fail_after(10):
            async with serving(tls=server) as peer:
                url = peer.url.replace("http:", "https:")
                async with clients(target(url, authority, **rest)) as (client,):
                    reported = await client.open()
                    if reported == "opened":
                        reported = await client.ask()
                    found.append((reported.status if isinstance(reported, Heard) else reported, client.wire.tls_fault, peer))

    trio.run(main)
    return found[0]


def test_a_hundred_handshakes_at_once_are_shared_out_over_turns_of_the_loop_and_all_come_to_stand(authority: Authority) -> None:
    async def main() -> None:
        async with (
            serving(tls=authority.server()) as peer,
            clients(target(peer.url.replace("http:", "https:"), authority), 100) as made,
        ):
            for client in made:
                client.connection.open(hurried=True)
            for client in made:
                assert await client.next() == "opened"

    trio.run(main)


def test_no_more_than_so_many_handshakes_go_on_in_one_turn() -> None:
    async def main() -> None:
        async with wired(await found_route(Target(url="http://127.0.0.1"))) as wire:
            for turn in (1.0, 2.0):
                wire.poller.at = turn
                assert [wire.may_shake_hands() for _ in range(HANDSHAKES_A_TURN + 2)] == [True] * HANDSHAKES_A_TURN + [
                    False
                ] * 2

    trio.run(main)


def test_the_own_authority_is_trusted(authority: Authority) -> None:
    assert outcome(authority.server(), authority)[:2] == (200, None)


@pytest.mark.parametrize(
    ("server", "rest", "words"),
    [
        ({"expired": True}, {}, "the service's certificate has expired"),
        ({"name": "elsewhere.test"}, {}, "the service's certificate is for another host (IP address mismatch"),
        ({}, {"ca_file": None}, "the service's certificate comes from an unknown issuer"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_an_outcome_of_its_own_with_its_reason(
    authority: Authority, server: dict[str, Any], rest: dict[str, Any], words: str
) -> None:
    reported, fault, peer = outcome(authority.server(**server), authority, **rest)
    assert reported is Outcome.CERTIFICATE
    assert fault is not None
    assert fault.startswith(words)
    assert peer.requests == []


def test_a_name_that_the_certificate_is_not_for_is_reported(authority: Authority) -> None:
    async def main() -> str | None:
        async with (
            serving(tls=authority.server("elsewhere.test")) as peer,
            clients(target(f"https://localhost:{peer.port}", authority)) as (client,),
        ):
            assert await client.open() is Outcome.CERTIFICATE
            return client.wire.tls_fault

    assert "'localhost'" in (trio.run(main) or "")


def test_nothing_is_checked_where_the_target_says_so(authority: Authority) -> None:
    assert outcome(authority.server(expired=True), authority, ca_file=None, verify=False)[:2] == (200, None)


def test_a_port_that_speaks_plain_http_is_a_fault_of_tls_and_not_of_certificates(authority: Authority) -> None:
    async def main() -> None:
        async def plain(line: Line) -> None:
            await line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await trio.sleep_forever()

        async with serving(plain) as peer, clients(target(f"https://127.0.0.1:{peer.port}", authority)) as (client,):
            assert await client.open() is Outcome.TLS
            assert client.wire.tls_fault == "what answers there does not speak TLS"

    trio.run(main)


# Client certificates


def test_a_client_certificate_is_shown_to_a_service_that_asks_for_one(authority: Authority) -> None:
    certificate, key = authority.client()
    server = authority.server(asks_client=True)
    assert outcome(server, authority, client_certificate=certificate, client_key=key)[:2] == (200, None)


class Eager(Client):
    """Sends its request as soon as the connection stands, as a user does that has one to send."""

    def opened(self, seconds: float) -> None:
        self.connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


def answer_to_client(server: ssl.SSLContext, to: Target, listening: socket.socket) -> tuple[object, str | None, bool]:
    """One request to a server that says why it refuses; also whether the request counts as having reached it."""

    def serve() -> None:
        accepted, _ = listening.accept()
        with accepted:
            try:
                with server.wrap_socket(accepted, server_side=True) as tls:
                    tls.recv(65_536)
                    tls.sendall(OK)
            except ssl.SSLError:
                # The reason is on its way; a close with the request unread would overtake it.
                while accepted.fileno() >= 0 and accepted.recv(65_536):
                    pass

    async def main() -> tuple[object, str | None, bool]:
        async with trio.open_nursery() as nursery, wired(await found_route(to)) as wire:
            nursery.start_soon(trio.to_thread.run_sync, serve)
            client = Eager(wire)
            reported = await client.open()
            written = client.connection.written
            client.connection.close()
            return reported.status if isinstance(reported, Heard) else reported, wire.tls_fault, written
        raise AssertionError

    return trio.run(main)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["none", "of another authority"])
def test_a_service_that_does_not_take_our_certificate_is_reported_as_such(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, shown: str
) -> None:
    server = authority.server(asks_client=True)
    server.maximum_version = version
    rest: dict[str, Any] = {}
    if shown != "none":
        (tmp_path / "other").mkdir()
        rest["client_certificate"], rest["client_key"] = Authority(tmp_path / "other").client()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        reported, fault, written = answer_to_client(server, target(url, authority, **rest), listening)
    assert not written
    if shown != "none":
        assert (reported, fault) == (Outcome.CERTIFICATE, "the service does not know the issuer of our client certificate")
    elif version is ssl.TLSVersion.TLSv1_3:
        assert (reported, fault) == (Outcome.CERTIFICATE, "the service asks for a client certificate")
    else:
        assert (reported, fault) == (Outcome.TLS, "the service refuses the handshake; it may ask for a client certificate")


# Sessions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_later_connections_take_up_the_session_of_earlier_ones(authority: Authority, version: ssl.TLSVersion) -> None:
    server = authority.server()
    server.maximum_version = version

    async def main() -> None:
        async with serving(tls=server) as peer, clients(target(peer.url, authority), 5) as made:
            for client in made:
                assert await client.open() == "opened"
                assert isinstance(await client.ask(), Heard)
                client.connection.close()
            assert made[0].wire.sessions_reused == peer.resumed == 4

    trio.run(main)


def test_before_tls_1_3_a_session_can_be_taken_up_as_soon_as_its_connection_stands(authority: Authority) -> None:
    server = authority.server()
    server.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with serving(tls=server) as peer, clients(target(peer.url, authority), 3) as made:
            for client in made:
                assert await client.open() == "opened"
            assert made[0].wire.sessions_reused == 2

    trio.run(main)


def test_the_session_of_a_connection_that_idles_is_taken_up_too(authority: Authority) -> None:
    # Not trio's TLS, which keeps the tickets back until it has something to say.
    def serve(listening: socket.socket) -> None:
        with authority.server().wrap_socket(listening, server_side=True) as tls:
            for _ in range(2):
                accepted, _ = tls.accept()
                waiting.append(accepted)

    waiting: list[socket.socket] = []

    async def main(listening: socket.socket) -> None:
        to = target(f"https://127.0.0.1:{listening.getsockname()[1]}", authority)
        async with trio.open_nursery() as nursery, wired(await found_route(to)) as wire:
            nursery.start_soon(trio.to_thread.run_sync, serve, listening)
            first, second = Client(wire), Client(wire)
            assert await first.open() == "opened"
            while wire.route.session is None:
                await trio.sleep(0)
            assert first.connection.state is ConnectionState.IDLE
            assert await second.open() == "opened"
            assert wire.sessions_reused == 1
            first.connection.close()
            second.connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        trio.run(main, listening)
    for accepted in waiting:
        accepted.close()


def test_a_service_that_forgot_the_session_is_reached_all_the_same(authority: Authority) -> None:
    async def main() -> None:
        async with (
            serving(tls=authority.server()) as peer,
            serving(tls=authority.server()) as other,
            clients(target(peer.url, authority), 2) as (first, second),
        ):
            assert await first.open() == "opened"
            assert isinstance(await first.ask(), Heard)
            first.connection.close()
            second.wire.route.addresses = (await found_route(target(other.url, authority))).addresses
            assert await second.open() == "opened"
            assert isinstance(await second.ask(), Heard)
            assert second.wire.sessions_reused == 0

    trio.run(main)


# Contexts


def test_one_protocol_is_offered_and_plain_http_needs_no_context(authority: Authority) -> None:
    server = authority.server()
    server.set_alpn_protocols(["h2", "http/1.1"])

    async def main() -> None:
        agreed: list[str | None] = []

        async def note(line: Line) -> None:
            assert isinstance(line.stream, trio.SSLStream)
            agreed.append(line.stream.selected_alpn_protocol())
            await obedient(line)

        async with serving(note, tls=server) as peer, clients(target(peer.url, authority)) as (client,):
            assert await client.open() == "opened"
            assert isinstance(await client.ask(), Heard)
        assert agreed == ["http/1.1"]

    trio.run(main)
    assert tls_context(Target(url="http://x")) is None


@pytest.mark.parametrize("key", ["ca_file", "client_certificate"])
def test_a_file_that_vanished_meanwhile_is_reported_with_its_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        client_context(Target(url="https://x", **{key: str(tmp_path / "gone.pem")}))
    assert caught.value.where == str(tmp_path / "gone.pem")


def fault_of(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (ssl.SSLEOFError(8, "EOF"), Outcome.TLS, "closed the connection"),
        (OSError(5, "odd"), Outcome.TLS, "closed the connection"),
        (fault_of("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Outcome.TLS, "decryption failed or bad record mac"),
        (fault_of("TLSV1_ALERT_PROTOCOL_VERSION"), Outcome.TLS, "no TLS version"),
        (fault_of("SSLV3_ALERT_CERTIFICATE_EXPIRED"), Outcome.CERTIFICATE, "our client certificate has expired"),
    ],
)
def test_every_fault_has_words_and_advice(error: OSError, outcome: Outcome, words: str) -> None:
    fault = tls_fault(error)
    assert fault.outcome is outcome
    assert words in fault.words
    assert fault.hint
