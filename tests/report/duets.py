"""Made-up duets for the reports, judged by the real judge: one phase, ten pairs, all of it drawn from a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tests.report import examples
from velro_gate.analysis.statistics.sign_flip import Floats
from velro_gate.analysis.summaries.control import control_summary
from velro_gate.analysis.verdict.judge_duet import head_phases, judge_duet_record
from velro_gate.model.duet import Block, Duet, DuetRecord, Pair, Side
from velro_gate.model.record import PhaseSummary, Plan, Revision, RunRecord
from velro_gate.model.scenario import OpenArrivals, Phase, Policy
from velro_gate.model.verdict import Verdict

STEADY = ("steady", 300, 636.0, 0.075, 0.85, 15.0)
"""A block of 15 s, as examples.SHAPES."""


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
    *, pairs: int, sd: float, head: float = 1.0, slower: Mapping[str, float] | None = None, control: float = 1.0
) -> DuetRecord:
    """The pairs of a duet."""
    draw = np.random.default_rng(5)
    # Of a whole block and of each of its steps, a half each.
    shared, own = draw.normal(0.0, sd * 0.7, (pairs, 2, 1)), draw.normal(0.0, sd * 0.7, (pairs, 2, len(examples.STEPS)))
    wander = np.exp(shared + own)
    steady = np.exp(draw.normal(0.0, 0.01, (pairs, 2)))
    made = [
        Pair(
            base=block(wander[i, 0], float(steady[i, 0])),
            head=block(wander[i, 1] * head, float(steady[i, 1]) * control, slower),
            first=Side.BASE if draw.random() < 0.5 else Side.HEAD,
        )
        for i in range(pairs)
    ]
    return DuetRecord(
        duet=Duet(pairs=tuple(made), steps=tuple(examples.STEPS), policy=Policy(), seed=20_241),
        warm_up=4.0,
        block_seconds=15.0,
        restarted=True,
        base=Revision(sha="b7d2f0c95a1e" + "0" * 28, branch="main"),
    )


def block(loads: Floats, controlled: float, slower: Mapping[str, float] | None = None) -> Block:
    """One block, a load for each step, its control endpoint's median at 0.24 ms times ``controlled``."""
    return Block(phases=(phase(loads, slower or {}),), control=control_summary([0.00024 * controlled] * 700))


def phase(loads: Floats, slower: Mapping[str, float]) -> PhaseSummary:
    """A block's phase; what all steps show together is the mean of what each does."""
    factors = {name: float(load) * slower.get(name, 1.0) for name, load in zip(examples.STEPS, loads, strict=True)}
    made = examples.phase(STEADY, slower=factors, error_rate=0.0)
    share = sum(factors.values()) / len(factors) - 1.0
    whole, *steps = made.steps
    found = {
        name: dataclasses.replace(
            one, value=one.value * (1.0 + share), low=one.low * (1.0 + share), high=one.high * (1.0 + share)
        )
        if name.startswith("p") and name[1:].isdigit()
        else one
        for name, one in whole.measurements.items()
    }
    return dataclasses.replace(made, steps=(dataclasses.replace(whole, measurements=found), *steps))


def record(held: DuetRecord, *, interrupted: bool = False) -> RunRecord:
    """The record of the head build."""
    usual = examples.record()
    name, users, rate, _, _, seconds = STEADY
    planned = Phase(
        name=name,
        users=users,
        ramp=4.0,
        duration=seconds,
        arrivals=OpenArrivals(rate=rate * 1.1),
        requirements=examples.requirements_of(STEADY),
    )
    plan = Plan(
        scenario="velro-prd",
        digest=usual.plan.digest,
        profile="full",
        steps=tuple(examples.STEPS),
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
