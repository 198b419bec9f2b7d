"""Searches on the sandbox as they are counted. Here the search is simulated, and the sandbox only started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.gate.world import Spectator
from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.results import Amount, Evaluated, Figure
from velro_gate.evaluation.sandboxed.capacities import KNOWN, SandboxSearches, sandbox_capacities
from velro_gate.evaluation.simulated.queues import true_capacity
from velro_gate.gate.measure.capacity.search import CapacityOptions
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit, Trial
from velro_gate.model.record import Estimate
from velro_gate.sandbox.process import RunningSandbox
from velro_gate.sandbox.settings import Settings
from velro_gate.store.capacity import write_capacity


class NotStarted(RunningSandbox):
    """A sandbox that obeys and serves nothing."""

    def control(self, payload: Mapping[str, object]) -> dict[str, object]:
        return dict(payload)


@contextlib.contextmanager
def not_started(_: Settings) -> Iterator[RunningSandbox]:
    yield NotStarted(url="http://127.0.0.1:1", key="a" * 40, pid=1)


def kept(results: Results, value: float) -> CapacityResult:
    found = CapacityResult(
        unit=LoadUnit.RATE,
        phase="steady",
        ending=Ending.FOUND,
        capacity=Estimate(value=value, low=0.95 * value, high=1.05 * value, n=3),
        met=200.0,
        missed=220.0,
        wanted=100.0,
        trials=(Trial(load=200.0, score=-0.1, error=0.05, seconds=57.0, throughput=200.0),),
    )
    write_capacity(results.folder, found)
    return found


def test_searches_are_counted_against_what_is_known_and_not_made_again(tmp_path: Path) -> None:
    truth = true_capacity(KNOWN)
    made: list[float] = []

    def find(setup: Setup, options: CapacityOptions, results: Results, effects: Effects) -> CapacityResult:
        made.append(options.seconds)
        assert setup.plan.phases[0].requirements == (KNOWN.requirement,)
        return kept(results, truth * (1.02 if len(made) == 1 else 1.2))

    asked = SandboxSearches(folder=tmp_path, count=2, minutes=3.0)
    for _ in range(2):
        near, held, took = list(sandbox_capacities(asked, Spectator().effects, find=find, start=not_started))
        assert isinstance(near, Figure)
        assert isinstance(held, Figure)
        assert (near.hits, held.hits, near.count) == (1, 1, 2)
        assert isinstance(took, Amount)
        assert took.value == pytest.approx(1.0), "the ramp and the pause of a trial take time as well"
    assert made == [180.0, 180.0]


def test_of_interrupted_searches_the_whole_ones_are_counted_before_the_interruption_is_reported(
    tmp_path: Path,
) -> None:
    truth = true_capacity(KNOWN)
    world = Spectator()

    def find(setup: Setup, options: CapacityOptions, results: Results, effects: Effects) -> CapacityResult:
        if results.folder.name.startswith("002"):
            kept(results, truth)
            raise InterruptedRunError("the search was interrupted")
        return kept(results, 0.98 * truth)

    asked = SandboxSearches(folder=tmp_path, count=3, minutes=3.0)
    figures: list[Evaluated] = []
    with pytest.raises(InterruptedRunError):
        figures.extend(sandbox_capacities(asked, world.effects, find=find, start=not_started))
    near = figures[0]
    assert isinstance(near, Figure)
    assert (near.hits, near.count) == (1, 1)
    assert any("-2.0 %" in line for line in world.said)
    assert [len(list(tmp_path.glob(f"{number:03}*/capacity.json"))) for number in (1, 2, 3)] == [1, 0, 0]
