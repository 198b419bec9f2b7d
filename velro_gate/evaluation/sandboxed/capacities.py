"""Searches for the capacity of the embedded sandbox, which is known: its workers, each of a constant service time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from velro_gate import units
from velro_gate.errors import InterruptedRunError
from velro_gate.evaluation.results import Evaluated
from velro_gate.evaluation.sandboxed.seams import StartSandbox
from velro_gate.evaluation.simulated.queues import Queue, Searched, capacity_figures, true_capacity
from velro_gate.gate.measure.capacity import CapacityOptions, find_capacity
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.gate.sandboxed.effects import SCENARIO
from velro_gate.model.capacity import CapacityResult
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import STEPS, Settings
from velro_gate.store.capacity import CAPACITY, read_capacity

KNOWN = Queue(workers=8, service=0.025, limit=0.100, constant=True)
"""What the sandbox is made to be: 320 requests a second keep its workers busy."""


class FindCapacity(Protocol):
    """Searches and keeps the result, as ``gate.measure.capacity.find_capacity`` does."""

    def __call__(  # noqa: D102 (the class says it)
        self, setup: Setup, options: CapacityOptions, results: Results, effects: Effects, /
    ) -> CapacityResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSearches:
    """Searches for the capacity of the sandbox, whose true capacity is known."""

    folder: Path
    """Of their results; searches that are there are not made again."""
    count: int
    """How many searches to make."""
    minutes: float
    """Time limit of each search."""


def sandbox_capacities(
    asked: SandboxSearches, world: Effects, *, find: FindCapacity = find_capacity, start: StartSandbox = running_sandbox
) -> Iterator[Evaluated]:
    """Search on a fresh sandbox, again and again; then how many came near what is known.

    Raises:
        InterruptedRunError: a signal ended the searches; whole ones are kept. UnreachableError: the sandbox does not start.
    """
    # Computed for the sandbox's queue, whose workers and times are set: no search takes part in it.
    truth = true_capacity(KNOWN)
    made = []
    for number in range(1, asked.count + 1):
        name = f"{number:03}-capacity"
        folder = next((one for one in sorted(asked.folder.glob(f"{name}*")) if (one / CAPACITY).exists()), None)
        if folder is None:
            world.say(f"search {number} of {asked.count}")
            found = _searched(asked, name, number, world, find, start)
        else:
            found = read_capacity(folder)
        came = "none" if found.capacity is None else units.format_rate(found.capacity.value)
        world.say(f"search {number} of {asked.count}: {came}, known {units.format_rate(truth)}")
        seconds = sum(trial.seconds for trial in found.trials)
        made.append(Searched(capacity=found.capacity, minutes=seconds / 60.0, trials=len(found.trials)))
    if made:
        service, known = units.format_number(1e3 * KNOWN.service), units.format_decimal(truth, 0)
        name = f"capacity, sandbox of {KNOWN.workers} workers, {service} ms, true {known}/s"
        yield from capacity_figures(name, made, truth)


def _searched(
    asked: SandboxSearches, name: str, seed: int, world: Effects, find: FindCapacity, start: StartSandbox
) -> CapacityResult:
    with start(Settings(port=0, seed=seed, workers=KNOWN.workers)) as sandbox:
        _make_known(sandbox)
        environ = {"VELRO_API_URL": sandbox.url, "SUPABASE_SERVICE_KEY": sandbox.key}
        kept = {name: value for name, value in world.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")}
        setup = with_known_limit(prepare(RunOptions(scenario=shipped_scenario(SCENARIO)), {**kept, **environ}), seed)
        results = make_results(asked.folder, name)
        try:
            return find(setup, CapacityOptions(seconds=60.0 * asked.minutes), results, world)
        except InterruptedRunError:
            # An unfinished search is no search.
            (results.folder / CAPACITY).unlink(missing_ok=True)
            raise


def _make_known(sandbox: RunningSandbox) -> None:
    """Every step takes the same constant time."""
    slow = {step: {"delay": KNOWN.service, "distribution": "constant"} for step in STEPS}
    sandbox.control({"slow": slow})


def with_known_limit(setup: Setup, seed: int) -> Setup:
    """The plan with the limit whose capacity is known, and nothing else that load could miss."""
    phase = replace(setup.plan.phases[0], requirements=(KNOWN.requirement,))
    scenario = replace(setup.scenario, seed=setup.scenario.seed + 100 * seed)
    return replace(setup, scenario=scenario, plan=replace(setup.plan, phases=(phase,)))
