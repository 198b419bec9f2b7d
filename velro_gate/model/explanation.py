"""What is known about a regression beyond its size: where, how, since when, and what moved with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ShiftShape(Enum):
    """How the quantiles of response time moved against one another (the shift function)."""

    SAME_SHARE = "same share"  # every quantile by about the same percentage
    SAME_TIME = "same time"  # every quantile by about the same time
    UNEVEN = "uneven"  # every quantile, by neither
    TAIL = "tail only"
    NEW_MODE = "new mode"  # some requests take a jump, the others are as before
    MIDDLE = "middle only"
    NONE = "not a response time"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileMove:
    """One quantile. change, low, high: relative, with the 95 % interval. seconds: the difference. moved: surely worse."""

    metric: str
    change: float
    low: float
    high: float
    seconds: float
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One phase in which something got worse.

    steps: those that became slower, the worst first; of that one the ``quantiles``, lowest first, and their shape. since: the
    id of the run of main with which a part of it came; empty when all of it is new with this build. companions: what moved
    with it, in a few words each. sentence: all of it, for a reviewer.
    """

    phase: str
    steps: tuple[str, ...]
    shape: ShiftShape
    quantiles: tuple[QuantileMove, ...]
    since: str
    companions: tuple[str, ...]
    sentence: str
