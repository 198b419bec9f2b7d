"""Jobs drawn from a bank of measured blocks: how often the decision on duets is wrong, and right, on real measurements.

A job draws cycles without replacement. Its pairs are one of a cycle's unchanged blocks as base, chosen at random, and as head
the other unchanged one or a slowed one. It is judged at its looks, as a duet is. The naive rules see the first pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from velro_gate import units
from velro_gate.analysis.duet.comparison import next_look
from velro_gate.analysis.duet.forecast import chance_to_find, differences, pilot_of
from velro_gate.analysis.rows.family import Row, phase_rows
from velro_gate.analysis.verdict.judge_duet import judge_duet
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.bounds import figure_of
from velro_gate.evaluation.results import Aim, Figure
from velro_gate.model.bank import SLOWDOWNS, UNCHANGED, Bank, BankedBlock, Cycle
from velro_gate.model.duet import LOOKS, Block, Duet, Pair, Side, deciding
from velro_gate.model.metrics import FAILING_QUANTILES, Scale
from velro_gate.model.scenario import ALL_STEPS, Policy
from velro_gate.model.verdict import Change, Level, Verdict

LEAST_CYCLES = LOOKS[-1].pairs
"""A bank of fewer holds no whole job."""

FALSE_FAILS, FOUND = 0.01, 0.99
FOUND_FROM = 0.20
"""The slowdown that has to be found; for smaller ones the share found is shown with its forecast."""


@dataclass(slots=True, kw_only=True)
class _Tally:
    """How jobs of one kind ended."""

    failed: int = 0
    found: int = 0
    """How many failed for a regression of a primary figure."""
    inconclusive: int = 0
    broken: int = 0
    previous: int = 0
    raw: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one job."""
        self.failed += verdict.level is Level.FAIL
        self.found += is_found(verdict)
        self.inconclusive += verdict.level is Level.INCONCLUSIVE
        self.broken += verdict.level is Level.BROKEN


def is_found(verdict: Verdict) -> bool:
    """Whether it failed, and for the right reason: a primary figure that got worse."""
    regressed = any(row.primary and row.verdict is Change.REGRESSION for row in verdict.comparisons)
    return verdict.level is Level.FAIL and regressed


def job_figures(bank: Bank, jobs: int, seed: int) -> Iterator[Figure]:
    """``jobs`` jobs of each kind, the unchanged one first. Equal arguments give equal figures.

    Raises:
        ValueError: the bank has fewer than ``LEAST_CYCLES`` whole cycles.
    """
    cycles = bank.cycles
    if len(cycles) < LEAST_CYCLES:
        raise ValueError(f"{len(cycles)} cycles are too few: a job takes {LEAST_CYCLES}")
    for slowdown in dict.fromkeys(SLOWDOWNS):
        yield from _figures_of(bank, cycles, slowdown, jobs, seed)


def effects_of(bank: Bank, slowdown: float) -> dict[Row, float]:
    """What a slowdown did to the primary response times and rates: the median over the cycles, as a relative worsening."""
    pairs = [(block.block, cycle.slowed[slowdown].block) for cycle in bank.cycles for block in cycle.unchanged]
    found = {row: differences(row, pairs) for row in _rows(bank)}
    return {row: math.expm1(median(d)) for row, d in found.items() if d}


def job_verdict(pairs: Sequence[Pair], steps: Sequence[str], policy: Policy, seed: int) -> Verdict:
    """The verdict on a job that has these pairs to draw on, taken at the look that ends it."""
    until = LOOKS[0].pairs
    while True:
        duet = Duet(pairs=tuple(pairs[:until]), steps=tuple(steps), policy=policy, seed=seed)
        verdict = judge_duet(duet)
        wanted = min(next_look(duet, verdict.comparisons), len(pairs))
        if wanted <= until:
            return verdict
        until = wanted


def drawn_pairs(cycles: Sequence[Cycle], slowdown: float, random: np.random.Generator) -> list[tuple[BankedBlock, BankedBlock]]:
    """(base, head) of a job's pairs."""
    chosen = random.permutation(len(cycles))[:LEAST_CYCLES]
    lots = random.integers(0, 2, len(chosen))
    pairs = []
    for index, lot in zip(chosen, lots, strict=True):
        cycle = cycles[index]
        base, other = cycle.unchanged if lot else cycle.unchanged[::-1]
        pairs.append((base, other if slowdown == UNCHANGED else cycle.slowed[slowdown]))
    return pairs


def _figures_of(bank: Bank, cycles: Sequence[Cycle], slowdown: float, jobs: int, seed: int) -> Iterator[Figure]:
    random = np.random.Generator(np.random.PCG64([seed, round(1000 * slowdown)]))
    tally = _Tally()
    steps, policy = bank.head.plan.steps, bank.head.plan.policy
    for job in range(jobs):
        drawn = drawn_pairs(cycles, slowdown, random)
        pairs = [Pair(base=base.block, head=head.block, first=Side.BASE) for base, head in drawn]
        tally.add(job_verdict(pairs, steps, policy, seed + job))
        base, head = drawn[0]
        tally.previous += _over_previous(base.block, head.block)
        tally.raw += _raw_differ(base, head)
    naive = {naive_rules.PREVIOUS: tally.previous / jobs, naive_rules.RAW: tally.raw / jobs}
    if slowdown == UNCHANGED:
        name = f"end to end A/A, bank of {len(cycles)} cycles"
        yield figure_of(name, "false fails", tally.failed, jobs, Aim.AT_MOST, FALSE_FAILS, naive)
    else:
        name = f"end to end, service {units.format_change(slowdown)} slower"
        target = FOUND if slowdown >= FOUND_FROM else None
        found = figure_of(name, "found", tally.found, jobs, Aim.AT_LEAST, target, naive, _forecast(bank, slowdown))
        yield found
    yield figure_of(name, "inconclusive", tally.inconclusive, jobs, Aim.AT_MOST)
    yield figure_of(name, "broken", tally.broken, jobs, Aim.AT_MOST)


def _forecast(bank: Bank, slowdown: float) -> float:
    """What a pilot of one unchanged block, as a duet makes it, promises for the last look."""
    head = bank.head
    first = bank.cycles[0].unchanged[0].block
    pilot = pilot_of([first], head.plan.steps, head.plan.policy, overhead=head.warm_up)
    return chance_to_find(pilot, LOOKS[-1], head.plan.policy, effects_of(bank, slowdown), head.seconds)


def _rows(bank: Bank) -> list[Row]:
    phases = [each.unchanged[0].block.phases for each in bank.cycles]
    return [
        row
        for phase in phases[0]
        for row in phase_rows([phase], [phase], bank.head.plan.steps, bank.head.plan.policy, repeats=deciding(LOOKS)[0].pairs)
        if row.primary and row.metric.scale is not Scale.LINEAR
    ]


def _over_previous(base: Block, head: Block) -> bool:
    """Whether p50 or p95 of all steps is more than a tenth over that of the block before it."""
    figures = [
        (math.log(was.value), math.log(now.value))
        for phase in base.phases
        for metric in FAILING_QUANTILES
        if (other := head.phase(phase.name)) is not None
        and (was := phase.measurement(metric, ALL_STEPS)) is not None
        and (now := other.measurement(metric, ALL_STEPS)) is not None
        and min(was.value, now.value) > 0.0
    ]
    before, after = (np.array([[pair[side] for pair in figures]]) for side in (0, 1))
    return bool(figures) and bool(naive_rules.over_previous(before, after)[0])


def _raw_differ(base: BankedBlock, head: BankedBlock) -> bool:
    if not base.times or not head.times:
        return False
    return bool(naive_rules.mann_whitney_worse(np.array([base.times]), np.array([head.times]))[0] < naive_rules.P)
