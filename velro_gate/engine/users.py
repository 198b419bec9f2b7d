"""Virtual users: one task each, parked until an arrival falls due, one request at a time on a connection of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import trio

from velro_gate.engine.answers import cookies_of, outcome_of
from velro_gate.engine.recorder import Recorder
from velro_gate.engine.requests import CompiledStep, MissingCaptureError
from velro_gate.engine.wire import AnswerReader, Connection, Endpoint, ReaderPool, WireError
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome

CONNECTS_AT_ONCE = 128
"""Handshakes under way at the same time: fewer than any server's accept queue, enough for thousands a second."""

_NAMESPACE = uuid.UUID("6f1f2c5e-3c7a-5d0f-9d60-2b8f6f3f9a10")


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the users of one phase share."""

    origin: float
    endpoint: Endpoint
    steps: Sequence[CompiledStep]
    login: CompiledStep | None
    token: str | None
    keep_cookies: bool
    seed: int
    recorder: Recorder
    readers: ReaderPool
    connecting: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(CONNECTS_AT_ONCE))
    in_flight: set[VirtualUser] = field(default_factory=set)
    connected: int = 0
    connections_opened: int = 0
    reconnects: int = 0
    retries: int = 0
    logins: int = 0
    delivered: int = 0
    """Requests and logins for which a connection stood. A retry does not count again: the service has seen it once or twice."""
    last_answer: float = 0.0
    failures_since_answer: int = 0


class VirtualUser:
    """One simulated client. index: which of the scenario's users it is."""

    __slots__ = (
        "_backlog", "_cookies", "_opened", "_parked", "_stage", "_task", "captured", "connection", "deadline", "free_at",
        "index", "overdue",
    )  # fmt: skip

    def __init__(self, index: int, stage: Stage) -> None:
        self.index = index
        self._stage = stage
        self._backlog: list[tuple[float, int]] = []
        self._parked = False
        self._task: trio.lowlevel.Task | None = None
        self._cookies: dict[str, str] = {}
        self._opened = False
        self.captured: dict[str, str] = {}
        self.connection: Connection | None = None
        self.deadline = 0.0
        self.overdue = False
        self.free_at = 0.0

    @property
    def identity(self) -> str:
        """A stable id, the same in every run with this seed."""
        return str(uuid.uuid5(_NAMESPACE, f"{self._stage.seed}/{self.index}"))

    @property
    def waiting(self) -> Sequence[tuple[float, int]]:
        """Arrivals (due, step) that this user has not come to yet."""
        return self._backlog

    def hand(self, due: float, step: int) -> None:
        """Give the user an arrival; it starts at once unless it is still busy."""
        self._backlog.append((due, step))
        if self._parked:
            self._parked = False
            assert self._task is not None
            trio.lowlevel.reschedule(self._task)

    async def serve_arrivals(self) -> None:
        """Connect, then perform whatever is handed over, until cancelled."""
        await self.join()
        self._task = trio.lowlevel.current_task()
        while True:
            while self._backlog:
                due, step = self._backlog[0]
                # Taken out only when it is begun: what is still in the list at the end was never sent.
                del self._backlog[0]
                await self.perform(due, step)
            self._parked = True
            await trio.lowlevel.wait_task_rescheduled(self._unpark)

    def _unpark(self, _: Callable[..., None]) -> trio.lowlevel.Abort:
        self._parked = False
        return trio.lowlevel.Abort.SUCCEEDED

    async def loop(self, journey: Iterator[tuple[float, int]], until: float) -> None:
        """Closed loop: think, send, think again; ``journey`` yields (think time, step), ``until`` is on trio's clock."""
        await self.join()
        for think, step in journey:
            due = trio.current_time() + think
            if due >= until:
                break
            await trio.sleep_until(due)
            self.free_at = due - self._stage.origin
            await self.perform(due - self._stage.origin, step)

    async def join(self) -> None:
        """Open the connection ahead of the first request; a failure shows up in the first request that needs it."""
        try:
            self.connection = await self._open(max(compiled.step.timeout for compiled in self._stage.steps))
            if self._stage.login is not None:
                await self._log_in()
        except (WireError, MissingCaptureError):
            self._close()
        self.free_at = self._now()

    async def perform(self, due: float, step: int) -> None:
        """Send one request and record its sample, whatever becomes of it. due: seconds since the start of the run."""
        stage = self._stage
        compiled = stage.steps[step]
        queued = max(0.0, self.free_at - due)
        reader = stage.readers.take()
        reader.begin(is_head=compiled.is_head, keep_body=compiled.keep_body, wanted=compiled.wanted_headers)
        # The sum of two floats may fall a hair before another sum of the same instant.
        sent = max(self._now(), due)
        connect = nan
        outcome = Outcome.CANCELLED
        try:
            self.deadline, self.overdue = sent + compiled.step.timeout, False
            stage.in_flight.add(self)
            connect = await self._request(compiled, reader)
            outcome = outcome_of(compiled.step, reader, self.captured)
            if reader.cookies and stage.keep_cookies:
                self._keep(cookies_of(reader))
        except MissingCaptureError:
            outcome = Outcome.CAPTURE
        except WireError as error:
            outcome = Outcome.TIMEOUT if self.overdue else error.outcome
            stage.failures_since_answer += 1
            if self.connection is not None and not self.connection.reusable:
                self._close()
        finally:
            stage.in_flight.discard(self)
            self._record(due, sent, queued, connect, step, outcome, reader)

    async def _request(self, compiled: CompiledStep, reader: AnswerReader) -> float:
        """Send on the user's connection, or on a new one; seconds that connecting took, NaN without it.

        A server may close an idle connection in the moment in which we send on it. Where the method is safe and no byte of an
        answer came, the request is sent once more on a new connection (RFC 9112, 9.3.1).
        """
        stage = self._stage
        if stage.login is not None and stage.token not in self.captured:
            await self._log_in()
        request = compiled.render(self, self._cookie_line())
        connection, connect = self.connection, nan
        reused = connection is not None and connection.usable()
        if connection is None or not reused:
            connection, connect = await self._reconnect(self._patience())
        stage.delivered += 1
        try:
            await connection.exchange(request, reader)
        except WireError as error:
            self._close()
            if not (reused and compiled.safe and error.outcome is Outcome.RESET and not error.answered and not self.overdue):
                raise
            stage.retries += 1
            connection, connect = await self._reconnect(self._patience())
            await connection.exchange(request, reader)
        if not connection.reusable:
            self._close()
        return connect

    def _record(
        self, due: float, sent: float, queued: float, connect: float, step: int, outcome: Outcome, reader: AnswerReader
    ) -> None:
        stage = self._stage
        done = max(self._now(), sent)
        first_byte, received = nan, reader.received
        if received:
            first_byte = reader.first_byte_at - stage.origin - sent
        self.free_at = done
        if reader.complete:
            stage.last_answer, stage.failures_since_answer = done, 0
        stage.recorder.add(
            (
                due,
                sent,
                done,
                queued,
                connect,
                first_byte,
                step,
                self.index,
                reader.status,
                outcome,
                reader.cache if reader.complete else NO_CACHE_HEADER,
                received,
            )
        )
        stage.readers.give_back(reader)

    async def _log_in(self) -> None:
        """Fetch a token. A failure leaves the user without one: its next request asks again."""
        stage = self._stage
        assert stage.login is not None
        reader = stage.readers.take()
        login = stage.login
        request = login.render(self, self._cookie_line())
        reader.begin(is_head=login.is_head, keep_body=True, wanted=login.wanted_headers)
        with trio.move_on_after(login.step.timeout):
            connection = self.connection
            if connection is None or not connection.usable():
                connection, _ = await self._reconnect(login.step.timeout)
            stage.logins += 1
            stage.delivered += 1
            await connection.exchange(request, reader)
        if self.connection is not None and not self.connection.reusable:
            self._close()
        if not reader.complete:
            raise WireError(Outcome.TIMEOUT)
        stage.last_answer, stage.failures_since_answer = self._now(), 0
        outcome_of(login.step, reader, self.captured)
        if stage.keep_cookies:
            self._keep(cookies_of(reader))
        stage.readers.give_back(reader)

    def _patience(self) -> float:
        """Seconds until the request under way is overdue."""
        return max(self.deadline - self._now(), 0.0)

    async def _reconnect(self, timeout: float) -> tuple[Connection, float]:
        self._close()
        began = trio.current_time()
        self._stage.reconnects += self._opened
        self.connection = connection = await self._open(timeout)
        return connection, trio.current_time() - began

    async def _open(self, timeout: float) -> Connection:
        """A new connection; ``timeout`` holds for everything, the wait for a turn included."""
        stage = self._stage
        with trio.move_on_after(timeout):
            async with stage.connecting:
                connection = await stage.endpoint.connect(timeout)
            self._opened = True
            stage.connected += 1
            stage.connections_opened += 1
            return connection
        raise WireError(Outcome.TIMEOUT)

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.abort()
            self.connection = None
            self._stage.connected -= 1

    def leave(self) -> None:
        """Close the connection at the end of the phase."""
        self._close()

    def give_up(self) -> None:
        """Called by the sweeper: the request in flight is overdue."""
        self.overdue = True
        if self.connection is not None:
            self.connection.abort()

    def _cookie_line(self) -> bytes:
        if not self._cookies:
            return b""
        return b"Cookie: " + "; ".join(f"{n}={v}" for n, v in self._cookies.items()).encode("latin-1", "replace") + b"\r\n"

    def _keep(self, cookies: Mapping[str, str]) -> None:
        for name, value in cookies.items():
            if value:
                self._cookies[name] = value
            else:
                self._cookies.pop(name, None)

    def _now(self) -> float:
        return trio.current_time() - self._stage.origin
