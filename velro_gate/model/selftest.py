"""What a runner has shown of itself: its noise, the smallest change that can be seen on it, and whether it saw a known one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from velro_gate.model.facts.doubts import FigureName, TrustFacts
from velro_gate.model.metrics import TAIL
from velro_gate.model.record import RunnerSelftest
from velro_gate.model.run import Environment
from velro_gate.model.scenario import ALL_STEPS

SELFTEST_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureNoise:
    """One figure of the unchanged service."""

    phase: str
    step: str
    metric: str
    block: float
    """The standard deviation of a block's logarithm, from all blocks."""
    pair: float
    """The standard deviation of the difference of two blocks measured close together."""
    duet: float | None
    """The smallest relative worsening that a duet finds with 95 % probability; None where it finds none."""
    stored: float | None
    """The same of a run against stored baselines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksDoubted:
    """The blocks cannot be trusted."""

    code: Literal["blocks-doubted"] = "blocks-doubted"
    because: TrustFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresMissing:
    """Figures that some block does not hold."""

    code: Literal["figures-missing"] = "figures-missing"
    figures: tuple[FigureName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTakes:
    """The share of the machine's CPU time that its host takes."""

    code: Literal["host-takes"] = "host-takes"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorBusy:
    """The share of its core that the generator uses."""

    code: Literal["generator-busy"] = "generator-busy"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlVaries:
    """The relative spread of the control endpoint from block to block."""

    code: Literal["control-varies"] = "control-varies"
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseInside:
    """Whether most of the noise comes from inside the blocks, so that longer ones lower it; otherwise more pairs do."""

    code: Literal["noise-inside"] = "noise-inside"
    longer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetSeesMore:
    """Blocks close in time share much of the runner's noise."""

    code: Literal["duet-sees-more"] = "duet-sees-more"


SelftestAdvice = BlocksDoubted | FiguresMissing | HostTakes | GeneratorBusy | ControlVaries | NoiseInside | DuetSeesMore
"""What would lower a runner's noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selftest:
    """A selftest of one runner."""

    measured_at: str
    """ISO 8601 in UTC, to the second, ending in Z."""
    environment: Environment
    cycles: int
    """How many whole cycles were measured."""
    block_seconds: float
    """Seconds measured in each block."""
    duet_pairs: int
    """Pairs of the duet that ``FigureNoise.duet`` is about."""
    duet_seconds: float
    """Seconds measured in each of its blocks."""
    duet_minutes: float
    """What that duet would take here."""
    stored_seconds: float
    """Seconds measured in the run that ``FigureNoise.stored`` is about."""
    stored_runs: int
    """How many baselines it is compared with."""
    unchanged: str
    """The verdict on the unchanged service against itself."""
    found: Mapping[int, bool]
    """Which injected slowdowns were found, by slowdown in percent."""
    rows: tuple[FigureNoise, ...]
    advice: tuple[SelftestAdvice | str, ...] = field(default=())
    """What would lower the noise; in words where an earlier version kept it."""
    schema: int = SELFTEST_SCHEMA

    def row(self, metric: str, step: str) -> FigureNoise | None:
        """The noise of one figure; None where it was not measured."""
        return next((row for row in self.rows if (row.metric, row.step) == (metric, step)), None)

    @property
    def quote(self) -> RunnerSelftest:
        """What the record of a later run says of this selftest."""
        tail = self.row(TAIL, ALL_STEPS)
        return RunnerSelftest(
            measured_at=self.measured_at,
            p95_noise=None if tail is None else tail.block,
            p95_seen=None if tail is None else tail.duet,
            blind=not self.found.get(MUST_SEE, False),
        )


MUST_SEE = 20
"""Percent: the injected slowdown that a runner has to see."""
