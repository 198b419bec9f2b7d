"""A service without sockets, for phases in simulated time: what it does takes exactly as long as a test says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio
from trio.testing import MockClock

from tests.engine.peers import OK
from velro_gate.engine.http.connection import ConnectionState, Owner, Wire
from velro_gate.engine.http.parsing.cache_layers import CacheLayers
from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response, ResponseState
from velro_gate.engine.http.routes import Address, Route
from velro_gate.engine.http_users.population import HttpTransport
from velro_gate.engine.load.phase import PhasePlan, run_phase
from velro_gate.engine.load.timer import ClockAlarm
from velro_gate.engine.steps.requests import Compiler
from velro_gate.model import run
from velro_gate.model.run import PhaseRun, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Arrivals, NoAuth, OpenArrivals, Phase, Scenario, Step, Target

T = TypeVar("T")

NEVER = math.inf

NOWHERE = Route(addresses=(Address(family=trio.socket.AF_INET, sockaddr=("127.0.0.1", 1)),), server_name="imagined.test")


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What the service does with one request: ``after`` seconds it says ``data``, and then, if it ``ends``, closes the
    connection; else it closes it once it has idled for so long."""

    after: float = 0.0
    data: bytes = OK
    ends: bool = False
    idles: float = NEVER


Serve = Callable[[float], Deed]
"""What becomes of a request that is sent at this time of the phase."""

Accept = Callable[[float], float | None]
"""Seconds that it takes to connect at this time of the phase; None: refused."""


@dataclass
class Service:
    """Where all connections are imagined."""

    serve: Serve
    accept: Accept
    nursery: trio.Nursery
    began: float = field(default_factory=trio.current_time)
    requests: int = 0
    connected_at: list[float] = field(default_factory=list)
    stopped: float = 0.0

    @property
    def now(self) -> float:
        return trio.current_time() - self.began

    def stop_generator(self, clock: MockClock, seconds: float) -> None:
        """Time passes, and nothing of the generator runs meanwhile."""
        self.stopped += seconds
        clock.jump(seconds)

    def later(self, seconds: float, act: Callable[[], None]) -> trio.CancelScope:
        """Act when the time has come, unless the scope has been cancelled by then."""
        scope = trio.CancelScope()
        # Most connections never hang up: a task for each time that they do not would be half of all.
        if seconds == NEVER:
            return scope

        async def wait() -> None:
            with scope:
                await trio.sleep(seconds)
                act()

        self.nursery.start_soon(wait)
        return scope


class ImaginedConnection:
    """What users need of a connection. The wire's bound on connections in the making, and its counts, are the real ones."""

    def __init__(self, service: Service, wire: Wire, owner: Owner) -> None:
        self._service = service
        self._wire = wire
        self._owner = owner
        self._coming = trio.CancelScope()
        self._began = self._answer_at = 0.0
        self.state = ConnectionState.CLOSED
        self.written = False
        self.fault, self.evidence = "as imagined", b""

    def still_idle(self) -> bool:
        return self.state is ConnectionState.IDLE

    def open(self, *, hurried: bool = False) -> None:
        self.state = ConnectionState.WAITING
        self.written = False
        self._wire.dials.add(self, hurried=hurried)  # type: ignore[arg-type]

    def hurry(self) -> None:
        self._wire.dials.hurry(self)  # type: ignore[arg-type]

    def dial(self) -> bool:
        if self.state is not ConnectionState.WAITING:
            return False
        self.state = ConnectionState.DIALLING
        self._began = trio.current_time()
        seconds = self._service.accept(self._service.now)
        if seconds is None:
            self._break(Outcome.REFUSED)
        else:
            self._coming = self._service.later(seconds, self._stand)
        return True

    def _stand(self) -> None:
        self._service.connected_at.append(self._service.now)
        self.state = ConnectionState.IDLE
        self._wire.established += 1
        self._wire.opened += 1
        self._wire.dials.done()
        self._owner.opened(trio.current_time() - self._began)

    def send(self, request: bytes, *, head: bool = False, wants_body: bool = False) -> None:
        assert self.state is ConnectionState.IDLE
        service = self._service
        self._coming.cancel()
        self.state = ConnectionState.RECEIVING
        self.written = True
        service.requests += 1
        deed = service.serve(service.now)
        self._answer_at = trio.current_time() + deed.after
        self._coming = service.later(deed.after, partial(self._hear, deed, head=head, wants_body=wants_body))

    def _hear(self, deed: Deed, *, head: bool, wants_body: bool) -> None:
        answer = Response(HeaderKinds(), 1 << 20)
        answer.start(trio.current_time(), head=head, wants_body=wants_body)
        progress = answer.feed(deed.data) if deed.data else ResponseState.INCOMPLETE
        if progress is ResponseState.COMPLETE:
            if deed.ends or not answer.reusable:
                self.close()
            else:
                self.state = ConnectionState.IDLE
                self._coming = self._service.later(deed.idles, self._hang_up)
            self._owner.answered(answer, trio.current_time())
        elif progress is ResponseState.FAULTY:
            self._break(Outcome.PROTOCOL, early=False)
        elif deed.ends:
            self._break(Outcome.RESET, early=not deed.data)

    def came_at(self) -> float | None:
        return self._answer_at if self._answer_at <= trio.current_time() else None

    def _hang_up(self) -> None:
        self.close()
        self._owner.hung_up()

    def _break(self, outcome: Outcome, *, early: bool = True) -> None:
        self.close()
        self._owner.broken(outcome, trio.current_time(), early=early)

    def close(self) -> None:
        state, self.state = self.state, ConnectionState.CLOSED
        self._coming.cancel()
        if state >= ConnectionState.IDLE:
            self._wire.established -= 1
        elif state is ConnectionState.DIALLING:
            self._wire.dials.done()


@dataclass
class Simulated:
    """What came of a phase in simulated time; seconds since its start."""

    facts: PhaseRun
    samples: Samples
    service: Service
    seen: list[run.Progress]


async def at_once(read: Callable[[], T], /) -> T:
    """Read here and now: a worker thread lives in real time, over which simulated time would leap."""
    return read()


def step(name: str = "one", *, probability: float = 1.0, timeout: float = 2.0, method: str = "GET") -> Step:
    return Step(name=name, method=method, path=f"/{name}", probability=probability, timeout=timeout)


def phase(*, users: int = 20, ramp: float = 10.0, duration: float = 20.0, arrivals: Arrivals | None = None) -> Phase:
    """40 requests/s, evenly spaced, unless other arrivals are given."""
    arrivals = arrivals or OpenArrivals(rate=40.0, spacing="even")
    return Phase(name="steady", users=users, ramp=ramp, duration=duration, arrivals=arrivals)


def takes(seconds: float) -> Serve:
    """A service that needs as long for every request."""
    return lambda _: Deed(after=seconds)


def simulate(
    planned: Phase,
    serve: Serve = lambda _: Deed(),
    *,
    steps: tuple[Step, ...],
    accept: Accept = lambda _: 0.0,
    shard: Shard | None = None,
    stop_at: float = NEVER,
    sink: Callable[[Samples], None] | None = None,
    observe: Callable[[run.Progress], None] | None = None,
    stops: Sequence[tuple[float, float]] = (),
) -> Simulated:
    """Run one phase on a clock that jumps whenever everyone waits. stops: when the generator stands still, and for how long."""
    clock = MockClock(autojump_threshold=0.0)
    scenario = Scenario(
        name="s", description="", digest="d", target=Target(url="http://imagined.test"), auth=NoAuth(), steps=steps, seed=1
    )
    parts: list[Samples] = []
    seen: list[run.Progress] = []

    async def main() -> Simulated:
        async with trio.open_nursery() as nursery:
            service = Service(serve, accept, nursery)
            stop = trio.Event()
            service.later(stop_at, stop.set)
            for at, seconds in stops:
                service.later(at, partial(service.stop_generator, clock, seconds))
            transport = HttpTransport(
                scenario,
                Compiler(scenario, {}),
                CacheLayers(),
                connect=partial(ImaginedConnection, service),  # type: ignore[arg-type]
            )
            facts = await run_phase(
                PhasePlan(
                    scenario=scenario,
                    phase=planned,
                    number=1,
                    count=1,
                    shard=shard or Shard.whole(),
                    origin=service.began,
                    populate=partial(transport.populate, route=NOWHERE),
                    steps=transport.steps,
                    needs=transport.needs,
                    endpoints=NOWHERE.endpoints,
                    sources=0,
                    sink=sink or parts.append,
                    observe=observe or seen.append,
                    stop=stop,
                    aside=at_once,
                    busy_clock=lambda: service.stopped,
                    alarm=lambda: nullcontext(ClockAlarm()),
                )
            )
            nursery.cancel_scope.cancel()
        return Simulated(facts, Samples.concatenate(parts), service, seen)

    return trio.run(main, clock=clock)
