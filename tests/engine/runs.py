"""The whole engine run against a server of the same loop, and the books that every run must keep."""

from __future__ import annotations

import gc
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tests.engine.peers import Handler, Peer, obedient, serving
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.run import Load, run_load
from velro_gate.model.run import LoadResult, PhaseRun, Progress, Shard
from velro_gate.model.samples import Outcome, Samples
from velro_gate.model.scenario import Arrivals, Auth, Body, NoAuth, OpenArrivals, Phase, Scenario, Step, Target

GET = Step(name="get", method="GET", path="/get/${user.index}", probability=1.0, timeout=2.0)
POST = Step(
    name="post",
    method="POST",
    path="/post",
    probability=0.5,
    timeout=2.0,
    body=Body(template='{"me": "${user.id}"}', content_type="application/json"),
)


def phase(
    name: str = "p",
    *,
    users: int = 10,
    ramp: float = 0.1,
    duration: float = 0.3,
    arrivals: Arrivals | None = None,
) -> Phase:
    return Phase(name=name, users=users, ramp=ramp, duration=duration, arrivals=arrivals or OpenArrivals(rate=200.0))


@dataclass
class Ran:
    """What one run left behind."""

    result: LoadResult
    parts: list[tuple[str, Samples]] = field(default_factory=list)
    seen: list[Progress] = field(default_factory=list)
    finished: list[PhaseRun] = field(default_factory=list)

    @property
    def run(self) -> PhaseRun:
        return self.result.phases[0]

    def samples(self, name: str = "p") -> Samples:
        return Samples.concatenate(part for phase_name, part in self.parts if phase_name == name)

    def outcomes(self) -> Counter[str]:
        return Counter(Outcome(value).name for value in self.samples().outcome.tolist())


async def running(
    url: str,
    *phases: Phase,
    steps: tuple[Step, ...] = (GET, POST),
    auth: Auth | None = None,
    shard: Shard | None = None,
    stop: trio.Event | None = None,
    verify: bool = True,
    sink: Callable[[str, Samples], None] | None = None,
    observe: Callable[[Progress], None] | None = None,
    scarce: bool = False,
    **to: Any,
) -> Ran:
    """Run and check what must hold of every run. scarce: this machine may lack ports or files. to: rest of the target."""
    scenario = Scenario(
        name="s", description="", digest="d", target=Target(url=url, verify=verify, **to), auth=auth or NoAuth(), steps=steps
    )
    ran = Ran(LoadResult(phases=(), layers=()))
    with trio.fail_after(30):
        ran.result = await run_load(
            Load(scenario=scenario, phases=phases or (phase(),), secrets={}, shard=shard or Shard()),
            origin=trio.current_time(),
            sink=sink or (lambda name, samples: ran.parts.append((name, samples))),
            observe=observe or ran.seen.append,
            finished=ran.finished.append,
            stop=stop,
        )
    assert tuple(ran.finished) == ran.result.phases
    names = tuple(step.name for step in steps)
    for planned, carried in zip(phases or (phase(),), ran.result.phases, strict=False):
        rows = ran.samples(carried.name)
        # Raises when the books of the measured stretch do not balance.
        summary = summarise(planned, names, carried, rows, [], ran.result.layers)
        assert summary.steps[0].counts.due == sum(carried.due.values())
        assert scarce or not sum(carried.missed.values())
    return ran


def with_server(
    main: Callable[[Peer], Awaitable[None]], handler: Handler = obedient, tls: ssl.SSLContext | None = None
) -> None:
    async def whole() -> None:
        async with serving(handler, tls=tls) as peer:
            await main(peer)

    trio.run(whole)


def interpreter() -> tuple[bool, bool, int, int]:
    """What a run must leave as it was: garbage collection, and the descriptors that are open."""
    return gc.isenabled(), gc.get_freeze_count() > 0, len(gc.callbacks), len(list(Path("/proc/self/fd").iterdir()))
