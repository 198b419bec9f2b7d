"""Names are looked up again and again, and what cannot be resolved is said in words."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trio.testing

from tests.engine.peers import found_route
from velro_gate.engine.http.replicas import Replicas
from velro_gate.engine.http.routes import LOOK_UP_EVERY, Address, NoRoute, Route, find_route, keep_looking_up, tls_context
from velro_gate.model.scenario import Target


@pytest.mark.parametrize(
    ("url", "endpoint", "name"),
    [
        ("http://127.0.0.1:8400", ("127.0.0.1", 8400), "127.0.0.1"),
        ("http://127.0.0.1", ("127.0.0.1", 80), "127.0.0.1"),
        ("https://127.0.0.1", ("127.0.0.1", 443), "127.0.0.1"),
        ("http://[::1]:8400", ("::1", 8400), "::1"),
    ],
)
def test_addresses_need_no_name_server(url: str, endpoint: tuple[str, int], name: str) -> None:
    route = trio.run(found_route, Target(url=url))
    assert route.endpoints == (endpoint,)
    assert route.server_name == name
    assert (route.tls is not None) is url.startswith("https")


class NameServer(trio.abc.HostnameResolver):
    """Answers from a script."""

    def __init__(self, *answers: Exception | list[str]) -> None:
        self.answers = list(answers)

    async def getaddrinfo(self, host: object, port: object, *_: object, **__: object) -> list[object]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        raise NotImplementedError


def found(*answers: Exception | list[str]) -> Route | NoRoute:
    async def main() -> Route | NoRoute:
        trio.socket.set_custom_hostname_resolver(NameServer(*answers))
        return await find_route(Target(url="http://api.test:81"), None)

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.0))


def test_all_addresses_are_kept_once_and_in_order() -> None:
    route = found(["10.0.0.2", "10.0.0.1", "10.0.0.2"])
    assert isinstance(route, Route)
    assert route.endpoints == (("10.0.0.2", 81), ("10.0.0.1", 81))


def test_a_name_server_that_hiccups_is_asked_again() -> None:
    assert isinstance(found(socket.gaierror(socket.EAI_AGAIN, "try again"), ["10.0.0.1"]), Route)


def test_a_name_that_does_not_exist_is_not_asked_for_again_and_named() -> None:
    said = found(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert isinstance(said, NoRoute)
    assert "'api.test' cannot be resolved" in said.reason
    assert "not known" in said.reason


def test_a_name_server_that_stays_away_ends_in_words_too() -> None:
    said = found(*[socket.gaierror(socket.EAI_AGAIN, "try again")] * 50)
    assert isinstance(said, NoRoute)


def test_certificates_are_verified_unless_the_target_says_otherwise() -> None:
    strict, lax = (tls_context(Target(url="https://x", verify=verify)) for verify in (True, False))
    assert strict is not None
    assert lax is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert lax.verify_mode is ssl.CERT_NONE
    assert tls_context(Target(url="http://x")) is None


def test_a_route_has_an_address() -> None:
    with pytest.raises(ValueError, match="address"):
        Route(addresses=(), server_name="x")


def addresses(*hosts: str) -> tuple[Address, ...]:
    return tuple(Address(family=int(socket.AF_INET), sockaddr=(host, 80)) for host in hosts)


def test_new_connections_go_where_the_name_leads_now() -> None:
    route = Route(addresses=addresses("10.0.0.1"), server_name="h")
    assert route.renew([addresses("10.0.0.2")])
    assert route.endpoints == (("10.0.0.2", 80),)


def test_another_order_of_the_same_addresses_and_a_silent_name_server_change_nothing() -> None:
    route = Route(addresses=addresses("10.0.0.1", "10.0.0.2"), server_name="h", preferred=1)
    assert not route.renew([addresses("10.0.0.2", "10.0.0.1")])
    assert not route.renew([()])
    assert route.endpoints[route.preferred] == ("10.0.0.2", 80)


def test_the_address_in_use_stays_while_the_name_still_has_it() -> None:
    route = Route(addresses=addresses("10.0.0.1", "10.0.0.2"), server_name="h", preferred=1)
    assert not route.renew([addresses("10.0.0.3", "10.0.0.2")])
    assert route.endpoints[route.preferred] == ("10.0.0.2", 80)


def test_only_the_replica_whose_name_leads_elsewhere_is_looked_for_there() -> None:
    route = Route(addresses=addresses("10.0.0.1", "10.0.0.2"), server_name="h", replicas=Replicas([b"", b""]))
    assert route.renew([addresses("10.0.0.9", "10.0.0.1"), addresses("10.0.0.3")])
    assert route.endpoints == (("10.0.0.1", 80), ("10.0.0.3", 80))


def test_names_are_looked_up_again_while_a_phase_lasts() -> None:
    async def looked_up() -> Route:
        server = NameServer(["10.0.0.1"], ["10.0.0.1"], ["10.0.0.2"])
        trio.socket.set_custom_hostname_resolver(server)
        made = await find_route(Target(url="http://shop.example"), None)
        assert isinstance(made, Route)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_looking_up, made)
            await trio.sleep(2 * LOOK_UP_EVERY + 1.0)
            nursery.cancel_scope.cancel()
        return made

    assert trio.run(looked_up, clock=trio.testing.MockClock(autojump_threshold=0.0)).endpoints == (("10.0.0.2", 80),)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8400", "http://[::1]:8400"])
def test_an_address_is_never_looked_up_again(url: str) -> None:
    assert trio.run(found_route, Target(url=url)).names == ()
