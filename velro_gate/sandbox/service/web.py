"""The ASGI application: finds the endpoint, counts, authenticates, spends the step's time, answers.

Raw ASGI instead of a framework: the requests are six, and a router and request objects would be paid for at each of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from velro_gate.sandbox.problem import AwayError, RefusalError
from velro_gate.sandbox.service import answers
from velro_gate.sandbox.service.endpoints import Caller, Endpoints
from velro_gate.sandbox.service.experiments import Experiments
from velro_gate.sandbox.service.tokens import SERVICE, TokenError, Verifier
from velro_gate.sandbox.service.work import Work
from velro_gate.sandbox.settings import (
    AUTHENTICATION,
    AUTHORIZATION,
    CACHE_INVALIDATE,
    GENERATION_CREATE,
    GENERATION_LIST,
    LOGIN,
    MEDIA,
    MODEL,
    MODEL_RENAME,
)
from velro_gate.sandbox.stores.layers import Found
from velro_gate.sandbox.tally import DATABASE, OTHER, Tally

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiHeader = tuple[bytes, bytes]

MAX_BODY = 65_536
"""Bytes of a request's body."""
MAX_USER_ID = 128
"""Characters of a user's id; the rest is cut off."""

_JSON: AsgiHeader = (b"content-type", b"application/json")
_CACHE_HEADERS: Mapping[str, tuple[AsgiHeader, ...]] = {
    layer: (
        _JSON,
        (b"x-cache", b"MISS" if layer == DATABASE else b"HIT"),
        (b"x-cache-layer", layer.encode()),
    )
    for layer in ("memory", "redis", "database")
}
_PLAIN = (_JSON,)

_EXACT = {
    "/api/v1/auth/me": {"GET": AUTHENTICATION},
    "/api/v1/auth/login": {"POST": LOGIN},
    "/api/v1/authorization/check": {"GET": AUTHORIZATION},
    "/api/v1/generations": {"GET": GENERATION_LIST, "POST": GENERATION_CREATE},
    "/api/v1/cache/invalidate": {"POST": CACHE_INVALIDATE},
}
_MODELS = "/api/v1/models/"
_MEDIA = "/api/v1/media/"
_MEDIA_END = "/url"

_OPERATIONS = ("/health", "/metrics", "/control", "/control/counts")
"""Paths that are about the sandbox itself and are not counted as requests."""


class Reply(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    headers: tuple[AsgiHeader, ...] = _PLAIN


AnswerOperation = Callable[[str, str, bytes, str], Awaitable[Reply | None]]
"""Answers (method, path, body, peer) for /health, /metrics and /control; None: no such thing here."""


class MatchedRoute(NamedTuple):
    """The step that a request belongs to and the id in its path, if there is one."""

    step: str
    identifier: str = ""


class Application:
    """The backend as an ASGI application."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        verifier: Verifier,
        work: Work,
        experiments: Experiments,
        tally: Tally,
        operations: AnswerOperation,
    ) -> None:
        self._endpoints = endpoints
        self._verifier = verifier
        self._work = work
        self._experiments = experiments
        self._tally = tally
        self._operations = operations

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox speaks HTTP, not {scope['type']}")
        path = scope["path"]
        if path in _OPERATIONS:
            peer = (scope.get("client") or ("",))[0]
            reply = await self._operations(scope["method"], path, await _body(receive), peer)
            await _send(send, reply or refused(RefusalError(404, "there is nothing here")))
            return
        await self._serve(scope, receive, send)

    async def _serve(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        step = OTHER
        try:
            route = find(scope["method"], scope["path"])
            step = route.step
            self._tally.received[step] += 1
            reply = await self._answer(route, scope, receive)
        except RefusalError as refusal:
            if step == OTHER:
                self._tally.received[OTHER] += 1
            reply = refused(refusal)
        except AwayError as away:
            reply = Reply(503, answers.error(str(away)), (_JSON, (b"retry-after", str(round(away.retry_after)).encode())))
        self._tally.answered[step, reply.status] += 1
        await _send(send, reply)

    async def _answer(self, route: MatchedRoute, scope: AsgiScope, receive: Receive) -> Reply:
        step = route.step
        if step not in (MODEL_RENAME, CACHE_INVALIDATE):
            await self._work.spend(step)
        self._experiments.leak()
        if self._experiments.fails(step):
            return Reply(500, answers.error("failed by an experiment"))
        if step == LOGIN:
            return Reply(200, self._endpoints.login(await _body(receive)))
        who = self._authenticate(scope["headers"])
        if step == AUTHENTICATION:
            return Reply(200, self._endpoints.me(who))
        if step == GENERATION_CREATE:
            return Reply(201, await self._endpoints.create(who, await _body(receive)))
        if step == CACHE_INVALIDATE:
            return Reply(200, await self._endpoints.invalidate(who, await _body(receive)))
        if step == MODEL_RENAME:
            return _cached(await self._endpoints.rename(who, route.identifier, await _body(receive)))
        return _cached(await self._read(route, who, scope["query_string"]))

    async def _read(self, route: MatchedRoute, who: Caller, query_string: bytes) -> Found:
        if route.step == MODEL:
            return await self._endpoints.model(route.identifier)
        if route.step == MEDIA:
            return await self._endpoints.media(route.identifier)
        query = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))
        if route.step == AUTHORIZATION:
            return await self._endpoints.authorization(who, query.get("resource", ""), query.get("id", ""))
        return await self._endpoints.generations(who, query.get("limit", "20"))

    def _authenticate(self, headers: list[AsgiHeader]) -> Caller:
        token, user_id = "", ""
        for name, value in headers:
            if name == b"authorization":
                scheme, _, rest = value.partition(b" ")
                token = rest.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
            elif name == b"x-user-id":
                user_id = value.decode("latin-1")[:MAX_USER_ID]
        if not token:
            raise RefusalError(401, "a bearer token is needed", ((b"www-authenticate", b"Bearer"),))
        try:
            identity = self._verifier.verify(token)
        except TokenError as fault:
            raise RefusalError(401, str(fault), ((b"www-authenticate", b'Bearer error="invalid_token"'),)) from fault
        if identity.role != SERVICE and user_id not in ("", identity.subject):
            raise RefusalError(403, "only a service key may act for another user")
        return self._endpoints.caller(user_id or identity.subject, identity.role)


def find(method: str, path: str) -> MatchedRoute:
    """The step behind a method and a path.

    Raises:
        RefusalError: there is none (404), or not by this method (405).
    """
    methods = _EXACT.get(path)
    if methods is not None:
        if method not in methods:
            raise RefusalError(405, f"{method} is not possible here", ((b"allow", ", ".join(methods).encode()),))
        return MatchedRoute(methods[method])
    if path.startswith(_MODELS):
        if method == "PUT":
            return MatchedRoute(MODEL_RENAME, path[len(_MODELS) :])
        route, allowed = MatchedRoute(MODEL, path[len(_MODELS) :]), b"GET, PUT"
    elif path.startswith(_MEDIA) and path.endswith(_MEDIA_END):
        route, allowed = MatchedRoute(MEDIA, path[len(_MEDIA) : -len(_MEDIA_END)]), b"GET"
    else:
        raise RefusalError(404, "there is no such endpoint")
    if method != "GET":
        raise RefusalError(405, f"{method} is not possible here", ((b"allow", allowed),))
    return route


def refused(refusal: RefusalError) -> Reply:
    """The response to a request that is refused."""
    return Reply(refusal.status, answers.error(refusal.reason), (_JSON, *refusal.headers))


def _cached(found: Found) -> Reply:
    if found.body is None:
        raise RefusalError(404, "there is no such thing", _CACHE_HEADERS[found.layer][1:])
    return Reply(200, found.body, _CACHE_HEADERS[found.layer])


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > MAX_BODY:
        raise RefusalError(413, f"a body may hold {MAX_BODY} bytes")
    return body


async def _send(send: Send, reply: Reply) -> None:
    headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
