"""The evaluation end to end: a bank of measured sandbox blocks, jobs drawn from it, and whole duets from start to verdict."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from velro_gate import units
from velro_gate.analysis.bank_jobs import FOUND, FOUND_FROM, LEAST_CYCLES, effects_of, job_figures
from velro_gate.analysis.evaluating import figure_of
from velro_gate.errors import InterruptedRunError
from velro_gate.gate.bank import Wanted, fill_bank
from velro_gate.gate.blocks import Shape
from velro_gate.gate.duet import duet
from velro_gate.gate.effects import Effects
from velro_gate.gate.judgement import reach_duet_verdict, write_reports
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.pilot import Wishes
from velro_gate.gate.results import make_results, run_id
from velro_gate.gate.sandbox_world import sandbox_builds, sandbox_effects, sandbox_setup
from velro_gate.model.bank import SLOWDOWNS, UNCHANGED, Bank
from velro_gate.model.evaluation import Aim, Figure
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.verdict import Change, Level, Verdict

WHOLE = (UNCHANGED, 0.20)
"""The slowdowns of the head build in whole duets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEnd:
    """What to measure and draw. scenario: another one than the shipped, for the sandbox."""

    bank: Path
    output: Path
    cycles: int
    jobs: int
    duets: int
    seed: int
    warm_up: float
    seconds: float
    scenario: Path | None = None


def end_to_end_figures(asked: EndToEnd, effects: Effects) -> Iterator[Figure]:
    """Fill the bank, judge jobs drawn from it, then measure whole duets; the figures one after another as they are ready.

    Raises:
        UsageError: the bank is of another kind. RecordError: it is damaged. BrokenError: the sandbox cannot be started.
        InterruptedRunError: a signal ended the measuring; the bank is kept and can be taken up again.
    """
    world = sandbox_effects(effects)
    setup = sandbox_setup(world, asked.scenario)
    results = make_results(asked.output, run_id(effects.utc_now(), setup.plan.scenario, "bank"))
    wanted = Wanted(cycles=asked.cycles, seed=asked.seed, shape=Shape(warm_up=asked.warm_up, seconds=asked.seconds))
    bank = fill_bank(setup, asked.bank, wanted, results, world)
    for sentence in _sentences(bank):
        effects.say(sentence)
    if len(bank.cycles) >= LEAST_CYCLES and asked.jobs:
        yield from _said(job_figures(bank, asked.jobs, asked.seed), effects.say)
    elif asked.jobs:
        effects.say(f"no jobs are drawn: each takes {LEAST_CYCLES} cycles, and the bank holds {len(bank.cycles)}")
    if asked.duets:
        yield from _said(_whole_duets(asked, world), effects.say)


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


def _whole_duets(asked: EndToEnd, world: Effects) -> Iterator[Figure]:
    """Duets of each kind in turn, so that no kind has the quieter hour."""
    ended: dict[float, list[Verdict]] = {slowdown: [] for slowdown in WHOLE}
    calibration = Calibration()
    lot = random.Random(f"{asked.seed}/duets")
    for number in range(1, asked.duets + 1):
        for slowdown in WHOLE:
            world.say(f"duet {number} of {asked.duets}, {_kind(slowdown)}")
            verdict = _whole_duet(asked, world, calibration, slowdown, lot.randrange(2**32))
            world.say(f"duet {number} of {asked.duets}, {_kind(slowdown)}: {verdict.level.word}")
            ended[slowdown].append(verdict)
    for slowdown, verdicts in ended.items():
        name = f"whole duets, {_kind(slowdown)}"
        if slowdown >= FOUND_FROM:
            yield figure_of(name, "found", _count(verdicts, _found), len(verdicts), Aim.AT_LEAST, FOUND)
        else:
            yield figure_of(name, "false fails", _count(verdicts, _failed), len(verdicts), Aim.AT_MOST, 0.0)
        for level in (Level.INCONCLUSIVE, Level.BROKEN):
            hits = sum(verdict.level is level for verdict in verdicts)
            yield figure_of(name, level.word, hits, len(verdicts), Aim.AT_MOST)


def _whole_duet(asked: EndToEnd, world: Effects, calibration: Calibration, slowdown: float, seed: int) -> Verdict:
    setup = sandbox_setup(world, asked.scenario)
    name = run_id(world.utc_now(), setup.plan.scenario, f"duet-{round(100 * slowdown)}")
    results = make_results(asked.output, name)
    record, kept = duet(setup, sandbox_builds(slowdown), Wishes(seed=seed), results, world, calibration)
    if record.interrupted:
        raise InterruptedRunError("the duets were interrupted", where=str(results.folder))
    verdict = reach_duet_verdict(record, kept)
    write_reports(record, verdict, results)
    return verdict


def _kind(slowdown: float) -> str:
    return f"service {units.format_change(slowdown)} slower" if slowdown else "A/A"


def _count(verdicts: Sequence[Verdict], rule: Callable[[Verdict], bool]) -> int:
    return sum(map(rule, verdicts))


def _failed(verdict: Verdict) -> bool:
    return verdict.level is Level.FAIL


def _found(verdict: Verdict) -> bool:
    """Failed, and for the right reason."""
    return _failed(verdict) and any(row.primary and row.verdict is Change.REGRESSION for row in verdict.comparisons)
