"""What the findings of a verdict are about beyond doubt in the measurement: builds, baselines, comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import ClassVar

from velro_gate.model.facts.doubts import FigureName, TrustFacts
from velro_gate.model.facts.experiments import ExpectationNotMet, ExpectationsMet, ExperimentFailed
from velro_gate.model.facts.reasons import BuildStopped
from velro_gate.model.facts.unused import UnusedRuns
from velro_gate.model.verdict import Change, Comparison, Level, RequirementResult, RequirementStatus
from velro_gate.model.waiver import Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIncomplete:
    """The run did not carry out its whole plan."""

    code: ClassVar = "run-incomplete"
    interrupted: bool
    """Whether it was stopped from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPhases:
    """The record holds no phase."""

    code: ClassVar = "no-phases"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetInterrupted:
    """A duet was stopped from outside."""

    code: ClassVar = "duet-interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """The commonest kinds of failed requests, by status or outcome; and why TLS failed, and responses were refused."""

    kinds: tuple[tuple[str, int], ...] = ()
    tls_fault: str | None = None
    refused: tuple[tuple[str, int, str], ...] = ()
    """Step, count and reason."""


class Ended(Enum):
    """How the service ended a phase."""

    STOPPED = "stopped responding"
    EARLY = "ended early"


class Failing(Enum):
    """What most failures of a phase are, as far as it says where to look."""

    WAITING = "waiting"  # users still waited for an earlier response
    CAPTURE = "capture"
    CERTIFICATE = "certificate"
    REDIRECT = "redirect"
    UNEXPECTED = "unexpected"  # a success that the step does not expect
    CREDENTIALS = "credentials"
    REFUSED = "refused"  # connections
    OTHERWISE = "otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsFailed:
    """All requests of a phase failed, or more than any run may have."""

    code: ClassVar = "requests-failed"
    phase: str
    sent: int
    succeeded: int
    rate: float
    """Share of the requests that failed."""
    most: float
    """The share that may fail."""
    causes: Causes
    failing: Failing


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded:
    """A phase that the service ended early."""

    code: ClassVar = "phase-ended"
    phase: str
    stopped: str | None
    """How it stopped responding; else ``ended`` says why it was given up."""
    ended: str | None
    causes: Causes
    failing: Failing


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementNotMet:
    """A requirement that is not simply met."""

    result: RequirementResult
    failing: Failing
    unfinished: bool
    """Whether its phase did not run to its end."""
    ended: Ended | None = None
    """How the service ended a phase, where that kept the figure from being measured; ``failing`` is of that phase then."""

    @property
    def code(self) -> str:
        """By how it fared."""
        return _REQUIREMENT[self.result.status]


_REQUIREMENT = {
    RequirementStatus.MET: "requirement-met",
    RequirementStatus.MARGINAL: "requirement-marginal",
    RequirementStatus.MISSED: "requirement-missed",
    RequirementStatus.CRITICAL: "requirement-critical",
    RequirementStatus.NOT_MEASURED: "requirement-not-measured",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsMet:
    """How many requirements are met, and how many of these only by the value itself."""

    code: ClassVar = "requirements-met"
    met: int
    marginal: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What the service holds grew through a whole phase."""

    code: ClassVar = "leak"
    phase: str
    metric: str
    growth: float
    """Share of it a minute; then the 95 % interval."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverExpired:
    """A waiver that no longer holds."""

    code: ClassVar = "waiver-expired"
    waiver: Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverUnmatched:
    """A waiver of a figure that the run does not compare."""

    code: ClassVar = "waiver-unmatched"
    waiver: Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class MainChange:
    """A figure of main that became worse with a run: its day and commit, and the relative change."""

    phase: str
    figure: FigureName
    change: float
    day: str
    sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MainWorse:
    """Main itself became worse."""

    code: ClassVar = "main-worse"
    points: tuple[MainChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseChange:
    """A figure of the pinned release and of main now."""

    phase: str
    figure: FigureName
    release: float
    now: float
    change: float | None
    """Relative; None of zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindRelease:
    """The median of main's last runs is worse than the pinned release."""

    code: ClassVar = "behind-release"
    release: str
    runs: int
    drifted: tuple[ReleaseChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBaseline:
    """There was nothing to compare with."""

    code: ClassVar = "no-baseline"
    skipped: tuple[UnusedRuns, ...]
    """Why stored runs were not used."""
    search: bool = False
    """Whether it was a search for the capacity, which is compared with searches only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRequired:
    """The policy asks for a comparison with baselines and there was none."""

    code: ClassVar = "baseline-required"
    skipped: tuple[UnusedRuns, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDecided:
    """One comparison that is reported by itself."""

    row: Comparison
    several: bool
    """Whether the run has more than one phase, so that sentences name theirs."""
    today: date | None = None
    """The day of the run where a row of the waivers' file is proposed for a regression."""
    duet_doubted: bool = False
    """As of ``RowsOpen``."""

    @property
    def code(self) -> str:
        """By what was found."""
        return _DECIDED[self.row.verdict]


_DECIDED = {
    Change.REGRESSION: "regression",
    Change.SUSPICIOUS: "suspicion",
    Change.IMPROVEMENT: "improvement",
    Change.INCONCLUSIVE: "undecided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOpen:
    """Comparisons that are neither worse nor shown to be unchanged, of a family of that size."""

    code: ClassVar = "open"
    rows: tuple[Comparison, ...]
    family: int
    several: bool
    duet_doubted: bool = False
    """Whether the base build was measured side by side, and that cannot be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFewBaselines:
    """Comparisons that are open because few baselines are stored."""

    code: ClassVar = "too-few-baselines"
    rows: tuple[Comparison, ...]
    several: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsNotCompared:
    """Figures that could not be compared, all for one reason."""

    code: ClassVar = "not-compared"
    rows: tuple[Comparison, ...]
    level: Level
    several: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLatencyCompared:
    """No response time of the run could be compared."""

    code: ClassVar = "no-latency-compared"
    side_by_side: bool
    """Whether it was to be compared with a base build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryWorse:
    """Figures of a phase that are worse and cannot fail the run, the most certain first."""

    code: ClassVar = "advisory-worse"
    phase: str
    rows: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryNotCompared:
    """Figures of a phase that cannot fail the run and could not be compared."""

    code: ClassVar = "advisory-not-compared"
    phase: str
    rows: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRegression:
    """Comparisons that are unchanged or better, of a family of that size."""

    code: ClassVar = "no-regression"
    rows: tuple[Comparison, ...]
    family: int


FindingFacts = (
    TrustFacts
    | ExperimentFailed
    | ExpectationNotMet
    | ExpectationsMet
    | RunIncomplete
    | NoPhases
    | DuetInterrupted
    | BuildStopped
    | RequestsFailed
    | PhaseEnded
    | RequirementNotMet
    | RequirementsMet
    | Leak
    | WaiverExpired
    | WaiverUnmatched
    | MainWorse
    | BehindRelease
    | NoBaseline
    | BaselineRequired
    | RowDecided
    | RowsOpen
    | TooFewBaselines
    | RowsNotCompared
    | NoLatencyCompared
    | AdvisoryWorse
    | AdvisoryNotCompared
    | NoRegression
)
"""What a verdict can rest on."""
