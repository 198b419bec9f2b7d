"""Names are resolved once, and what cannot be resolved is said in words."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trio.testing

from tests.engine.peers import found_route
from velro_gate.engine.http.routes import NoRoute, Route, find_route, tls_context
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
