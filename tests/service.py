"""A small real HTTP service whose behaviour a test chooses: for the faults that a well-behaved sandbox never shows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Behaviour = Literal["ok", "errors", "drip", "dies", "no-cache-header"]

_BODY = b'{"allowed": true}'


@dataclass
class Service:
    """What runs behind ``url``."""

    behaviour: Behaviour = "ok"
    dies_after: int = 200
    """Requests answered before it closes everything, when the behaviour is 'dies'."""
    takes: float = 0.0
    """Seconds from a request to its answer: long beside the pauses of a busy machine where a verdict depends on the times."""
    url: str = ""
    requests: int = 0
    awaited: int | None = None
    """The number of the request that sets ``reached``, for who must not act before a load has begun."""
    reached: threading.Event = field(default_factory=threading.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until the peer or the behaviour ends it."""
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _content_length(head)
                if length:
                    await reader.readexactly(length)
                if not await self._answer(head, writer):
                    break
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        if b"/health" in head.split(b"\r\n", 1)[0]:
            writer.write(_answer(200, b"{}"))
            return True
        if b"/metrics" in head.split(b"\r\n", 1)[0]:
            writer.write(_answer(404, b""))
            return True
        self.requests += 1
        if self.awaited is not None and self.requests >= self.awaited:
            self.reached.set()
        if self.behaviour == "dies" and self.requests > self.dies_after:
            self._close_everything()
            return False
        if self.behaviour == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(1000):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.2)
            return True
        if self.takes:
            await asyncio.sleep(self.takes)
        status = 500 if self.behaviour == "errors" else 200
        writer.write(_answer(status, _BODY, cache=self.behaviour != "no-cache-header"))
        return True

    def _close_everything(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _answer(status: int, body: bytes, *, cache: bool = True) -> bytes:
    headers = b"X-Cache: HIT\r\nX-Cache-Layer: memory\r\n" if cache else b""
    return b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s" % (
        status,
        len(body),
        headers,
        body,
    )


@contextlib.contextmanager
def service(
    behaviour: Behaviour = "ok", *, tls: ssl.SSLContext | None = None, dies_after: int = 200, takes: float = 0.0
) -> Iterator[Service]:
    """A running service on a free loopback port, in a thread of its own, stopped at the end of the block."""
    made = Service(behaviour=behaviour, dies_after=dies_after, takes=takes)
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        made._server = await asyncio.start_server(made.handle, "127.0.0.1", 0, ssl=tls, backlog=1024)
        port = made._server.sockets[0].getsockname()[1]
        made.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        started.set()

    async def end() -> None:
        made._close_everything()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(end())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
