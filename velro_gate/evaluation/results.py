"""The result of an evaluation of the decision itself: how often it was wrong, or right, and what was to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Aim(Enum):
    """Where a figure has to lie."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    WITHIN = "within"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """How often something happened in many jobs."""

    experiment: str
    what: str
    """What was counted: ``hits`` of ``count``."""
    hits: int
    count: int
    low: float
    """Lower end of the rate's two-sided 95 % interval (Clopper and Pearson 1934)."""
    high: float
    """Upper end of it."""
    aim: Aim
    target: float | None = None
    """The rate to reach, None where the figure only informs; of WITHIN its lower end, and ``most`` the upper one."""
    most: float | None = None
    naive: Mapping[str, float] = field(default_factory=dict)
    """Rates of naive rules on the same jobs."""
    forecast: float | None = None
    """The rate that a pilot promised; None where none did."""

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.count or self.count < 1:
            raise ValueError(f"{self.hits} of {self.count} is not a share")
        if (self.aim is Aim.WITHIN) != (self.most is not None):
            raise ValueError("an upper end belongs to a figure that has to lie within two ends, and to no other")

    @property
    def rate(self) -> float:
        """hits / count."""
        return self.hits / self.count

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return _reached(self.rate, self.aim, self.target, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """The average over many jobs."""

    experiment: str
    what: str
    value: float
    """The mean, in ``unit``."""
    unit: str
    low: float
    """Lower end of the mean's 95 % interval."""
    high: float
    """Upper end of it."""
    count: int
    """How many jobs."""
    aim: Aim
    target: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return _reached(self.value, self.aim, self.target, None)


Evaluated = Figure | Amount
"""One row of an evaluation."""


def _reached(value: float, aim: Aim, target: float | None, most: float | None) -> bool | None:
    if target is None:
        return None
    match aim:
        case Aim.AT_MOST:
            return value <= target
        case Aim.AT_LEAST:
            return value >= target
        case Aim.WITHIN:
            assert most is not None, "checked at birth"
            return target <= value <= most


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How often rules failed jobs of one noise and one change."""

    noise: float
    """Sd of a pair's log ratio."""
    worse: float
    """Relative, 0 for none."""
    rates: Mapping[str, float]
