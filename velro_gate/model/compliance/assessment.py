"""What an assessment holds: the score with its parts, the class of each phase, the checklists, and what the run would mean.

Everything is data; ``report`` words it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.record import Estimate
from velro_gate.model.scenario import Requirement
from velro_gate.model.verdict import RequirementResult


class Unscored(Enum):
    """Why a run has no score."""

    BROKEN = "broken"
    NO_REQUIREMENTS = "no-requirements"
    SCALED = "scaled"
    UNPROVEN = "unproven"
    """PRD requirements that other profiles of the scenario state are not in this plan."""
    NO_PRD = "no-prd"
    """No requirement is stated as one of the PRD, so there is nothing that the run could prove of it."""


class Readiness(Enum):
    """Whether the run speaks for going to production."""

    READY = "ready"
    RESERVATIONS = "ready-with-reservations"
    NOT_READY = "not-ready"
    UNKNOWN = "unknown"


class Reservation(Enum):
    """What keeps a run that failed nothing from being called ready."""

    BAND = "band"
    VERDICT = "verdict"
    FAILED = "failed-items"
    OPEN = "open-items"


class CheckState(Enum):
    """The state of an item of a checklist. What was not measured is open."""

    DONE = "done"
    FAILED = "failed"
    OPEN = "open"


class CheckCode(Enum):
    """What an item is about."""

    PHASES_MET = "phases-met"
    SCORE = "score"
    NOTHING_CRITICAL = "nothing-critical"
    ERROR_RATE = "error-rate"
    RESOURCES = "resources"
    CACHE = "cache"
    CONNECTIONS = "connections"
    STABLE = "stable"
    REQUIREMENT = "requirement"
    NOT_IN_PLAN = "not-in-plan"
    ALL_REQUIREMENTS = "all-requirements"
    OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementScore:
    """One requirement's part in the score."""

    result: RequirementResult
    weight: float
    points: float
    """In [0, 1]."""
    gap: float | None
    """What the figure is off its target by, in base units and above 0; None: it is met, or not measured."""
    bottlenecks: tuple[Bottleneck, ...] = ()
    """What held its phase back, if it is not met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureClass:
    """The class of one figure of a phase."""

    metric: str
    estimate: Estimate | None
    name: str | None
    """None: not measured, or the phase does not offer what the lowest class asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseClass:
    """The class of a phase: that of its worst figure."""

    phase: str
    name: str | None
    """None: no figure has a class."""
    figures: tuple[FigureClass, ...]

    @property
    def whole(self) -> bool:
        """Whether every figure has a class."""
        return all(figure.name is not None for figure in self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One item of a checklist."""

    code: CheckCode
    state: CheckState
    value: float | None = None
    """The figure that decides; its metric is the requirement's, or follows from the code."""
    limit: float | None = None
    against: tuple[str, ...] = ()
    """What is against it: phases, or codes of findings."""
    requirement: Requirement | None = None
    phase: str = ""
    text: str = ""
    """What it asks for, of an item of the team's own."""
    unproven: bool = False
    """Open only because this plan does not prove the PRD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What the measured shares would mean under the PRD's load (``analysis.compliance.impact``)."""

    phase: str
    users: float
    rate: float
    """Requests per second."""
    failed: float
    """Share of requests."""
    limit: float | None
    """Seconds above which a response is slow; None: no limit on response times."""
    slow: float
    """Share of responses slower than the limit, interpolated between kept quantiles."""
    slow_low: float
    slow_high: float
    requests_per_hour: float
    """Failed or slow."""
    users_per_minute: float
    """With at least one failed or slow request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compliance:
    """The assessment of one run. score is a share; it is None exactly when ``unscored`` says why."""

    score: float | None
    band: str | None
    unscored: Unscored | None
    unproven: tuple[Requirement, ...]
    """PRD requirements that the plan does not contain."""
    readiness: Readiness
    reservations: tuple[Reservation, ...]
    """None, unless the readiness is ``RESERVATIONS``."""
    rows: tuple[RequirementScore, ...]
    phases: tuple[PhaseClass, ...]
    checklist: tuple[Check, ...]
    criteria: tuple[Check, ...]
    impact: Impact | None

    def __post_init__(self) -> None:
        if (self.score is None) is not (self.unscored is not None) or (self.score is None) is not (self.band is None):
            raise ValueError("a run has a score and a band, or a reason why it has none")
        if bool(self.reservations) is not (self.readiness is Readiness.RESERVATIONS):
            raise ValueError("reservations are stated exactly where the run is ready with reservations")
