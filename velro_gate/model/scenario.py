"""What is asked of the service: steps, users, phases, requirements, profiles. Built by the scenario reader, never by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from velro_gate.model.compliance.rules import ComplianceRules
from velro_gate.model.metric.own import OwnMetric
from velro_gate.model.metrics import METRICS, Direction, Metric
from velro_gate.model.readings import CONNECTIONS, WATCHED, PageFamily
from velro_gate.model.resilience.experiment import Experiment, Proxy

ALL_STEPS = "all"
"""The name under which the sum over all steps is kept; no step may be called this."""

MOST_PRIMARY = 8
"""Metrics of a phase that may fail a run: more of them buy more chances of a false alarm, and a stricter level for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonCheck:
    """The value at a JSON path must exist and, when given, equal ``equals``."""

    path: str
    equals: str | int | float | bool | None = None
    has_expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsCheck:
    """The body must contain this text."""

    text: str


BodyCheck = JsonCheck | ContainsCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A value taken from a response and usable in later steps of the same user as ``${name}``."""

    name: str
    source: Literal["json", "header", "cookie"]
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request body as a template text; JSON bodies are already serialised."""

    template: str
    content_type: str
    chunked: bool = False
    """Whether it is sent in chunks, without its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of a journey.

    path, header and query values and the body may hold ``${...}`` placeholders: ``${user.index}``, ``${user.id}``,
    ``${FEEDER.COLUMN}``, ``${env.NAME}``, or the name of a capture. Invariants: 0 < probability <= 1, timeout > 0.
    """

    name: str
    method: str
    path: str
    probability: float
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    expect_status: frozenset[int] = frozenset({200})
    checks: tuple[BodyCheck, ...] = ()
    captures: tuple[Capture, ...] = ()
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 < self.probability <= 1.0:
            raise ValueError(f"step {self.name}: probability must be in (0, 1], not {self.probability}")
        if self.timeout <= 0.0:
            raise ValueError(f"step {self.name}: timeout must be positive, not {self.timeout}")
        if self.name == ALL_STEPS:
            raise ValueError(f"no step may be called {ALL_STEPS!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAuth:
    """Requests carry no credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuth:
    """Every request carries a bearer token read from an environment variable."""

    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAuth:
    """Each user sends the login step once, when it connects, and carries the captured token from then on."""

    step: Step
    token: str
    """The name of the login step's capture that holds the token."""


Auth = NoAuth | BearerAuth | LoginAuth


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeder:
    """Rows of data for users; user i gets row i modulo the number of rows (unique: there must be a row per user)."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    unique: bool = False

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"feeder {self.name} has no rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArrivals:
    """Requests fall due at ``rate`` per second over all users, whatever the service does."""

    rate: float
    spacing: Literal["poisson", "even"] = "poisson"
    journeys: bool = False
    """Whether what falls due are journeys written in Python, whose code decides how many requests follow."""

    def __post_init__(self) -> None:
        if not (self.rate > 0.0 and math.isfinite(self.rate)):
            raise ValueError(f"offered rate must be positive, not {self.rate}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedArrivals:
    """Each user waits ``think_time`` seconds (mean; exponential unless constant) between a response and its next request."""

    think_time: float
    constant: bool = False

    def __post_init__(self) -> None:
        if self.think_time < 0.0:
            raise ValueError(f"think time must not be negative, not {self.think_time}")


Arrivals = OpenArrivals | ClosedArrivals


class Comparator(Enum):
    """How a value stands to a limit."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="

    def holds(self, value: float, limit: float) -> bool:
        """Whether ``value`` is on the good side of ``limit``."""
        match self:
            case Comparator.BELOW:
                return value < limit
            case Comparator.AT_MOST:
                return value <= limit
            case Comparator.ABOVE:
                return value > limit
            case Comparator.AT_LEAST:
                return value >= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """An absolute limit on one metric of one phase (or of one step in it), in base units."""

    metric: str
    comparator: Comparator
    target: float
    """Inside it, the requirement is met."""
    critical: float | None = None
    """Outside it, the requirement always fails, even if it is not required."""
    step: str = ALL_STEPS
    required: bool = True
    """Whether missing the target fails; otherwise it warns."""
    scaled_from: float | None = None
    """The original target, if a profile has scaled it."""
    source: str = "phase"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric!r}")
        upper = self.comparator in (Comparator.BELOW, Comparator.AT_MOST)
        if upper is not (self.definition.direction is Direction.LOWER):
            raise ValueError(f"{self.metric} {self.comparator.value} {self.target}: the limit is on the wrong side")
        if self.critical is not None and (self.critical < self.target if upper else self.critical > self.target):
            raise ValueError(f"{self.metric}: the critical level {self.critical} is stricter than the target {self.target}")

    @property
    def definition(self) -> Metric:
        """The registry's entry of this metric."""
        return METRICS[self.metric]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of load with one intent. The ramp connects the users and raises the rate; only ``duration`` is measured."""

    name: str
    users: int
    ramp: float
    duration: float
    arrivals: Arrivals
    requirements: tuple[Requirement, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    """What is broken on purpose in the measured stretch, in the order in which it begins."""

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ValueError(f"phase {self.name}: at least one user, not {self.users}")
        if self.ramp < 0.0 or self.duration <= 0.0:
            raise ValueError(f"phase {self.name}: ramp >= 0 and duration > 0, not {self.ramp} and {self.duration}")
        if any(each.ends > self.duration for each in self.experiments):
            raise ValueError(f"phase {self.name}: an experiment does not end before the phase does")

    @property
    def offered_rate(self) -> float | None:
        """Requests per second offered in the measured stretch; None where they depend on the answers: in a closed loop, and
        where journeys fall due.
        """
        return None if self.journey_rate is not None else self.arrival_rate

    @property
    def arrival_rate(self) -> float | None:
        """Arrivals per second, requests or journeys; None in a closed loop."""
        return self.arrivals.rate if isinstance(self.arrivals, OpenArrivals) else None

    @property
    def journey_rate(self) -> float | None:
        """Journeys per second, where journeys fall due."""
        return self.arrivals.rate if isinstance(self.arrivals, OpenArrivals) and self.arrivals.journeys else None

    @property
    def tightest_latency_limit(self) -> float | None:
        """The smallest latency target in seconds, with which the generator's own error is compared."""
        limits = [r.target for r in self.requirements if r.definition.of_service_time]
        return min(limits, default=None)


SUSPICIOUS: Final = "suspicious"
BlockInconclusive = bool | Literal["suspicious"]
"""Which inconclusive runs block: all (True), none (False), or those in which something looked worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a verdict is reached; the defaults are those of docs/decision.md."""

    margin: float = 0.05
    """Smallest relative change worth acting on."""
    unchanged_below: float = 0.10
    """An upper 95 % bound below this shows "unchanged"."""
    screen_alpha: float = 0.20
    """Family-wise level of the screen (Holm)."""
    confirm_alpha: float = 0.01
    """Family-wise level of the confirmation: shared by the primary rows of the run, it is the p at which one is a
    regression."""
    max_baselines: int = 10
    """K, the runs behind the level."""
    history: int = 30
    """H, the runs behind the noise."""
    block_inconclusive: BlockInconclusive = SUSPICIOUS
    """Whether an inconclusive run blocks: always, never, or only if something that looked worse is neither confirmed
    nor refuted.
    """
    primary: tuple[tuple[str, str], ...] | None = None
    """Metrics that may fail a run, as (step, metric), at most ``MOST_PRIMARY``; None: the default choice."""
    require_baseline: bool = False
    """Whether a run fails that no stored baseline can be compared with."""

    def __post_init__(self) -> None:
        if not 0.0 < self.margin <= self.unchanged_below:
            raise ValueError(f"margin must be positive and at most {self.unchanged_below}, not {self.margin}")
        if not (0.0 < self.confirm_alpha <= self.screen_alpha < 1.0):
            raise ValueError("0 < confirm_alpha <= screen_alpha < 1 must hold")
        if self.primary is not None and not 1 <= len(self.primary) <= MOST_PRIMARY:
            raise ValueError(f"primary must name 1 to {MOST_PRIMARY} metrics, not {len(self.primary)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the service is, how it is reached, and what the monitor may read of it; None: not watched."""

    url: str
    health_path: str = "/health"
    metrics_path: str | None = None
    connections_metric: str | None = None
    families: tuple[PageFamily, ...] = ()
    """What series of the service are called on its metrics page, where that is not what the Velro backend calls them."""
    watch: tuple[tuple[str, str], ...] = ()
    """What else is watched: keys of the registry of sources (``model.readings``) with their URLs, in the registry's order."""
    verify: bool = True
    http2: bool = False
    ca_file: str | None = None
    """PEM certificates of the authorities to trust, instead of the system's."""
    client_certificate: str | None = None
    """PEM file to present to the service."""
    client_key: str | None = None
    """PEM file; the key may also be in the certificate's file."""
    unix_socket: str | None = None
    """Connected to instead of the URL's host."""
    source_addresses: tuple[str, ...] = ()
    """IP addresses of this machine that the users' connections come from, in turn; empty: the system chooses."""
    follow_redirects: int = 0
    """How many redirects of one request are followed."""
    compression: Literal["none", "gzip"] = "none"
    """What responses may be compressed with."""
    urls: tuple[str, ...] = ()
    """Of all replicas, the first of which is ``url``; empty where there is one. Users are spread over those that are well."""

    @property
    def named_families(self) -> tuple[tuple[str, str], ...]:
        """Series of the service with the families that the scenario names for them."""
        named = [(each.series, each.family) for each in self.families]
        if self.connections_metric is not None:
            named.append((CONNECTIONS, self.connections_metric))
        return tuple(named)

    def __post_init__(self) -> None:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("a client key has no effect without its certificate")
        if self.unix_socket is not None and self.source_addresses:
            raise ValueError("a connection to a unix socket has no source address")
        if self.urls and (self.url != self.urls[0] or self.unix_socket is not None or self.http2):
            raise ValueError("replicas have URLs of their own, the first of which is the target's, and speak HTTP/1.1")
        if unknown := [key for key, _ in self.watch if key not in WATCHED]:
            raise ValueError(f"nothing that can be watched is called {unknown[0]!r}")
        if self.follow_redirects < 0:
            raise ValueError(f"follow_redirects must not be negative, not {self.follow_redirects}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHeaders:
    """Which response headers show how a cache answered, next to the standard ones, as lower-case names."""

    hit: str = "x-cache"
    """Its value holds "hit" for a hit."""
    layer: str = "x-cache-layer"
    """It names the layer that answered."""
    age: bool = False
    """Whether an Age above 0 is a hit, and a response without one a miss."""
    layers: tuple[str, ...] = ()
    """The layers' names, the nearest to the user first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A journey written in Python."""

    function: str
    """``package.module:function``."""
    folders: tuple[str, ...] = ()
    """Where its module is searched for, after the places that Python knows itself."""
    source: str = ""
    """Hex SHA-256 of the module's source."""

    @property
    def module(self) -> str:
        """The dotted name of the module."""
        return self.function.partition(":")[0]

    @property
    def name(self) -> str:
        """The function's name in its module."""
        return self.function.partition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole scenario file, resolved: every profile's phases spelled out, every feeder read, defaults applied."""

    name: str
    description: str
    digest: str
    """Hex SHA-256 over the resolved content without secrets and URL: equal digests offer the same load."""
    target: Target
    auth: Auth
    steps: tuple[Step, ...]
    feeders: tuple[Feeder, ...] = ()
    profiles: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    compliance: ComplianceRules = field(default_factory=ComplianceRules)
    seed: int = 1
    cookies: bool = True
    journey: Journey | None = None
    """What makes the requests, where that is not a plain walk over the steps; the steps then only say what they are counted
    under.
    """
    cache: CacheHeaders = CacheHeaders()
    metrics: tuple[OwnMetric, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    """Fault proxies between the service and what it depends on."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a scenario needs at least one step")
        if self.target.http2 and self.journey is None:
            raise ValueError("HTTP/2 is for journeys written in Python only")
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError("step names must be unique")

    @property
    def requests_per_journey(self) -> float:
        """Mean number of requests in one journey: the sum of the steps' probabilities. Of one written in Python: one a step."""
        return sum(step.probability for step in self.steps)
