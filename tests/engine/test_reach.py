"""Ways to a service: unix sockets, several source addresses, IPv6, base paths; and connections that end as they are used."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.engine.authority import Authority
from tests.engine.peers import OK, Client, Handler, Line, Peer, found_route, obedient, serving, wired
from tests.engine.runs import GET, POST, Ran, phase, running
from velro_gate.engine.client.preflight import preflight
from velro_gate.engine.http.connection import ConnectionState
from velro_gate.engine.http.routes import NoRoute, Route, find_route, foreign_sources
from velro_gate.errors import UnreachableError
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import OpenArrivals, Step, Target


def ran(
    *steps: Step, handler: Handler = obedient, users: int = 4, base: str = "", serve: dict[str, Any] | None = None, **to: Any
) -> tuple[Ran, Peer]:
    """A short run against a server of this kind, after a health check on the same way."""
    found: list[tuple[Ran, Peer]] = []

    async def main() -> None:
        async with serving(handler, **(serve or {})) as peer:
            url = peer.url.replace(":0", "") + base
            assert (await preflight(Target(url=url, **to))).status == 200
            peer.requests.clear()
            peer.came_from.clear()
            peer.accepted = 0
            plan = phase(users=users, ramp=0.1, duration=0.4, arrivals=OpenArrivals(rate=100.0))
            made = await running(url, plan, steps=steps or (GET, POST), **to)
            # What was sent again may have been read the first time, too.
            assert 0 <= len(peer.requests) - made.run.delivered_total <= made.run.retries
            found.append((made, peer))

    trio.run(main)
    return found[0]


# Unix sockets


def test_a_unix_socket_carries_the_load_under_the_urls_host(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    made, peer = ran(serve={"path": path}, unix_socket=str(path))
    assert set(made.outcomes()) == {"OK"}
    assert peer.accepted == 4
    assert all(b"\r\nHost: 127.0.0.1\r\n" in request for request in peer.requests)
    assert made.run.health.ports_free is None


def test_a_unix_socket_carries_tls(tmp_path: Path) -> None:
    authority, path = Authority(tmp_path), tmp_path / "service.sock"
    made, _ = ran(serve={"path": path, "tls": authority.server()}, unix_socket=str(path), ca_file=authority.file())
    assert set(made.outcomes()) == {"OK"}
    assert made.run.sessions_reused <= 3


def test_a_unix_socket_that_is_not_there_refuses_and_the_health_check_says_so(tmp_path: Path) -> None:
    target = Target(url="http://service.test", unix_socket=str(tmp_path / "none.sock"))

    async def main() -> None:
        async with wired(await found_route(target)) as wire:
            assert await Client(wire).open() is Outcome.REFUSED
        with pytest.raises(UnreachableError, match="unix socket cannot be opened") as caught:
            await preflight(target)
        assert "target.unix_socket" in (caught.value.hint or "")

    trio.run(main)


def test_a_full_accept_queue_is_waited_for_and_nobody_is_lost(tmp_path: Path) -> None:
    path = str(tmp_path / "full.sock")

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(path)
            listening.listen(2)
            async with wired(await found_route(Target(url="http://x", unix_socket=path))) as wire:
                clients = [Client(wire) for _ in range(20)]
                for client in clients:
                    client.connection.open()
                standing = [client for client in clients if client.connection.state is ConnectionState.IDLE]
                waiting = [client for client in clients if client.connection.state is ConnectionState.WAITING]
                assert 2 <= len(standing) < 20
                assert len(standing) + len(waiting) == 20
                waiting.pop().connection.close()
                accepted = []
                while any(client.connection.state is ConnectionState.WAITING for client in clients):
                    accepted.append(listening.accept()[0])
                    wire.dials.nudge()
                assert wire.established == 19
                for made in accepted:
                    made.close()
                for client in clients:
                    client.connection.close()
                assert len(wire.poller) == wire.established == 0

    trio.run(main)


def test_more_users_than_the_accept_queue_holds_all_come_to_stand(tmp_path: Path) -> None:
    path = tmp_path / "small.sock"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(4)
            listening.setblocking(False)
            async with trio.open_nursery() as nursery:
                peer = Peer("127.0.0.1", 0, "http")

                async def accept(stream: trio.SocketStream) -> None:
                    await obedient(Line(stream, peer))

                listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
                nursery.start_soon(trio.serve_listeners, accept, [listener])
                plan = phase(users=100, ramp=0.0, duration=0.6, arrivals=OpenArrivals(rate=200.0))
                made = await running("http://service.test", plan, unix_socket=str(path))
                assert set(made.outcomes()) == {"OK"}
                assert made.run.connections_opened == 100
                assert made.run.delivered_total == len(peer.requests)
                nursery.cancel_scope.cancel()

    trio.run(main)


# Source addresses


def test_users_come_from_the_source_addresses_in_turn() -> None:
    made, peer = ran(users=6, source_addresses=("127.0.0.2", "127.0.0.3", "127.0.0.4"))
    assert set(made.outcomes()) == {"OK"}
    assert Counter(peer.came_from) == {"127.0.0.2": 2, "127.0.0.3": 2, "127.0.0.4": 2}


def test_a_user_keeps_its_source_address_when_it_connects_again() -> None:
    async def forgetful(line: Line) -> None:
        if await line.request() is not None:
            await line.say(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    made, peer = ran(handler=forgetful, users=2, source_addresses=("127.0.0.2", "127.0.0.3"))
    users: dict[object, set[bytes]] = {}
    for source, request in zip(peer.came_from, peer.requests, strict=False):
        if request.startswith(b"GET"):
            users.setdefault(source, set()).add(request.split(b" ")[1])
    assert made.run.reconnects > 2
    assert sorted(len(paths) for paths in users.values()) == [1, 1]


def test_no_local_port_is_taken_before_the_target_is_known() -> None:
    """So the same port serves every (source, target) pair, and the range of ports limits each pair only."""
    route = trio.run(found_route, Target(url="http://127.0.0.1:1", source_addresses=("127.0.0.2", "127.0.0.3")))
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        route.new_socket(socket.AF_INET, 0) as first,
        route.new_socket(socket.AF_INET, 1) as second,
    ):
        assert first.getsockname() == ("127.0.0.2", 0)
        assert second.getsockname() == ("127.0.0.3", 0)
        first.connect_ex(listening.getsockname())
        assert first.getsockname()[1] > 0


def test_an_address_of_another_machine_is_found_out() -> None:
    # 192.0.2.0/24 and 2001:db8::/32 are for documentation: nobody has them.
    assert foreign_sources(["127.0.0.9", "192.0.2.1", "::1", "2001:db8::1"]) == ("192.0.2.1", "2001:db8::1")


def test_a_connection_from_an_address_that_is_not_ours_is_our_own_fault() -> None:
    async def main() -> None:
        async with (
            serving() as peer,
            wired(await found_route(Target(url=peer.url, source_addresses=("192.0.2.1",)))) as wire,
        ):
            assert await Client(wire).open() is None
            assert len(wire.poller) == 0

    trio.run(main)


def test_only_addresses_of_the_family_of_the_sources_are_tried() -> None:
    class Both(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
            return [
                (f, socket.SOCK_STREAM, 6, "", (a, 80)) for f, a in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
            ]

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            raise NotImplementedError

    async def main(*sources: str) -> Route:
        trio.socket.set_custom_hostname_resolver(Both())
        return await found_route(Target(url="http://both.test", source_addresses=sources))

    assert trio.run(main, "127.0.0.2").endpoints == (("127.0.0.1", 80),)
    assert trio.run(main, "::1").endpoints == (("::1", 80),)
    assert len(trio.run(main, "127.0.0.2", "::1").endpoints) == 2
    none = trio.run(find_route, Target(url="http://127.0.0.1", source_addresses=("::1",)), None)
    assert isinstance(none, NoRoute)
    assert "one is IPv4, the other IPv6" in none.reason


# Addresses and paths


def test_ipv6_carries_load_and_health_check() -> None:
    made, peer = ran(serve={"host": "::1"}, source_addresses=("::1",))
    assert set(made.outcomes()) == {"OK"}
    assert set(peer.came_from) == {"::1"}
    assert all(b"\r\nHost: [::1]:%d\r\n" % peer.port in request for request in peer.requests)


def test_a_name_with_addresses_of_both_kinds_is_reached_by_the_one_that_answers() -> None:
    async def main() -> None:
        async with serving() as peer:
            made = await running(f"http://localhost:{peer.port}", phase(users=2, ramp=0.1, duration=0.2))
            assert set(made.outcomes()) == {"OK"}

    trio.run(main)


def test_the_steps_paths_follow_the_path_of_the_base_url() -> None:
    made, peer = ran(base="/api/v1")
    assert set(made.outcomes()) == {"OK"}
    assert {request.split(b" ")[1].rpartition(b"/")[0] for request in peer.requests} == {b"/api/v1/get", b"/api/v1"}


# Connections that end as they are used


def test_a_request_that_meets_a_closing_connection_is_sent_again_only_where_that_is_safe() -> None:
    async def once(line: Line) -> None:
        """Answers one request, and closes when the next one comes."""
        await line.request()
        await line.say(OK)
        await line.request()

    safe, _ = ran(GET, handler=once, users=1)
    assert set(safe.outcomes()) == {"OK"}
    assert safe.run.retries > 3
    unsafe, _ = ran(Step(name="post", method="POST", path="/post", probability=1.0, timeout=2.0), handler=once, users=1)
    assert set(unsafe.outcomes()) == {"OK", "RESET"}
    assert unsafe.run.retries == 0


def test_a_service_that_never_answers_the_second_attempt_is_a_reset_once() -> None:
    async def first_connection_only(line: Line) -> None:
        if line.peer.accepted == 1 and await line.request():
            await line.say(OK)
        await line.request()

    async def main() -> None:
        async with serving(first_connection_only) as peer:
            plan = phase(users=1, ramp=0.1, duration=0.3, arrivals=OpenArrivals(rate=20.0))
            made = await running(peer.url, plan, steps=(GET,))
            assert set(made.outcomes()) == {"OK", "RESET"}
            assert made.run.retries == 1

    trio.run(main)
