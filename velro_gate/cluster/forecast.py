"""What a plan takes of each worker of a cluster and of its head, on paper. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from velro_gate import units
from velro_gate.analysis.summaries.reduced.bins import ERROR
from velro_gate.cluster.fit import share_of_phase
from velro_gate.cluster.options import RAW
from velro_gate.engine.machine.forecast import forecast
from velro_gate.errors import InfeasibleError
from velro_gate.model.metric.own import MetricOrigin
from velro_gate.model.samples import COLUMNS
from velro_gate.model.scenario import Phase, Scenario

SAMPLE_BYTES = sum(kind().itemsize for kind in COLUMNS.values())
"""Of one row, on the way to the head and in its file."""

HEAD_COST = 0.5e-6
"""Core-seconds of the head for one sample that comes in. Measured without the socket and TLS: 0.32e-6 (``python -m
benchmarks.cluster``): frames checked, values read, rows kept in a file.
"""

MERGE_COST, MERGE_BYTES = 1.0e-6, 200
"""Core-seconds and bytes of memory for one sample of the longest phase when its figures are computed. Measured with a million
samples: 0.96 s from the files to the verdict, 261 MB of the whole process (``python -m benchmarks.decision``).
"""

PORTS = 28_232
"""Local ports for one source address and one address of the target, as Linux is set up."""

_HEAD_SHARE = 0.7
"""Share of a core that the head may need for taking in samples: it also pings, and a head that is late makes every worker look
slow.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreduced:
    """Why the workers do not reduce the samples of a long phase, in words, and what changes that."""

    why: str
    do: str


OF_DUET = Unreduced(
    why="the blocks of a duet are compared by their samples, so the workers do not reduce them",
    do="Measure shorter blocks (--block)",
)
OF_CAPACITY = Unreduced(
    why="the trials of a search for the capacity are judged by their samples, so the workers do not reduce them",
    do="Begin at a lower load (--start)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterForecast:
    """One worker's part at its peak, and the head's. Bytes, seconds, shares of a core."""

    workers: int
    users: int
    rate: float
    cpu_share: float
    descriptors: int
    memory: int
    addresses: int
    """Source addresses that a machine with one worker needs for its users."""
    samples: float
    """A second, at the head."""
    head_share: float
    head_limit: float
    """Samples a second at which the head would be the limit."""
    longest: float
    """Samples of the longest phase whose samples are kept; 0 where none is."""
    merge_seconds: float
    merge_memory: int
    reduced: tuple[str, ...] = ()
    """The phases whose samples the workers reduce."""
    raw: int = RAW
    """Bytes of a phase's samples beyond which they do."""
    kept: Unreduced | None = None
    """Why the samples of the longest phase whose samples are kept are not reduced; None: it is short enough."""


def phases_to_reduce(phases: Sequence[Phase], scenario: Scenario, raw: int) -> frozenset[str]:
    """The phases whose samples would be larger than ``raw`` bytes, if reduced samples give their figures."""
    return frozenset(
        phase.name
        for phase in phases
        if forecast([phase], scenario=scenario).requests * SAMPLE_BYTES > raw and needs_samples(phase, scenario) is None
    )


def needs_samples(phase: Phase, scenario: Scenario) -> Unreduced | None:
    """What of a phase's figures needs the samples themselves; None where nothing does."""
    if phase.experiments:
        return Unreduced(
            why=f"the experiments of phase {phase.name} are judged by its samples, so the workers do not reduce them",
            do="Make the experiments in a shorter phase of their own",
        )
    of_steps = [metric.name for metric in scenario.metrics if metric.origin is MetricOrigin.STEPS]
    if not of_steps:
        return None
    names = " and ".join(of_steps)
    return Unreduced(
        why=f"metrics of whole groups of steps ({names}) are made of samples, so the workers do not reduce them",
        do=f"Leave {names} out of the scenario",
    )


def cluster_forecast(
    phases: Sequence[Phase], scenario: Scenario, workers: int, raw: int = RAW, *, kept: Unreduced | None = None
) -> ClusterForecast:
    """For this number of workers, each with a core of its own. raw: bytes of a phase's samples beyond which they are reduced.
    kept: why none are; None: they may be.
    """
    reduced = frozenset() if kept is not None else phases_to_reduce(phases, scenario, raw)
    whole = forecast(phases, scenario=scenario, shards=workers)
    part = forecast([share_of_phase(phase, 1.0 / workers) for phase in phases], scenario=scenario)
    rate = max(each.rate for each in whole.phases)
    longest, longest_phase = max(
        ((part.requests, phase) for part, phase in zip(whole.phases, phases, strict=True) if part.name not in reduced),
        key=lambda one: one[0],
        default=(0.0, None),
    )
    users = max(each.users for each in part.phases)
    return ClusterForecast(
        workers=workers,
        users=users,
        rate=max(each.rate for each in part.phases),
        cpu_share=part.cpu_share,
        descriptors=part.descriptors,
        memory=part.memory,
        addresses=math.ceil(users / PORTS),
        samples=rate,
        head_share=rate * HEAD_COST,
        head_limit=_HEAD_SHARE / HEAD_COST,
        longest=longest,
        merge_seconds=longest * MERGE_COST,
        merge_memory=round(longest * MERGE_BYTES),
        reduced=tuple(phase.name for phase in phases if phase.name in reduced),
        raw=raw,
        kept=kept or (None if longest_phase is None else needs_samples(longest_phase, scenario)),
    )


def require_room_for_samples(found: ClusterForecast, memory: int | None) -> None:
    """Refuse a plan whose samples this machine could not put together afterwards. memory: bytes free; None: unknown.

    Raises:
        InfeasibleError: says how much they would take.
    """
    if memory is None or found.merge_memory <= memory:
        return
    kept = found.kept or Unreduced(
        why=f"the workers reduce only phases of more than {units.format_bytes(found.raw)}",
        do="Give a smaller --cluster-raw",
    )
    raise InfeasibleError(
        f"the figures of the longest phase, about {units.format_whole(found.longest)} samples, would take this machine "
        f"{units.format_bytes(found.merge_memory)} of memory",
        why=f"{units.format_bytes(memory)} are free, and {kept.why}",
        hint=f"{kept.do}, or call velro-gate on a machine with more memory.",
    )


def cluster_sentences(found: ClusterForecast) -> list[str]:
    """One worker's part, and where the head stands."""
    return [
        f"By {units.format_count(found.workers)} workers, each with a core of its own: at most "
        f"{units.format_count(found.users)} users and {units.format_rate(found.rate)}, "
        f"{units.format_share(found.cpu_share)} of the core, {units.format_count(found.descriptors)} open files, "
        f"{units.format_bytes(found.memory)} of memory{_ports(found)}.",
        f"The head receives {units.format_rate(found.samples)} at most "
        f"({units.format_bytes(found.samples * SAMPLE_BYTES)}/s), {units.format_share(found.head_share)} of a core; "
        f"it would be the limit at about {units.format_rate(found.head_limit)}.",
        *_figures(found),
    ]


def _figures(found: ClusterForecast) -> list[str]:
    sentences = []
    if found.longest:
        sentences.append(
            f"The longest phase{' whose samples are kept' if found.reduced else ''} has about "
            f"{units.format_whole(found.longest)} samples: their figures take the head about "
            f"{units.format_duration(found.merge_seconds)} and {units.format_bytes(found.merge_memory)} of memory."
        )
    if found.kept is not None and found.longest * SAMPLE_BYTES > found.raw:
        sentences.append(f"They are more than {units.format_bytes(found.raw)}, but {found.kept.why}.")
    if found.reduced:
        sentences.append(
            f"The workers reduce the samples of {', '.join(found.reduced)}, more than "
            f"{units.format_bytes(found.raw)} each, to counts: times are known to {units.format_share(ERROR)} of themselves."
        )
    return sentences


def _ports(found: ClusterForecast) -> str:
    if found.addresses < 2:
        return ""
    return f", and ports: {found.addresses} source addresses a machine, a wider range of ports, or more workers"
