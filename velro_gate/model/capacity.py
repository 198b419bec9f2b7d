"""What a search for the capacity measured and found: trials at one load each, the estimate, and the fit of scalability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.facts.doubts import FigureName
from velro_gate.model.record import Estimate

CAPACITY_SCHEMA = 1


class LoadUnit(Enum):
    """What is varied: the offered rate in requests a second, or the number of users."""

    RATE = "rate"
    USERS = "users"


class Ending(Enum):
    """Why a search ended."""

    FOUND = "found"
    ALL_MET = "all met"  # the highest load that was allowed met the requirements
    NONE_MET = "none met"  # the lowest load that was allowed missed them
    TIME = "time"
    GENERATOR = "generator"  # beyond this load the generator cannot be trusted
    STOPPED = "stopped"  # the service stopped responding, or the search was interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One stretch of constant load."""

    load: float
    score: float
    """ln(value / limit) of the requirement that is nearest to its limit or furthest beyond it, so + is missed."""
    error: float
    """Standard error of ``score``."""
    seconds: float
    throughput: float
    """Successful responses per second."""
    concurrency: float | None = None
    """Requests in the service at a time, the mean; None: unknown."""
    p95: float | None = None
    figure: FigureName | None = None
    """Which requirement decided."""
    drowned: bool = False
    """The service fell so far behind that the stretch was ended early."""
    bottleneck: Bottleneck | None = None
    """The likeliest cause of what held the service back; None: nothing showed one."""

    def __post_init__(self) -> None:
        if not (self.load > 0.0 and self.error > 0.0 and math.isfinite(self.score)):
            raise ValueError("a trial needs a positive load and error, and a finite score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalability:
    """The universal scalability law X(N) = rate N / (1 + contention (N - 1) + coherence N (N - 1)) (Gunther 1993)."""

    rate: Estimate
    """Throughput of one request at a time, in requests a second."""
    contention: Estimate
    """The share of the work that waits its turn for something shared: it bounds throughput at rate / contention."""
    coherence: Estimate
    """The cost of keeping every pair of requests consistent: above 0, throughput falls beyond the knee."""
    knee: Estimate | None
    """The N of the most throughput; None where throughput still grows at every N (no coherence)."""
    peak: Estimate | None
    """That throughput; None with ``knee``."""
    points: int
    """Trials behind the fit."""

    def throughput(self, concurrency: float) -> float:
        """Requests a second with that many requests at a time."""
        n = concurrency
        return self.rate.value * n / (1.0 + self.contention.value * (n - 1.0) + self.coherence.value * n * (n - 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityResult:
    """The most load that meets the requirements."""

    unit: LoadUnit
    phase: str
    ending: Ending
    capacity: Estimate | None
    """None where no load did, or none missed them."""
    met: float | None
    """The highest load whose trial met all requirements; None: no trial did."""
    missed: float | None
    """The lowest load whose trial did not meet them all; None: every trial did."""
    wanted: float
    """The load that the plan asks for."""
    trials: tuple[Trial, ...]
    scalability: Scalability | None = None
    reason: str = ""
    """Of an ending that needs words: what the service or the generator did."""
    schema: int = CAPACITY_SCHEMA

    def __post_init__(self) -> None:
        if not self.wanted > 0.0:
            raise ValueError(f"a plan asks for a positive load, not {self.wanted}")

    @property
    def headroom(self) -> float | None:
        """How much more than the plan's load is possible, relative to that: .24 for 24 % more; negative: less."""
        if self.capacity is not None:
            return self.capacity.value / self.wanted - 1.0
        return None

    @property
    def carries_plan(self) -> bool | None:
        """Whether the plan's own load meets the requirements; None: what was tried does not show it."""
        if self.capacity is not None:
            return self.capacity.high >= self.wanted
        if self.met is not None and self.met >= self.wanted:
            return True
        return False if self.missed is not None and self.missed <= self.wanted else None

    @property
    def limited_by(self) -> Bottleneck | None:
        """What held the service back at the lowest load that it could not carry; a queue or errors if nothing explains them."""
        over = [one.bottleneck for one in sorted(self.trials, key=lambda one: one.load) if one.score > 0.0 and one.bottleneck]
        causes = [one for one in over if one.code not in _EFFECTS]
        return next(iter(causes or over), None)


_EFFECTS = ("saturation", "errors")
"""Bottlenecks that are what too much load looks like, and not why it is too much."""
