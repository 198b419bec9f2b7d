"""What is broken on purpose while a phase is measured, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from velro_gate.model.resilience.network import NetworkFault, WireProtocol
from velro_gate.model.resilience.probes import (
    ControlRequest,
    DegradedAnswers,
    Probed,
    Readers,
    RedisCommand,
    VerifiedWrites,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A fault proxy between the service and one of its dependencies."""

    name: str
    to_host: str
    """Where the proxy finds the dependency."""
    to_port: int
    """The dependency's port."""
    listen_host: str
    """Where the service finds the proxy."""
    listen_port: int
    """The proxy's port."""
    protocol: WireProtocol = WireProtocol.TCP

    @property
    def address(self) -> str:
        """Where it listens."""
        host = f"[{self.listen_host}]" if ":" in self.listen_host else self.listen_host
        return f"{host}:{self.listen_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAction:
    """A fault of a proxy."""

    proxy: str
    fault: NetworkFault


class Blow(StrEnum):
    """What is done to a process."""

    FREEZE = "freeze"
    """SIGSTOP, undone by SIGCONT."""
    STOP = "stop"
    """SIGTERM, which a process may handle."""
    KILL = "kill"
    """SIGKILL, which no process can handle: nothing is flushed, and no connection is closed in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessAction:
    """Something done to processes, children included."""

    blow: Blow
    of: str
    """``port:8400``, ``pid:4711`` or ``command:gunicorn``."""
    start: str = ""
    """A command that starts what was ended again, and returns; empty: something else does, or nothing has to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureAction:
    """Less of the machine for the control group of a process."""

    of: str
    cpu: float | None = None
    """Cores; None: as before."""
    memory: int | None = None
    """Bytes; None: as before."""

    def __post_init__(self) -> None:
        if self.cpu is None and self.memory is None:
            raise ValueError("pressure needs a limit of CPU or of memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAction:
    """A request that breaks something, and the one that undoes it."""

    begin: ControlRequest
    undo_by: ControlRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAction:
    """A command that breaks something and returns, and the one that undoes it; empty: nothing has to be undone."""

    run: str
    undo_run: str = ""


class Pattern(StrEnum):
    """What is invalidated: one key, all that carry a tag, or everything."""

    KEY = "key"
    TAG = "tag"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidateAction:
    """Something after which cached values are no longer valid: a write or an endpoint of the service, or a command to Redis.

    There is nothing to undo: what is expected afterwards counts from the moment at which it was acknowledged.
    """

    by: ControlRequest | RedisCommand
    pattern: Pattern = Pattern.KEY
    read: Readers | None = None
    """Who looks for stale values meanwhile; None: nobody."""


Action = NetworkAction | ProcessAction | PressureAction | RequestAction | CommandAction | InvalidateAction


class Expected(StrEnum):
    """What may be expected of a service while something is broken, and afterwards."""

    ERRORS = "errors"
    """Share of failed requests during the fault, without answers of a declared degraded kind."""
    P95 = "p95"
    """Response time of the successful ones."""
    DEGRADED = "degraded"
    """Share of answers with a declared status."""
    BREAKER = "breaker"
    """Seconds from the beginning of the fault until the first of several fast failures in a row."""
    RECOVERY = "recovery"
    """Seconds from the end of the fault until errors and latency are back where they were."""
    RETRIES = "retries"
    """The highest rate at the dependency, as a multiple of the rate before."""
    STALE = "stale"
    """Share of reads that gave an old value after a write was acknowledged."""
    CONSISTENCY = "consistency"
    """Seconds from the acknowledgement of a write until the last read that gave its old value."""
    LOAD = "load"
    """The highest rate at the dependency, as a multiple of the rate before."""
    HIT_RATE = "hit_rate"
    """Seconds until the cache hit rate is back."""
    LOST = "lost"
    """Writes that were acknowledged and could not be read back after the fault."""
    FAILOVER = "failover"
    """Seconds from the beginning of the fault, while it lasts, until errors and latency are back where they were."""

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self is Expected.DEGRADED


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A limit on one of these figures, in base units."""

    kind: Expected
    limit: float
    step: str = "all"
    """Whose requests are meant."""
    statuses: tuple[int, ...] = ()
    """Statuses of degraded answers, and of the failures of an open breaker."""
    fast: float = 0.0
    """Seconds within which a failure is one of an open breaker."""
    proxy: str = ""
    """Where retries and load are counted."""
    metric: str = ""
    """A watched value that shows an open breaker by being higher than before the fault; empty: the answers show it."""
    probed: bool = False
    """Whether requests of a probe are meant instead of the load's."""

    def holds(self, value: float) -> bool:
        """Whether a value is inside the limit."""
        return value >= self.limit if self.kind.at_least else value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Something that is broken on purpose in the measured stretch of a phase."""

    name: str
    at: float
    """Seconds from the beginning of the measured stretch."""
    lasts: float
    """Seconds until it is undone."""
    action: Action
    steady: float = 0.0
    """Seconds before it, and after the service may have recovered, in which nothing else is broken."""
    repeat: int = 1
    """Which repetition this is, from 1."""
    expected: tuple[Expectation, ...] = ()
    verify: VerifiedWrites | None = None
    """Writes during the fault that are read back after it."""
    degraded: DegradedAnswers | None = None
    """A request that shows how the service degrades, where statuses of the load's responses do not."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.at < math.inf and 0.0 < self.lasts < math.inf and 0.0 <= self.steady < math.inf):
            raise ValueError(f"experiment {self.name}: at >= 0, lasts > 0 and steady >= 0 must hold")

    @property
    def room(self) -> float:
        """Seconds after it in which nothing else may be broken: its steady state, or what recovery may take."""
        waited = (Expected.RECOVERY, Expected.HIT_RATE)
        ends = 0.0 if not isinstance(self.action, InvalidateAction) else self.lasts
        recovery = max((each.limit - ends for each in self.expected if each.kind in waited), default=0.0)
        return max(self.steady, recovery, 0.0 if self.verify is None else self.verify.within)

    @property
    def ends(self) -> float:
        """Seconds from the beginning of the measured stretch until it is undone."""
        return self.at + self.lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedOut:
    """An experiment as it was carried out. Times are seconds since the start of the run."""

    phase: str
    experiment: str
    repeat: int
    begun: float
    ended: float | None
    """None where it was not undone."""
    fault: str = ""
    """Why it could not be begun or undone; empty otherwise."""
    probed: tuple[Probed, ...] = ()
    """What probes have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyCount:
    """What had passed through a proxy at some instant."""

    at: float
    proxy: str
    accepted: int
    requests: int | None
    """None where its protocol has none that are known."""
