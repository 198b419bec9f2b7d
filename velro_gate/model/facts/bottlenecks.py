"""What held a phase back, as data: a code that stays, and the figures that its sentence and its remedy need.

Rules over the measured series find them (``analysis.bottlenecks``), the phase's summary keeps them, ``report.sentences`` words
them. Figures are in base units. A field that is added needs a default: summaries are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GENERATOR_CPU = 0.9
"""Of a core, from which on the generator has none left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolExhausted:
    """All connections of the service's database pool were in use. waiting: requests that waited for one, the median."""

    code: Literal["pool-exhausted"] = "pool-exhausted"
    size: float
    share: float
    """Of the readings in which none was free."""
    waiting: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCpu:
    """The service's busiest process used its core up. share: of one core, the median."""

    code: Literal["cpu-bound-service"] = "cpu-bound-service"
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerCpu:
    """Other processes left service and generator too little CPU. share: of all cores, busy. others: name and share of a core.

    steal: the share that the hypervisor took.
    """

    code: Literal["cpu-starved-runner"] = "cpu-starved-runner"
    share: float
    others: tuple[tuple[str, float], ...] = ()
    steal: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryGrowth:
    """The service's resident memory grew: bytes a minute, at least ``low``; share: of what it was, a minute."""

    code: Literal["memory-growth"] = "memory-growth"
    rate: float
    low: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMisses:
    """Misses made the slow requests. share: of look-ups; slower: a miss takes that many times as long as a hit of its step.

    explained: the share of misses among the slowest 5 %. slower is None where nothing was a hit.
    """

    code: Literal["cache-misses"] = "cache-misses"
    share: float
    slower: float | None
    explained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTail:
    """One step's slowest requests are far slower than its own median, and those of no other step. seconds."""

    code: Literal["step-tail"] = "step-tail"
    step: str
    p50: float
    p95: float
    share: float
    """Of the slowest 5 % of all requests that are this step's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWaits:
    """Database sessions waited for locks. waiting: the median while any did; longest: the longest wait in seconds."""

    code: Literal["lock-waits"] = "lock-waits"
    waiting: float
    longest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowQuery:
    """A database statement ran for long. longest: seconds. statement: its first words, where they are known."""

    code: Literal["slow-query"] = "slow-query"
    longest: float
    statement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBurst:
    """Requests failed in one way within a stretch of time. kind: a status or an outcome; count of ``of`` in that time."""

    code: Literal["errors"] = "errors"
    kind: str
    count: int
    of: int
    step: str = ""
    """Where all of them are one step's."""
    elsewhere: int = 0
    """Requests of the phase that failed in the same way outside that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStall:
    """The service answered nothing for a while, though requests were waiting. seconds; waiting: requests."""

    code: Literal["service-stall"] = "service-stall"
    seconds: float
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """The service did not keep up: requests in flight grew through the phase. offered, answered: requests a second."""

    code: Literal["saturation"] = "saturation"
    offered: float
    answered: float
    before: float
    after: float
    """Requests in flight in the first and the last third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorLimit:
    """The generator did not keep its schedule, or had no CPU left. cpu: share of its core; late: p99 of lateness in seconds;
    missed: never sent.
    """

    code: Literal["generator-limit"] = "generator-limit"
    cpu: float
    late: float | None
    missed: int = 0
    stalled: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether it used its core up. Otherwise something else kept the core from it."""
        return self.cpu >= GENERATOR_CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyNeighbour:
    """A process that is neither the generator nor the service used the machine. share: of one core, the median."""

    code: Literal["noisy-neighbour"] = "noisy-neighbour"
    process: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyDown:
    """What the service depends on did not answer the monitor. source: redis or database; seconds: for which it did not."""

    code: Literal["dependency-down"] = "dependency-down"
    source: str
    seconds: float


BottleneckFacts = (
    PoolExhausted
    | ServiceCpu
    | RunnerCpu
    | MemoryGrowth
    | CacheMisses
    | StepTail
    | LockWaits
    | SlowQuery
    | ErrorBurst
    | ServiceStall
    | Saturation
    | GeneratorLimit
    | NoisyNeighbour
    | DependencyDown
)
"""What can hold a phase back."""

OF_THE_RUNNER = (RunnerCpu, GeneratorLimit, NoisyNeighbour)
"""What held the measurement back rather than the service, of which nothing is known then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """One cause with its evidence. start, end: seconds since the measured stretch began. strength: in [0, 1], how clearly the
    series show it. series: what it was seen in.
    """

    start: float
    end: float
    strength: float
    series: tuple[str, ...]
    facts: BottleneckFacts

    def __post_init__(self) -> None:
        if not (self.start <= self.end and 0.0 <= self.strength <= 1.0):
            raise ValueError(f"a bottleneck from {self.start} to {self.end} of strength {self.strength} is impossible")

    @property
    def code(self) -> str:
        """Its kind, for programs; it stays."""
        return self.facts.code

    @property
    def of_the_runner(self) -> bool:
        """Whether it is the machine's that measures, not the service's."""
        return isinstance(self.facts, OF_THE_RUNNER)
