"""HTTP/2 for journeys written in Python: httpx's own transport, one connection for each user, and what its trace reports.

Rules
- A request that cannot be sent is refused before httpx's transport gets it. So the service is the cause of whatever that one
  raises.
- All requests of a user share one connection. It is given up when a request on it is cancelled: that leaves httpx's transport
  out of step (its count of streams, its table of headers), and what is sent behind it would fail.
- The requests that are under way on a connection that was given up may end on it; then it is closed. Where the connection was
  so young that both sides still settled how they speak, they may fail as PROTOCOL: httpx's transport bears no cancelling there.
"""

from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import httpcore
import httpx
import trio

from velro_gate.engine.client.http2_frames import FilteringBackend
from velro_gate.engine.client.messages import Message
from velro_gate.engine.client.transport import Facts
from velro_gate.engine.http.faults import OURS
from velro_gate.engine.http.tls import tls_fault
from velro_gate.engine.http.wiring import Wire
from velro_gate.model.samples import Outcome

_LIBRARIES = frozenset({"anyio", "h2", "hpack", "httpcore", "httpx", "hyperframe", "trio", "velro_gate"})
_CLOSE_SECONDS = 1.0
"""Seconds that a connection may take to say goodbye (GOAWAY and, over TLS, close_notify): a service that reads nothing must not
hold up the end of a run.
"""


class Http2Carrier:
    """Carries the requests of one user, all at once where its journey asks so.

    With a target that is not https, HTTP/2 is used from the first byte. wire: where connections are counted, and whose
    route they take, as far as a unix socket and source addresses go.
    """

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self._wire, self._context = wire, context
        sources = wire.route.sources
        self._source = sources[wire.dials.turn() % len(sources)] if sources else None
        self._known = False
        self._session: _Session | None = None
        self._given_up: list[_Session] = []

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._session is not None and self._session.stands

    def connect_ahead(self, on_ready: Callable[[bool], None]) -> None:
        """Not here: the first request connects."""
        on_ready(True)

    def close(self) -> None:
        """Not at once; see ``aclose``."""

    async def aclose(self) -> None:
        """Close all connections."""
        for session in (*self._given_up, self._session):
            if session is not None:
                await session.aclose()
        self._session = None

    async def exchange(self, request: httpx.Request, facts: Facts) -> httpx.Response:
        """Send a request; its trace fills the facts. What a service that is going away has not looked at is sent again.

        Raises:
            httpx.LocalProtocolError: it cannot be sent, as it is not HTTP. httpx.TransportError: see httpx.
        """
        # Whatever happens after this is caused by the service.
        Message(request)
        theirs = request.extensions.get("trace")
        while True:
            if self._session is None:
                self._session = _Session(self._wire, self._context, self._source, self.give_up)
            session = self._session
            facts.sent = True
            errand = _Errand(may_repeat=isinstance(request.stream, httpx.ByteStream))
            request.extensions = {**request.extensions, "trace": self._listening(theirs, facts, session, errand)}
            session.under_way.append(errand)
            try:
                with errand.scope:
                    answer = await session.transport.handle_async_request(request)
            except BaseException as error:
                # No name for what is raised: it would hold the frame that holds it.
                if await self.failed(session, errand, error, facts) is error:
                    raise
                raise _out_of_step(error) from error
            if not errand.scope.cancelled_caught:
                break
            await self.ended(session, errand)
        facts.first_at = self._wire.now()
        facts.received = sum(len(name) + len(value) for name, value in answer.headers.raw)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Counted(self, session, errand, answer.stream, facts)
        return answer

    def _listening(self, theirs: Any, facts: Facts, session: _Session, errand: _Errand) -> Any:
        began = [self._wire.now()]

        async def trace(name: str, info: dict[str, Any]) -> None:
            """See httpcore's trace extension, whose events alone say when the connection was made and what has been written."""
            match name:
                case "connection.connect_tcp.started" | "connection.connect_unix_socket.started":
                    began[0] = self._wire.now()
                case "http2.send_connection_init.started":
                    facts.connect = self._wire.now() - began[0]
                    facts.reconnects += self._known
                    self._known = True
                    session.opened()
                case "http2.send_request_headers.started":
                    errand.stream = info["stream_id"]
                case "http2.send_request_body.complete":
                    facts.written = True
            if theirs is not None:
                await theirs(name, info)

        return trace

    async def failed(self, session: _Session, errand: _Errand, error: BaseException, facts: Facts) -> BaseException:
        """Write down why an exchange failed, and what that means for the connection; the error in httpx's terms."""
        if isinstance(error, httpx.LocalProtocolError):
            # The request was looked at before: what came in has left httpx's transport where it cannot go on.
            self.give_up(session)
            error = _out_of_step(error)
        elif isinstance(error, Exception) and not isinstance(error, httpx.TransportError) and _is_of_libraries(error):
            self.give_up(session)
            error = _out_of_step(error)
        if not isinstance(error, httpx.TransportError):
            self.give_up(session)
        elif not isinstance(error, httpx.TimeoutException):
            facts.failed, facts.fault, facts.done_at = True, outcome_of(error), self._wire.now()
            self._wire.lacking |= lacking(error)
            tls = _tls_error(error)
            if tls is not None and self._wire.tls_fault is None:
                self._wire.tls_fault = tls_fault(tls).words
            if not _is_reset_stream(error):
                session.lost()
        await self.ended(session, errand)
        return error

    def give_up(self, session: _Session) -> None:
        """Send nothing more over this connection."""
        if session is self._session:
            self._session = None
            self._given_up.append(session)

    async def ended(self, session: _Session, errand: _Errand) -> None:
        """An exchange is over; with the last one, a connection that was given up is closed."""
        session.under_way.remove(errand)
        if not session.under_way and session in self._given_up:
            self._given_up.remove(session)
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                await session.aclose()

    def now(self) -> float:
        """The wire's clock."""
        return self._wire.now()


@dataclass(slots=True, eq=False)
class _Errand:
    """One exchange."""

    may_repeat: bool
    """Whether its body can be sent again."""
    stream: int | None = None
    """Its number on the connection, once it has one."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class _Session:
    """One connection.

    Args:
        give_up: called when the service wants no more requests on it.
    """

    def __init__(self, wire: Wire, context: ssl.SSLContext, source: str | None, give_up: Callable[[_Session], None]) -> None:
        self._wire, self._give_up = wire, give_up
        # Exchanges on it: the last one that ends lets go of a connection that was given up.
        self.under_way: list[_Errand] = []
        self.stands = False
        self.transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
        # httpx has no public way to say how bytes come in.
        self.transport._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            http1=False,
            http2=True,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=None,
            uds=wire.route.path,
            local_address=source,
            network_backend=FilteringBackend(self._going_away),
        )

    def _going_away(self, last: int) -> None:
        """The service answers up to this request and no other."""
        self._give_up(self)
        for errand in self.under_way:
            if errand.may_repeat and (errand.stream is None or errand.stream > last):
                errand.scope.cancel()

    def opened(self) -> None:
        """It stands; another one in its place, if the service has closed it meanwhile."""
        self._wire.opened += 1
        self._wire.established += not self.stands
        self.stands = True

    def lost(self) -> None:
        """It does not stand any more."""
        self._wire.established -= self.stands
        self.stands = False

    async def aclose(self) -> None:
        """Close it."""
        self.lost()
        await self.transport.aclose()


class _Counted(httpx.AsyncByteStream):
    """A body whose bytes and end are written down."""

    def __init__(
        self, carrier: Http2Carrier, session: _Session, errand: _Errand, body: httpx.AsyncByteStream, facts: Facts
    ) -> None:
        self._carrier, self._session, self._errand, self._body, self._facts = carrier, session, errand, body, facts
        self._over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        facts = self._facts
        try:
            async with aclosing(aiter(self._body)) as pieces:  # type: ignore[type-var]  # a generator
                async for piece in pieces:
                    facts.received += len(piece)
                    yield piece
        except BaseException as error:
            self._over = True
            if await self._carrier.failed(self._session, self._errand, error, facts) is error:
                raise
            raise _out_of_step(error) from error
        facts.done_at = self._carrier.now()

    async def aclose(self) -> None:
        """Close it."""
        await self._body.aclose()
        if not self._over:
            self._over = True
            if isnan(self._facts.done_at):
                # What still comes of it belongs to nobody.
                self._carrier.give_up(self._session)
            await self._carrier.ended(self._session, self._errand)


def _out_of_step(error: BaseException) -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError(f"what the service sent is not HTTP/2: {type(error).__name__}: {error}")


def _is_of_libraries(error: BaseException) -> bool:
    """Whether no other code had a part in an error: not the source of an upload, for example."""
    frames = traceback.walk_tb(error.__traceback__)
    return all(str(frame.f_globals.get("__name__")).partition(".")[0] in _LIBRARIES for frame, _ in frames)


def lacking(error: httpx.TransportError) -> set[int]:
    """The codes that say what this machine had none left of."""
    return {cause.errno for cause in _causes(error) if isinstance(cause, OSError) and cause.errno in OURS}


def outcome_of(error: httpx.TransportError) -> Outcome | None:
    """What an error of httpx's own transport means; None: this machine had no descriptor, port or memory left."""
    if lacking(error):
        return None
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Outcome.DNS
    if isinstance(error, httpx.ConnectError):
        tls = _tls_error(error)
        return Outcome.REFUSED if tls is None else tls_fault(tls).outcome
    if isinstance(error, httpx.ProtocolError) and not _is_reset_stream(error) and "disconnected" not in str(error).lower():
        return Outcome.PROTOCOL
    return Outcome.RESET


def _tls_error(error: httpx.TransportError) -> ssl.SSLError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)


def _is_reset_stream(error: httpx.TransportError) -> bool:
    """Whether the service ended one request only."""
    return "StreamReset" in str(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
