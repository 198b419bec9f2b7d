"""Fill a bank: cycle after cycle, four blocks each, every one of a sandbox that was started for it alone."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from velro_gate import units
from velro_gate.analysis.summaries.raw_times import good_times
from velro_gate.engine.responder.process import running_responder
from velro_gate.errors import InterruptedRunError
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.duet.blocks import BlockRunner, BlockShape, Place
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import Results, RunLog
from velro_gate.gate.measure.run import make_room, run_trio, stop_on_signal
from velro_gate.gate.measure.setup import Setup
from velro_gate.gate.sandboxed.effects import sandbox_builds
from velro_gate.model.bank import SLOWDOWNS, Bank, BankedBlock, BankHead
from velro_gate.model.duet import Side
from velro_gate.model.masking import secret_values
from velro_gate.model.metrics import TAIL
from velro_gate.store.bank import append_block, read_bank, resume_bank

OUTPUT = "sandbox.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class BankOptions:
    """What a bank is to hold."""

    cycles: int
    seed: int
    """Seed of the order in each cycle."""
    shape: BlockShape
    until: float | None = None
    """Time limit in seconds for filling it; None: no limit."""


def fill_bank(setup: Setup, path: Path, wanted: BankOptions, results: Results, effects: Effects) -> Bank:
    """Measure what the bank in this file lacks, block by block, and give all of it; what it holds already stays.

    setup, effects: of the sandbox's world.

    Raises:
        UsageError: the file is a bank of another kind. RecordError: it is damaged. StorageError: it cannot be written.
        BrokenError: the sandbox cannot be started. InfeasibleError: this machine cannot carry out the load.
        InterruptedRunError: a signal came; the whole cycles are kept.
    """
    shape = wanted.shape
    head = BankHead(
        seed=wanted.seed, warm_up=shape.warm_up, seconds=shape.seconds, plan=setup.plan, environment=effects.environment()
    )
    hidden = [*setup.secrets.values(), *secret_values(effects.environ)]
    with RunLog(results, hidden) as log:
        bank = resume_bank(path, head)
        if len(bank.cycles) < wanted.cycles:
            shards = make_room(setup, effects, log)
            output = BuildOutput(results.folder / OUTPUT, hidden)
            try:
                stopped = run_trio(partial(_fill, setup, path, wanted, bank, shards, output, effects, log))
            finally:
                output.keep()
            bank = read_bank(path)
            if stopped:
                raise InterruptedRunError(
                    f"the bank holds {len(bank.cycles)} of {wanted.cycles} cycles",
                    where=str(path),
                    hint="Run the same command again: a bank continues where it stopped.",
                )
    return bank


def order_of(seed: int, cycle: int) -> list[float]:
    """The slowdowns of a cycle's four blocks, in the order that was drawn for it."""
    order = list(SLOWDOWNS)
    random.Random(f"{seed}/{cycle}").shuffle(order)
    return order


async def _fill(
    setup: Setup,
    path: Path,
    wanted: BankOptions,
    bank: Bank,
    shards: int,
    output: BuildOutput,
    effects: Effects,
    log: logging.Logger,
) -> bool:
    """Cycle after cycle; whether a signal ended it."""
    stop, began = trio.Event(), trio.current_time()
    done = len(bank.cycles)
    # A cycle that was cut short has blocks but does not count as done: its number is not used again.
    number = max((each.cycle for each in bank.blocks), default=-1) + 1
    async with trio.open_nursery() as nursery, running_responder() as responder:
        if effects.signals:
            nursery.start_soon(stop_on_signal, effects.signals, stop, effects.say)
        runners = {
            slowdown: BlockRunner(
                setup,
                sandbox_builds(slowdown),
                shards=shards,
                outputs=dict.fromkeys(Side, output),
                control_url=responder.url,
                effects=effects,
                log=log,
                stop=stop,
            )
            for slowdown in SLOWDOWNS
        }
        for measured in range(1, wanted.cycles - done + 1):
            blocks = await _cycle(runners, wanted, number, done + measured)
            if blocks is None:
                break
            for block in blocks:
                await trio.to_thread.run_sync(append_block, path, block)
            number += 1
            each = (trio.current_time() - began) / measured
            left = (wanted.cycles - done - measured) * each
            effects.say(_words(blocks, done + measured, wanted.cycles, left))
            if wanted.until is not None and trio.current_time() - began + each > wanted.until:
                break
        nursery.cancel_scope.cancel()
    return stop.is_set()


async def _cycle(runners: dict[float, BlockRunner], wanted: BankOptions, number: int, shown: int) -> list[BankedBlock] | None:
    """The four blocks of one cycle; None when it was stopped meanwhile."""
    blocks = []
    order = order_of(wanted.seed, number)
    for place, slowdown in enumerate(order, start=1):
        # All blocks of a cycle get the same arrivals, as both blocks of a duet's pair do.
        title = f"cycle {shown} of {wanted.cycles}, {_name(slowdown)}"
        of_all = Place(title=title, number=len(order) * (shown - 1) + place, count=len(order) * wanted.cycles, draw=number)
        measured = await runners[slowdown].block(Side.HEAD, wanted.shape, of_all)
        if measured is None or any(phase.interrupted for phase in measured.block.phases):
            return None
        times = good_times(measured.facts, measured.samples)
        blocks.append(BankedBlock(cycle=number, slowdown=slowdown, block=measured.block, times=times))
    return blocks


def _name(slowdown: float) -> str:
    return f"{units.format_change(slowdown)} slower" if slowdown else "unchanged"


def _words(blocks: list[BankedBlock], number: int, count: int, left: float) -> str:
    """One line a cycle: p95 of each block, and the time that is left."""
    shown = []
    for each in sorted(blocks, key=lambda block: block.slowdown):
        found = each.block.phases[0].measurement(TAIL) if each.block.phases else None
        shown.append(f"{_name(each.slowdown)} {units.format_seconds(found.value if found else None)}")
    return f"cycle {number} of {count}: p95 {', '.join(shown)}; {units.format_whole_duration(left)} left"
