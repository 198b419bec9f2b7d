"""One virtual user: its own connection, its own identity, one request at a time.

A user is not a task. It acts when it is called: by the scheduler with an arrival, by its connection with a response or a
failure, by the sweeper when its time is up. So ten thousand idle users cost memory only, and waking one costs a function call.

The counts: every arrival that a user takes ends as one sample, or stays in its queue. An arrival that needs a value which the
user should have captured and has not is a sample with the outcome CAPTURE and is not sent: the service failed to give the
value. A request that this machine has no descriptor, port or memory for is not a sample: it is missed, and so is one whose
login could not be sent for such a reason. A request and those that its redirects lead to are one sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import nan
from time import time

from velro_gate.engine.http.connection import Connection, ConnectionState, Owner
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.codings import CodingError
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.http.parsing.unpacking import Unpacking
from velro_gate.engine.load.context import CONNECT_SECONDS, PhaseContext, identity_of
from velro_gate.engine.load.deadlines import Overdue
from velro_gate.engine.load.failures import FailureDetail, expectation
from velro_gate.engine.steps.checks import Looked
from velro_gate.engine.steps.cookies import Jar
from velro_gate.engine.steps.document_reader import DocumentReader
from velro_gate.engine.steps.redirects import FOLLOWED, Chain, Redirects
from velro_gate.engine.steps.requests import CompiledStep
from velro_gate.engine.steps.shown import request_line, seen_of
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome
from velro_gate.units import format_seconds

_TICK = 0.004
"""Seconds by which the kernel's time of an arrival may be off."""


@dataclass(slots=True, kw_only=True, eq=False)
class HttpContext(PhaseContext):
    """What HTTP users share beyond that. A subclass, and not a part of it, so that no request looks anything up twice."""

    connect: Callable[[Owner], Connection]
    """Makes a user's connection."""
    layers: CacheLayers
    login: CompiledStep | None = None
    token: str = ""
    keep_cookies: bool = True
    secure: bool = False
    redirects: Redirects | None = None
    """What follows redirects; None where they are answers like any other."""
    unpacking: Unpacking = field(default_factory=Unpacking)
    """Unpacks long bodies, in a thread."""
    documents: DocumentReader = field(default_factory=DocumentReader)
    """Reads those that are JSON."""
    origin: str = ""
    """Scheme and authority of the service."""


class HttpUser:
    """See the module's rules."""

    __slots__ = (
        "_bucket",
        "_chain",
        "_connect_seconds",
        "_context",
        "_dialled",
        "_due",
        "_free_at",
        "_identity",
        "_jar",
        "_known",
        "_queued",
        "_request",
        "_retried",
        "_sent",
        "_starting",
        "_step",
        "_tried_login",
        "captured",
        "connection",
        "index",
        "waiting",
    )

    def __init__(self, index: int, context: HttpContext) -> None:
        self.index = index
        self.captured: dict[str, str] = {}
        self.waiting: deque[tuple[float, CompiledStep]] = deque()
        self.connection = context.connect(self)
        self._context = context
        self._identity = ""
        self._jar: Jar | None = None
        self._bucket: dict[Overdue, float] | None = None
        self._step: CompiledStep | None = None
        self._request: bytes | None = None
        self._chain: Chain | None = None
        self._due = self._sent = self._queued = self._free_at = 0.0
        self._connect_seconds = nan
        self._known = self._dialled = self._retried = self._starting = self._tried_login = False

    # What requests ask of it

    @property
    def identity(self) -> str:
        """A random-looking UUID that depends on the seed and the index only."""
        if not self._identity:
            self._identity = identity_of(self.index, self._context.seed)
        return self._identity

    def cookie_line(self, head: bytes) -> bytes:
        """The Cookie header for a request that begins like this."""
        jar = self._jar
        if jar is None:
            return b""
        if jar.fixed is not None:
            return jar.fixed
        path = head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
        return jar.line(path, time(), secure=self._context.secure)

    # What it is asked to do

    @property
    def busy(self) -> bool:
        """Whether a request of it is under way."""
        return self._step is not None

    def join(self) -> None:
        """Connect ahead of the first request, and log in where there is a login."""
        if self._step is None and self.connection.state is ConnectionState.CLOSED:
            self._enter(self._context.joining.bucket(CONNECT_SECONDS), self._context.now() + CONNECT_SECONDS)
            self.connection.open()

    def arrive(self, due: float, step: CompiledStep) -> None:
        """A request falls due: send it, or keep it until the one before it is answered."""
        # _starting: a closed loop without a pause hands out the next request from within the end of this one. It is kept for
        # the loop in ``_go_on``, or each request would make the stack deeper.
        if self._step is not None or self._starting:
            self.waiting.append((due, step))
        else:
            self._start(due, step, 0.0)

    def expire(self, deadline: float) -> None:
        """Called by the sweeper: what is under way has taken too long."""
        self.connection.close()
        if self._step is None:
            self._leave_bucket()
            self._join_failed()
        else:
            words = f"no complete response within {format_seconds(self._step.timeout)}"
            self._finish(Outcome.TIMEOUT, max(deadline, self._sent), free_at=self._context.now(), reason=words)

    def excuse(self, deadline: float) -> None:
        """See Overdue."""
        if self.connection.state is ConnectionState.RECEIVING:
            came = self.connection.came_at()
            if came is not None and came - _TICK > deadline:
                self.expire(deadline)
        elif self._bucket is not None:
            # It was being connected or sent.
            seconds = CONNECT_SECONDS if self._step is None else self._step.timeout
            self._enter(self._bucket, self._context.now() + seconds)

    def cancel(self) -> None:
        """The run ends: give up on what is under way, and let go of the connection."""
        self.connection.close()
        self._leave_bucket()
        if self._step is not None:
            self._finish(Outcome.CANCELLED, self._context.now())

    # Events of its connection

    def opened(self, seconds: float) -> None:
        """The connection stands."""
        context = self._context
        self._connect_seconds = seconds
        context.reconnects += self._known
        self._known = True
        step = self._step
        if step is not None:
            request, self._request = self._request, None
            assert request is not None
            if self._chain is None and not self._retried:
                # Until its turn to connect came it was not the service that it waited for: neither its time nor its timeout
                # began before.
                turn = context.now() - seconds
                if turn > self._sent:
                    self._sent = turn
                    self._enter(context.buckets.bucket(step.timeout), turn + step.timeout)
            self.connection.send(request, head=step.head, wants_body=step.wants_body)
            return
        self._leave_bucket()
        if context.login is not None and context.token not in self.captured and not context.closing:
            self._start(context.now(), context.login, 0.0)

    def answered(self, answer: Response, at: float) -> None:
        """The response is complete: judge it, record it, continue."""
        step, context = self._step, self._context
        assert step is not None
        if at < self._sent:  # noqa: PLR1730 (max would cost a call)
            # A socket that took over the number of one that was found ready can bring its response in the same turn.
            at = self._sent
        if answer.cookies and context.keep_cookies:
            self._jar = self._jar or Jar()
            for header in answer.cookies:
                self._jar.keep(header, step.default_path, time())
        if context.redirects is not None and self._follow(context.redirects, step, answer):
            return
        outcome: Outcome | None = Outcome.STATUS
        if answer.status in step.expected:
            outcome = Outcome.OK if step.inspect is None else step.inspect(answer, self.captured)
        if outcome is None:
            assert step.inspect is not None, "something looks at it"
            # It has come in time, however long it takes to be looked at.
            self._leave_bucket()
            answer.lent = True
            look = partial(step.inspect.look, answer, context.documents.values)
            context.unpacking.put(look, partial(self._unpacked, step, answer, at))
        else:
            self._judged(outcome, step, answer, at)

    def _unpacked(self, step: CompiledStep, answer: Response, at: float, looked: Looked | CodingError) -> None:
        """A long body can be looked at, unless the run has given up on it meanwhile."""
        if self._step is step and step.inspect is not None:
            outcome = step.inspect(answer, self.captured, looked)
            assert outcome is not None, "it was looked at"
            self._judged(outcome, step, answer, at)
        answer.discard()

    def _judged(self, outcome: Outcome, step: CompiledStep, answer: Response, at: float) -> None:
        context, inspect, reason = self._context, step.inspect, ""
        if step.observe is not None and outcome is Outcome.OK:
            step.observe(answer, self._due, context.values.put)
        if outcome is Outcome.STATUS:
            reason = expectation(step.expected)
        elif outcome is not Outcome.OK and inspect is not None:
            reason = inspect.fault
        self._finish(
            outcome,
            at,
            reason=reason,
            answer=answer,
            first_byte=max(answer.first_at - self._sent, 0.0),
            status=answer.status,
            cache=context.layers.code(answer.cache, answer.cache_layer),
            received=answer.received if self._chain is None else self._chain.received + answer.received,
        )

    def _follow(self, redirects: Redirects, step: CompiledStep, answer: Response) -> bool:
        """Send the request that a response redirects to; False where the response is the last of its request."""
        request = step.render(self) if self._chain is None and answer.status in FOLLOWED else None
        chain = self._chain if request is None else Chain(request=request)
        # Rendered again and not kept from the first sending: only a redirect needs it, and values do not change meanwhile.
        onward = None if chain is None else redirects.onward(chain, answer, self.cookie_line if step.takes_cookies else None)
        if onward is None:
            return False
        self._chain = onward
        self._context.followed += 1
        self._retried = False
        connection = self.connection
        self._dialled = connection.state is not ConnectionState.IDLE
        if self._dialled:
            self._request = onward.request
            connection.open(hurried=True)
        else:
            connection.send(onward.request, head=step.head, wants_body=step.wants_body)
        return True

    def broken(self, outcome: Outcome | None, at: float, *, early: bool) -> None:
        """The connection failed, before or under the request."""
        step, context = self._step, self._context
        if step is None:
            self._leave_bucket()
            self._join_failed()
        elif outcome is None:
            self._abandon(step, at)
        elif outcome is Outcome.RESET and early and self._is_safe(step) and not self._dialled and not self._retried:
            # It had idled and was closed in the moment in which we used it: the service has most likely not seen the request.
            self._retried = self._dialled = True
            context.retries += 1
            self._request = step.render(self) if self._chain is None else self._chain.request
            self.connection.open(hurried=True)
        else:
            self._finish(outcome, at, reason=self.connection.fault)

    def _is_safe(self, step: CompiledStep) -> bool:
        return step.safe if self._chain is None else self._chain.safe

    def hung_up(self) -> None:
        """The service closed the idle connection: the next request opens another one."""

    # The work

    def _start(self, due: float, step: CompiledStep, queued: float) -> None:
        context = self._context
        if step.needs_token and not self._tried_login and context.login is not None and context.token not in self.captured:
            self._tried_login = True
            # The request waits for its login with the due time that it had: logging in is part of what the user waits for.
            self.waiting.appendleft((due, step))
            due, step, queued = context.now(), context.login, 0.0
        elif step is not context.login:
            self._tried_login = False
        connection = self.connection
        self._step = step
        self._due = due
        self._queued = queued
        self._retried = False
        self._sent = now = context.now()
        request = step.render(self)
        if request is None:
            context.unsent += 1
            self._finish(Outcome.CAPTURE, now, reason="not sent: a value that it needs was not captured, or cannot stand there")
            return
        self._enter(context.buckets.bucket(step.timeout), now + step.timeout)
        # What may be sent again is sent without looking: should the service have closed the connection, it goes out on another.
        if connection.state is ConnectionState.IDLE and (step.safe or connection.still_idle()):
            self._dialled = False
            connection.send(request, head=step.head, wants_body=step.wants_body)
            return
        self._dialled = True
        self._request = request
        if connection.state is ConnectionState.CLOSED:
            connection.open(hurried=True)
        elif connection.state is ConnectionState.WAITING:
            connection.hurry()

    def _finish(
        self,
        outcome: Outcome,
        at: float,
        *,
        free_at: float | None = None,
        first_byte: float = nan,
        status: int = 0,
        cache: int = NO_CACHE_HEADER,
        received: int = 0,
        reason: str = "",
        answer: Response | None = None,
    ) -> None:
        context, step = self._context, self._step
        assert step is not None
        if outcome is not Outcome.OK and outcome is not Outcome.CANCELLED:
            context.failures.note(step.index, outcome, status, reason, at, partial(self._shown, step, outcome, answer))
        self._leave_bucket()
        self._step = self._request = self._chain = None
        # After a timeout that is when the sweep found it, later than its deadline: until then the user was busy, so what fell
        # due meanwhile was queued, and not sent late.
        self._free_at = at if free_at is None else free_at
        # Only the first request on a connection has its connect time; later ones must not repeat it.
        connect, self._connect_seconds = self._connect_seconds, nan
        context.delivered += self.connection.written
        self.connection.written = False
        context.recorder.put(
            self._due,
            self._sent,
            at,
            self._queued,
            connect,
            first_byte,
            step.index,
            self.index,
            status,
            outcome,
            cache,
            received,
        )
        if self.waiting:
            self._go_on()
        elif step is not context.login:
            context.free(self.index, at, failed=outcome is not Outcome.OK)

    def _shown(self, step: CompiledStep, outcome: Outcome, answer: Response | None) -> FailureDetail:
        """How this failure looked. answer: None if no response arrived."""
        chain, inspect = self._chain, step.inspect
        request = chain.request if chain is not None else step.render(self)
        if answer is not None:
            seen = seen_of(b"".join(answer.raw), whole=True)
        else:
            seen = seen_of(self.connection.evidence, whole=False) if outcome is Outcome.PROTOCOL else ""
        # A token that was captured is a secret that no list of secrets knows.
        token = self.captured.get(self._context.token)
        return FailureDetail(
            request=step.name if request is None else request_line(request, self._context.origin),
            came=inspect.came if inspect is not None and outcome is Outcome.CHECK else "",
            seen=seen,
            hidden=() if token is None else (token,),
        )

    def _abandon(self, step: CompiledStep, at: float) -> None:
        self._leave_bucket()
        self._step = self._request = self._chain = None
        self._free_at = at
        if step is self._context.login and self._tried_login and self.waiting:
            # The request that follows the login has no token now because of this machine: it is missed, not failed.
            self._due, step = self.waiting.popleft()
            self._tried_login = False
        if step is not self._context.login:
            self._context.missed.append((self._due, step.index))
        if self.waiting:
            self._go_on()
        elif step is not self._context.login:
            self._context.free(self.index, at, failed=True)

    def _go_on(self) -> None:
        # A request may end before the call that starts it returns: a loop, so that a long queue makes no deep stack.
        if self._starting:
            return
        self._starting = True
        while self.waiting and self._step is None and not self._context.closing:
            due, step = self.waiting.popleft()
            self._start(due, step, max(self._free_at - due, 0.0))
        self._starting = False

    def _join_failed(self) -> None:
        self._context.join_failures += 1
        self._context.failed_joins.append((self._context.now(), self.index))

    def _enter(self, bucket: dict[Overdue, float], deadline: float) -> None:
        self._leave_bucket()
        self._bucket = bucket
        bucket[self] = deadline

    def _leave_bucket(self) -> None:
        if self._bucket is not None:
            del self._bucket[self]
            self._bucket = None
