"""A load sent by a cluster to a server of the test's own loop, and the books that it must keep."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import trio

from tests.engine.runs import Ran
from tests.engine.shards.test_run import STEPS, phase, plan
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.summaries.reduced.tables import Reduced
from velro_gate.cluster.connect import Cluster
from velro_gate.cluster.head import Observers, run_on_cluster
from velro_gate.engine.run import Load, nobody
from velro_gate.model.run import LoadResult, PhaseRun, Progress
from velro_gate.model.scenario import Auth, Journey, OpenArrivals, Phase


def shard_processes() -> list[psutil.Process]:
    """The processes of shards that run now, below this one."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "velro_gate.engine.shards.process" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


CALM = phase(users=20, duration=1.5, arrivals=OpenArrivals(rate=60.0))
"""So few requests that a user is hardly ever still waiting when its next one falls due."""


def assert_same_requests(one: Counter[bytes], whole: Ran, other: Counter[bytes], part: Ran) -> None:
    """The same requests but for those that were never sent because the (busy) service kept their users waiting."""
    assert (one - other).total() <= sum(part.run.blocked.values())
    assert (other - one).total() <= sum(whole.run.blocked.values())
    assert one.total() + sum(whole.run.blocked.values()) == other.total() + sum(part.run.blocked.values())


async def sent_by(
    cluster: Cluster,
    url: str,
    *phases: Phase,
    observe: Callable[[Progress], None] = lambda _: None,
    auth: Auth | None = None,
    secrets: dict[str, str] | None = None,
    journey: Journey | None = None,
    reduce: frozenset[str] = frozenset(),
    reduced: Callable[[str, Reduced], None] = nobody,
    **more: Any,
) -> Ran:
    """Run, and check what must hold of every run."""
    ran = Ran(LoadResult(phases=(), layers=()))
    planned = phases or (phase(),)

    def see(progress: Progress) -> None:
        ran.seen.append(progress)
        observe(progress)

    def end(run: PhaseRun) -> None:
        ran.finished.append(run)

    observers = Observers(
        sink=lambda name, samples: ran.parts.append((name, samples)),
        reduced=reduced,
        observe=see,
        finished=end,
        began=lambda _, __: None,
    )
    load = Load(scenario=dataclasses.replace(plan(url, auth), journey=journey), phases=planned, secrets=secrets or {})
    with trio.fail_after(90.0):
        ran.result = await run_on_cluster(cluster, load, origin=trio.current_time(), observers=observers, reduce=reduce, **more)
    assert tuple(ran.finished) == ran.result.phases
    for asked, carried in zip(planned, ran.result.phases, strict=False):
        if carried.name in reduce:
            continue
        # Raises when the books of the measured stretch do not balance.
        summarise(asked, tuple(step.name for step in STEPS), carried, ran.samples(carried.name), [], ran.result.layers)
    return ran
