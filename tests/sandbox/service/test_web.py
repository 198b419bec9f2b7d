"""The application itself, spoken to in ASGI: what no client over HTTP can make happen."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from velro_gate.sandbox.problem import RefusalError
from velro_gate.sandbox.service.backend import open_backend
from velro_gate.sandbox.service.web import MAX_BODY, MatchedRoute, find
from velro_gate.sandbox.settings import Settings

SETTINGS = Settings(work=False, users=5, pool_size=2)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/api/v1/auth/me", MatchedRoute("authentication_check")),
        ("POST", "/api/v1/auth/login", MatchedRoute("login")),
        ("GET", "/api/v1/authorization/check", MatchedRoute("authorization_check")),
        ("GET", "/api/v1/generations", MatchedRoute("generation_list")),
        ("POST", "/api/v1/generations", MatchedRoute("generation_create")),
        ("GET", "/api/v1/models/model-3", MatchedRoute("model_access", "model-3")),
        ("PUT", "/api/v1/models/model-3", MatchedRoute("model_rename", "model-3")),
        ("POST", "/api/v1/cache/invalidate", MatchedRoute("cache_invalidate")),
        ("GET", "/api/v1/media/media-3/url", MatchedRoute("media_url_access", "media-3")),
    ],
)
def test_each_endpoint_is_found_by_method_and_path(method: str, path: str, route: MatchedRoute) -> None:
    assert find(method, path) == route


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/generations/", "/api/v1/media/media-3", "/api/v2/auth/me", ""])
def test_unknown_paths_are_404(path: str) -> None:
    with pytest.raises(RefusalError) as refused:
        find("GET", path)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/generations", b"GET, POST"),
        ("POST", "/api/v1/auth/me", b"GET"),
        ("DELETE", "/api/v1/models/model-1", b"GET, PUT"),
        ("HEAD", "/api/v1/media/media-1/url", b"GET"),
    ],
)
def test_a_known_path_by_another_method_is_405_and_says_which_are_possible(method: str, path: str, allowed: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        find(method, path)
    assert (refused.value.status, refused.value.headers) == (405, ((b"allow", allowed),))


def answer(method: str, path: str, *parts: bytes, peer: str = "127.0.0.1", key: bool = True) -> tuple[int, bytes]:
    """Status and body of one request whose body comes in parts."""

    async def scene() -> tuple[int, bytes]:
        async with open_backend(SETTINGS) as backend:
            waiting = deque(parts or (b"",))
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": waiting.popleft(), "more_body": bool(waiting)}

            async def send(message: Any) -> None:
                sent.append(dict(message))

            scope = {
                "type": "http",
                "method": method,
                "path": path,
                "query_string": b"",
                "headers": [(b"authorization", b"Bearer " + backend.key.encode())] if key else [],
                "client": (peer, 1),
            }
            await backend.application(scope, receive, send)
            return sent[0]["status"], sent[1]["body"]

    return asyncio.run(scene())


def test_a_body_that_comes_in_parts_is_read_whole() -> None:
    assert answer("POST", "/api/v1/generations", b'{"model":"mod', b'el-1","prompt', b'":"x"}')[0] == 201


def test_a_body_beyond_the_limit_is_413_however_it_comes() -> None:
    assert answer("POST", "/api/v1/generations", b"x" * (MAX_BODY + 1))[0] == 413
    assert answer("POST", "/api/v1/generations", *[b"x" * 20_000] * 10)[0] == 413


@pytest.mark.parametrize("peer", ["192.0.2.7", "", "not an address", "2001:db8::1"])
def test_control_answers_this_machine_only(peer: str) -> None:
    assert answer("GET", "/control", peer=peer)[0] == 403
    assert answer("POST", "/control", b'{"stall": 60}', peer=peer)[0] == 403


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1"])
def test_control_answers_every_loopback_address(peer: str) -> None:
    assert answer("GET", "/control/counts", peer=peer)[0] == 200


def test_what_is_not_http_is_refused_as_a_bug() -> None:
    async def scene() -> None:
        async with open_backend(SETTINGS) as backend:
            with pytest.raises(RuntimeError, match="websocket"):
                await backend.application({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    asyncio.run(scene())
