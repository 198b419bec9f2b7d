"""A phase runs over a transport that it has never heard of: here one without connections, steps in bytes, or sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from math import nan

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from tests.engine.imagined import at_once, phase, step
from velro_gate.engine.load.aside import Aside
from velro_gate.engine.load.context import PhaseContext
from velro_gate.engine.load.phase import PhasePlan, run_phase
from velro_gate.engine.load.population import ConnectionCounts, PhaseSetup
from velro_gate.engine.load.scheduling import ArrivalSource
from velro_gate.engine.load.timer import ClockAlarm
from velro_gate.model.run import PhaseRun, Shard
from velro_gate.model.samples import NO_CACHE_HEADER, Outcome, Samples
from velro_gate.model.scenario import Arrivals, ClosedArrivals, NoAuth, OpenArrivals, Phase, Scenario, Target

STEPS = (step("one"), step("two"))


class Echoes:
    """Users that shout and hear their echo after so many seconds; None: never."""

    def __init__(self, setup: PhaseSetup, echo: float | None) -> None:
        self.context = PhaseContext(now=setup.now, recorder=setup.recorder, seed=1)
        self.users = list(setup.users)
        self._echo = echo
        self._nursery: trio.Nursery | None = None
        self._listening: dict[int, tuple[float, int]] = {}
        self._waiting: list[tuple[float, int]] = []
        self.joined: list[int] = []
        self.calls: list[str] = []

    def deliver(self, due: float, user: int, step: int) -> None:
        if user in self._listening or self._nursery is None:
            self._waiting.append((due, step))
            return
        self._listening[user] = (due, step)
        if self._echo is not None:
            self._nursery.start_soon(self._hear, user, self._echo)

    async def _hear(self, user: int, seconds: float) -> None:
        await trio.sleep(seconds)
        self._record(user, Outcome.OK)
        self.context.free(user, self.context.now(), failed=False)

    def _record(self, user: int, outcome: Outcome) -> None:
        (due, step), now = self._listening.pop(user), self.context.now()
        self.context.recorder.put(due, due, now, 0.0, nan, nan, step, user, 0, outcome, NO_CACHE_HEADER, 0)

    def arrivals(self, planned: ArrivalSource, until: float) -> ArrivalSource:
        return planned

    async def start(self, nursery: trio.Nursery, aside: Aside) -> None:
        self._nursery = nursery

    def join(self, user: int) -> None:
        self.joined.append(user)

    def nudge(self) -> None: ...

    def catch_up(self) -> None: ...

    def waiting(self) -> Iterator[tuple[float, int]]:
        return iter(self._waiting)

    def unfinished(self) -> bool:
        return bool(self._listening)

    def connections(self) -> ConnectionCounts:
        return ConnectionCounts(established=0, opened=len(self.joined), sessions_reused=0, tls_fault=None, lacking=frozenset())

    async def close(self) -> None:
        self.calls.append("close")
        for user in list(self._listening):
            self._record(user, Outcome.CANCELLED)

    def abandon(self) -> None:
        self.calls.append("abandon")


def shouting(planned: Phase, echo: float | None) -> tuple[PhaseRun, Samples, Echoes]:
    scenario = Scenario(name="s", description="", digest="d", target=Target(url="echo://x"), auth=NoAuth(), steps=STEPS, seed=1)
    parts: list[Samples] = []
    made: list[Echoes] = []

    def populate(setup: PhaseSetup) -> Echoes:
        made.append(Echoes(setup, echo))
        return made[0]

    async def main() -> PhaseRun:
        return await run_phase(
            PhasePlan(
                scenario=scenario,
                phase=planned,
                number=1,
                count=1,
                shard=Shard.whole(),
                origin=trio.current_time(),
                populate=populate,
                steps=STEPS,
                needs=(),
                endpoints=(),
                sources=0,
                sink=parts.append,
                observe=lambda _: None,
                stop=trio.Event(),
                aside=at_once,
                busy_clock=lambda: 0.0,
                alarm=lambda: nullcontext(ClockAlarm()),
            )
        )

    run = trio.run(main, clock=MockClock(autojump_threshold=0.0))
    return run, Samples.concatenate(parts), made[0]


@pytest.mark.parametrize("arrivals", [OpenArrivals(rate=20.0, spacing="even"), ClosedArrivals(think_time=0.2, constant=True)])
def test_its_books_balance_and_its_times_are_those_of_the_clock(arrivals: Arrivals) -> None:
    run, samples, population = shouting(phase(users=4, ramp=1.0, duration=4.0, arrivals=arrivals), 0.1)
    within = (samples.due >= run.measured_from) & (samples.due < run.measured_until)
    assert sum(run.due.values()) == within.sum() > 20
    assert sum(run.blocked.values()) == sum(run.missed.values()) == 0
    np.testing.assert_allclose(samples.done - samples.due, 0.1, atol=1e-9)
    assert population.joined == [0, 1, 2, 3]
    assert run.connections_opened == 4
    assert population.calls == ["close", "abandon"]


def test_what_it_never_answers_is_cancelled_and_what_waits_is_blocked() -> None:
    run, samples, _ = shouting(phase(users=4, ramp=0.0, duration=4.0, arrivals=OpenArrivals(rate=20.0, spacing="even")), None)
    assert samples.outcome.tolist() == [Outcome.CANCELLED] * 4
    assert sum(run.blocked.values()) == sum(run.due.values()) - 4 > 0
