"""Where doubt in a measurement begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from velro_gate.model.facts.doubts import PhaseDoubt
from velro_gate.model.verdict import Trust, TrustFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustLimits:
    """Where doubt begins; a figure must lie beyond a limit to be reported. Defaults: docs/decision.md, section 6.

    Invariant: every caveat lies before its broken level.
    """

    lateness_caveat: float = 0.10
    """Lateness p99, as a share of the phase's tightest latency limit."""
    lateness_broken: float = 0.20
    latency_limit: float = 0.100
    """Seconds; stands in for the tightest latency limit of a phase that has none."""
    lag_caveat: float = 0.10
    lag_broken: float = 0.20
    """Loop lag p99, as a share of the tightest latency limit. One turn longer than that limit is a caveat as well."""
    noise_caveat: float = 0.10
    noise_broken: float = 0.20
    """What the generator alone shows, as a share of the latency limit on the same quantile."""
    noise_beyond: int = 10
    """The least number of responses of the null run beyond a quantile that may break a run."""
    cpu_caveat: float = 0.70
    cpu_broken: float = 0.90
    steal_caveat: float = 0.02
    steal_broken: float = 0.10
    throttled_caveat: float = 0.02
    throttled_broken: float = 0.10
    memory_caveat: int = 256 * 2**20
    """Bytes free at the tightest moment: as much as the generator may grow before it collects garbage."""
    descriptors_caveat: int = 16
    """Free descriptors and ports at the tightest moment: fewer is a caveat, none is broken."""
    ports_caveat: int = 64
    skew_caveat: float = 0.025
    skew_broken: float = 0.100
    """Seconds by which workers of a cluster began a phase apart, or a clock of theirs moved."""
    missed: int = 0
    measured_share: float = 0.80
    """The least share of the planned stretch that must have been measured."""
    waited: float = 0.5
    """The share of the median response time that may be waits behind the same user's earlier request, and of a phase's users
    that may be waiting at the offered rate.
    """
    beyond: int = 20
    """The least number of successful responses beyond a required quantile."""
    reading_share: float = 0.5
    """The least share of the readings of the best-watched source that every other source must have."""
    least_readings: int = 10
    """Below this many readings no source is called badly watched."""

    def __post_init__(self) -> None:
        pairs = (
            (self.lateness_caveat, self.lateness_broken),
            (self.lag_caveat, self.lag_broken),
            (self.noise_caveat, self.noise_broken),
            (self.cpu_caveat, self.cpu_broken),
            (self.steal_caveat, self.steal_broken),
            (self.throttled_caveat, self.throttled_broken),
            (self.skew_caveat, self.skew_broken),
        )
        if any(not 0.0 <= caveat <= broken for caveat, broken in pairs):
            raise ValueError("a caveat must begin before the broken level, and neither below 0")


DEFAULT_LIMITS = TrustLimits()


def graded(facts: PhaseDoubt, figure: float, levels: tuple[float, float]) -> Iterator[TrustFinding]:
    """A finding when the figure lies above the first level, broken when above the second."""
    caveat, most = levels
    if figure > most:
        yield broken(facts, figure, most)
    elif figure > caveat:
        yield doubtful(facts, figure, caveat)


def broken(facts: PhaseDoubt, figure: float | None = None, limit: float | None = None) -> TrustFinding:
    """A finding that breaks the run."""
    return TrustFinding(trust=Trust.BROKEN, phase=facts.phase, figure=figure, limit=limit, facts=facts)


def doubtful(facts: PhaseDoubt, figure: float, limit: float) -> TrustFinding:
    """A finding that is a caveat."""
    return TrustFinding(trust=Trust.CAVEAT, phase=facts.phase, figure=figure, limit=limit, facts=facts)
