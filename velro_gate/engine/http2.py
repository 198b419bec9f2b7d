"""HTTP/2 for journeys written in Python: httpx's own transport, one connection a user, and what it tells by its trace."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import httpx

from velro_gate.engine.transport import Facts
from velro_gate.engine.wire import OURS, Wire
from velro_gate.model.samples import Outcome


class Http2Carrier:
    """Carries the requests of one user, all at once where its journey asks so.

    A target that is no https is spoken to with HTTP/2 from the first byte. wire: where the connection is counted.
    """

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self._wire = wire
        self._transport = httpx.AsyncHTTPTransport(
            verify=context,
            http1=False,
            http2=True,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None),
            trust_env=False,
        )
        self._known = False
        self.connected = False
        self.now = wire.now

    def connect_ahead(self, told: Callable[[bool], None]) -> None:
        """Not here: the first request connects."""
        told(True)

    def close(self) -> None:
        """Not at once; see ``aclose``."""

    async def aclose(self) -> None:
        """Close the connection."""
        self._lost()
        await self._transport.aclose()

    async def exchange(self, request: httpx.Request, facts: Facts) -> httpx.Response:
        """Send a request; its trace fills the facts."""
        facts.sent = True
        request.extensions = {**request.extensions, "trace": self._listening(request.extensions.get("trace"), facts)}
        try:
            answer = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            self.note(error, facts)
            raise
        facts.first_at = self.now()
        facts.received = sum(len(name) + len(value) for name, value in answer.headers.raw)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Counted(self, answer.stream, facts)
        return answer

    def _listening(self, theirs: Any, facts: Facts) -> Any:
        began = [self.now()]

        async def trace(name: str, info: dict[str, Any]) -> None:
            match name:
                case "connection.connect_tcp.started":
                    began[0] = self.now()
                case "http2.send_connection_init.started":
                    facts.connect = self.now() - began[0]
                    self._opened(facts)
                case "http2.send_request_body.complete":
                    facts.written = True
            if theirs is not None:
                await theirs(name, info)

        return trace

    def _opened(self, facts: Facts) -> None:
        facts.reconnects += self._known
        self._known = self.connected = True
        self._wire.opened += 1
        self._wire.established += 1

    def _lost(self) -> None:
        if self.connected:
            self.connected = False
            self._wire.established -= 1

    def note(self, error: httpx.TransportError, facts: Facts) -> None:
        """Write down why an exchange failed; a time limit leaves the connection as it is."""
        if isinstance(error, httpx.TimeoutException):
            return
        facts.failed, facts.fault, facts.done_at = True, outcome_of(error), self.now()
        if isinstance(error, httpx.NetworkError | httpx.ProtocolError):
            self._lost()


class _Counted(httpx.AsyncByteStream):
    """A body whose bytes and end are written down."""

    def __init__(self, carrier: Http2Carrier, body: httpx.AsyncByteStream, facts: Facts) -> None:
        self._carrier, self._body, self._facts = carrier, body, facts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        facts = self._facts
        try:
            async with aclosing(aiter(self._body)) as pieces:  # type: ignore[type-var]  # a generator
                async for piece in pieces:
                    facts.received += len(piece)
                    yield piece
        except httpx.TransportError as error:
            self._carrier.note(error, facts)
            raise
        facts.done_at = self._carrier.now()

    async def aclose(self) -> None:
        """Close it."""
        await self._body.aclose()


def outcome_of(error: httpx.TransportError) -> Outcome | None:
    """What an error of httpx's own transport means; None: this machine had no descriptor, port or memory left."""
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in OURS for cause in causes):
        return None
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Outcome.DNS
    if isinstance(error, httpx.ConnectError):
        return Outcome.TLS if any(isinstance(cause, ssl.SSLError) for cause in causes) else Outcome.REFUSED
    if isinstance(error, httpx.ProtocolError) and "disconnected" not in str(error).lower():
        return Outcome.PROTOCOL
    return Outcome.RESET


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
