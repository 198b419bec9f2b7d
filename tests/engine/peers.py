"""Real servers on loopback whose every byte a test chooses, in the test's own trio loop; and a way to talk to them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio.testing

from velro_gate.engine.http.connection import Connection, Wire
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.http.poller import Poller
from velro_gate.engine.http.routes import Address, NoRoute, Route, find_route, tls_context
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handler = Callable[["Line"], Awaitable[None]]


@dataclass
class Line:
    """One accepted connection."""

    stream: trio.abc.Stream
    peer: Peer
    rest: bytes = b""

    async def request(self, *, chunks: bool = False) -> bytes | None:
        """The next request, head and body; None at the end. chunks: a body in chunks is read and put together, too."""
        while b"\r\n\r\n" not in self.rest:
            if not await self._more():
                return None
        head, _, rest = self.rest.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.rest = rest
        if chunks and b"\r\ntransfer-encoding:" in head.lower():
            return await self._chunks(head)
        while len(self.rest) < length:
            if not await self._more():
                return None
        body, self.rest = self.rest[:length], self.rest[length:]
        whole = head + b"\r\n\r\n" + body
        self.peer.requests.append(whole)
        return whole

    async def _chunks(self, head: bytes) -> bytes | None:
        """The rest of a chunked request; kept with its body put together."""
        body, length = b"", -1
        while length:
            while b"\r\n" not in self.rest:
                if not await self._more():
                    return None
            size, _, self.rest = self.rest.partition(b"\r\n")
            length = int(size, 16)
            while len(self.rest) < length + 2:
                if not await self._more():
                    return None
            assert self.rest[length : length + 2] == b"\r\n"
            body, self.rest = body + self.rest[:length], self.rest[length + 2 :]
        self.peer.requests.append(head + b"\r\n\r\n" + body)
        return self.peer.requests[-1]

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some(65_536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        self.rest += data
        return bool(data)

    async def say(self, data: bytes) -> None:
        """Send bytes; a peer that is gone does not hear them."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def reset(self) -> None:
        """Close with a reset instead of an orderly end."""
        transport = self.stream
        while isinstance(transport, trio.SSLStream):
            transport = transport.transport_stream
        assert isinstance(transport, trio.SocketStream)
        transport.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(transport)


@dataclass
class Peer:
    """A running server. requests: everything that it has read, in order."""

    host: str
    port: int
    scheme: str
    requests: list[bytes] = field(default_factory=list)
    accepted: int = 0
    open: int = 0
    resumed: int = 0
    came_from: list[object] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def answering(data: bytes) -> Handler:
    """Answers every request with these bytes."""

    async def handler(line: Line) -> None:
        while await line.request() is not None:
            await line.say(data)

    return handler


obedient = answering(OK)


def after_request(*actions: bytes | str) -> Handler:
    """Reads one request, then says bytes, or closes ('close'), resets ('reset'), or ends its half ('half')."""

    async def handler(line: Line) -> None:
        await line.request()
        for action in actions:
            if isinstance(action, bytes):
                await line.say(action)
            elif action == "reset":
                # Once the bytes before it have been read: a reset overtakes them.
                await trio.testing.wait_all_tasks_blocked(0.005)
                await line.reset()
                return
            elif action == "half":
                assert isinstance(line.stream, trio.SocketStream)
                await line.stream.send_eof()
                await line.request()
            elif action == "wait":
                await trio.sleep_forever()

    return handler


@asynccontextmanager
async def serving(
    handler: Handler = obedient, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", path: Path | None = None
) -> AsyncIterator[Peer]:
    """A server whose ``handler`` gets each connection; stopped at the end of the block. path: of a unix socket to listen on."""
    if path is None:
        (listener,) = await trio.open_tcp_listeners(0, host=host, backlog=1_024)
    else:
        listener = trio.SocketListener(await _listening(path))
    peer = Peer(host, 0 if path else listener.socket.getsockname()[1], "https" if tls else "http")

    async def accept(stream: trio.SocketStream) -> None:
        peer.came_from.append(stream.socket.getpeername()[0] if path is None else "unix")
        peer.accepted += 1
        peer.open += 1
        served: trio.abc.Stream = stream
        if tls is not None:
            served = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            if isinstance(served, trio.SSLStream):
                await served.do_handshake()
                peer.resumed += bool(served.session_reused)
            await handler(Line(served, peer))
        except (trio.BrokenResourceError, ssl.SSLError):
            return
        finally:
            peer.open -= 1
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        try:
            yield peer
        finally:
            nursery.cancel_scope.cancel()


async def _listening(path: Path) -> trio.socket.SocketType:
    made = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await made.bind(str(path))
    made.listen(1_024)
    return made


@dataclass
class Heard:
    """What an answer was, kept after it is gone."""

    status: int
    body: bytes
    received: int
    cookies: list[bytes]


@dataclass
class Client:
    """An owner of one connection that waits for what it is told."""

    wire: Wire
    connection: Connection = field(init=False)
    reported: list[object] = field(default_factory=list)
    early: bool | None = None
    _bell: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.connection = Connection(self.wire, self)

    def opened(self, seconds: float) -> None:
        self._show("opened")

    def answered(self, answer: Response, at: float) -> None:
        self._show(Heard(answer.status, b"".join(answer.body or ()), answer.received, list(answer.cookies or ())))

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:
        self.early = early
        self._show(outcome)

    def hung_up(self) -> None:
        self._bell.set()
        self._bell = trio.Event()

    def _show(self, what: object) -> None:
        self.reported.append(what)
        self._bell.set()
        self._bell = trio.Event()

    async def next(self) -> object:
        """The next thing that it is told."""
        while not self.reported:
            await self._bell.wait()
        return self.reported.pop(0)

    async def open(self) -> object:
        self.connection.open()
        return await self.next()

    async def ask(self, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", *, head: bool = False) -> object:
        """Send a request and wait for what becomes of it."""
        self.connection.send(request, head=head, wants_body=True)
        return await self.next()


def route_to(host: str, *ports: int, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> Route:
    family = trio.socket.AF_INET
    return Route(addresses=tuple(Address(family=family, sockaddr=(host, p)) for p in ports), server_name=name, tls=tls)


async def found_route(target: Target) -> Route:
    """The way to a target, as a phase looks it up; there must be one."""
    found = await find_route(target, tls_context(target))
    assert not isinstance(found, NoRoute), found.reason
    return found


@asynccontextmanager
async def wired(route: Route, *, most_answer: int = 1 << 20, dials_at_once: int = 64) -> AsyncIterator[Wire]:
    """A wire whose poller runs."""
    poller = Poller()
    wire = Wire(route, poller, trio.current_time, HeaderKinds(), most_answer=most_answer, dials_at_once=dials_at_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        try:
            yield wire
        finally:
            nursery.cancel_scope.cancel()
    poller.close()


@asynccontextmanager
async def talking(handler: Handler, **options: int) -> AsyncIterator[tuple[Client, Peer]]:
    """A client with a standing connection to a server of this behaviour."""
    async with serving(handler) as peer, wired(route_to(peer.host, peer.port), **options) as wire:
        client = Client(wire)
        assert await client.open() == "opened"
        try:
            yield client, peer
        finally:
            client.connection.close()
