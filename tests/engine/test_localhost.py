"""``localhost`` has two addresses, of which a service often listens on one: every way to it finds that one, in any order."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
import trio

from tests.engine.journeys.test_api import LIST, RATE, travelling
from tests.engine.journeys.test_http2 import speaking_http2
from tests.engine.peers import found_route, obedient, serving
from tests.engine.runs import GET, phase, running
from velro_gate.engine.client.preflight import preflight
from velro_gate.engine.http.routes import Route
from velro_gate.errors import UnreachableError
from velro_gate.journeys import User
from velro_gate.model.scenario import Target

V4, V6 = "127.0.0.1", "::1"
EITHER = pytest.mark.parametrize("order", [(V6, V4), (V4, V6)], ids=["IPv6 first", "IPv4 first"])
ALONE = pytest.mark.parametrize("listening", [V4, V6])


class BothAddresses:
    """Resolves ``localhost`` as a machine whose hosts file has both lines, in this order."""

    def __init__(self, order: Sequence[str]) -> None:
        self._order = order

    def __call__(
        self, host: object, port: object, *_: object, **__: object
    ) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        if host not in ("localhost", b"localhost"):
            family = socket.AF_INET6 if ":" in str(host) else socket.AF_INET
            return [(family, socket.SOCK_STREAM, 6, "", (host, port))]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (V6, port, 0, 0))
            if address == V6
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (V4, port))
            for address in self._order
        ]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, order: Sequence[str]) -> None:
    """Replaces the system's resolver itself: what httpx and the engine use ends there alike."""
    monkeypatch.setattr(socket, "getaddrinfo", BothAddresses(order))


async def ask_twice(user: User) -> None:
    for _ in range(2):
        with user.step("list"):
            await user.client.get("/")


@pytest.mark.usefixtures("both")
@EITHER
@ALONE
def test_load_health_check_and_journeys_all_reach_the_address_that_listens(listening: str) -> None:
    async def main() -> None:
        async with serving(obedient, host=listening) as peer:
            url = f"http://localhost:{peer.port}"
            assert (await preflight(Target(url=url))).status == 200
            load = await running(url, phase(users=3, ramp=0.1, duration=0.3), steps=(GET,))
            assert set(load.outcomes()) == {"OK"}
            # The first address refused: that cost no connection, and no request was sent twice.
            assert (load.run.connections_opened, load.run.reconnects, load.run.retries) == (3, 0, 0)
            journeys = await travelling(url, ask_twice, phase(users=3, arrivals=RATE), steps=(LIST,))
            assert set(journeys.outcomes()) == {"OK"}
            assert (journeys.run.connections_opened, journeys.run.reconnects, journeys.run.retries) == (3, 0, 0)
            assert set(peer.came_from) == {listening}

    trio.run(main)


@pytest.mark.usefixtures("both")
@EITHER
@ALONE
def test_journeys_over_http2_reach_the_address_that_listens(listening: str) -> None:
    async def main() -> None:
        async with serving(speaking_http2, host=listening) as peer:
            url = f"http://localhost:{peer.port}"
            assert (await preflight(Target(url=url, http2=True))).status == 200
            journeys = await travelling(url, ask_twice, phase(users=3, arrivals=RATE), steps=(LIST,), http2=True)
            assert set(journeys.outcomes()) == {"OK"}
            assert set(peer.came_from) == {listening}

    trio.run(main)


@pytest.mark.usefixtures("both")
@EITHER
def test_a_service_on_both_addresses_is_asked_at_the_first_alone(order: Sequence[str]) -> None:
    async def main() -> None:
        first, second = order
        async with serving(obedient, host=first) as peer:
            listeners = await trio.open_tcp_listeners(peer.port, host=second)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, trio.aclose_forcefully, listeners)
                made = await running(f"http://localhost:{peer.port}", phase(users=2, ramp=0.1, duration=0.3), steps=(GET,))
                nursery.cancel_scope.cancel()
            assert set(made.outcomes()) == {"OK"}

    trio.run(main)


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("order", [(V6, V4)])
def test_where_nobody_listens_on_either_address_the_health_check_says_refused() -> None:
    async def main() -> None:
        async with serving(obedient) as peer:
            port = peer.port
        with pytest.raises(UnreachableError, match="refused the connection"):
            await preflight(Target(url=f"http://localhost:{port}"))
        route = await found_route(Target(url=f"http://localhost:{port}"))
        assert isinstance(route, Route)
        assert {address for address, _ in route.endpoints} == {V4, V6}

    trio.run(main)
