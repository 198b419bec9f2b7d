"""A bank of measured blocks: one service as it was and slowed down by known shares, to draw jobs of known truth from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from velro_gate.model.duet import Block
from velro_gate.model.record import Plan
from velro_gate.model.run import Environment

BANK_SCHEMA = 1

UNCHANGED = 0.0
SLOWDOWNS = (UNCHANGED, UNCHANGED, 0.10, 0.20)
"""What is done to the service in the four blocks of a cycle: its own time in every step grows by this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankHead:
    """How the blocks of a bank are made; equal in all of them."""

    seed: int
    """The order inside each cycle comes from it."""
    warm_up: float
    """Seconds dropped in each block."""
    seconds: float
    """Seconds measured in each block."""
    plan: Plan
    environment: Environment
    schema: int = BANK_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class BankedBlock:
    """A block, and what was done to the service in it."""

    cycle: int
    """The number of its cycle, from 0."""
    slowdown: float
    block: Block
    times: tuple[float, ...]
    """The response times of its successful requests, in seconds."""
    schema: int = BANK_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Blocks that were measured within less than a minute: two of the unchanged service, one of each slowdown."""

    unchanged: tuple[BankedBlock, BankedBlock]
    slowed: Mapping[float, BankedBlock]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """All blocks, in the order in which they were measured."""

    head: BankHead
    blocks: tuple[BankedBlock, ...] = ()

    @property
    def cycles(self) -> tuple[Cycle, ...]:
        """The whole cycles, oldest first."""
        found: dict[int, list[BankedBlock]] = {}
        for each in self.blocks:
            found.setdefault(each.cycle, []).append(each)
        return tuple(_cycle(blocks) for blocks in found.values() if is_whole(blocks))


def is_whole(blocks: list[BankedBlock]) -> bool:
    """Whether these are the four blocks of a cycle."""
    return sorted(each.slowdown for each in blocks) == sorted(SLOWDOWNS)


def _cycle(blocks: list[BankedBlock]) -> Cycle:
    one, other = (each for each in blocks if each.slowdown == UNCHANGED)
    return Cycle(unchanged=(one, other), slowed={each.slowdown: each for each in blocks if each.slowdown != UNCHANGED})
