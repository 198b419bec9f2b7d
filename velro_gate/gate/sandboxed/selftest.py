"""The selftest: how much this runner's figures move by themselves, and whether a slowdown that we inject is seen on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from velro_gate import units
from velro_gate.analysis.verdict.selftest import LEAST_CYCLES, selftest_of
from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.bank import BankOptions, fill_bank
from velro_gate.gate.sandboxed.effects import sandbox_effects, sandbox_setup
from velro_gate.model.bank import SLOWDOWNS, Bank
from velro_gate.model.selftest import Selftest
from velro_gate.store.selftests import SELFTEST, place_of, write_selftest

WARM_UP, BLOCK = 1.0, 5.0
"""Seconds of a block where nothing else is asked for."""

_RESTART = 3.0
"""Seconds that a start and a stop of the sandbox are forecast to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestOptions:
    """What a selftest is to do."""

    minutes: float
    """Time limit."""
    warm_up: float
    """Seconds dropped in each block."""
    seconds: float
    """Seconds measured in each block."""
    output: Path
    kept: Path | None
    """The folder of the newest selftests; None: it is not kept there."""
    scenario: Path | None = None
    """For the sandbox; None: the shipped one."""

    @property
    def cycles(self) -> int:
        """How many cycles fit."""
        return int(self.minutes * 60.0 / (len(SLOWDOWNS) * (self.warm_up + self.seconds + _RESTART)))

    def __post_init__(self) -> None:
        if self.cycles < LEAST_CYCLES:
            needed = LEAST_CYCLES * len(SLOWDOWNS) * (self.warm_up + self.seconds + _RESTART)
            raise UsageError(
                f"a selftest in {units.format_duration(60.0 * self.minutes)} would measure {self.cycles} cycles of blocks",
                why=f"at least {LEAST_CYCLES} are needed to find anything",
                hint=f"Allow at least {units.format_whole(needed / 60.0)} minutes with --minutes (in a workflow: "
                "selftest-minutes).",
            )


Fill = Callable[[Setup, Path, BankOptions, Results, Effects], Bank]


def selftest(asked: SelftestOptions, effects: Effects, *, fill: Fill = fill_bank) -> tuple[Selftest, Results]:
    """Measure cycles of unchanged and slowed sandbox blocks, and keep what they say of this runner.

    It is kept twice: in the results folder next to the blocks, and where ``gate`` and ``duet`` look for it. fill: measures.

    Raises:
        UsageError: the sandbox's extra is not installed. InterruptedRunError: a signal came. BrokenError: too few cycles could
            be measured, or the sandbox cannot be started. OutputError, StorageError: it cannot be kept.
    """
    world = sandbox_effects(effects)
    setup = sandbox_setup(world, asked.scenario)
    started = effects.utc_now()
    results = make_results(asked.output, f"{started:%Y%m%dT%H%M%SZ}-selftest")
    wanted = BankOptions(
        cycles=asked.cycles,
        seed=int(started.timestamp()),
        shape=BlockShape(warm_up=asked.warm_up, seconds=asked.seconds),
        until=asked.minutes * 60.0,
    )
    bank = fill(setup, results.folder / "bank.jsonl", wanted, results, world)
    if len(bank.cycles) < LEAST_CYCLES:
        raise BrokenError(
            f"the selftest measured {len(bank.cycles)} cycles of blocks, {LEAST_CYCLES} are needed",
            where=str(results.folder),
            why="the blocks took longer than forecast",
            hint="Allow more with --minutes (in a workflow: selftest-minutes).",
        )
    # What a block takes in all, so that forecasts count its start and its stop.
    each = (effects.utc_now() - started).total_seconds() / (len(SLOWDOWNS) * len(bank.cycles))
    made = selftest_of(bank, measured_at=f"{started:%Y-%m-%dT%H:%M:%SZ}", overhead=max(each - asked.seconds, 0.0))
    write_selftest(results.folder / SELFTEST, made)
    if asked.kept is not None:
        write_selftest(place_of(asked.kept, made.environment), made)
    return made, results
