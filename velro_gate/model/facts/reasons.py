"""Why a comparison has the result that it has, or cannot be made, as data; ``report.sentences`` words it. Figures in base
units."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from velro_gate.model.facts.doubts import FigureName, TrustFacts, Worded
from velro_gate.model.waiver import Waiver


class Again(Enum):
    """What measuring a suspicious figure again found."""

    CONFIRMED = "confirmed"
    REPEATED = "repeated"  # looks worse again, and not by enough to be certain
    UNCHANGED = "unchanged"
    BETTER = "better"
    NOT_REPEATED = "not repeated"  # neither worse again nor shown to be unchanged
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStopped:
    """The base or the head build stopped responding in some blocks; how it did in the first of them."""

    code: ClassVar = "build-stopped"
    side: str
    blocks: int
    of: int
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherRunDoubted:
    """A phase was measured again, and that run cannot be trusted."""

    code: ClassVar = "further-run-doubted"
    because: TrustFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherRunCut:
    """A phase was measured again, and that run did not finish."""

    code: ClassVar = "further-run-incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasuredAgain:
    """A suspicious phase was not measured again."""

    code: ClassVar = "not-measured-again"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFigureAgain:
    """The further runs of a phase hold no figure to compare."""

    code: ClassVar = "no-figure-again"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetDoubted:
    """The pairs of blocks of a phase cannot be trusted."""

    code: ClassVar = "duet-doubted"
    because: TrustFacts | BuildStopped


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPairFigure:
    """The pairs of blocks hold no such figure."""

    code: ClassVar = "no-pair-figure"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoComparableBaseline:
    """No stored run holds this phase."""

    code: ClassVar = "no-comparable-baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBaselineFigure:
    """No stored run holds this figure."""

    code: ClassVar = "no-baseline-figure"
    figure: FigureName


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseIncomplete:
    """The phase did not run to its planned end."""

    code: ClassVar = "phase-incomplete"
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementOnly:
    """A figure that has requirements and no comparison."""

    code: ClassVar = "requirement-only"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingSucceeded:
    """Requests were sent and none succeeded."""

    code: ClassVar = "nothing-succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """The run does not hold this figure."""

    code: ClassVar = "not-measured"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroFigure:
    """A figure of zero, or below it, has no ratio."""

    code: ClassVar = "zero-figure"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaysZero:
    """A figure that is zero now and was zero in every baseline."""

    code: ClassVar = "stays-zero"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FellToZero:
    """A figure that is the better the lower it is, and is zero now."""

    code: ClassVar = "fell-to-zero"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoseFromZero:
    """A figure that was zero in every baseline and is not any more."""

    code: ClassVar = "rose-from-zero"
    metric: str
    now: float
    """Its value now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpossibleShare:
    """A share below 0 or above 1."""

    code: ClassVar = "impossible-share"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFewResponses:
    """A quantile with too few successful responses to compare it."""

    code: ClassVar = "too-few-answers"
    metric: str
    answers: int
    needed: int
    """How many responses it takes."""
    needed_seconds: float | None = None
    """Seconds of this phase that would be enough; None where that is not known."""
    others_had_enough: bool = False
    """Whether the baselines, or the base build, had enough, so that this build is the cause."""
    before: float | None = None
    """The figure of the baselines all the same."""
    now: float | None = None
    """The figure of this run all the same."""
    stand_in: str | None = None
    """The quantile that is compared instead, if any."""
    side_by_side: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSilent:
    """No request succeeded in some blocks of one build."""

    code: ClassVar = "build-silent"
    side: str
    blocks: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksNotMeasured:
    """Some blocks of one build do not hold the figure."""

    code: ClassVar = "blocks-not-measured"
    side: str
    metric: str
    blocks: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseUnknown:
    """So few baselines do not show how much the figure varies."""

    code: ClassVar = "noise-unknown"
    baselines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRuledOut:
    """The worsening that is not excluded: relative, or a difference of error rates."""

    code: ClassVar = "not-ruled-out"
    metric: str
    worsening: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreErrors:
    """An improvement does not count, since more requests failed; their share now."""

    code: ClassVar = "more-errors"
    error_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandsIn:
    """The figure is compared for another quantile, beyond which too few responses lie."""

    code: ClassVar = "stands-in"
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseOfProfile:
    """Noise known from runs of another profile."""

    code: ClassVar = "noise-of-profile"
    runs: int
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseOfSelftest:
    """Noise known from the runner's selftest of that day."""

    code: ClassVar = "noise-of-selftest"
    day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A waiver covers the worsening."""

    code: ClassVar = "waived"
    waiver: Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class AboveWaiver:
    """The worsening is larger than a waiver allows."""

    code: ClassVar = "above-waiver"
    waiver: Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAgain:
    """What further runs of the phase found."""

    code: ClassVar = "runs-again"
    worse: int
    runs: int
    margin: float | None
    """The relative worsening that counts, None for an error rate."""
    found: Again


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsAgain:
    """What pairs of blocks found about a suspicion."""

    code: ClassVar = "pairs-again"
    worse: int
    pairs: int
    margin: float | None
    """The relative worsening that counts; None for an error rate."""
    found: Again


@dataclass(frozen=True, slots=True, kw_only=True)
class OnePair:
    """One pair of blocks shows nothing."""

    code: ClassVar = "one-pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMatters:
    """The change depends on which build was measured first; both on the comparison scale."""

    code: ClassVar = "order-matters"
    metric: str
    head_second: float
    head_first: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsWorse:
    """How many pairs are worse by ``least`` (on the comparison scale) or more."""

    code: ClassVar = "pairs-worse"
    metric: str
    worse: int
    pairs: int
    least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceAgrees:
    """So few pairs agree by chance as often as once in ``ways``; ``enough`` pairs can show a change."""

    code: ClassVar = "chance-agrees"
    ways: int
    enough: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFewPairs:
    """Too few pairs for an interval."""

    code: ClassVar = "too-few-pairs"


Reason = (
    FurtherRunDoubted
    | FurtherRunCut
    | NotMeasuredAgain
    | NoFigureAgain
    | DuetDoubted
    | NoPairFigure
    | NoComparableBaseline
    | NoBaselineFigure
    | PhaseIncomplete
    | RequirementOnly
    | NothingSucceeded
    | NotMeasured
    | ZeroFigure
    | StaysZero
    | FellToZero
    | RoseFromZero
    | ImpossibleShare
    | TooFewResponses
    | BuildSilent
    | BlocksNotMeasured
    | NoiseUnknown
    | NotRuledOut
    | MoreErrors
    | StandsIn
    | NoiseOfProfile
    | NoiseOfSelftest
    | Waived
    | AboveWaiver
    | RunsAgain
    | PairsAgain
    | OnePair
    | OrderMatters
    | PairsWorse
    | ChanceAgrees
    | TooFewPairs
    | Worded
)
"""Why a comparison has the result that it has."""
