"""What a run leaves behind before it is summarised: facts from the engine and readings from the monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from velro_gate.model.resilience.experiment import CarriedOut, DependencyCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The generator's state once a second."""

    at: float
    """Seconds since the start of the run."""
    connected: int
    in_flight: int
    sent: int
    ok: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorHealth:
    """What the generator measured about itself in the measured stretch of a phase. None: it could not be read."""

    cpu_share: float
    """Share of one core, in [0, 1]."""
    steal_share: float | None
    """Share of the machine that the host took, in [0, 1]."""
    loop_lag_p99: float
    loop_lag_max: float
    """Seconds."""
    gc_full_collections: int
    gc_pause_max: float
    """Seconds."""
    rss_start: int
    rss_peak: int
    """Bytes."""
    descriptors_free: int | None
    """The least number seen, as for the next two."""
    ports_free: int | None
    memory_free: int | None = None
    """Bytes, of the machine or of our control group."""
    throttled_share: float | None = None
    """Seconds per second for which a CPU quota held our control group back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A stretch in which the generator stood still. Answers that came meanwhile had all been read by its end. Seconds since the
    start of the run; invariant: start <= end.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.start <= self.end:
            raise ValueError("a stall ends before it starts")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFailure:
    """The first request of a step that failed in one particular way, secrets masked."""

    step: str
    outcome: str
    """Name of the Outcome."""
    status: int
    """0 without a response."""
    count: int
    """How many requests of the phase failed in this way, ramp included."""
    at: float
    """Seconds since the start of the run."""
    request: str
    """Method and URL."""
    reason: str = ""
    """What was wrong, in words: the statuses expected where another one came, else what the outcome does not say."""
    came: str = ""
    """What came instead, where that is a single value."""
    seen: str = ""
    """The first bytes of the response's body, or of the response if it could not be parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedValues:
    """What one metric of the scenario's own found in responses."""

    name: str
    at: tuple[float, ...]
    """Seconds since the start of the run."""
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRun:
    """One worker of a cluster in one phase."""

    name: str
    health: GeneratorHealth
    late: float
    """Seconds from the common begin until the phase began there, by this machine's clock; negative: before it."""
    uncertainty: float
    """Seconds by which that may be wrong, either way: half of the fastest round trip to the worker."""
    drift: float
    """Seconds by which its clock had moved against this machine's since the start of the run, beyond that uncertainty."""


def seconds_apart(workers: Sequence[WorkerRun]) -> float:
    """By how much the first and the last worker to begin a phase may be apart at the most; 0 of one alone."""
    if len(workers) < 2:
        return 0.0
    return max(each.late + each.uncertainty for each in workers) - min(each.late - each.uncertainty for each in workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRun:
    """One phase as the engine carried it out. Times are seconds since the start of the run.

    The measured stretch is [measured_from, measured_until); a sample belongs to it if its due time lies in it. Over the
    measured stretch, samples + blocked + missed = due, step by step.
    """

    name: str
    started: float
    measured_from: float
    measured_until: float
    ended: float
    users: int
    due: Mapping[str, int]
    """Arrivals of the measured stretch by step name, as are the next two."""
    blocked: Mapping[str, int]
    """Never sent because their user was still waiting for an earlier response: caused by the service."""
    missed: Mapping[str, int]
    """Never sent, through our own fault."""
    sent_total: int
    """Every request of the phase, ramp included, to compare with the server's count."""
    delivered_total: int
    connections_opened: int
    reconnects: int
    retries: int
    ticks: tuple[Tick, ...]
    health: GeneratorHealth
    interrupted: bool = False
    service_gone: str | None = None
    """Why the phase was given up on, when the service stopped answering altogether."""
    shards_lost: tuple[str, ...] = ()
    """What became of each shard that ended before its time, in words; what it did not deliver is counted as missed."""
    redirects_followed: int = 0
    """Requests beyond the first of their samples: the service has seen delivered_total + redirects_followed."""
    sessions_reused: int = 0
    """TLS connections that resumed an earlier session."""
    tls_fault: str | None = None
    """Why the first TLS connection that failed did, in words."""
    stalls: tuple[Stall, ...] = ()
    """When the generator stood still, ramp and drain included, in their order; of several shards, any of them."""
    hopeless: str | None = None
    """Why the phase was ended early though the service was there, in words."""
    failures: tuple[FirstFailure, ...] = ()
    """The first failed response of each step and kind."""
    values: tuple[ObservedValues, ...] = ()
    """Of the scenario's own metrics; among the readings once the load is over."""
    workers: tuple[WorkerRun, ...] = ()
    """Of a cluster that sent the load: each one that finished the phase."""

    def __post_init__(self) -> None:
        if not self.started <= self.measured_from <= self.measured_until <= self.ended:
            raise ValueError(f"phase {self.name}: times out of order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value read by the monitor, for example source 'service', name 'rss'."""

    at: float
    """Seconds since the start of the run."""
    source: str
    name: str
    value: float


class Stage(StrEnum):
    """Which part of a phase is running."""

    RAMP = "ramp"
    MEASURE = "measure"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a live view shows of a running phase; latencies are over the last few seconds, None without responses."""

    phase: str
    phase_number: int
    phase_count: int
    """0: not known."""
    stage: Stage
    users: int
    connected: int
    rate: float | None
    """Successful responses a second; None until the phase has run for a second."""
    offered_rate: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    errors: int
    error_rate: float
    hit_rate: float | None
    lateness_p99: float | None
    elapsed: float
    remaining: float
    steps: tuple[tuple[str, float], ...] = ()
    """p95 of each step that was answered, in the scenario's order."""
    layers: tuple[tuple[str, float], ...] = ()
    """Share of the look-ups that each cache layer answered, and of the misses."""
    service_cpu: float | None = None
    """Cores that the service uses."""
    pool: tuple[float, float] | None = None
    """Connections of the service's database pool that are in use, and its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Which slice of the plan this process carries out: users whose index is ``index`` modulo ``count``."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index} of {self.count} does not exist")

    @classmethod
    def whole(cls) -> Self:
        """The only shard of one."""
        return cls()

    def users(self, total: int) -> range:
        """The user indices of this shard."""
        return range(self.index, total, self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What the engine returns: the phases it ran, in order. layers[i] names the cache layer of code FIRST_CACHE_LAYER + i."""

    phases: tuple[PhaseRun, ...]
    layers: tuple[str, ...]
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What, together with the samples, is needed to summarise a run again offline."""

    phases: tuple[PhaseRun, ...]
    readings: tuple[Reading, ...]
    layers: tuple[str, ...]
    experiments: tuple[CarriedOut, ...] = ()
    """What was broken on purpose."""
    dependencies: tuple[DependencyCount, ...] = ()
    """What had passed through its proxies meanwhile, in the order of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run was made. Runs are comparable only when the fingerprints are equal."""

    runner: str
    cpu_model: str
    cores: int
    memory: int
    kernel: str
    python: str
    tool: str
    extra: Mapping[str, str] = field(default_factory=dict)
