"""The rules of an assessment: bands of the score, classes of a phase, weights, and the team's own checklist items."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

PRD = "PRD"
"""The source of a requirement that the PRD states."""

NEEDS_WORK = "needs work"
"""What is below the last band, and outside the last class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBand:
    """A range of the score, from ``least`` (a share) up to the band before it."""

    name: str
    least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLimits:
    """What a phase has to show to be of a class: p95 in seconds below, requests per second and hit share at least."""

    name: str
    p95: float
    throughput: float
    hit_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWeight:
    """The weight of one requirement in the score, wherever a phase states it."""

    step: str
    metric: str
    weight: float


BANDS = (ScoreBand(name="excellent", least=0.95), ScoreBand(name="good", least=0.85), ScoreBand(name="acceptable", least=0.70))
CLASSES = (
    ClassLimits(name="excellent", p95=0.050, throughput=1_200.0, hit_rate=0.95),
    ClassLimits(name="good", p95=0.075, throughput=1_000.0, hit_rate=0.90),
    ClassLimits(name="acceptable", p95=0.100, throughput=800.0, hit_rate=0.85),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceRules:
    """The rules of a scenario. Invariants: bands and classes from the best to the worst, weights not negative."""

    bands: tuple[ScoreBand, ...] = BANDS
    classes: tuple[ClassLimits, ...] = CLASSES
    weights: tuple[NamedWeight, ...] = ()
    checklist: tuple[str, ...] = ()
    """Items of the team's own, which no run can tick."""

    def __post_init__(self) -> None:
        if not self.bands or not self.classes:
            raise ValueError("at least one band and one class are needed")
        if any(not 0.0 < band.least <= 1.0 for band in self.bands):
            raise ValueError("a band begins above 0 and at 100 % at most")
        if any(better.least <= worse.least for better, worse in pairwise(self.bands)):
            raise ValueError("bands go from the best to the worst")
        for better, worse in pairwise(self.classes):
            if better.p95 > worse.p95 or better.throughput < worse.throughput or better.hit_rate < worse.hit_rate:
                raise ValueError("classes go from the best to the worst")
        if any(not 0.0 <= one.weight <= 1_000.0 for one in self.weights):
            raise ValueError("a weight is between 0 and 1,000")

    def band(self, score: float) -> str:
        """The name of the band that a score is in."""
        return next((band.name for band in self.bands if score >= band.least), NEEDS_WORK)

    def weight(self, step: str, metric: str) -> float | None:
        """The weight that the scenario names for a requirement; None: the default."""
        return next((one.weight for one in self.weights if (one.step, one.metric) == (step, metric)), None)
