"""Whatever measures gives its load to the cluster that was asked for, and to nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.values import FACTS, cluster_of, failing
from tests.gate.measure.test_capacity import QUEUE, Simulated, searchable
from tests.gate.world import Spectator, tiny_setup
from tests.service import service
from velro_gate.cluster.connect import Cluster
from velro_gate.errors import BrokenError, InfeasibleError
from velro_gate.gate.builds.run import Builds, RunningBuild
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.judge.calibrate import calibrate
from velro_gate.gate.measure.capacity.search import CapacityOptions, find_capacity
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.capacity import Ending
from velro_gate.store.capacity import read_capacity


def by_duet(folder: Path, setup: Setup, effects: Effects) -> None:
    build = RunningBuild(url=setup.scenario.target.url)
    short = DuetOptions(seed=11, pairs=8, block=1.0, warm_up=0.5, pilot=False)
    duet(setup, Builds(base=build, head=build), short, make_results(folder / "out", "duet"), effects)


def by_calibration(folder: Path, setup: Setup, effects: Effects) -> None:
    calibrate(lambda: nullcontext(setup), runs=2, output=folder / "out", baselines=folder / "kept", effects=effects)


def by_capacity(folder: Path, setup: Setup, effects: Effects) -> None:
    (phase,) = setup.phases
    asked = replace(setup, plan=replace(setup.plan, phases=(replace(phase, requirements=(QUEUE.requirement,)),)))
    find_capacity(asked, CapacityOptions(seconds=60.0), make_results(folder / "out", "search"), effects)


@pytest.mark.parametrize("measure", [by_duet, by_calibration, by_capacity])
def test_a_load_goes_to_the_workers_and_nothing_is_sent_where_they_fail(
    tmp_path: Path, measure: Callable[[Path, Setup, Effects], None]
) -> None:
    cluster = failing()
    with service() as running:
        setup = tiny_setup(tmp_path, running.url)
        with pytest.raises(BrokenError, match=r"worker [12] of 2 \(.* cannot take part in the load") as refused:
            measure(tmp_path, setup, replace(Spectator().effects, cluster=cluster))
        assert running.requests == 0
    assert refused.value.why == "ImportError: as was to be shown"
    assert len(cluster.client.asked) == 2


def test_a_duet_of_short_blocks_has_room_whatever_the_length_of_the_plan(tmp_path: Path) -> None:
    with service() as running:
        setup = tiny_setup(tmp_path, running.url)
        phases = tuple(replace(phase, duration=1e9) for phase in setup.phases)
        years = replace(setup, plan=replace(setup.plan, phases=phases))
        effects = replace(Spectator().effects, cluster=failing())
        # The workers fail, which is after the plan was found to be feasible.
        with pytest.raises(BrokenError, match="cannot take part in the load"):
            by_duet(tmp_path, years, effects)
        with pytest.raises(InfeasibleError, match="of memory"):
            by_calibration(tmp_path, years, replace(effects, cluster=replace(failing(), raw=10**18)))


class Losing(Simulated):
    """A service that is loaded by a cluster, which loses a worker in the third stretch."""

    seen: list[tuple[Cluster | None, int]]

    async def load(self, setup: Setup, shards: int, **more: Any) -> Any:
        self.seen.append((setup.cluster, shards))
        if len(self.seen) > 2:
            raise BrokenError("worker 2 of 2 (tls://10.0.0.3:4000 on one) does not answer")
        return await super().load(setup, shards, **more)


def test_a_search_that_loses_a_worker_ends_early_and_keeps_what_was_tried(tmp_path: Path) -> None:
    cluster, losing = cluster_of([FACTS, FACTS]), Losing()
    losing.seen = []
    results = make_results(tmp_path, "search")
    effects = replace(Spectator().effects, cluster=cluster)
    found = find_capacity(
        searchable(tmp_path, QUEUE.requirement), CapacityOptions(seconds=600.0), results, effects, losing.measuring
    )
    assert losing.seen == [(cluster, 2)] * 3
    assert found.ending is Ending.STOPPED
    assert found.reason == "worker 2 of 2 (tls://10.0.0.3:4000 on one) does not answer"
    assert len(found.trials) == 2
    assert read_capacity(results.folder) == found
