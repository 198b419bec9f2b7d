"""What findings are about, as data: a code that stays, and the figures and names that its sentence needs.

Analysis decides and fills these in; ``report.sentences`` words them. Figures are in base units. The doubts of blocks are stored
with a duet, so a field that is added to them needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureName:
    """Which figure: a metric of a step, or of all of them."""

    step: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worded:
    """What comes in words: doubts stored by versions that kept only those, and what the gate says about its own steps."""

    code: str
    sentence: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseMissing:
    """A phase of the plan is not in the record."""

    code: Literal["phase-missing"] = "phase-missing"
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLost:
    """Processes of the generator ended during the phase; how, for each."""

    code: Literal["shard-lost"] = "shard-lost"
    phase: str
    how: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The run was stopped from outside."""

    code: Literal["interrupted"] = "interrupted"
    phase: str = ""
    """Empty where that was between phases."""
    seconds: float | None = None
    """Seconds measured until then; None where that is not about a phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowShort:
    """Too little of the planned stretch was measured, both in seconds."""

    code: Literal["window-short"] = "window-short"
    phase: str
    seconds: float
    planned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSamples:
    """No request was sent in the measured stretch."""

    code: Literal["no-samples"] = "no-samples"
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalsMissed:
    """Requests that were due and that the generator did not send."""

    code: Literal["arrivals-missed"] = "arrivals-missed"
    phase: str
    missed: int
    due: int
    offered: float | None
    """Requests a second, None in a closed loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Sending late."""

    code: Literal["lateness"] = "lateness"
    phase: str
    late: float
    """The p99 of lateness."""
    limit: float
    """The tightest latency limit."""
    affected: tuple[FigureName, ...] = ()
    """What might not have failed without the delay."""
    worker: str = ""
    """Of a cluster, the worker whose loop lagged most; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLagged:
    """Reading late: how long the loop was busy at a stretch."""

    code: Literal["loop-lag"] = "loop-lag"
    phase: str
    busy: float
    limit: float
    once: bool = False
    """Whether ``busy`` is the longest turn, not the p99 of turns."""
    affected: tuple[FigureName, ...] = ()
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPaused:
    """Full garbage collections of the generator, and the longest of them in seconds."""

    code: Literal["gc-pause"] = "gc-pause"
    phase: str
    collections: int
    longest: float
    affected: tuple[FigureName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The generator stood still."""

    code: Literal["stalled"] = "stalled"
    phase: str
    longest: float
    limit: float | None = None
    """The tightest latency limit, where the longest stall is above it."""
    affected: tuple[FigureName, ...] = ()
    worker: str = ""
    """Of a cluster, the worker whose loop was seen to stand still for that long; empty where none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullRunNoise:
    """The generator alone takes a large part of a latency limit."""

    code: Literal["generator-noise"] = "generator-noise"
    phase: str
    figure: FigureName
    rate: float
    own: float
    """Its figure at ``rate`` requests per second."""
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorCpu:
    """The share of its core that the generator used."""

    code: Literal["generator-cpu"] = "generator-cpu"
    phase: str
    share: float
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steal:
    """The share of the machine's CPU that its host gave to others."""

    code: Literal["steal"] = "steal"
    phase: str
    share: float
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """The share of time in which a CPU quota stopped the generator."""

    code: Literal["throttled"] = "throttled"
    phase: str
    share: float
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLow:
    """Bytes left for the generator at the tightest moment."""

    code: Literal["memory"] = "memory"
    phase: str
    free: int
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorsLow:
    """File descriptors left at the tightest moment."""

    code: Literal["descriptors"] = "descriptors"
    phase: str
    free: int
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortsLow:
    """Local ports left at the tightest moment."""

    code: Literal["ports"] = "ports"
    phase: str
    free: int
    worker: str = ""
    """Which worker of a cluster; empty without a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFewUsers:
    """Users so few that response times are mostly waits."""

    code: Literal["too-few-users"] = "too-few-users"
    phase: str
    users: int
    needed: float
    """How many would be needed, by Little's law."""
    offered: float
    response: float
    service: float
    blocked: int
    """Requests never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FewResponses:
    """A required quantile with few of its responses beyond it."""

    code: Literal["few-answers"] = "few-answers"
    phase: str
    figure: FigureName
    answers: int
    beyond: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorGaps:
    """A source that was read less often than the others."""

    code: Literal["monitor-gaps"] = "monitor-gaps"
    phase: str
    source: str
    readings: int
    most: int
    """The readings of the best-watched one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountersFell:
    """Counters of a source that fell again and again: processes in turn answer under one address."""

    code: Literal["counters-fell"] = "counters-fell"
    phase: str
    source: str
    series: str
    falls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSkew:
    """The workers of a cluster began a phase at different times."""

    code: Literal["start-skew"] = "start-skew"
    phase: str
    skew: float
    """Seconds between the first and the last, by how much they may be apart at the most."""
    worker: str
    """The last to begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrifted:
    """A worker's clock moved against the head's during the load."""

    code: Literal["clock-drift"] = "clock-drift"
    phase: str
    drift: float
    """Seconds since the start of the run, beyond what the pings leave open."""
    worker: str


PhaseDoubt = (
    PhaseMissing
    | ShardLost
    | Interrupted
    | WindowShort
    | NoSamples
    | ArrivalsMissed
    | Lateness
    | LoopLagged
    | GcPaused
    | Stalled
    | NullRunNoise
    | GeneratorCpu
    | Steal
    | Throttled
    | MemoryLow
    | DescriptorsLow
    | PortsLow
    | TooFewUsers
    | FewResponses
    | MonitorGaps
    | CountersFell
    | StartSkew
    | ClockDrifted
)
"""What speaks against the measurement of one phase, or of one block of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsLeftOut:
    """Pairs of a duet that were measured and cannot be used, and each reason once."""

    code: Literal["pairs-left-out"] = "pairs-left-out"
    left_out: int
    pairs: int
    reasons: tuple[PhaseDoubt | Worded, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMissing:
    """Pairs in which the control endpoint did not answer."""

    code: Literal["control-missing"] = "control-missing"
    missing: int
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMoved:
    """The control endpoint's relative change in the head build's blocks, and the largest that counts as none."""

    code: Literal["control-moved"] = "control-moved"
    change: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlUnsteady:
    """The control endpoint's relative spread from pair to pair."""

    code: Literal["control-unsteady"] = "control-unsteady"
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEffect:
    """A figure whose change depends on which build was measured first."""

    code: Literal["order"] = "order"
    figure: FigureName
    head_second: float
    """How much worse the head build looks where it comes second, on the comparison scale."""
    head_first: float
    """How much worse it looks where it comes first."""


DuetDoubt = PairsLeftOut | ControlMissing | ControlMoved | ControlUnsteady | OrderEffect
"""What speaks against the pairs of a duet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstead:
    """A duet that cannot be trusted, so that the comparison with stored baselines stands. It has the code of the reason."""

    because: PhaseDoubt | DuetDoubt | Worded

    @property
    def code(self) -> str:
        """That of the reason."""
        return self.because.code


TrustFacts = PhaseDoubt | DuetDoubt | StoredInstead | Worded
"""Why a measurement can be doubted."""
