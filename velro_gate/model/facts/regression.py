"""What is known about a regression beyond its size: where, how, since when, and what moved with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.facts.explanations import Companion, Origin, SinceRun


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
    """How far one quantile of response times moved."""

    metric: str
    change: float
    """Relative; ``low`` and ``high`` are the ends of its 95 % interval."""
    low: float
    high: float
    seconds: float
    """The difference."""
    moved: bool
    """Whether it is certainly worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One phase in which something got worse; ``report.sentences.explanations`` makes a sentence of it."""

    phase: str
    steps: tuple[str, ...]
    """Those that became slower, the worst first."""
    plan_steps: int
    """How many steps the plan has."""
    shape: ShiftShape
    """How the ``quantiles`` moved against one another."""
    quantiles: tuple[QuantileMove, ...]
    """Lowest first; empty where the worsening is not one of response times."""
    shown: str
    """The step whose quantiles these are: the worst one, or all of them together."""
    worse: tuple[FigureName, ...]
    """The compared figures that got worse, at least one."""
    origin: Origin
    companions: tuple[Companion, ...]
    """What moved with it."""
    times_held: bool = False
    """Whether response times were compared, and no quantile of any step certainly became worse."""

    @property
    def since(self) -> str:
        """The id of the run of main with which a part of it came; empty when all of it is new with this build."""
        return self.origin.run if isinstance(self.origin, SinceRun) else ""

    @property
    def code(self) -> str:
        """Its kind: response times that became slower, or other figures."""
        return "other-worse" if self.shape is ShiftShape.NONE else "slower"
