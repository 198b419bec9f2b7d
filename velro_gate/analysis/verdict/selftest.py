"""What a bank of blocks shows about the runner that it was measured on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from velro_gate.analysis.duet.forecast import Pilot, figure_of_block, forecast_duet, pilot_of_pairs
from velro_gate.analysis.rows.family import Row
from velro_gate.analysis.rows.noise import LEAST_SD, Noise
from velro_gate.analysis.rows.shifts import failing_worsening
from velro_gate.analysis.verdict.judge_duet import judge_duet
from velro_gate.model.bank import SLOWDOWNS, UNCHANGED, Bank, Cycle
from velro_gate.model.duet import LOOKS, Block, Duet, Pair, Side, deciding, one_look
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.metrics import MEDIAN
from velro_gate.model.scenario import Policy
from velro_gate.model.selftest import (
    BlocksDoubted,
    ControlVaries,
    DuetSeesMore,
    FigureNoise,
    FiguresMissing,
    GeneratorBusy,
    HostTakes,
    NoiseInside,
    Selftest,
    SelftestAdvice,
)
from velro_gate.model.verdict import Change, Level, Verdict

LEAST_CYCLES = 8
"""With fewer pairs hardly anything could be found at the level of a duet."""

DUET_SECONDS = 15.0
"""Measured seconds of a block, of the duet whose smallest detectable change is forecast."""
STORED_SECONDS = 60.0
"""Measured seconds of a run that is compared with stored baselines, for its forecast."""
STORED_RUNS = 10
"""Accepted runs behind that comparison."""

_STEAL = 0.02
"""Share of CPU time taken by the hypervisor, median over blocks, from which on it is named as a cause."""
_BUSY = 0.70
"""Share of its core that the generator uses, likewise."""
_UNSTEADY = 0.05
"""Standard deviation of the control's log times from block to block, likewise."""


def selftest_of(bank: Bank, *, measured_at: str, overhead: float) -> Selftest:
    """The noise of every primary figure, what could be found on this runner, and whether the injected changes were.

    overhead: seconds that a block takes in addition to its measured stretch.

    Raises:
        ValueError: fewer than ``LEAST_CYCLES`` whole cycles.
    """
    cycles, policy = bank.cycles, bank.head.plan.policy
    if len(cycles) < LEAST_CYCLES:
        raise ValueError(f"{len(cycles)} cycles are too few for a selftest: it takes {LEAST_CYCLES}")
    pairs = [(cycle.unchanged[0].block, cycle.unchanged[1].block) for cycle in cycles]
    pilot = pilot_of_pairs(pairs, bank.head.plan.steps, policy, overhead=overhead)
    look = deciding(LOOKS)[0]
    forecast = forecast_duet(pilot, (look,), policy, choice=(DUET_SECONDS,)).looks[0]
    blocks = [block for pair in pairs for block in pair]
    rows = tuple(
        FigureNoise(
            phase=row.phase,
            step=row.step,
            metric=row.metric.name,
            block=(sd := _spread(row, blocks)),
            pair=noise.of_pair(1.0),
            duet=mde if math.isfinite(mde := forecast.mde[row]) else None,
            stored=_stored(sd, noise.within, pilot, policy),
        )
        for row, noise in pilot.noise.items()
    )
    verdicts = {slowdown: _judged(bank, cycles, slowdown) for slowdown in dict.fromkeys(SLOWDOWNS)}
    return Selftest(
        measured_at=measured_at,
        environment=bank.head.environment,
        cycles=len(cycles),
        block_seconds=bank.head.seconds,
        duet_pairs=look.pairs,
        duet_seconds=DUET_SECONDS,
        duet_minutes=2.0 * look.pairs * (DUET_SECONDS + overhead) / 60.0,
        stored_seconds=STORED_SECONDS,
        stored_runs=STORED_RUNS,
        unchanged=verdicts[UNCHANGED].level.word,
        found={round(100 * slowdown): _found(each) for slowdown, each in verdicts.items() if slowdown != UNCHANGED},
        rows=rows,
        advice=(*_broken(verdicts[UNCHANGED]), *_advice(blocks, pilot, rows)),
    )


def _spread(row: Row, blocks: Sequence[Block]) -> float:
    values = [y for block in blocks if (y := figure_of_block(row, block)) is not None]
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _stored(sd: float, within: float, pilot: Pilot, policy: Policy) -> float | None:
    """What a longer run against stored ones sees, if the noise between runs were that between blocks (decision.md, 4)."""
    between = math.sqrt(max(sd**2 - within**2, 0.0))
    of_run = max(math.sqrt(between**2 + within**2 * pilot.seconds / STORED_SECONDS), LEAST_SD)
    noise = Noise(level=0.0, sd=of_run, df=STORED_RUNS - 1 + (STORED_RUNS - 1) // 3, k=STORED_RUNS)
    worse = failing_worsening(noise.error(), noise.df, math.log1p(policy.margin), len(pilot.noise), policy)
    return math.expm1(worse)


def _judged(bank: Bank, cycles: Sequence[Cycle], slowdown: float) -> Verdict:
    """All cycles as one duet, with one look at the whole error rate."""
    pairs = tuple(
        Pair(
            base=cycle.unchanged[0].block,
            head=(cycle.unchanged[1] if slowdown == UNCHANGED else cycle.slowed[slowdown]).block,
            first=Side.BASE,
        )
        for cycle in cycles
    )
    plan = bank.head.plan
    return judge_duet(
        Duet(pairs=pairs, steps=plan.steps, policy=plan.policy, seed=bank.head.seed, looks=(one_look(len(pairs)),))
    )


def _found(verdict: Verdict) -> bool:
    return verdict.level is Level.FAIL and any(row.primary and row.verdict is Change.REGRESSION for row in verdict.comparisons)


def _broken(verdict: Verdict) -> Iterator[SelftestAdvice]:
    """Why the blocks cannot be trusted, where they cannot."""
    for doubt in verdict.trust:
        if doubt.level is Level.BROKEN:
            yield BlocksDoubted(because=doubt.facts)
    silent = [row for row in verdict.comparisons if row.verdict is Change.NOT_COMPARED and row.level is Level.BROKEN]
    if silent:
        yield FiguresMissing(figures=tuple(FigureName(step=row.step, metric=row.metric) for row in silent))


def _advice(blocks: Sequence[Block], pilot: Pilot, rows: Sequence[FigureNoise]) -> Iterator[SelftestAdvice]:
    """What would lower the noise, the causes that were seen first."""
    healths = [phase.health for block in blocks for phase in block.phases]
    steal = [health.steal_share for health in healths if health.steal_share is not None]
    if steal and median(steal) > _STEAL:
        yield HostTakes(share=median(steal))
    busy = median(health.cpu_share for health in healths)
    if busy > _BUSY:
        yield GeneratorBusy(share=busy)
    control = [
        math.log(found.value)
        for block in blocks
        if block.control is not None and (found := block.control.measurements.get(MEDIAN)) is not None and found.value > 0.0
    ]
    if len(control) > 1 and (spread := float(np.std(control, ddof=1))) > _UNSTEADY:
        yield ControlVaries(spread=spread)
    noisy = [noise for row, noise in pilot.noise.items() if row.metric.quantile is not None]
    if noisy:
        shrinking = median(noise.within**2 * pilot.seconds / DUET_SECONDS for noise in noisy)
        staying = median(noise.between**2 for noise in noisy)
        yield NoiseInside(longer=shrinking > staying)
    if any(row.pair < row.block for row in rows):
        # Independent blocks would differ by 1.4 times the sd of one.
        yield DuetSeesMore()
