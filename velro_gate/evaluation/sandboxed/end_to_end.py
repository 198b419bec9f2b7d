"""The evaluation end to end: a bank of measured sandbox blocks, jobs drawn from it, and whole duets from start to verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from velro_gate import units
from velro_gate.evaluation.recorded.bank_jobs import LEAST_CYCLES, effects_of, job_figures
from velro_gate.evaluation.results import Figure
from velro_gate.evaluation.sandboxed.whole_duets import WholeDuets, whole_duet_figures
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.results import make_results, run_id
from velro_gate.gate.sandboxed.bank import BankOptions, fill_bank
from velro_gate.gate.sandboxed.effects import sandbox_effects, sandbox_setup
from velro_gate.model.bank import SLOWDOWNS, UNCHANGED, Bank
from velro_gate.model.scenario import ALL_STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """What to measure and draw."""

    bank: Path
    """Its file; whole duets are kept in a folder next to it."""
    output: Path
    cycles: int
    jobs: int
    duets: int
    seed: int
    warm_up: float
    """Seconds dropped in every block."""
    seconds: float
    """Seconds measured in every block."""
    scenario: Path | None = None
    """Another one than the shipped, for the sandbox."""


def end_to_end_figures(asked: EndToEnd, effects: Effects) -> Iterator[Figure]:
    """Fill the bank, judge jobs drawn from it, then measure whole duets; the figures one after another as they are ready.

    Raises:
        UsageError: the bank is of another kind. RecordError: it is damaged. BrokenError: the sandbox cannot be started.
        InterruptedRunError: a signal ended the measuring; the bank is kept and can be taken up again.
    """
    world = sandbox_effects(effects)
    setup = sandbox_setup(world, asked.scenario)
    results = make_results(asked.output, run_id(effects.utc_now(), setup.plan.scenario, "bank"))
    wanted = BankOptions(cycles=asked.cycles, seed=asked.seed, shape=BlockShape(warm_up=asked.warm_up, seconds=asked.seconds))
    bank = fill_bank(setup, asked.bank, wanted, results, world)
    for sentence in _sentences(bank):
        effects.say(sentence)
    if len(bank.cycles) >= LEAST_CYCLES and asked.jobs:
        yield from _said(job_figures(bank, asked.jobs, asked.seed), effects.say)
    elif asked.jobs:
        effects.say(f"no jobs are drawn: each takes {LEAST_CYCLES} cycles, and the bank holds {len(bank.cycles)}")
    if asked.duets:
        kept = WholeDuets(
            folder=asked.bank.with_name(f"{asked.bank.stem}-duets"),
            count=asked.duets,
            seed=asked.seed,
            shape=wanted.shape,
            scenario=asked.scenario,
        )
        yield from _said(whole_duet_figures(kept, world), effects.say)


def _said(figures: Iterator[Figure], say: Callable[[str], None]) -> Iterator[Figure]:
    for figure in figures:
        say(f"{figure.experiment}: {figure.what} {figure.hits} of {figure.count}")
        yield figure


def _sentences(bank: Bank) -> Iterator[str]:
    """What each slowdown of the service's own time did to what its users see."""
    for slowdown in dict.fromkeys(SLOWDOWNS):
        if slowdown == UNCHANGED or not bank.cycles:
            continue
        moved = {
            row.metric.name: change
            for row, change in effects_of(bank, slowdown).items()
            if row.step == ALL_STEPS and row.metric.quantile is not None
        }
        shown = ", ".join(f"{name} {units.format_change(change)}" for name, change in moved.items())
        yield f"the service {units.format_change(slowdown)} slower in every step: {shown} (median of {len(bank.cycles)} cycles)"
