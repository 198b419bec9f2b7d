"""Every request of a journey's client as one sample: a transport of httpx around another one.

Rules
- A request that is made is settled exactly once: by its response when that is whole, by an error, by its deadline, or by the
  end of the phase. What is settled becomes a row, unless this machine had nothing left to send it with: then it is missed.
- A row is held back until the next one of its block, so that a failed check can still be written into it.
- Where a journey itself gives up on a request (by a cancel scope or a time limit), the service was too slow for it: TIMEOUT.
- Where a response is closed before its end, it counts as it is. One that cannot be unpacked is not an answer: PROTOCOL.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import httpx
import trio

from velro_gate.engine.client.transport import Facts
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.codings import LIGHT
from velro_gate.engine.http.parsing.packed import PackedBody
from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.deadlines import Overdue
from velro_gate.engine.load.failures import FailureDetail, expectation
from velro_gate.engine.steps.observed import Observation
from velro_gate.engine.steps.requests import Pieces
from velro_gate.engine.steps.shown import seen_of
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome
from velro_gate.units import format_number

if TYPE_CHECKING:
    # It is built on this module.
    from velro_gate.engine.journeys.users import JourneyUser

T = TypeVar("T")

BUGS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)
"""What httpx raises if nothing was sent because the request is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A step under which requests are counted."""

    index: int
    name: str
    timeout: float
    expected: frozenset[int]
    headers: Sequence[tuple[str, Pieces]] = ()
    """Sent with them where the journey sets none of the same name."""
    observe: Observation | None = None
    """Takes the values of the scenario's own metrics from their responses; None without any."""


class Carrier(Protocol):
    """What carries the requests of one user."""

    async def exchange(self, request: httpx.Request, facts: Facts) -> httpx.Response:
        """Send a request and wait for the head of its response."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""

    def connect_ahead(self, on_ready: Callable[[bool], None]) -> None:
        """Open a connection before there is a request for it, where that can be done; say whether it stands."""

    def close(self) -> None:
        """Let go of all connections, as far as that can be done at once."""

    async def aclose(self) -> None:
        """Let go of all connections."""


@dataclass(slots=True, eq=False)
class PendingSample:
    """A sample that may still become a failed check; see model.samples for its fields."""

    due: float
    sent: float
    done: float
    queued: float
    connect: float
    first_byte: float
    step: int
    user: int
    status: int
    outcome: Outcome
    cache: int
    received: int
    reason: str
    """Why it failed, in words."""
    show: Callable[[], FailureDetail]
    """Makes an example of how the failure looked."""
    observe: Callable[[], None] | None
    """Notes what the scenario's own metrics take from a response that counts as good."""


@dataclass(slots=True, eq=False)
class SampleLog:
    """Where the rows of all users of a phase go."""

    context: PhaseContext
    layers: CacheLayers
    dues: array[float] = field(default_factory=lambda: array("d"))
    """Due time of every row, since what fell due is known only afterwards."""
    steps: array[int] = field(default_factory=lambda: array("H"))
    """Index of the step of every row."""

    def enter(self, row: PendingSample) -> None:
        """Keep a row; it will not change any more."""
        if row.outcome is not Outcome.OK and row.outcome is not Outcome.CANCELLED:
            self.context.failures.note(row.step, row.outcome, row.status, row.reason, row.done, row.show)
        elif row.outcome is Outcome.OK and row.observe is not None:
            row.observe()
        self.dues.append(row.due)
        self.steps.append(row.step)
        self.context.recorder.put(
            row.due,
            row.sent,
            row.done,
            row.queued,
            row.connect,
            row.first_byte,
            row.step,
            row.user,
            row.status,
            row.outcome,
            row.cache,
            row.received,
        )


class LabelledBlock:
    """A stretch of a journey's code: the label that its requests are counted under, and the row that a check can still fail."""

    __slots__ = ("_books", "_last", "_left", "_outer", "label")

    def __init__(self, label: Label | None, books: SampleLog, outer: LabelledBlock | None = None) -> None:
        self.label = label
        self._books = books
        self._outer = outer
        self._last: PendingSample | None = None
        self._left = False

    def take(self, row: PendingSample) -> None:
        """The newest row; of a block that was left meanwhile it belongs to the one around it."""
        if not self._left:
            self._flush()
            self._last = row
        elif self._outer is not None:
            self._outer.take(row)
        else:
            self._books.enter(row)

    def fail_check(self) -> bool:
        """The newest answer is not what it should be; false where there is none."""
        if self._last is None:
            return False
        if self._last.outcome is Outcome.OK:
            self._last.outcome = Outcome.CHECK
            self._last.reason = "a check of the journey"
        return True

    def leave(self) -> None:
        """The code has left the block; what is held back is held back by the one around it."""
        row, self._last = self._last, None
        self._left = True
        if row is not None:
            self.take(row)

    def _flush(self) -> None:
        row, self._last = self._last, None
        if row is not None:
            self._books.enter(row)


class Admission(NamedTuple):
    """When a request was due, when it is made, and how long it waited for the user's earlier journey."""

    due: float
    made: float
    queued: float


class RecordingTransport(httpx.AsyncBaseTransport):
    """See the module's rules."""

    def __init__(self, person: JourneyUser, carrier: Carrier, books: SampleLog) -> None:
        self._person, self._carrier, self._books = person, carrier, books

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request, and write down what becomes of it."""
        block = self._person.block()
        assert block.label is not None
        self._person.add_headers(request, block.label)
        booking = RequestRecord(self._person, block, self._books, await self._person.admit(), request)
        try:
            answer = await booking.within(lambda: self._carrier.exchange(request, booking.facts))
        except BUGS:
            booking.drop()
            raise
        except BaseException as error:
            booking.fail(error)
            raise
        booking.head(answer)
        answer.stream = _BookedBody(booking, answer)
        return answer


class RequestRecord:
    """One request from the moment in which it is made until it is settled."""

    def __init__(
        self, person: JourneyUser, block: LabelledBlock, books: SampleLog, admission: Admission, request: httpx.Request
    ) -> None:
        assert block.label is not None
        self._request = f"{request.method} {request.url.copy_with(username=None, password=None)}"
        self.facts = Facts()
        self._person, self._block, self._books, self._context = person, block, books, books.context
        self._label = block.label
        self._due, self._made, self._queued = admission
        self._status, self._headers = 0, httpx.Headers()
        self._scope: trio.CancelScope | None = None
        self._late = self._settled = False
        observe = self._label.observe
        self._body: list[bytes] | None = [] if observe is not None and observe.wants_body else None
        self._room = LIGHT
        bucket = self._context.buckets.bucket(self._label.timeout)
        self._bucket: dict[Overdue, float] = bucket
        bucket[self] = self._made + self._label.timeout

    async def within(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do a part of the exchange, unless the deadline passes.

        Raises:
            httpx.ReadTimeout: it has passed.
        """
        if self._settled and not self._late:
            return await act()
        if not self._late:
            with trio.CancelScope() as self._scope:
                return await act()
            self._scope = None
        raise httpx.ReadTimeout(f"step {self._label.name!r} took longer than its {format_number(self._label.timeout)} s")

    def expire(self, deadline: float) -> None:
        """Called by the sweeper."""
        if not isnan(self.facts.done_at) and not self.facts.failed:
            # The response is whole; whoever waits for it has not had its turn yet.
            return
        self._late = True
        self._settle(Outcome.TIMEOUT, max(deadline, self._made))
        if self._scope is not None:
            self._scope.cancel()

    def excuse(self, deadline: float) -> None:
        """See Overdue: a response that has come by now is found by ``expire``."""

    def head(self, answer: httpx.Response) -> None:
        """Status and headers are here; perhaps all of the response is."""
        self._status, self._headers = answer.status_code, answer.headers
        # What is packed is looked at before it counts as good, and so is what a metric is read from.
        whole = not isnan(self.facts.done_at) and not self.facts.failed
        if whole and self._body is None and "content-encoding" not in answer.headers:
            self.finish()

    def read(self, piece: bytes) -> None:
        """A piece of the body, as it came; of one that is too long to be looked at nothing is kept."""
        if self._body is not None:
            self._room -= len(piece)
            if self._room >= 0:
                self._body.append(piece)
            else:
                self._body = None

    def finish(self) -> None:
        """The response is whole, or as much of it is here as the journey wanted."""
        done = self._context.now() if isnan(self.facts.done_at) else self.facts.done_at
        self._settle(Outcome.OK if self._status in self._label.expected else Outcome.STATUS, done)

    def unreadable(self) -> None:
        """The response cannot be unpacked."""
        self._settle(Outcome.PROTOCOL, self._context.now() if isnan(self.facts.done_at) else self.facts.done_at)

    def fail(self, error: BaseException) -> None:
        """It ends without a whole response."""
        facts, now = self.facts, self._context.now()
        if facts.failed:
            self._settle(facts.fault, facts.done_at)
        elif isinstance(error, httpx.TimeoutException) or not self._person.ending:
            self._settle(Outcome.TIMEOUT, now)
        else:
            self._settle(Outcome.CANCELLED, now)

    def drop(self) -> None:
        """It was not a request after all."""
        self._leave()

    def _leave(self) -> bool:
        if self._settled:
            return False
        self._settled = True
        del self._bucket[self]
        return True

    def _settle(self, outcome: Outcome | None, done: float) -> None:
        if not self._leave():
            return
        facts, context = self.facts, self._context
        context.delivered += facts.written
        context.reconnects += facts.reconnects
        context.retries += facts.repeated
        if outcome is None:
            context.missed.append((self._due, self._label.index))
        else:
            context.unsent += not facts.sent
            sent = self._made + facts.waited
            answered = outcome in (Outcome.OK, Outcome.STATUS)
            cache = self._books.layers.shown(partial(_value, self._headers)) if answered else NO_CACHE_HEADER
            self._block.take(
                PendingSample(
                    due=self._due,
                    sent=sent,
                    done=max(done, sent),
                    queued=self._queued + facts.waited,
                    connect=facts.connect,
                    first_byte=facts.first_at - sent if answered else nan,
                    step=self._label.index,
                    user=self._person.index,
                    status=self._status if answered else 0,
                    outcome=outcome,
                    cache=cache,
                    received=facts.received if answered else 0,
                    reason=expectation(self._label.expected) if outcome is Outcome.STATUS else facts.reason,
                    show=self._shown,
                    observe=None if self._label.observe is None else self._observed,
                )
            )
        self._person.settled()

    def _observed(self) -> None:
        assert self._label.observe is not None
        headers = [(name.lower(), value) for name, value in self._headers.raw]
        self._label.observe.note(headers, self._body or (), self._due, self._context.values.put)

    def _shown(self) -> FailureDetail:
        raw = b"".join(self.facts.raw)
        return FailureDetail(request=self._request, seen=seen_of(raw, whole=self._status > 0) if raw else "")


class _BookedBody(httpx.AsyncByteStream):
    """The body of a response, whose end settles its request."""

    def __init__(self, booking: RequestRecord, answer: httpx.Response) -> None:
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        self._booking, self._answer, self._body = booking, answer, answer.stream
        self._packed = PackedBody(answer.headers.get("content-encoding", ""))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        booking, body = self._booking, self._body
        async with aclosing(aiter(body)) as pieces:  # type: ignore[type-var]  # a generator, as every transport's is
            try:
                while True:
                    try:
                        piece = await booking.within(pieces.__anext__)
                    except StopAsyncIteration:
                        break
                    self._packed.feed(piece)
                    if self._packed.broken:
                        booking.unreadable()
                        raise httpx.DecodingError("the body is not packed as its Content-Encoding says")
                    booking.read(piece)
                    yield piece
            except GeneratorExit:
                raise
            except BaseException as error:
                booking.fail(error)
                raise
        if self._packed.end():
            booking.finish()
        else:
            booking.unreadable()

    async def aclose(self) -> None:
        """Close it; what is not settled by now counts as it is."""
        try:
            await self._body.aclose()
        finally:
            if isinstance(sys.exc_info()[1], httpx.DecodingError):
                self._booking.unreadable()
            self._booking.finish()
            # httpx ties answer and stream together in a circle. While garbage is not collected, that would be kept for ever.
            self._answer.stream = httpx.ByteStream(b"")


def _value(headers: httpx.Headers, name: str) -> bytes | None:
    found = headers.get(name)
    return None if found is None else found.encode("latin-1", "replace")
