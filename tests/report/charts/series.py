"""Timelines that fit the records of the report's tests, drawn from the same figures."""

from __future__ import annotations

import math

from velro_gate.model.charts.timeline import RANKS, PhaseTimeline, StepLatency, TimeLine, Timeline
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS


def timeline(record: RunRecord, *, every: float = 1.0) -> Timeline:
    """A timeline of all phases, with readings once a second. every: seconds between two readings."""
    phases, now = [], 2.0
    for phase in record.phases:
        phases.append(_phase(phase, now))
        now = phases[-1].measured_until + 1.0
    at = tuple(index * every for index in range(int(now / every)))

    def line(middle: float, swing: float) -> TimeLine:
        return TimeLine(at=at, value=tuple(middle + swing * math.sin(moment / 37.0) for moment in at))

    return Timeline(
        phases=tuple(phases),
        connected=TimeLine(at=at, value=tuple(_users(moment, record, phases) for moment in at)),
        readings={
            ("service", "cpu_seconds"): line(1.4, 0.5),
            ("runner", "cpu_share"): line(0.4, 0.2),
            ("service", "rss"): line(412 * 2.0**20, 30 * 2.0**20),
            ("service", "database_pool_size"): line(240.0, 0.0),
            ("service", "database_pool_in_use"): line(120.0, 60.0),
            ("service", "database_pool_waiting"): line(3.0, 3.0),
            ("service", "connections"): line(9000.0, 800.0),
            ("database", "connections"): line(240.0, 2.0),
        },
    )


def _phase(phase: PhaseSummary, now: float) -> PhaseTimeline:
    start = now + phase.ramp
    named = [step.step for step in phase.steps if step.step != ALL_STEPS]
    factors = {name: 0.7 + 0.2 * index for index, name in enumerate(named)}
    return PhaseTimeline(
        name=phase.name,
        started=now,
        measured_from=start,
        measured_until=start + phase.measured_seconds,
        steps=tuple(
            StepLatency(
                step=name,
                **{  # type: ignore[arg-type]
                    level: tuple((getattr(window, level) or 0.0) * factors[name] for window in phase.windows)
                    for level in ("p50", "p95", "p99")
                },
            )
            for name in named
        ),
        errors={
            "503": tuple(window.failed / window.seconds * 0.8 for window in phase.windows),
            "TIMEOUT": tuple(window.failed / window.seconds * 0.2 for window in phase.windows),
        },
        spread={
            name: tuple(0.009 * factors.get(name, 1.0) * math.exp(0.5 * _normal(rank)) for rank in RANKS)
            for name in (ALL_STEPS, *named)
        },
    )


def _normal(rank: float) -> float:
    """About the normal quantile, with finite ends."""
    inside = min(max(rank, 1e-5), 1.0 - 1e-5)
    return math.log(inside / (1.0 - inside)) / 1.702


def _users(moment: float, record: RunRecord, phases: list[PhaseTimeline]) -> float:
    for phase, ran in zip(record.phases, phases, strict=True):
        if moment < ran.measured_until:
            ramped = (moment - ran.started) / max(ran.measured_from - ran.started, 1e-9)
            return phase.users * min(max(ramped, 0.0), 1.0)
    return 0.0
