"""What an evaluation of the decision itself comes to: how often it was wrong, or right, and what was to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Aim(Enum):
    """Which side of its target a figure has to lie on."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """How often something happened in many jobs.

    what: what was counted. hits of count. bound: the one-sided 95 % Clopper-Pearson bound of the rate on the side that the aim
    is afraid of. target: the rate to reach, None where the figure only informs. beside: rates of naive rules on the same jobs.
    forecast: the rate that a pilot promised; None where none did.
    """

    experiment: str
    what: str
    hits: int
    count: int
    bound: float
    aim: Aim
    target: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    forecast: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.count or self.count < 1:
            raise ValueError(f"{self.hits} of {self.count} is no share")

    @property
    def rate(self) -> float:
        """hits / count."""
        return self.hits / self.count

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.rate <= self.target if self.aim is Aim.AT_MOST else self.rate >= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How often rules failed jobs of one noise and one change. noise: sd of a pair's log ratio; worse: relative, 0 for none."""

    noise: float
    worse: float
    rates: Mapping[str, float]
