"""Hypothesis strategies that build valid values of the model, and plain builders for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from velro_gate.model.record import Counts, Estimate, PhaseSummary, Plan, Revision, RunRecord, StepSummary
from velro_gate.model.run import Environment, GeneratorHealth, PhaseRun
from velro_gate.model.samples import COLUMNS, Outcome, Samples
from velro_gate.model.scenario import OpenArrivals, Phase, Policy, Step

few = st.integers(0, 10_000)
seconds = st.floats(0.0, 1e4, allow_nan=False)


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    ok, failed, cancelled, blocked, missed = (draw(few) for _ in range(5))
    sent = ok + failed + cancelled
    return Counts(
        due=sent + blocked + missed, sent=sent, ok=ok, failed=failed, cancelled=cancelled, blocked=blocked, missed=missed
    )


@st.composite
def samples(draw: st.DrawFn, max_size: int = 40) -> Samples:
    size = draw(st.integers(0, max_size))
    column = st.lists(seconds, min_size=size, max_size=size).map(np.array)
    due, queued, late, service = (draw(column).astype(np.float64).reshape(size) for _ in range(4))
    outcome = draw(st.lists(st.sampled_from(list(Outcome)), min_size=size, max_size=size))
    sent = due + queued + late
    columns: dict[str, Any] = {name: np.zeros(size, dtype) for name, dtype in COLUMNS.items()}
    columns |= {"due": due, "queued": queued.astype(np.float32), "sent": sent, "done": sent + service}
    columns |= {"outcome": np.array(outcome, np.uint8), "user": np.arange(size, dtype=np.uint32)}
    return Samples(**columns)


def step(name: str = "list", probability: float = 1.0, timeout: float = 10.0) -> Step:
    return Step(name=name, method="GET", path="/list", probability=probability, timeout=timeout)


def phase(name: str = "steady", **changes: Any) -> Phase:
    fields: dict[str, Any] = {"name": name, "users": 10, "ramp": 1.0, "duration": 5.0, "arrivals": OpenArrivals(rate=20.0)}
    return Phase(**fields | changes)


def health() -> GeneratorHealth:
    return GeneratorHealth(
        cpu_share=0.2,
        steal_share=None,
        loop_lag_p99=0.001,
        loop_lag_max=0.002,
        gc_full_collections=0,
        gc_pause_max=0.0,
        rss_start=1,
        rss_peak=2,
        descriptors_free=None,
        ports_free=None,
    )


def phase_run(**changes: Any) -> PhaseRun:
    fields: dict[str, Any] = {
        "name": "steady",
        "started": 0.0,
        "measured_from": 1.0,
        "measured_until": 6.0,
        "ended": 6.5,
        "users": 10,
        "due": {},
        "blocked": {},
        "missed": {},
        "sent_total": 0,
        "delivered_total": 0,
        "connections_opened": 10,
        "reconnects": 0,
        "retries": 0,
        "ticks": (),
        "health": health(),
    }
    return PhaseRun(**fields | changes)


NOTHING = Counts(due=0, sent=0, ok=0, failed=0, cancelled=0, blocked=0, missed=0)


def step_summary(name: str = "all", **measurements: float) -> StepSummary:
    return StepSummary(
        step=name, counts=NOTHING, measurements={key: Estimate.exact(value, n=1) for key, value in measurements.items()}
    )


def phase_summary(name: str = "steady", **changes: Any) -> PhaseSummary:
    fields: dict[str, Any] = {
        "name": name,
        "users": 10,
        "offered_rate": 20.0,
        "ramp": 1.0,
        "measured_seconds": 5.0,
        "planned_seconds": 5.0,
        "steps": (step_summary("all", p95=0.02), step_summary("list", p95=0.03)),
        "windows": (),
        "resources": (),
        "health": health(),
        "sent_total": 0,
        "delivered_total": 0,
        "connections_opened": 0,
        "reconnects": 0,
    }
    return PhaseSummary(**fields | changes)


def environment(**changes: Any) -> Environment:
    fields: dict[str, Any] = {
        "runner": "perf",
        "cpu_model": "a processor",
        "cores": 2,
        "memory": 8 * 2**30,
        "kernel": "6.1",
        "python": "3.11",
        "tool": "0.1",
    }
    return Environment(**fields | changes)


def record(phases: tuple[PhaseSummary, ...], planned: tuple[Phase, ...], **changes: Any) -> RunRecord:
    plan = Plan(scenario="s", digest="d", profile="quick", steps=("list",), phases=planned, policy=Policy())
    fields: dict[str, Any] = {
        "id": "r",
        "started_at": "2025-01-01T00:00:00Z",
        "tool": "0.1.0",
        "plan": plan,
        "environment": environment(),
        "revision": Revision(),
        "phases": phases,
    }
    return RunRecord(**fields | changes)
