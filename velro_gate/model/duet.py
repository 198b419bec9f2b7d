"""Base build and head build side by side: blocks in pairs, and what a look at them may conclude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
        """The other build of the pair."""
        return Side.HEAD if self is Side.BASE else Side.BASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One measured stretch of one build, freshly started and warmed up: every phase of the plan, in order."""

    phases: tuple[PhaseSummary, ...]
    control: StepSummary | None = None
    """The responses of the control endpoint meanwhile; None where none was requested."""
    doubts: tuple[TrustFinding, ...] = ()
    """Reasons not to trust the block."""

    def phase(self, name: str) -> PhaseSummary | None:
        """The summary of one phase; None when the block did not reach it."""
        return next((phase for phase in self.phases if phase.name == name), None)

    @property
    def gone(self) -> str | None:
        """Why the build stopped responding under load; None if it did not."""
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
    """After ``pairs`` usable pairs a figure may be called changed at the family-wise level ``alpha`` (0: not at this look).

    It may be called unchanged when its upper bound, exceeded with ``beta``, is low enough.
    """

    pairs: int
    alpha: float
    beta: float = 0.05

    def __post_init__(self) -> None:
        if self.pairs < 1 or not 0.0 <= self.alpha < 1.0 or not 0.0 < self.beta < 1.0:
            given = f"{self.pairs}, {self.alpha} and {self.beta}"
            raise ValueError(f"a look takes at least one pair and levels in [0, 1) and (0, 1), not {given}")


LOOKS = (
    Look(pairs=6, alpha=0.0, beta=1.0 / 64.0),
    Look(pairs=10, alpha=0.004, beta=14.0 / 1024.0),
    Look(pairs=16, alpha=0.006, beta=0.05 - 1.0 / 64.0 - 14.0 / 1024.0),
)
"""The error rates of a duet, 1 % for a change and 5 % for "unchanged", shared between its looks. With six pairs nothing can be
called changed, but all of them under the bound show that nothing has: that spares a quiet unchanged duet the rest.
"""


UNCHANGED_SHARE = sum(look.beta for look in LOOKS)
"""How often at most a figure worse by the bound is called unchanged."""


def deciding(looks: Sequence[Look]) -> tuple[Look, ...]:
    """The looks at which something may be called changed, the smallest first."""
    return tuple(look for look in looks if look.alpha > 0.0)


def one_look(pairs: int) -> Look:
    """A single look at the whole error rate of a duet."""
    return Look(pairs=pairs, alpha=sum(look.alpha for look in LOOKS))


def first_alone(looks: Sequence[Look]) -> tuple[Look, ...]:
    """These looks up to the first that may call something changed, which gets what the others would have spent."""
    first = deciding(looks)[0]
    before = tuple(look for look in looks if look.pairs < first.pairs)
    spent = sum(look.beta for look in before)
    return (*before, replace(one_look(first.pairs), beta=UNCHANGED_SHARE - spent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Duet:
    """All pairs of one job, oldest first."""

    pairs: tuple[Pair, ...]
    steps: tuple[str, ...]
    """The scenario's policy."""
    policy: Policy
    seed: int
    """The seed of the order and of sampled sign vectors."""
    looks: tuple[Look, ...] = LOOKS
    balance: tuple[int, ...] = ()
    """Lengths of the stretches of usable pairs in each of which both orders come equally often; (): the order in each pair was
    drawn by itself, as in duets of former versions.
    """

    def __post_init__(self) -> None:
        if not deciding(self.looks) or list(self.looks) != sorted(self.looks, key=lambda look: look.pairs):
            raise ValueError("a duet needs looks, the smallest first, and one that may call something changed")

    def look(self, pairs: int) -> Look:
        """The look that this number of usable pairs belongs to: the first one with at least as many pairs, else the last."""
        return next((look for look in self.looks if look.pairs >= pairs), self.looks[-1])


DUET_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetRecord:
    """What is kept of a duet with the record of the head build: enough to judge it again, and to show how it was made."""

    duet: Duet
    warm_up: float
    """Seconds of each block that were dropped."""
    block_seconds: float
    """Seconds measured in each block, all phases together."""
    restarted: bool
    """Whether each block began with freshly started builds."""
    base: Revision = field(default_factory=Revision)
    """The build that the head build (the record's revision) is compared with."""
    schema: int = DUET_SCHEMA
