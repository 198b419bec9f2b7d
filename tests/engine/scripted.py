"""A real service of which a test writes every byte, and the engine's front run against it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import trio

from velro_gate.engine.run import Load, run_load
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Auth, Feeder, NoAuth, OpenArrivals, Phase, Scenario, Step, Target


@dataclass(frozen=True)
class Request:
    """What came in: the whole request as bytes, the how manieth it is of the service and of its connection, from 1 on."""

    raw: bytes
    number: int
    of_connection: int

    @property
    def line(self) -> str:
        """Method and path with query."""
        return self.raw.split(b" HTTP/1.1", 1)[0].decode("ascii")

    @property
    def headers(self) -> dict[str, str]:
        """The headers by their lower-case names."""
        lines = self.raw.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]
        return {
            name.strip().lower(): value.strip() for name, _, value in (line.decode("latin-1").partition(":") for line in lines)
        }

    @property
    def body(self) -> bytes:
        """What follows the headers."""
        return self.raw.split(b"\r\n\r\n", 1)[1]


def answer(body: bytes = b"{}", status: int = 200, *headers: bytes) -> bytes:
    """A plain answer with a length."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d Word\r\n%sContent-Length: %d\r\n\r\n%s" % (status, lines, len(body), body)


@dataclass(frozen=True)
class Reply:
    """Bytes to send after ``wait`` seconds, ``piece`` of them at a time (0: all), and what becomes of the connection."""

    data: bytes = answer()
    then: Literal["keep", "close", "close-later", "reset"] = "keep"
    wait: float = 0.0
    piece: int = 0


Script = Callable[[Request], Reply]


@dataclass
class Scripted:
    """The running service, and what it saw."""

    script: Script
    greeting: bytes = b""
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _came: threading.Condition = field(default_factory=threading.Condition)

    def count(self, at_least: int) -> int:
        """How many requests came, once ``at_least`` have: the last ones may still be unread when their sender has gone."""
        with self._came:
            self._came.wait_for(lambda: len(self.requests) >= at_least, timeout=10.0)
            return len(self.requests)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        count = 0
        if self.greeting:
            writer.write(self.greeting)
            writer.close()
            return
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                raw = await _read_request(reader)
                count += 1
                request = Request(raw, len(self.requests) + 1, count)
                with self._came:
                    self.requests.append(request)
                    self._came.notify_all()
                if not await self._reply(self.script(request), writer):
                    break
        writer.close()

    async def _reply(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        if reply.wait:
            await asyncio.sleep(reply.wait)
        step = reply.piece or len(reply.data) or 1
        for at in range(0, len(reply.data), step):
            writer.write(reply.data[at : at + step])
            await writer.drain()
            if reply.piece:
                await asyncio.sleep(0)
        if reply.then == "close-later":
            await asyncio.sleep(0.05)
        if reply.then == "reset":
            connected = writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return reply.then == "keep"


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head


@contextlib.contextmanager
def scripted(
    script: Script | Reply, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", greeting: bytes = b""
) -> Iterator[Scripted]:
    """Run a service on a free port in a thread of its own; it ends with the block. greeting: said instead of listening."""
    made = Scripted((lambda _: script) if isinstance(script, Reply) else script, greeting)
    loop, stopping, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(made.handle, host, 0, ssl=tls, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        made.url = f"{'https' if tls else 'http'}://{shown}:{port}"
        started.set()
        await stopping.wait()
        server.close()
        # What was accepted a moment ago gets its handler first: otherwise nobody would close it.
        for _ in range(5):
            await asyncio.sleep(0)
        handlers = asyncio.all_tasks() - {asyncio.current_task()}
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        # Once more round, so that the closed transports let go of their sockets.
        await asyncio.sleep(0)

    def work() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)


def step(name: str = "list", **changes: Any) -> Step:
    """A step that always happens."""
    fields: dict[str, Any] = {"name": name, "method": "GET", "path": f"/{name}", "probability": 1.0, "timeout": 2.0}
    return Step(**fields | changes)


def phase(name: str = "steady", **changes: Any) -> Phase:
    """A short phase: 4 users, 200 requests/s, .04 s of ramp and .1 s measured."""
    arrivals = OpenArrivals(rate=changes.pop("rate", 200.0), spacing="even")
    fields: dict[str, Any] = {"name": name, "users": 4, "ramp": 0.04, "duration": 0.1, "arrivals": arrivals}
    return Phase(**fields | changes)


def scenario(
    url: str,
    *steps: Step,
    auth: Auth | None = None,
    feeders: tuple[Feeder, ...] = (),
    cookies: bool = True,
    verify: bool = True,
) -> Scenario:
    """A scenario against ``url``; one plain step unless others are given."""
    return Scenario(
        name="s",
        description="",
        digest="d",
        target=Target(url=url, verify=verify),
        auth=auth or NoAuth(),
        steps=steps or (step(),),
        feeders=feeders,
        cookies=cookies,
    )


@dataclass
class Ran:
    """What came of a run."""

    plan: Load
    result: LoadResult
    samples: dict[str, Samples]
    seen: list[Progress]

    @property
    def phase(self) -> PhaseRun:
        """The only phase."""
        (only,) = self.result.phases
        return only

    @property
    def all(self) -> Samples:
        """The samples of every phase."""
        return Samples.concatenate(self.samples.values())

    @property
    def outcomes(self) -> set[Outcome]:
        """Every kind of ending that occurred."""
        return {Outcome(int(outcome)) for outcome in self.all.outcome}


def load(made: Scenario, *phases: Phase, secrets: Mapping[str, str] | None = None, shard: Shard | None = None) -> Load:
    """A plan; one short phase unless others are given."""
    return Load(scenario=made, phases=phases or (phase(),), secrets=secrets or {}, shard=shard or Shard.whole())


def run(plan: Load, *, limit: float = 60.0, **arguments: Any) -> Ran:
    """Run a plan to its end, which must come within ``limit`` seconds, and check its books."""

    async def main() -> Ran:
        parts: dict[str, list[Samples]] = {}
        seen: list[Progress] = []
        with trio.fail_after(limit):
            result = await run_load(
                plan,
                origin=trio.current_time(),
                sink=lambda name, samples: parts.setdefault(name, []).append(samples),
                observe=arguments.pop("observe", seen.append),
                **arguments,
            )
        ran = Ran(plan, result, {name: Samples.concatenate(found) for name, found in parts.items()}, seen)
        check_books(ran)
        return ran

    return trio.run(main)


def check_books(ran: Ran) -> None:
    """samples + blocked + missed = due, step by step over the measured stretch, and no sample got lost on its way."""
    steps = ran.plan.scenario.steps
    for facts in ran.result.phases:
        samples = ran.samples.get(facts.name, Samples.empty())
        within = samples.where((samples.due >= facts.measured_from) & (samples.due < facts.measured_until))
        counts = np.bincount(within.step, minlength=len(steps))
        for index, one in enumerate(steps):
            assert counts[index] + facts.blocked[one.name] + facts.missed[one.name] == facts.due[one.name], (
                facts.name,
                one.name,
            )
        last = facts.ticks[-1] if facts.ticks else None
        assert last is None or last.sent <= len(samples)
        assert len(samples) <= facts.sent_total
        assert facts.delivered_total <= facts.sent_total


def longer(one: Phase, duration: float) -> Phase:
    """The same phase for another duration."""
    return replace(one, duration=duration)
