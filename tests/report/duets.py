"""Made-up duets for the reports, judged by the real judge: one phase, ten pairs, all of it drawn from a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tests.report import records
from velro_gate.analysis.summaries.control import control_summary
from velro_gate.analysis.verdict.judge_duet import head_phases, judge_duet_record
from velro_gate.arrays import Floats
from velro_gate.model.duet import Block, Duet, DuetRecord, Pair, Side
from velro_gate.model.record import Plan, Revision, RunRecord
from velro_gate.model.scenario import OpenArrivals, Phase, Policy
from velro_gate.model.verdict import Verdict

STEADY = ("steady", 300, 636.0, 0.075, 0.85, 15.0)
"""A block of 15 s, as ``records.SHAPES``."""


def judged(
    *,
    pairs: int = 10,
    sd: float = 0.012,
    head: float = 1.0,
    slower: Mapping[str, float] | None = None,
    control: float = 1.0,
    interrupted: bool = False,
) -> tuple[RunRecord, Verdict]:
    """A duet and its verdict. sd: of a block's response times; head: what is worse in the head build, slower: by step; control:
    the control endpoint's factor beside it."""
    held = kept(pairs=pairs, sd=sd, head=head, slower=slower, control=control)
    made = record(held, interrupted=interrupted)
    return made, judge_duet_record(made, held, waivers=())


def kept(
    *,
    pairs: int,
    sd: float,
    head: float = 1.0,
    slower: Mapping[str, float] | None = None,
    control: float = 1.0,
    load: float = 1.0,
    shape: records.Shape = STEADY,
    steps: tuple[str, ...] = tuple(records.STEPS),
) -> DuetRecord:
    """The pairs of a duet. load: a factor on all response times of both builds; shape: of its one phase."""
    draw = np.random.default_rng(5)
    # Of a whole block and of each of its steps, a half each.
    shared, own = draw.normal(0.0, sd * 0.7, (pairs, 2, 1)), draw.normal(0.0, sd * 0.7, (pairs, 2, len(steps)))
    wander = load * np.exp(shared + own)
    steady = np.exp(draw.normal(0.0, 0.01, (pairs, 2)))
    made = [
        Pair(
            base=block(shape, loaded(steps, wander[i, 0]), float(steady[i, 0])),
            head=block(shape, loaded(steps, wander[i, 1] * head, slower), float(steady[i, 1]) * control),
            first=Side.BASE if draw.random() < 0.5 else Side.HEAD,
        )
        for i in range(pairs)
    ]
    return DuetRecord(
        duet=Duet(pairs=tuple(made), steps=steps, policy=Policy(), seed=20_241),
        warm_up=4.0,
        block_seconds=15.0,
        restarted=True,
        base=Revision(sha="b7d2f0c95a1e" + "0" * 28, branch="main"),
    )


def block(shape: records.Shape, factors: Mapping[str, float], controlled: float) -> Block:
    """One block of one phase, its steps slower by ``factors``, its control endpoint's median 0.24 ms times ``controlled``."""
    made = records.phase(shape, slower=factors, error_rate=0.0, named=tuple(factors))
    return Block(phases=(made,), control=control_summary([0.00024 * controlled] * 700))


def loaded(steps: Sequence[str], loads: Floats, slower: Mapping[str, float] | None = None) -> dict[str, float]:
    """The factor on the response times of each step: its load, and what is slower in this build."""
    return {name: float(load) * (slower or {}).get(name, 1.0) for name, load in zip(steps, loads, strict=True)}


def record(held: DuetRecord, *, interrupted: bool = False) -> RunRecord:
    """The record of the head build."""
    usual = records.record()
    name, users, rate, _, _, seconds = STEADY
    planned = Phase(
        name=name,
        users=users,
        ramp=4.0,
        duration=seconds,
        arrivals=OpenArrivals(rate=rate * 1.1),
        requirements=records.requirements_of(STEADY),
    )
    plan = Plan(
        scenario="velro-prd",
        digest=usual.plan.digest,
        profile="full",
        steps=tuple(records.STEPS),
        phases=(planned,),
        policy=Policy(),
    )
    return dataclasses.replace(
        usual,
        id="20261123T120000Z-velro-prd-full-duet",
        plan=plan,
        phases=head_phases(held.duet),
        url="started by its command for each block",
        interrupted=interrupted,
    )
