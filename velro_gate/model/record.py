"""A run, summarised: what is stored, compared and shown. One record a run, versioned (see store.codec for the file)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from velro_gate.model.compliance.rules import ComplianceRules
from velro_gate.model.facts.bottlenecks import Bottleneck
from velro_gate.model.metric.definition import FigureOrigin
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.metrics import METRICS, Times
from velro_gate.model.resilience.experiment import Expectation
from velro_gate.model.run import Environment, FirstFailure, GeneratorHealth, WorkerRun
from velro_gate.model.scenario import ALL_STEPS, Phase, Policy, Requirement

RECORD_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval, in base units, and the number n of observations behind it.

    low = high = value where the figure is a plain count of what happened. Invariant: low <= value <= high, all finite.
    """

    value: float
    low: float
    high: float
    n: int
    detail: str = ""
    """How it was obtained, in the words of an earlier version's record; empty in new ones, which have ``origin``."""
    blocks: int = 0
    """Blocks of a duet that the figure is made of; 0 for a figure that is not made of blocks."""
    origin: FigureOrigin | None = None
    """None where there is only one way to obtain it."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.low, self.high))):
            raise ValueError(f"an estimate must be finite, not {self.value} [{self.low}, {self.high}]")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} lies outside its own interval [{self.low}, {self.high}]")

    @classmethod
    def exact(cls, value: float, *, n: int, origin: FigureOrigin | None = None) -> Estimate:
        """A figure without sampling error."""
        return cls(value=value, low=value, high=value, n=n, origin=origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of a measured stretch. Invariants: due = sent + blocked + missed; sent = ok + failed + cancelled."""

    due: int
    sent: int
    ok: int
    failed: int
    cancelled: int
    blocked: int
    missed: int

    def __post_init__(self) -> None:
        if self.due != self.sent + self.blocked + self.missed:
            raise ValueError(f"due {self.due} != sent {self.sent} + blocked {self.blocked} + missed {self.missed}")
        if self.sent != self.ok + self.failed + self.cancelled:
            raise ValueError(f"sent {self.sent} != ok {self.ok} + failed {self.failed} + cancelled {self.cancelled}")

    @property
    def error_rate(self) -> float | None:
        """Share of the due arrivals that did not get a successful response, cancelled ones left out; None when none fell
        due."""
        asked = self.ok + self.failed + self.blocked
        return (self.failed + self.blocked) / asked if asked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayer:
    """What one cache layer did for a step, of its successful responses."""

    name: str
    """Of the layer, or ``miss`` for what no layer had."""
    answered: int
    reached: int
    """Those that no layer nearer to the user had answered."""
    p50: Estimate | None = None
    """Of the response times of what it answered, as the next one; None without any."""
    p95: Estimate | None = None

    @property
    def hit_rate(self) -> float | None:
        """Share of what reached it that it answered; None of the misses, and where nothing reached it."""
        return self.answered / self.reached if self.reached and self.name != MISS else None


MISS = "miss"
"""Stands for what no cache layer had."""
OTHER_FAILURES = "other"
"""Stands for the kinds of failure that are too rare to be counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """One step of a phase, or all of them under the name ``all``."""

    step: str
    counts: Counts
    measurements: Mapping[str, Estimate]
    """Metric name -> estimate, only of what was measured: an absent name was not measured."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """HTTP status -> samples."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Name of the Outcome -> samples."""
    cache: Mapping[str, int] = field(default_factory=dict)
    """'miss' or the layer that was hit -> samples."""
    layers: tuple[CacheLayer, ...] = ()
    """The nearest to the user first, the misses last; empty where no response says how a cache answered."""
    received: int = 0
    undelayed: Mapping[str, float] = field(default_factory=dict)
    """Metric -> the best value it can have had without the generator's own delays; only if the generator stalled."""

    def __post_init__(self) -> None:
        unknown = {name for name in self.measurements if name not in METRICS}
        if unknown:
            raise ValueError(f"unknown metrics {sorted(unknown)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A few seconds of a phase, for charts and for "sustained". Latencies in seconds, None without responses.

    Latencies, lateness and hit rate are those of the requests that fell due in the window.
    """

    start: float
    """Seconds since the measured stretch began."""
    seconds: float
    sent: int
    """What happened in the window, as the next two."""
    ok: int
    failed: int
    connected: int
    """The least number seen in it."""
    p50: float | None
    p95: float | None
    p99: float | None
    hit_rate: float | None
    lateness_p99: float | None
    cache: Mapping[str, int] = field(default_factory=dict)
    """'miss' or the layer that was hit -> requests that fell due in the window."""
    cache_p50: Mapping[str, float] = field(default_factory=dict)
    """The same -> the median response time of those that succeeded."""
    own: Mapping[str, float] = field(default_factory=dict)
    """The scenario's own metrics, by their names in the registry, as far as they were measured in the window."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Kind of failure, an HTTP status or the name of an Outcome -> requests that failed so in the window, zeros left out."""

    @property
    def rate(self) -> float:
        """Successful responses per second."""
        return self.ok / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSummary:
    """A watched value over the measured stretch, for example source 'service', name 'rss', in base units."""

    source: str
    name: str
    least: float
    median: float
    most: float
    n: int
    rate: float | None = None
    """What a counter rose by in a second, from its first reading in the stretch to its last; None for values of the moment."""
    falls: int = 0
    """How often a counter fell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFigure:
    """A figure of which something is expected while something is broken."""

    expectation: Expectation
    estimate: Estimate | None
    """None where it was not measured."""
    unfinished: bool = False
    """What is waited for had not happened by the end, so the estimate is the least that the figure can be."""
    users: tuple[int, int] | None = None
    """How many of those who read saw a stale value, and how many read; None for other figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSummary:
    """An experiment and what was measured of it. Times are seconds since the measured stretch began."""

    name: str
    repeat: int
    begun: float
    ended: float | None
    """None where it was not undone, or not begun at all; ``fault`` says why."""
    fault: str
    figures: tuple[ExpectedFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSummary:
    """One phase of a record."""

    name: str
    users: int
    offered_rate: float | None
    ramp: float
    measured_seconds: float
    planned_seconds: float
    steps: tuple[StepSummary, ...]
    """``all`` first, then each step in the scenario's order."""
    windows: tuple[Window, ...]
    resources: tuple[ResourceSummary, ...]
    health: GeneratorHealth
    sent_total: int
    delivered_total: int
    connections_opened: int
    reconnects: int
    interrupted: bool = False
    service_gone: str | None = None
    shards_lost: tuple[str, ...] = ()
    redirects_followed: int = 0
    tls_fault: str | None = None
    stalled: float = 0.0
    """Seconds for which the generator stood still while it measured, and the longest of them at a stretch."""
    longest_stall: float = 0.0
    hopeless: str | None = None
    """Why the phase was ended early although the service was there."""
    failures: tuple[FirstFailure, ...] = ()
    """The first failed response of each step and kind."""
    bottlenecks: tuple[Bottleneck, ...] = ()
    """What held the phase back, the likeliest cause first."""
    warm_up: tuple[tuple[float, float], ...] = ()
    """How the hit rate rose: seconds since the phase began, its ramp included, and the hit rate of a few seconds before."""
    experiments: tuple[ExperimentSummary, ...] = ()
    """What was broken on purpose."""
    workers: tuple[WorkerRun, ...] = ()
    """The workers of a cluster that sent the load."""
    reduced: float | None = None
    """By what share of itself a quantile may be off, where samples were reduced to counts; None: they were kept."""

    def step(self, name: str = ALL_STEPS) -> StepSummary | None:
        """The summary of one step; None when the phase has none of that name."""
        return next((step for step in self.steps if step.step == name), None)

    def measurement(self, metric: str, step: str = ALL_STEPS) -> Estimate | None:
        """A measured figure; None when it was not measured."""
        found = self.step(step)
        return found.measurements.get(metric) if found else None

    @property
    def complete(self) -> bool:
        """Whether the phase ran to its planned end."""
        return not self.interrupted and not self.ended_by_service and not self.shards_lost

    @property
    def ended_by_service(self) -> bool:
        """Whether the service ended the phase early: it stopped responding, or the phase could no longer succeed."""
        return self.service_gone is not None or self.hopeless is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run set out to do: enough to judge its record again without the scenario file.

    Equal (scenario, digest, profile) offer the same load and are comparable; requirements and policy are not in the digest.
    """

    scenario: str
    digest: str
    profile: str
    steps: tuple[str, ...]
    """The step names in the scenario's order."""
    phases: tuple[Phase, ...]
    policy: Policy
    metrics: tuple[OwnMetric, ...] = ()
    """Those that the scenario defines, without the places that they are read from."""
    compliance: ComplianceRules = field(default_factory=ComplianceRules)
    unproven: tuple[Requirement, ...] = ()
    """PRD requirements of the scenario that no phase of this plan contains unscaled; a run of it does not prove the PRD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Which build of the service was measured; empty strings where unknown."""

    sha: str = ""
    branch: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorNoise:
    """What the generator alone adds to a response time on this runner: the response times of a null run, in seconds.

    Invariants: 0 <= p50 <= p95 <= p99; rate and seconds are positive; at least one user and one request.
    """

    p50: float
    p95: float
    p99: float
    lateness_p99: float
    rate: float
    """Requests per second that fell due."""
    users: int
    """Connected."""
    seconds: float
    """Measured."""
    requests: int
    """Successful responses behind the quantiles."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.p50 <= self.p95 <= self.p99 < math.inf and 0.0 <= self.lateness_p99 < math.inf):
            raise ValueError(f"quantiles must be finite and rise from 0, not {self.p50}, {self.p95}, {self.p99}")
        if not (0.0 < self.rate < math.inf and 0.0 < self.seconds < math.inf and self.users >= 1 and self.requests >= 1):
            raise ValueError("a null run needs a rate, a time, users and requests")

    def of(self, metric: str) -> float | None:
        """The generator's own figure for a metric of response time; None for any other metric."""
        known = METRICS.get(metric)
        if known is None or known.quantile is None or known.times not in (Times.RESPONSE, Times.WITH_FAILURES):
            return None
        return {0.50: self.p50, 0.95: self.p95, 0.99: self.p99}.get(known.quantile)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSelftest:
    """What the newest selftest of this runner found (``model.selftest``). None: unknown."""

    measured_at: str
    p95_noise: float | None
    """Standard deviation of the logarithm of a block's p95 of all steps."""
    p95_seen: float | None
    """The smallest worsening of it that a duet finds."""
    blind: bool
    """The injected +20 % was not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLevel:
    """A figure whose change somebody has accepted: from this run on it has another level."""

    phase: str
    step: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A whole run."""

    id: str
    started_at: str
    """ISO 8601 in UTC, to the second, ending in Z."""
    tool: str
    plan: Plan
    environment: Environment
    revision: Revision
    phases: tuple[PhaseSummary, ...]
    url: str = ""
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    shards: int = 1
    """Number of processes that sent the load."""
    generator_noise: GeneratorNoise | None = None
    """None if it was not measured."""
    selftest: RunnerSelftest | None = None
    """Of the runner; None if it has none."""
    new_levels: tuple[NewLevel, ...] = ()
    """Of a baseline: the figures that begin a new epoch with it."""
    quarantined: str = ""
    """Of a stored run: why it is not a baseline; empty if it is one."""
    schema: int = RECORD_SCHEMA

    def phase(self, name: str) -> PhaseSummary | None:
        """The summary of one phase; None when the run did not reach it."""
        return next((phase for phase in self.phases if phase.name == name), None)

    @property
    def ended_by_service(self) -> bool:
        """Whether the service ended a phase early, and the run with it."""
        return any(phase.ended_by_service for phase in self.phases)

    @property
    def complete(self) -> bool:
        """Whether every planned phase ran to its end."""
        ran = {phase.name for phase in self.phases if phase.complete}
        return not self.interrupted and ran >= {phase.name for phase in self.plan.phases}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An accepted run that is pinned, so that slow drift can be measured against it."""

    name: str
    """The name of the release."""
    record: RunRecord


POOL = "pool"
"""In an environment's extra: the label that somebody gave to machines which are alike, whatever their names and kernels."""

CLUSTER = "cluster"
"""Likewise: the shape of the cluster that sent the load."""


def comparable(theirs: Environment, ours: Environment) -> bool:
    """Whether a run made in one environment can be compared with one of ours. What was stored under a label before it named a
    pool belongs to that pool.
    """
    if POOL in ours.extra and theirs.runner == ours.runner:
        theirs = replace(theirs, extra={**theirs.extra, POOL: ours.extra[POOL]})
    return fingerprint(theirs) == fingerprint(ours)


def fingerprint(environment: Environment) -> str:
    """Twelve hex digits that are equal exactly when two runs were made in comparable environments."""
    parts = (
        environment.runner,
        environment.cpu_model,
        str(environment.cores),
        # Memory to the GiB: the kernel's reserve moves the exact figure between reboots.
        str(round(environment.memory / 2**30)),
        # The machines of a pool are alike by the word of whoever named it; their kernels follow the image of the day.
        *(() if POOL in environment.extra else (environment.kernel,)),
        environment.python,
        environment.tool,
        *(f"{key}={value}" for key, value in sorted(environment.extra.items())),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
