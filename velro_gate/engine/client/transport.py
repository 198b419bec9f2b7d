"""The wire as a transport of httpx, for journeys written in Python: streaming, timeouts and traces as httpx knows them.

Rules
- A transport speaks to one origin over a few connections of its own, each with one request at a time. A connection is opened
  when it is needed, kept, and given up when a request on it is cancelled or its response is not read to the end.
- Pieces of a body are handed on as they come. Where nobody takes them, reading pauses: MOST_WAITING bounds the memory.
- A request goes out a second time only where it is safe, has no body to stream, and its connection had idled: see users.
- Unlike httpx's own transport: no proxies, no upgrades (101 is a fault of the service), names are resolved by the route, and
  one event of a trace, ``connection.connect_tcp``, stands for TCP and TLS together.

For trio only.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Self

import httpx
import trio

from velro_gate.engine.client.messages import Message
from velro_gate.engine.client.streaming import Channel, Incoming
from velro_gate.engine.http.connection import ConnectionState, Wire
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.model.samples import Outcome
from velro_gate.units import format_number

MOST_CONNECTIONS = 6
"""Connections of one transport: as many as browsers open to one host."""

MOST_WAITING = 256 * 1024
"""Bytes of a body that may wait for their reader before their connection is read no further."""

_FAULTS: dict[Outcome | None, tuple[type[httpx.TransportError], str]] = {
    None: (httpx.ConnectError, "this machine has no descriptor, port or memory left"),
    Outcome.REFUSED: (httpx.ConnectError, "the connection was refused"),
    Outcome.TLS: (httpx.ConnectError, "no TLS connection could be made"),
    Outcome.CERTIFICATE: (httpx.ConnectError, "no TLS connection could be made: a certificate is not accepted"),
    Outcome.TIMEOUT: (httpx.ConnectTimeout, "no connection could be made in time"),
}


@dataclass(slots=True, eq=False)
class Facts:
    """What is known of one exchange; times are those of the wire's clock."""

    sent: bool = False
    """Whether it had a connection to be sent over, open already or not."""
    waited: float = 0.0
    """Seconds until a connection was free."""
    connect: float = nan
    """Seconds that making a connection took."""
    first_at: float = nan
    done_at: float = nan
    """When the response was whole, or all was over."""
    received: int = 0
    written: bool = False
    failed: bool = False
    """Whether the connection failed."""
    fault: Outcome | None = None
    """How it failed; None: this machine had no descriptor, port or memory for it."""
    repeated: bool = False
    """Whether it was sent twice."""
    reconnects: int = 0
    """Connections that replaced an ended one."""
    reason: str = ""
    """What went wrong, in words."""
    raw: Sequence[bytes] = ()
    """The first bytes of the response as they came."""


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port, the usual one spelled out."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


class WireTransport(httpx.AsyncBaseTransport):
    """See the module's rules.

    Args:
        origin: scheme, host and port that the wire's route leads to; requests to others are refused.
        most_answer: bytes of one answer; a longer one is a RemoteProtocolError.
    """

    def __init__(
        self, wire: Wire, origin: str, *, most_connections: int = MOST_CONNECTIONS, most_answer: int = sys.maxsize
    ) -> None:
        self.wire = wire
        self._most_answer = most_answer
        self._origin = origin_of(httpx.URL(origin))
        self._places = trio.Semaphore(most_connections)
        self._free: list[Channel] = []
        self._channels: list[Channel] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of its response streams.

        Raises:
            httpx.TransportError: of the kind that httpx's own transport raises.
        """
        return await self.exchange(request, Facts())

    async def exchange(self, request: httpx.Request, facts: Facts) -> httpx.Response:
        """As ``handle_async_request``; what happens is put into ``facts`` until the body has been read."""
        if origin_of(request.url) != self._origin:
            shown = request.url.copy_with(path="/", query=None, fragment=None, username=None, password=None)
            raise httpx.UnsupportedProtocol(f"{shown} is not where this transport leads", request=request)
        message = Message(request)
        channel = await self._channel(request, facts)
        facts.sent = True
        exchange = Exchange(self, channel, message, facts)
        try:
            return await exchange.run()
        except BaseException:
            exchange.abandon()
            raise

    def connect_ahead(self, on_ready: Callable[[bool], None]) -> None:
        """Open the first connection before there is a request for it. on_ready: called with whether it is open, or whether a
        request has taken it over. Only on a transport that has had no connection, or whose connections are all closed.
        """
        self._places.acquire_nowait()
        channel = self._free.pop() if self._free else self._made()
        channel.carry(_Ahead(self, channel, on_ready))
        channel.open()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, standing or in the making."""
        return any(channel.state is not ConnectionState.CLOSED for channel in self._channels)

    def move(self) -> None:
        """Let go of idle connections that should go to another replica."""
        for channel in self._free:
            channel.move()

    def close(self) -> None:
        """Let go of all connections; what is under way fails."""
        for channel in self._channels:
            channel.give_up()

    async def aclose(self) -> None:
        """As ``close``."""
        self.close()

    async def _channel(self, request: httpx.Request, facts: Facts) -> Channel:
        """A connection that is free, with a place for it: one that is being opened ahead, else a standing one, else any."""
        for channel in self._channels:
            if isinstance(channel.owner, _Ahead):
                channel.owner.hand_over()
                return channel
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            began = self.wire.now()
            with trio.move_on_after(_seconds(request, "pool")) as scope:
                await self._places.acquire()
            if scope.cancelled_caught:
                raise httpx.PoolTimeout("all connections were busy", request=request) from None
            facts.waited = self.wire.now() - began
        # The connection that was used last first: it is the least likely to be at the end of the service's idle timeout.
        for channel in reversed(self._free):
            if channel.state is ConnectionState.IDLE:
                self._free.remove(channel)
                return channel
        return self._free.pop() if self._free else self._made()

    def _made(self) -> Channel:
        made = Channel(self.wire, _NOBODY, self._most_answer)
        self._channels.append(made)
        return made

    def release(self, channel: Channel) -> None:
        """Take back a connection, standing or closed, and its place."""
        channel.carry(_NOBODY)
        channel.release()
        self._free.append(channel)
        self._places.release()


class _Nobody:
    """Owns the connections that carry nothing."""

    def opened(self, seconds: float) -> None:
        """See Owner."""

    def answered(self, answer: Response, at: float) -> None:
        """See Owner."""

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:
        """See Owner."""

    def hung_up(self) -> None:
        """The next request opens another one."""

    def progressed(self) -> None:
        """See StreamOwner."""


_NOBODY = _Nobody()


class _Ahead(_Nobody):
    """Opens a connection ahead of the first request, and holds its place meanwhile."""

    def __init__(self, transport: WireTransport, channel: Channel, on_ready: Callable[[bool], None]) -> None:
        self._transport, self._channel, self._on_ready = transport, channel, on_ready

    def opened(self, seconds: float) -> None:  # noqa: ARG002 - the interface's
        """See Owner."""
        self._channel.known = True
        self._transport.release(self._channel)
        self._on_ready(True)

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:  # noqa: ARG002 - the interface's
        """See Owner."""
        self._transport.release(self._channel)
        self._on_ready(False)

    def hand_over(self) -> None:
        """A request takes the connection as it is, and the place with it."""
        self._channel.carry(_NOBODY)
        self._on_ready(True)


class Exchange(_Nobody):
    """One request and its response; owns a connection until the response is whole or all is over."""

    def __init__(self, transport: WireTransport, channel: Channel, message: Message, facts: Facts) -> None:
        self._transport = transport
        self._wire = transport.wire
        self._channel = channel
        self._holds = True
        self._message = message
        self._request = message.request
        self._facts = facts
        self._bell = trio.Event()
        self._stands = self._fresh = self._uploads = False
        self._error: httpx.TransportError | None = None
        self._come = Incoming()

    # What the connection reports

    def opened(self, seconds: float) -> None:
        """See Owner."""
        self._stands = True
        self._facts.connect = seconds
        self._facts.reconnects += self._channel.known
        self._channel.known = True
        if self._facts.repeated:
            self._channel.begin(self._come, self._message.first, head=self._message.head_only)
        self._bell.set()

    def answered(self, answer: Response, at: float) -> None:  # noqa: ARG002 - the interface's
        """See Owner."""
        if self._uploads:
            # The service did not wait for the rest of the request, so nothing may follow it.
            self._channel.close()
        self._come.complete = True
        self._let_go(at)

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:  # noqa: ARG002 - the interface's
        """See Owner."""
        if outcome is Outcome.RESET and not self._fresh and not self._come.received and self._message.may_repeat:
            # It had idled and was closed in the moment in which it was used: the service has most likely not seen the request.
            self._facts.repeated = self._fresh = True
            self._stands = False
            self._come = Incoming()
            self._channel.open()
            return
        self._facts.failed = True
        self._facts.fault = outcome
        self._facts.reason = self._channel.fault
        self._error = self._explained(outcome)
        self._let_go(at)

    def hung_up(self) -> None:
        """The service closed the connection before the request was on it."""
        self._channel.ended = True
        self.broken(Outcome.RESET, self._wire.now(), early=True)

    def progressed(self) -> None:
        """See StreamOwner."""
        answer, channel = self._come, self._channel
        if answer.waiting > MOST_WAITING and self._holds and not answer.complete and channel.state is ConnectionState.RECEIVING:
            channel.pause()
        self._bell.set()

    def abandon(self) -> None:
        """Nobody wants the rest: give the connection up. Harmless when all is over."""
        if self._holds:
            self._channel.close()
            self._let_go(self._wire.now())

    def _let_go(self, at: float) -> None:
        facts = self._facts
        facts.done_at = at
        facts.written = self._channel.written
        facts.first_at = self._come.first_at
        facts.received = self._come.received
        facts.raw = self._channel.raw
        self._holds = False
        self._bell.set()
        self._transport.release(self._channel)

    def _explained(self, outcome: Outcome | None) -> httpx.TransportError:
        kind: type[httpx.TransportError]
        if outcome is Outcome.PROTOCOL:
            kind, said = httpx.RemoteProtocolError, f"the response was refused: {self._channel.fault}"
        elif outcome in _FAULTS:
            kind, said = _FAULTS[outcome]
        elif not self._stands:
            kind, said = httpx.ConnectError, "the connection was reset while it was made"
        elif self._channel.ended:
            part = "within its response" if self._come.received else "without a response"
            kind, said = httpx.RemoteProtocolError, f"the service closed the connection {part}"
        else:
            kind, said = httpx.ReadError, "the connection was reset"
        return kind(said, request=self._request)

    # What the task does

    async def run(self) -> httpx.Response:
        """Connect, send, and wait for the head of the response."""
        await self._connect()
        await self._send()
        async with self.traced("http11.receive_response_headers") as event:
            await self._wait(lambda: self._come.head_whole or self._come.complete, "read", httpx.ReadTimeout)
            answer = self._come
            event.return_value = (answer.version, answer.status, answer.reason, answer.headers)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(self),
            extensions={
                "http_version": answer.version,
                "reason_phrase": answer.reason,
                "network_stream": _NetworkStream(self._channel),
            },
        )

    async def _connect(self) -> None:
        channel = self._channel
        # What may be sent again is sent without looking; before anything else an end that has come must be noticed.
        standing = channel.state is ConnectionState.IDLE and (self._message.may_repeat or channel.still_idle())
        channel.carry(self)
        if standing:
            self._stands = True
            return
        self._fresh = True
        async with self.traced("connection.connect_tcp"):
            if channel.state is ConnectionState.CLOSED:
                channel.open(hurried=True)
            elif channel.state is ConnectionState.WAITING:
                channel.hurry()
            await self._wait(lambda: self._stands, "connect", httpx.ConnectTimeout)

    async def _send(self) -> None:
        message, channel = self._message, self._channel
        async with self.traced("http11.send_request_headers"):
            if self._facts.failed:
                raise self._taken_error()
            channel.begin(self._come, message.first, head=message.head_only)
            await self._wait(self._gone, "write", httpx.WriteTimeout)
        async with self.traced("http11.send_request_body"):
            if message.streams:
                await self._upload()

    async def _upload(self) -> None:
        self._uploads = True
        async with aclosing(self._message.rest()) as pieces:
            async for piece in pieces:
                # A response that came already, or a failure, ends the request; either is found when the response is waited for.
                if not self._holds:
                    return
                self._channel.send_more(piece)
                await self._wait(self._gone, "write", httpx.WriteTimeout)
        self._uploads = False

    def _gone(self) -> bool:
        return self._channel.written or not self._holds or self._facts.repeated

    async def next_piece(self) -> bytes | None:
        """The next piece of the response's body, None at its end."""
        answer = self._come
        await self._wait(lambda: bool(answer.pieces) or answer.complete, "read", httpx.ReadTimeout)
        if not answer.pieces:
            return None
        piece = answer.take()
        # At half of the bound, so that reading does not pause and resume with every piece.
        if self._holds and self._channel.paused and answer.waiting <= MOST_WAITING // 2:
            self._channel.resume()
        return piece

    async def _wait(self, ready: Callable[[], bool], limit: str, too_late: type[httpx.TimeoutException]) -> None:
        """Until ``ready``; each sign of progress gives the whole time again, as it does with httpx's own transport."""
        seconds = _seconds(self._request, limit)
        while not ready():
            if self._facts.failed:
                raise self._taken_error()
            self._bell = trio.Event()
            if seconds == inf:
                await self._bell.wait()
                continue
            with trio.move_on_after(seconds) as scope:
                await self._bell.wait()
            if scope.cancelled_caught:
                raise too_late(f"nothing happened for {format_number(seconds)} s", request=self._request)

    def _taken_error(self) -> httpx.TransportError:
        """What went wrong, once: an error that is raised holds the frames that it passed, and they hold this exchange."""
        error, self._error = self._error, None
        return error or httpx.ReadError("the connection has failed", request=self._request)

    def traced(self, name: str) -> _Traced:
        """Notify the request's trace, if it has one, when this begins and how it ends."""
        return _Traced(name, self._request)


class _Traced:
    """A stretch of an exchange of which the request's trace hears, in httpcore's words."""

    __slots__ = ("_name", "_request", "_trace", "return_value")

    def __init__(self, name: str, request: httpx.Request) -> None:
        self._name, self._request = name, request
        self._trace = request.extensions.get("trace")
        self.return_value: object = None

    async def __aenter__(self) -> Self:
        if self._trace is not None:
            await self._trace(f"{self._name}.started", {"request": self._request})
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._trace is None:
            return
        if error is None:
            await self._trace(f"{self._name}.complete", {"return_value": self.return_value})
        else:
            with trio.CancelScope(shield=True):
                await self._trace(f"{self._name}.failed", {"exception": error})


class _Body(httpx.AsyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with self._exchange.traced("http11.receive_response_body"):
            while (piece := await self._exchange.next_piece()) is not None:
                yield piece

    async def aclose(self) -> None:
        """Give the connection up, unless the response is whole."""
        async with self._exchange.traced("http11.response_closed"):
            self._exchange.abandon()


class _NetworkStream:
    """What a response says about its connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def get_extra_info(self, info: str) -> Any:
        """``socket``, ``ssl_object``, ``server_addr`` or ``client_addr`` while it stands; None for anything else."""
        return self._channel.info(info)


def _seconds(request: httpx.Request, limit: str) -> float:
    found = request.extensions.get("timeout", {}).get(limit)
    return inf if found is None else float(found)
