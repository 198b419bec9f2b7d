"""Virtual users whose journeys are Python functions: woken by arrivals as any other user, each journey in a task of the phase.

Rules
- An arrival is one journey. One that finds its user on a journey waits for its end.
- A journey's first request was due when the journey was; pauses to think before it put that off. A later request is due in the
  moment in which it is made.
- What would fall due after the end of the measured stretch is not sent: the journey ends there. What is under way has the
  drain's time, then it is cancelled.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from math import inf
from pathlib import Path

import httpx
import trio

from velro_gate import __version__
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.journeys.api import Function, User, is_check, leaves, meant
from velro_gate.engine.journeys.recording import BUGS, Admission, Carrier, Label, LabelledBlock, RecordingTransport, SampleLog
from velro_gate.engine.load.context import CONNECT_SECONDS, PhaseContext, identity_of
from velro_gate.engine.load.deadlines import Overdue
from velro_gate.engine.steps.requests import CompiledStep
from velro_gate.errors import JourneyError, words_of
from velro_gate.model.scenario import Feeder

_CLOSE_SECONDS = 1.0
"""How long a journey's client may take to close: the phase must end where a service does not answer a goodbye."""
_OVER = 1.0
"""Seconds after which a journey that shields itself from being ended gets an error for its request instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneySpec:
    """What the journeys of a run need to know."""

    function: Function
    name: str
    folders: Sequence[str]
    """Where the user's own code lies, for the place of its faults."""
    base_url: str
    labels: Sequence[Label]
    feeders: Mapping[str, Feeder]
    authorization: str | None = None
    keep_cookies: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class JourneyPhase:
    """What the users of one phase share on their journeys."""

    spec: JourneySpec
    context: PhaseContext
    layers: CacheLayers
    seed: str
    """The seed of the users' random draws."""
    carrier: Callable[[], Carrier]
    """Makes what carries the requests of one user."""
    until: float = inf
    """The end of the measured stretch, on the phase's clock."""
    books: SampleLog = field(init=False)
    carriers: list[Carrier] = field(default_factory=list)
    starting: int = 0
    """Journeys without a request yet."""
    nursery: trio.Nursery | None = None
    fault: JourneyError | None = None
    """The first fault of the journey's code."""

    def __post_init__(self) -> None:
        self.books = SampleLog(self.context, self.layers)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be the place in which journeys run, until cancelled; then close what they have opened."""
        try:
            async with trio.open_nursery() as self.nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.nursery = None
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                for carrier in self.carriers:
                    await carrier.aclose()


@dataclass(slots=True, eq=False)
class _JourneyRun:
    """One journey under way."""

    due: float
    queued: float
    block: LabelledBlock
    first: bool = True
    """Whether it has not made a request yet."""
    thought: float = 0.0
    """Seconds of pauses before the first request."""
    counted: list[BaseException] = field(default_factory=list)
    """Failed checks that have been counted."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: bool = False
    """Whether it ends once what is under way has ended."""
    under_way: int = 0


_NOT_ITS_OWN = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
"""What ends a journey from outside."""

_BLOCK: ContextVar[LabelledBlock] = ContextVar("block")


class JourneyUser:
    """See the module's rules."""

    def __init__(self, index: int, trip: JourneyPhase) -> None:
        self.index = index
        self.identity = identity_of(index, trip.context.seed)
        self.captured: dict[str, str] = {}
        self.waiting: deque[tuple[float, CompiledStep]] = deque()
        self.connection: Carrier = trip.carrier()
        trip.carriers.append(self.connection)
        self._trip, self._context = trip, trip.context
        self._pass: _JourneyRun | None = None
        self._bucket: dict[Overdue, float] | None = None
        self._client: httpx.AsyncClient | None = None
        self._handle: User | None = None

    @property
    def steps(self) -> Sequence[str]:
        """See journeys.User."""
        return [label.name for label in self._trip.spec.labels]

    # What the phase asks of it

    @property
    def busy(self) -> bool:
        """Whether it is on a journey."""
        return self._pass is not None

    def join(self) -> None:
        """Connect ahead of the first request."""
        if not self.busy and not self.connection.connected:
            self._bucket = self._context.joining.bucket(CONNECT_SECONDS)
            self._bucket[self] = self._context.now() + CONNECT_SECONDS
            self.connection.connect_ahead(self._joined)

    def _joined(self, stands: bool) -> None:
        if self._bucket is not None:
            del self._bucket[self]
            self._bucket = None
        if not stands:
            self._context.join_failures += 1
            self._context.failed_joins.append((self._context.now(), self.index))

    def expire(self, deadline: float) -> None:  # noqa: ARG002 - the interface's
        """Connecting ahead has taken too long."""
        self.connection.close()

    def excuse(self, deadline: float) -> None:
        """See Overdue: what has come by now is found by ``expire``."""

    def arrive(self, due: float, step: CompiledStep) -> None:
        """A journey falls due: begin it, or keep it until the one before it has ended."""
        nursery = self._trip.nursery
        # A fault has ended all journeys, and the phase is about to end.
        if self._pass is not None or nursery is None or self._trip.fault is not None:
            self.waiting.append((due, step))
            return
        self._begin(due, 0.0)
        nursery.start_soon(self._travel, name=f"journey of user {self.index}")

    def cancel(self) -> None:
        """The run ends: let go of the connections. The journey itself has been cancelled with its task."""
        self.connection.close()

    # Its journeys

    def _begin(self, due: float, queued: float) -> _JourneyRun:
        labels = self._trip.spec.labels
        # With one step only there is no doubt where a request belongs.
        self._pass = _JourneyRun(due, queued, LabelledBlock(labels[0] if len(labels) == 1 else None, self._trip.books))
        self._trip.starting += 1
        return self._pass

    async def _travel(self) -> None:
        while True:
            assert self._pass is not None
            failed = await self._journey(self._pass)
            now = self._context.now()
            if not self.waiting or self._context.closing:
                break
            due, _ = self.waiting.popleft()
            self._begin(due, max(now - due, 0.0))
        self._pass = None
        self._context.free(self.index, now, failed=failed)

    async def _journey(self, current: _JourneyRun) -> bool:
        """Make one journey; whether it failed.

        Raises:
            JourneyError: its code is at fault.
        """
        token = _BLOCK.set(current.block)
        try:
            with current.scope:
                await self._trip.spec.function(self._user())
        except Exception as error:
            fault = self._fault(error, current)
            if fault is not None:
                raise fault from error
            return True
        except _NOT_ITS_OWN:
            raise
        except BaseExceptionGroup as group:
            rest, errors = group.split(_NOT_ITS_OWN)
            fault = None if errors is None else self._fault(errors, current)
            if fault is None and rest is None:
                return True
            raise (fault or rest or group) from errors
        except BaseException as error:
            # SystemExit and its like: they would end the process, and with it the run, without a verdict.
            fault = self._fault(error, current)
            raise (fault or JourneyError("the journey ended the run")) from error
        finally:
            _BLOCK.reset(token)
            current.block.leave()
            self._started(current)
        return False

    def _user(self) -> User:
        if self._handle is None:
            self._handle = User(self, self._trip.spec.feeders, self._trip.seed)
        return self._handle

    def _untold(self, error: BaseException, current: _JourneyRun) -> BaseException | None:
        """What of this is a fault of the code; None where all of it is about answers, and so is counted."""
        for leaf in leaves(error):
            if is_check(leaf):
                if leaf not in current.counted and not current.block.fail_check():
                    return leaf
            elif isinstance(leaf, BUGS) or not isinstance(leaf, httpx.HTTPError):
                return leaf
        return None

    def _fault(self, error: BaseException, current: _JourneyRun) -> JourneyError | None:
        """The fault of the code that ends the run; only the first of those that many users meet at once."""
        fault = self._untold(error, current)
        if fault is None or self._trip.fault is not None:
            return None
        if isinstance(fault, JourneyError):
            what, why = fault.what, fault.why
        else:
            what, why = f"the journey {self._trip.spec.name} raised {words_of(fault)}", None
        if isinstance(fault, AssertionError):
            why = "a check failed before the journey had a response to check"
        self._trip.fault = JourneyError(what, where=self._place(fault), why=why)
        return self._trip.fault

    def _place(self, error: BaseException) -> str | None:
        """File and line of the innermost call in the user's own code."""
        ours = Path(__file__).parents[2]
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if any(Path(f.filename).is_relative_to(each) for each in self._trip.spec.folders)]
        own = [f for f in own if "site-packages" not in f.filename and not Path(f.filename).is_relative_to(ours)] or frames[-1:]
        return f"{own[-1].filename}:{own[-1].lineno}" if own else None

    # What its journey's code asks of it

    @property
    def client(self) -> httpx.AsyncClient:
        """See journeys.User."""
        if self._client is None:
            spec = self._trip.spec
            headers = {"User-Agent": f"velro-gate/{__version__}"}
            if spec.authorization is not None:
                headers["Authorization"] = spec.authorization
            jar = CookieJar() if spec.keep_cookies else CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            self._client = httpx.AsyncClient(
                transport=RecordingTransport(self, self.connection, self._trip.books),
                base_url=spec.base_url,
                headers=headers,
                cookies=jar,
                # The whole of a request is timed, by its step.
                timeout=None,  # noqa: S113
                trust_env=False,
            )
        return self._client

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """See journeys.User."""
        labels = {label.name: label for label in self._trip.spec.labels}
        if name not in labels:
            raise JourneyError(f"there is no step {name!r}{meant(name, labels)}")
        block = LabelledBlock(labels[name], self._trip.books, _BLOCK.get())
        token = _BLOCK.set(block)
        try:
            yield
        except (AssertionError, ValueError, RecursionError) as error:
            if is_check(error) and block.fail_check() and self._pass is not None:
                self._pass.counted.append(error)
            raise
        finally:
            _BLOCK.reset(token)
            block.leave()

    async def think(self, seconds: float) -> None:
        """See journeys.User."""
        if self._pass is not None and self._pass.first:
            self._pass.thought += seconds
        await trio.sleep(seconds)

    # What its requests ask of it

    @property
    def ending(self) -> bool:
        """Whether what is under way is being given up because the phase, or its journey with it, is over."""
        return self._context.closing or self._pass is None or self._pass.over

    def block(self) -> LabelledBlock:
        """Where a request that is made now belongs.

        Raises:
            JourneyError: nowhere.
        """
        found = _BLOCK.get()
        if found.label is None:
            names = ", ".join(label.name for label in self._trip.spec.labels)
            raise JourneyError("a request is made outside of any step", why=f"it could be counted under any of: {names}")
        return found

    def add_headers(self, request: httpx.Request, label: Label) -> None:
        """Put the headers of the scenario into a request."""
        for name, value in label.headers:
            if name not in request.headers:
                rendered = value.render(self)
                assert rendered is not None
                request.headers[name] = rendered.decode()

    async def admit(self) -> Admission:
        """Let a request be made now.

        Raises:
            httpx.LocalProtocolError: the journey is over, so the request belongs to none.
        """
        current, now = self._pass, self._context.now()
        if current is None:
            raise httpx.LocalProtocolError("the journey is over")
        due, queued = now, 0.0
        if current.first:
            due, queued = min(current.due + current.thought, now), current.queued
        if due >= self._trip.until or self._context.closing:
            await self._end(current)
        self._started(current)
        current.under_way += 1
        return Admission(due, now, queued)

    async def _end(self, current: _JourneyRun) -> None:
        """Nothing further is sent; what is under way is waited for."""
        current.over = True
        if not current.under_way:
            current.scope.cancel()
        await trio.sleep(_OVER)
        raise httpx.PoolTimeout("the phase is over")

    def settled(self) -> None:
        """A request of it has come to its end."""
        current = self._pass
        if current is not None:
            current.under_way -= 1
            if current.over and not current.under_way:
                current.scope.cancel()

    def _started(self, current: _JourneyRun) -> None:
        if current.first:
            current.first = False
            self._trip.starting -= 1
