"""Journeys over HTTP/2, against a real HTTP/2 server: the same books, one connection a user, many requests on it at once."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import numpy as np
import pytest
import trio
import trustme

from tests.engine.journeys.test_api import OPEN, RATE, Ran, browse, travelling
from tests.engine.peers import Line, Peer, obedient, serving
from tests.engine.runs import phase
from tests.servers import nginx_server
from velro_gate.engine.client.http2 import outcome_of
from velro_gate.engine.client.preflight import preflight
from velro_gate.journeys import User
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import OpenArrivals, Step, Target

pytestmark = pytest.mark.hostile("journeys")


async def speaking_http2(line: Line) -> None:
    """Answers every stream: by 404 under /missing, by a reset under /reset, never under /never, else by 200 and "ok"."""
    spoken = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    spoken.initiate_connection()
    asked: dict[int, str] = {}
    while True:
        await line.say(spoken.data_to_send())
        try:
            data = await line.stream.receive_some(65_536)
        except trio.BrokenResourceError:
            return
        if not data:
            return
        for event in spoken.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                asked[event.stream_id] = dict(event.headers)[":path"]
                line.peer.requests.append(asked[event.stream_id].encode())
            elif isinstance(event, h2.events.DataReceived):
                spoken.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                path = asked[event.stream_id]
                if path.startswith("/reset"):
                    spoken.reset_stream(event.stream_id)
                elif path.startswith("/leave"):
                    return
                elif not path.startswith("/never"):
                    status = "404" if path.startswith("/missing") else "200"
                    spoken.send_headers(event.stream_id, [(":status", status), ("x-cache", "HIT"), ("x-cache-layer", "edge")])
                    spoken.send_data(event.stream_id, b"ok", end_stream=True)


@pytest.fixture(scope="module")
def certificates() -> tuple[ssl.SSLContext, trustme.CA]:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    server.set_alpn_protocols(["h2"])
    return server, authority


def over_http2(main: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    async def whole() -> None:
        async with serving(speaking_http2, tls=tls) as peer:
            await main(peer)

    trio.run(whole)


async def going(peer: Peer, code: Callable[[User], Awaitable[None]], *phases: Any, **options: Any) -> Ran:
    return await travelling(peer.url, code, *phases, http2=True, verify=False, **options)


@pytest.mark.parametrize("secure", [True, False])
def test_every_request_is_one_sample_on_one_connection_a_user(
    secure: bool, certificates: tuple[ssl.SSLContext, trustme.CA]
) -> None:
    async def main(peer: Peer) -> None:
        ran = await going(peer, browse)
        run, rows = ran.run, ran.samples()
        assert run.sent_total == run.delivered_total == len(peer.requests) == len(rows) > 0
        assert ran.outcomes() == {"OK": len(rows)}
        assert Counter(rows.step.tolist())[0] == peer.requests.count(b"/items")
        assert run.connections_opened == peer.accepted == int((~np.isnan(rows.connect)).sum()) <= 4
        assert ran.result.layers == ("edge",)
        assert (rows.received > 2).all()
        assert (rows.first_byte > 0).all()

    over_http2(main, certificates[0] if secure else None)


def test_a_client_speaks_http2_and_sends_what_it_asks_at_once_over_one_connection() -> None:
    versions: list[str] = []

    async def one(user: User) -> None:
        with user.step("list"):
            versions.append((await user.client.post("/", json={"a": 1})).http_version)

    async def many(user: User) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one, user)

    async def main(peer: Peer) -> None:
        ran = await going(peer, many, phase(users=2, duration=0.3, arrivals=RATE))
        assert set(versions) == {"HTTP/2"}
        assert ran.outcomes() == {"OK": len(peer.requests)}
        assert peer.accepted == 2

    over_http2(main)


def test_outcomes_are_those_of_http1() -> None:
    async def mixed(user: User) -> None:
        with user.step("list"):
            await user.client.get("/missing")
            with pytest.raises(httpx.TransportError):
                await user.client.get("/reset")
            with pytest.raises(httpx.ReadTimeout):
                await user.client.get("/never")
        with user.step("open"):
            await user.client.get("/leave")

    async def main(peer: Peer) -> None:
        quick = Step(name="list", method="GET", path="/", probability=1.0, timeout=0.1, expect_status=frozenset({404}))
        slow = OpenArrivals(rate=10.0, journeys=True)
        ran = await going(peer, mixed, phase(users=4, duration=2.0, arrivals=slow), steps=(quick, OPEN))
        rows = ran.samples()
        # The last journeys may be cut off.
        first = {Outcome(value) for value in rows.outcome[rows.step == 0].tolist()}
        assert first - {Outcome.CANCELLED} == {Outcome.OK, Outcome.RESET, Outcome.TIMEOUT}
        assert set(rows.outcome[rows.step == 1].tolist()) == {Outcome.RESET}
        assert ran.run.reconnects > 0
        assert not [tick for tick in ran.run.ticks if not 0 <= tick.connected <= 4]

    over_http2(main)


def test_a_service_that_is_not_there_refuses_every_request() -> None:
    async def main() -> None:
        async with serving() as peer:
            url = peer.url
        ran = await travelling(url, browse, http2=True)
        assert ran.outcomes().keys() == {"REFUSED"}
        assert (ran.run.delivered_total, ran.run.connections_opened) == (0, 0)

    trio.run(main)


def test_a_certificate_that_is_not_trusted_is_an_outcome_of_its_own(certificates: tuple[ssl.SSLContext, trustme.CA]) -> None:
    async def main(peer: Peer) -> None:
        ran = await travelling(peer.url, browse, http2=True)
        assert ran.outcomes().keys() == {"CERTIFICATE"}
        assert ran.run.tls_fault == "the service's certificate comes from an unknown issuer"

    over_http2(main, certificates[0])


@pytest.mark.parametrize("http2", [False, True])
def test_journeys_go_the_way_of_the_load(http2: bool, tmp_path: Path) -> None:
    handler, path = speaking_http2 if http2 else obedient, tmp_path / "service.sock"

    async def main() -> None:
        async with serving(handler) as peer:
            sources = ("127.0.0.2", "127.0.0.3")
            ran = await travelling(peer.url, browse, http2=http2, source_addresses=sources)
            assert ran.outcomes().keys() == {"OK"}
            assert Counter(peer.came_from) == {"127.0.0.2": 2, "127.0.0.3": 2}
        async with serving(handler, path=path) as peer:
            ran = await travelling("http://service.test", browse, http2=http2, unix_socket=str(path))
            assert ran.outcomes().keys() == {"OK"}
            assert ran.run.connections_opened == peer.accepted == 4

    trio.run(main)


def test_want_of_descriptors_and_unknown_names_are_distinguished() -> None:
    def caused(cause: BaseException) -> httpx.ConnectError:
        error = httpx.ConnectError("all attempts failed")
        error.__cause__ = cause
        return error

    assert outcome_of(caused(OSError(24, "Too many open files"))) is None
    assert outcome_of(caused(socket.gaierror(-2, "unknown"))) is Outcome.DNS
    assert outcome_of(caused(ConnectionRefusedError(111, "refused"))) is Outcome.REFUSED


def test_a_request_that_is_cancelled_harms_no_other_and_leaves_no_connection_behind() -> None:
    async def slow(user: User) -> None:
        with user.step("open"):
            await user.client.get("/never")

    async def quick(user: User, done: trio.Event) -> None:
        with user.step("list"):
            for number in range(20):
                assert (await user.client.get(f"/{number}")).text == "ok"
        done.set()

    async def mixed(user: User) -> None:
        done = trio.Event()
        # While both sides still settle how they speak, a cancelled request would take the others with it.
        await quick(user, trio.Event())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quick, user, done)
            with trio.move_on_after(0.01):
                await slow(user)
            await done.wait()

    async def main(peer: Peer) -> None:
        rate = OpenArrivals(rate=10.0, journeys=True)
        ran = await going(peer, mixed, phase(users=4, duration=1.0, arrivals=rate))
        rows = ran.samples()
        assert set(rows.outcome[rows.step == 0].tolist()) <= {Outcome.OK, Outcome.CANCELLED}
        assert set(rows.outcome[rows.step == 1].tolist()) <= {Outcome.TIMEOUT, Outcome.CANCELLED}
        assert ran.run.reconnects > 0
        while peer.open:
            await trio.testing.wait_all_tasks_blocked()

    over_http2(main)


def test_a_stream_that_is_left_in_the_middle_is_an_answer_all_the_same() -> None:
    async def left(user: User) -> None:
        with user.step("list"):
            async with user.client.stream("GET", "/") as found:
                assert found.status_code == 200

    async def main(peer: Peer) -> None:
        ran = await going(peer, left)
        assert ran.outcomes() == {"OK": len(peer.requests)}

    over_http2(main)


def frames(*events: Callable[[h2.connection.H2Connection, int], None]) -> Callable[[Line], Awaitable[None]]:
    """A server that does the same for every request."""

    async def serve(line: Line) -> None:
        spoken = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8", validate_outbound_headers=False)
        )
        spoken.initiate_connection()
        while True:
            await line.say(spoken.data_to_send())
            try:
                data = await line.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            for event in spoken.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    line.peer.requests.append(b"")
                    for act in events:
                        act(spoken, event.stream_id)

    return serve


def answer_ok(spoken: h2.connection.H2Connection, stream: int) -> None:
    spoken.send_headers(stream, [(":status", "200")])
    spoken.send_data(stream, b"ok", end_stream=True)


def no_status(spoken: h2.connection.H2Connection, stream: int) -> None:
    block = spoken.encoder.encode([("server", "x")])
    spoken._data_to_send += len(block).to_bytes(3, "big") + bytes([1, 5]) + stream.to_bytes(4, "big") + block


def raw(data: bytes) -> Callable[[h2.connection.H2Connection, int], None]:
    """Puts bytes between the frames; STREAM stands for the number of the stream."""

    def act(spoken: h2.connection.H2Connection, stream: int) -> None:
        spoken._data_to_send += data.replace(b"STRE", stream.to_bytes(4, "big"))

    return act


def wrong_length(spoken: h2.connection.H2Connection, stream: int) -> None:
    spoken.send_headers(stream, [(":status", "200"), ("content-length", "5")])
    raw(b"\0\0\2\0\1STREok")(spoken, stream)


HOSTILE = {
    "no status": (no_status,),
    "wrong length": (wrong_length,),
    "push": (raw(b"\0\0\5\5\4STRE\0\0\0\2\x88"),),
    "window overflow": (raw(b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff"),),
    "broken header block": (raw(b"\0\0\2\1\5STRE\xff\xff"),),
    "no streams at all": (raw(b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\0"), answer_ok),
    "garbage": (raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"),),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_service_sends_is_an_outcome_and_the_run_goes_on(kind: str) -> None:
    async def once(user: User) -> None:
        with user.step("list"):
            await user.client.get("/")

    async def main() -> None:
        async with serving(frames(*HOSTILE[kind])) as peer:
            ran = await going(peer, once, phase(users=2, duration=0.4, arrivals=RATE))
            outcomes = ran.outcomes()
            assert sum(outcomes.values()) > 3
            if kind != "no streams at all":
                assert set(outcomes) <= {"PROTOCOL", "RESET", "CANCELLED"}

    trio.run(main)


def test_a_service_that_goes_away_in_order_costs_no_request_and_sees_none_twice() -> None:
    def go_away(spoken: h2.connection.H2Connection, stream: int) -> None:
        if stream >= 11:
            # Those that are asked at the same time as this one are not answered here.
            raw(b"\0\0\x08\7\0\0\0\0\0STRE\0\0\0\0")(spoken, stream)
        if stream <= 11:
            answer_ok(spoken, stream)
            spoken_for.append(stream)

    spoken_for: list[int] = []

    async def five(user: User) -> None:
        with user.step("list"):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(user.client.get, "/")

    async def main() -> None:
        async with serving(frames(go_away)) as peer:
            ran = await going(peer, five, phase(users=2, duration=0.8, arrivals=RATE))
            assert set(ran.outcomes()) == {"OK"}
            assert ran.run.sent_total == len(spoken_for)
            assert ran.run.reconnects > 0

    trio.run(main)


def test_requests_that_meet_the_end_of_their_connection_go_out_again_on_the_next_one() -> None:
    """nginx gives a connection up every ten requests, amid the five that are under way."""

    async def many(user: User) -> None:
        with user.step("list"):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(user.client.get, "/")

    async def main() -> Ran:
        return await travelling(server.url, many, http2=True, health_path="/")

    with nginx_server("keepalive_requests 10; location / { return 200 ok; }", options="http2") as server:
        ran = trio.run(main)
    assert set(ran.outcomes()) == {"OK"}
    assert ran.run.reconnects > 2


def test_the_health_check_of_a_service_that_speaks_http2_only_speaks_it_too() -> None:
    async def main() -> None:
        assert (await preflight(Target(url=server.url, http2=True, health_path="/"))).http_version == "HTTP/2"

    with nginx_server("location / { return 200 ok; }", options="http2") as server:
        trio.run(main)
