"""Base build and head build side by side: blocks in pairs, and what a look at them may conclude."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from velro_gate.model.record import PhaseSummary, Revision, StepSummary
from velro_gate.model.scenario import Policy
from velro_gate.model.verdict import TrustFinding


class Side(Enum):
    """Which of the two builds."""

    BASE = "base"
    HEAD = "head"

    @property
    def other(self) -> Side:
        """The build beside it."""
        return Side.HEAD if self is Side.BASE else Side.BASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One measured stretch of one build, freshly started and warmed up: every phase of the plan, in order.

    control: what the control endpoint answered meanwhile; None where none was asked. doubts: reasons not to trust the block.
    """

    phases: tuple[PhaseSummary, ...]
    control: StepSummary | None = None
    doubts: tuple[TrustFinding, ...] = ()

    def phase(self, name: str) -> PhaseSummary | None:
        """The summary of one phase; None when the block did not reach it."""
        return next((phase for phase in self.phases if phase.name == name), None)

    @property
    def gone(self) -> str | None:
        """Why the build went away under the load; None when it did not."""
        return next((phase.service_gone for phase in self.phases if phase.service_gone is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A block of each build, one straight after the other; ``first`` says which one, as it was drawn."""

    base: Block
    head: Block
    first: Side

    def block(self, side: Side) -> Block:
        """The block of one build."""
        return self.base if side is Side.BASE else self.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """After ``pairs`` pairs a figure may be called changed at the family-wise level ``alpha``."""

    pairs: int
    alpha: float

    def __post_init__(self) -> None:
        if self.pairs < 1 or not 0.0 < self.alpha < 1.0:
            raise ValueError(f"a look takes at least one pair and a level in (0, 1), not {self.pairs} and {self.alpha}")


LOOKS = (Look(pairs=10, alpha=0.004), Look(pairs=16, alpha=0.006))
"""The error rate of 1 % that a duet may have, shared between its looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duet:
    """All pairs of one job, oldest first. steps: the scenario's. seed: what order and sign vectors were drawn from."""

    pairs: tuple[Pair, ...]
    steps: tuple[str, ...]
    policy: Policy
    seed: int
    looks: tuple[Look, ...] = LOOKS

    def __post_init__(self) -> None:
        if not self.looks or list(self.looks) != sorted(self.looks, key=lambda look: look.pairs):
            raise ValueError("a duet needs looks, the smallest first")

    @property
    def alpha(self) -> float:
        """The level of the look that this many pairs belong to: the first one that has not fewer, else the last."""
        return next((look.alpha for look in self.looks if look.pairs >= len(self.pairs)), self.looks[-1].alpha)


DUET_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetRecord:
    """What is kept of a duet beside the record of the head build: enough to judge it again, and to tell how it was made.

    warm_up: seconds of each block that were dropped. block_seconds: measured in each, all phases together. restarted: whether
    each block began with freshly started builds. base: the build that the head build (the record's revision) is held against.
    """

    duet: Duet
    warm_up: float
    block_seconds: float
    restarted: bool
    base: Revision = field(default_factory=Revision)
    schema: int = DUET_SCHEMA
