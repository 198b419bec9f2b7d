"""Duets for the tests: every figure is what the test says, or drawn from a seed that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.analysis.phases import counts
from tests.analysis.runs import STEPS, figures, summary
from velro_gate.model.duet import LOOKS, Block, Duet, Look, Pair, Side
from velro_gate.model.record import PhaseSummary, StepSummary
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import TrustFinding


def control(p50: float) -> StepSummary:
    return StepSummary(step="control", counts=counts(), measurements=figures({"p50": p50}, 6000))


def block(*phases: PhaseSummary, doubts: tuple[TrustFinding, ...] = (), controlled: float | None = None) -> Block:
    return Block(phases=phases or (summary(),), doubts=doubts, control=None if controlled is None else control(controlled))


def pair(base: Block, head: Block, first: Side = Side.BASE) -> Pair:
    return Pair(base=base, head=head, first=first)


def duet(*pairs: Pair, seed: int = 1, policy: Policy | None = None, looks: tuple[Look, ...] = LOOKS) -> Duet:
    return Duet(pairs=pairs, steps=STEPS, policy=policy or Policy(), seed=seed, looks=looks)


def of_phases(base: Sequence[PhaseSummary], head: Sequence[PhaseSummary], **changed: Any) -> Duet:
    """A duet of one-phase blocks."""
    return duet(*(pair(block(b), block(h)) for b, h in zip(base, head, strict=True)), **changed)


def noisy(pairs: int = 10, *, sd: float = 0.01, factor: float = 1.0, seed: int = 1, unit: float = 1.0, **head: Any) -> Duet:
    """All response times of the head build are ``factor`` times those of the base build, times noise of this sd a block."""
    wander = np.exp(np.random.default_rng(seed).normal(0.0, sd, (pairs, 2)))
    base = [summary(times=float(w) * unit) for w in wander[:, 0]]
    return of_phases(base, [summary(times=float(w) * factor * unit, **head) for w in wander[:, 1]])


def swapped(held: Duet) -> Duet:
    """The same measurements with the builds' names exchanged."""
    pairs = tuple(replace(pair, base=pair.head, head=pair.base, first=pair.first.other) for pair in held.pairs)
    return replace(held, pairs=pairs)
