"""The result of a run: findings, and the verdict that is the worst of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from velro_gate.model.facts.doubts import TrustFacts
from velro_gate.model.facts.reasons import Reason
from velro_gate.model.facts.regression import Explanation
from velro_gate.model.facts.unused import UnusedRuns
from velro_gate.model.record import Estimate, Revision
from velro_gate.model.resilience.experiment import Expectation
from velro_gate.model.scenario import SUSPICIOUS, BlockInconclusive, Requirement

if TYPE_CHECKING:
    from velro_gate.model.facts.findings import FindingFacts


class Level(IntEnum):
    """How bad a finding is; a verdict has the level of its worst finding."""

    PASS = 0
    WARN = 1
    NO_BASELINE = 2
    INCONCLUSIVE = 3
    FAIL = 4
    BROKEN = 5

    @property
    def word(self) -> str:
        """The verdict's name as people and files know it."""
        return self.name.lower().replace("_", "-")


class RequirementStatus(Enum):
    """How a requirement fared."""

    MET = "met"
    MARGINAL = "marginal"  # the interval lies across the limit; the value itself decides met or missed
    MISSED = "missed"
    CRITICAL = "critical"
    NOT_MEASURED = "not measured"


class Missing(Enum):
    """Why a figure was not measured."""

    NOT_REACHED = "phase not reached"
    SHARD_LOST = "shard lost"
    SERVICE_STOPPED = "service stopped"
    ENDED_EARLY = "ended early"
    INTERRUPTED = "interrupted"
    NO_FIGURE = "no figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class SustainedWindows:
    """The windows of 10 s behind a sustained rate, those of them below the target, and the seconds that were measured."""

    windows: int
    short: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementResult:
    """One requirement against one phase's figure."""

    phase: str
    requirement: Requirement
    status: RequirementStatus
    met: bool
    """Whether the value itself is inside the target."""
    level: Level
    estimate: Estimate | None
    """None exactly when the status is NOT_MEASURED (``missing`` says why) or none of the ``sent`` requests succeeded."""
    headroom: float | None
    """(limit - value) / limit, signed so that + is inside."""
    missing: Missing | None = None
    sent: int | None = None
    windows: SustainedWindows | None = None
    """The windows behind a sustained rate; None for other figures."""

    def __post_init__(self) -> None:
        if self.status is RequirementStatus.NOT_MEASURED and self.level < Level.INCONCLUSIVE:
            raise ValueError("what was not measured cannot be green")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationResult:
    """What was expected of one experiment against what was measured."""

    phase: str
    experiment: str
    repeat: int
    expectation: Expectation
    status: RequirementStatus
    met: bool
    level: Level
    estimate: Estimate | None
    unfinished: bool = False
    """The estimate is the least it can be."""
    users: tuple[int, int] | None = None
    """How many of those who read saw a stale value, and how many read."""

    def __post_init__(self) -> None:
        if self.status is RequirementStatus.NOT_MEASURED and self.level < Level.INCONCLUSIVE:
            raise ValueError("what was not measured cannot be green")


class Change(Enum):
    """What a comparison found."""

    REGRESSION = "regression"
    SUSPICIOUS = "suspicious"  # looked worse, and is neither confirmed nor refuted
    INCONCLUSIVE = "inconclusive"
    UNCHANGED = "unchanged"
    IMPROVEMENT = "improvement"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The result of measuring a suspicious phase again."""

    runs: int
    worse: int
    """How many of the ``runs`` are worse by the margin or more."""
    confirmed: bool
    side_by_side: bool = False
    """Whether pairs of blocks of the base build and this one are counted, instead of runs of this build."""

    def __post_init__(self) -> None:
        if not 0 <= self.worse <= self.runs:
            raise ValueError(f"{self.worse} of {self.runs} runs cannot be worse")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of one step, compared with its baselines.

    Figures are None if the metric could not be compared; ``reasons`` say why.
    """

    phase: str
    step: str
    metric: str
    verdict: Change
    primary: bool
    """May fail the run; otherwise advisory."""
    level: Level
    baseline: float | None = None
    """In base units, like ``current``; with pairs it is the figure of the base build."""
    current: float | None = None
    """Present whenever the figure was measured, compared or not."""
    change: float | None = None
    """Relative (0.05 = 5 % more), signed as the figure moves."""
    change_low: float | None = None
    change_high: float | None = None
    """With ``change_low`` the 95 % interval of the change."""
    worse: float | None = None
    """The same change signed so that + is worse, on the metric's own scale."""
    p: float | None = None
    """One-sided for "worse"."""
    p_adjusted: float | None = None
    """Adjusted by Holm."""
    noise: float | None = None
    """Run-to-run standard deviation on the metric's scale; with pairs, that of one pair."""
    mde: float | None = None
    """The relative worsening that the whole procedure would have failed with 95 % probability; None also where nothing could
    fail (fewer than five baselines of unknown noise).
    """
    margin: float | None = None
    """The relative worsening that counts with this number of baselines; None for an error rate: its margin is a difference."""
    k: int = 0
    """Baselines used."""
    reasons: tuple[Reason, ...] = ()
    pairs: int = 0
    """Blocks of base and head compared side by side; 0: compared with stored baselines."""
    runs: int = 1
    """Runs of this build behind ``current``: more than one if confirmed by runs."""
    confirmation: Confirmation | None = None
    """The result of measuring the phase again; None: it was not measured again, or not often enough."""
    waived: bool = False
    """Reviewers have accepted the worsening, so it warns."""

    @property
    def blocks(self) -> bool:
        """Whether it may fail the run, looked worse, and is neither confirmed nor refuted.

        A build that gave far fewer successful responses than the baselines, too few to compare, is such a case: that is no
        better than slow responses.
        """
        return self.primary and self.level is Level.INCONCLUSIVE and self.verdict in (Change.SUSPICIOUS, Change.NOT_COMPARED)


class Trust(Enum):
    """How much a trust finding takes away."""

    CAVEAT = "caveat"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFinding:
    """A reason to doubt the measurement. figure and limit in base units."""

    trust: Trust
    phase: str
    figure: float | None
    limit: float | None
    facts: TrustFacts

    @property
    def code(self) -> str:
        """Its kind, for programs; it stays."""
        return self.facts.code

    @property
    def level(self) -> Level:
        """A caveat warns, a broken measurement breaks the verdict."""
        return Level.BROKEN if self.trust is Trust.BROKEN else Level.WARN


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason for the verdict."""

    level: Level
    subject: str
    """The phase, or what else it is about."""
    facts: FindingFacts

    @property
    def code(self) -> str:
        """Its kind, for programs; it stays."""
        return self.facts.code


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """What a verdict on two builds, measured in pairs of blocks, rests on."""

    base: Revision
    pairs: int
    """How many pairs were used."""
    left_out: int
    """How many were measured but not used."""
    alpha: float
    """The level at which a change counts after this number of pairs."""
    control: float | None
    """Relative change of the control endpoint during head blocks; None: not measured."""
    seed: int
    """Seed of the order and of sampled sign vectors."""
    block_seconds: float
    """Seconds measured in each block."""
    warm_up: float
    """Seconds dropped in each block."""
    restarted: bool
    """Whether each block began with a fresh start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The whole judgement of one run. level is that of the worst finding; without any finding it is broken."""

    findings: tuple[Finding, ...]
    requirements: tuple[RequirementResult, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    trust: tuple[TrustFinding, ...] = ()
    duet: SideBySide | None = None
    """Set if the run was compared with another build side by side, not with baselines."""
    baselines_used: int = 0
    baselines_skipped: tuple[UnusedRuns, ...] = ()
    expectations: tuple[ExpectationResult, ...] = ()

    @property
    def level(self) -> Level:
        """The worst finding's level."""
        return worst(finding.level for finding in self.findings)

    @property
    def is_suspicious(self) -> bool:
        """Whether something that may fail the run looked worse, and is neither confirmed nor refuted."""
        return any(row.blocks for row in self.comparisons)

    @property
    def is_open(self) -> bool:
        """Whether it is inconclusive without a suspicion: nothing looked worse, but something is not shown to be unchanged."""
        return self.level is Level.INCONCLUSIVE and not self.is_suspicious

    def exit_code(self, *, block_inconclusive: BlockInconclusive) -> int:
        """The process's exit code for this verdict (docs/exit-codes.md)."""
        match self.level:
            case Level.FAIL:
                return 1
            case Level.INCONCLUSIVE:
                blocks = self.is_suspicious if block_inconclusive == SUSPICIOUS else bool(block_inconclusive)
                return 3 if blocks else 0
            case Level.BROKEN:
                return 4
            case _:
                return 0


def worst(levels: Iterable[Level]) -> Level:
    """The worst of the levels; broken when there is none, because nothing was found out."""
    return max(levels, default=Level.BROKEN)
