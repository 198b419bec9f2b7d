"""A service without sockets, for phases in simulated time: what it does takes exactly as long as a test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import trio
import trio.testing

from tests.engine.scripted import answer, scenario
from velro_gate.engine.health import HealthWatch
from velro_gate.engine.phases import PhaseTask
from velro_gate.engine.recorder import Recorder
from velro_gate.engine.requests import Compiler
from velro_gate.engine.users import Stage
from velro_gate.engine.wire import AnswerReader, Connection, Endpoint, LayerTable, ReaderPool, WireError
from velro_gate.model.run import PhaseRun, Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Phase, Step

T = TypeVar("T")

NEVER = 1e6
Latency = Callable[[float], float | None]
"""Seconds that an answer takes to a request sent at this time of the phase; None: the connection ends instead."""


class ImaginedConnection(Connection):
    """Answers after the time that its endpoint says."""

    __slots__ = ("_endpoint", "_waiting")

    def __init__(self, where: ImaginedEndpoint) -> None:
        self._endpoint = where
        self._waiting = trio.CancelScope()
        self.aborted = False
        self.reusable = True

    def _quiet(self) -> bool:
        return True

    async def exchange(self, request: bytes, reader: AnswerReader) -> None:
        """Wait, then answer."""
        self.reusable = False
        self._endpoint.requests += 1
        latency = self._endpoint.latency(trio.current_time() - self._endpoint.began)
        if latency is None:
            raise WireError(Outcome.RESET)
        with trio.CancelScope() as self._waiting:
            await trio.sleep(latency)
        if self.aborted:
            raise WireError(Outcome.CANCELLED)
        whole = answer(b"{}", 200, b"X-Cache: HIT")
        reader.first_byte_at = trio.current_time()
        reader.received = len(whole)
        reader.parser.feed_data(whole)
        self.reusable = True

    def _close(self) -> None:
        self._waiting.cancel()


class ImaginedEndpoint(Endpoint):
    """Where all connections are imagined. handshake: seconds that each of them takes."""

    def __init__(self, latency: Latency, handshake: float = 0.0) -> None:
        super().__init__("imagined", [], None)
        self.latency = latency
        self.handshake = handshake
        self.began = 0.0
        self.requests = 0
        self.connected_at: list[float] = []

    async def connect(self, timeout: float) -> Connection:
        """Connect after a while."""
        await trio.sleep(self.handshake)
        self.connected_at.append(trio.current_time() - self.began)
        return ImaginedConnection(self)


@dataclass
class Simulated:
    """What came of a phase in simulated time.."""

    facts: PhaseRun
    samples: Samples
    endpoint: ImaginedEndpoint
    seen: list[Progress] = field(default_factory=list)


async def at_once(read: Callable[[], T], /) -> T:
    """Read here and now."""
    return read()


def simulate(
    phase: Phase,
    latency: Latency = lambda _: 0.0,
    *,
    steps: tuple[Step, ...],
    handshake: float = 0.0,
    shard: Shard | None = None,
    stop_at: float = NEVER,
    sink: Callable[[Samples], None] | None = None,
    observe: Callable[[Progress], None] | None = None,
) -> Simulated:
    """Run one phase on a clock that jumps whenever everyone waits."""
    made = scenario("http://imagined.test", *steps)
    compiler = Compiler(made, {})
    where = ImaginedEndpoint(latency, handshake)
    parts: list[Samples] = []
    seen: list[Progress] = []

    async def main() -> PhaseRun:
        where.began = origin = trio.current_time()
        stage = Stage(
            origin=origin,
            endpoint=where,
            steps=[compiler.compile(step, index) for index, step in enumerate(steps)],
            login=None,
            token=None,
            keep_cookies=True,
            seed=made.seed,
            recorder=Recorder(sink or parts.append, remember=phase.offered_rate is None),
            readers=ReaderPool(LayerTable()),
        )
        stop = trio.Event()
        task = PhaseTask(
            phase=phase,
            number=1,
            count=1,
            steps=steps,
            seed=made.seed,
            shard=shard or Shard.whole(),
            stage=stage,
            health=HealthWatch(),
            observe=observe or seen.append,
            stop=stop,
            # A worker thread lives in real time, over which simulated time would leap.
            aside=at_once,
        )
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.sleep(stop_at)
                stop.set()

            nursery.start_soon(end)
            facts = await task.run()
            nursery.cancel_scope.cancel()
        return facts

    facts = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.0))
    samples = Samples.concatenate(parts)
    return Simulated(facts, samples, where, seen)
