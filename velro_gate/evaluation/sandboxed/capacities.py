"""Searches for the capacity of the embedded sandbox, which is known: its workers, each of a constant service time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from velro_gate import units
from velro_gate.errors import InterruptedRunError, VelroError
from velro_gate.evaluation.results import Evaluated
from velro_gate.evaluation.sandboxed.seams import StartSandbox
from velro_gate.evaluation.simulated.queues import Queue, Searched, capacity_figures, true_capacity
from velro_gate.gate.measure.capacity.search import PAUSE, RAMP, CapacityOptions, find_capacity
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.setup import RunOptions, Setup, prepare
from velro_gate.gate.measure.shipped import shipped_scenario
from velro_gate.gate.sandboxed.effects import SCENARIO
from velro_gate.model.capacity import CapacityResult
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import STEPS, Settings
from velro_gate.store.capacity import CAPACITY, read_capacity

KNOWN = Queue(workers=8, service=0.015, limit=0.060, constant=True)
"""What the sandbox is made to be: 533 requests a second keep its workers busy. Fewer would make a search of a few minutes too
good by 3 %: what is rare in a queue is rare in as many requests, however long these take.
"""


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
        VelroError: what ended the searches early, a signal too, after the figures of those that are whole; they are kept.
    """
    # Computed for the sandbox's queue, whose workers and times are set: no search takes part in it.
    truth = true_capacity(KNOWN)
    made = []
    ended: VelroError | None = None
    for number in range(1, asked.count + 1):
        try:
            found = _made_or_kept(asked, number, world, find, start)
        except VelroError as error:
            ended = error
            break
        world.say(f"search {number} of {asked.count}: {_came(found, truth)}")
        # Each trial has a ramp before it and a pause after it.
        seconds = sum(trial.seconds + RAMP + PAUSE for trial in found.trials)
        made.append(Searched(capacity=found.capacity, minutes=seconds / 60.0, trials=len(found.trials)))
    if made:
        service, known = units.format_number(1e3 * KNOWN.service), units.format_decimal(truth, 0)
        name = f"capacity, sandbox of {KNOWN.workers} workers, {service} ms, true {known}/s"
        yield from capacity_figures(name, made, truth)
    if ended is not None:
        raise ended


def _came(found: CapacityResult, truth: float) -> str:
    """The result of a search, next to what is known: ``304/s (297/s to 311/s), known 308/s, -1.2 %, 14 trials``."""
    known = f"known {units.format_rate(truth)}"
    trials = units.format_counted(len(found.trials), "trial")
    one = found.capacity
    if one is None:
        return f"none, {known}, {trials}"
    between = f"{units.format_rate(one.low)} to {units.format_rate(one.high)}"
    return f"{units.format_rate(one.value)} ({between}), {known}, {units.format_change(one.value / truth - 1.0)}, {trials}"


def _made_or_kept(
    asked: SandboxSearches, number: int, world: Effects, find: FindCapacity, start: StartSandbox
) -> CapacityResult:
    """The result of one search, of an earlier call where that was whole."""
    # With what is searched for in its name: searches of another service are not counted with these.
    name = f"{number:03}-capacity-{units.format_decimal(KNOWN.saturation, 0)}"
    folder = next((one for one in sorted(asked.folder.glob(f"{name}*")) if (one / CAPACITY).exists()), None)
    if folder is not None:
        return read_capacity(folder)
    world.say(f"search {number} of {asked.count}")
    return _searched(asked, name, number, world, find, start)


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
            options = CapacityOptions(seconds=60.0 * asked.minutes, start=KNOWN.saturation / 3.0)
            return find(setup, options, results, world)
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
