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
    """All connections of the service's database pool were in use."""

    code: Literal["pool-exhausted"] = "pool-exhausted"
    size: float
    share: float
    """Of the readings in which none was free."""
    waiting: float | None = None
    """Requests that waited for one, the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCpu:
    """The service's busiest process used its core up."""

    code: Literal["cpu-bound-service"] = "cpu-bound-service"
    share: float
    """CPU that it used, the median, as a share of one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerCpu:
    """Other processes left service and generator too little CPU."""

    code: Literal["cpu-starved-runner"] = "cpu-starved-runner"
    share: float
    """CPU in use, as a share of all cores."""
    others: tuple[tuple[str, float], ...] = ()
    """Other processes by name, with the share of a core that each used."""
    steal: float = 0.0
    """The share that the hypervisor took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryGrowth:
    """The service's resident memory grew: bytes a minute, at least ``low``."""

    code: Literal["memory-growth"] = "memory-growth"
    rate: float
    low: float
    share: float
    """Growth in a minute, as a share of what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMisses:
    """Misses made the slow requests."""

    code: Literal["cache-misses"] = "cache-misses"
    share: float
    """Misses as a share of look-ups."""
    slower: float | None
    """A miss takes that many times as long as a hit of its step; None where nothing was a hit."""
    explained: float
    """The share of misses among the slowest 5 %."""


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
    """Database sessions waited for locks."""

    code: Literal["lock-waits"] = "lock-waits"
    waiting: float
    """The median while any did."""
    longest: float | None = None
    """The longest wait in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowQuery:
    """A database statement ran for long."""

    code: Literal["slow-query"] = "slow-query"
    longest: float
    """Seconds."""
    statement: str = ""
    """Its first words, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBurst:
    """Requests failed in one way within a stretch of time."""

    code: Literal["errors"] = "errors"
    kind: str
    """A status or an outcome."""
    count: int
    """Requests that failed so in that time, out of ``of``."""
    of: int
    step: str = ""
    """Where all of them are one step's."""
    elsewhere: int = 0
    """Requests of the phase that failed in the same way outside that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStall:
    """The service answered nothing for a while, though requests were waiting."""

    code: Literal["service-stall"] = "service-stall"
    seconds: float
    waiting: int
    """Requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """The service did not keep up: requests in flight grew through the phase."""

    code: Literal["saturation"] = "saturation"
    offered: float
    """Requests a second that were offered."""
    answered: float
    """Successful responses a second."""
    before: float
    after: float
    """Requests in flight in the first and the last third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorLimit:
    """The generator did not keep its schedule, or had no CPU left."""

    code: Literal["generator-limit"] = "generator-limit"
    cpu: float
    """Share of its core."""
    late: float | None
    """The 99th percentile of lateness, in seconds."""
    missed: int = 0
    """Requests that were never sent."""
    stalled: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether it used its core up. Otherwise something else kept the core from it."""
        return self.cpu >= GENERATOR_CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyNeighbour:
    """A process that is neither the generator nor the service used the machine."""

    code: Literal["noisy-neighbour"] = "noisy-neighbour"
    process: str
    share: float
    """CPU that it used, the median, as a share of one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyDown:
    """What the service depends on did not answer the monitor."""

    code: Literal["dependency-down"] = "dependency-down"
    source: str
    """Either "redis" or "database"."""
    seconds: float
    """How long it did not answer."""


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
    """One cause with its evidence."""

    start: float
    """Seconds since the measured stretch began."""
    end: float
    """Seconds since the measured stretch began."""
    strength: float
    """In [0, 1], how clearly the series show it."""
    series: tuple[str, ...]
    """What it was seen in."""
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
