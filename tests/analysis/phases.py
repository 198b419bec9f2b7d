"""Builders of phases, engine facts and samples for the tests of the analysis. Random, but seeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from velro_gate.model.record import Counts, Estimate, PhaseSummary, Plan, Revision, RunRecord, StepSummary, Window
from velro_gate.model.run import Environment, GeneratorHealth, PhaseRun, Tick
from velro_gate.model.samples import COLUMNS, Outcome, Samples
from velro_gate.model.scenario import OpenArrivals, Phase, Policy, Requirement

STEPS = ("login", "list")


def health(**changed: Any) -> GeneratorHealth:
    """A generator in good health."""
    figures: dict[str, Any] = {
        "cpu_share": 0.3,
        "steal_share": 0.0,
        "loop_lag_p99": 0.001,
        "loop_lag_max": 0.005,
        "gc_full_collections": 0,
        "gc_pause_max": 0.0,
        "rss_start": 2**26,
        "rss_peak": 2**27,
        "descriptors_free": 1000,
        "ports_free": 20_000,
    }
    return GeneratorHealth(**(figures | changed))


def phase(*requirements: Requirement, name: str = "steady", rate: float = 100.0, **changed: Any) -> Phase:
    """An open phase of 60 s at 100 requests/s after a ramp of 10 s."""
    figures: dict[str, Any] = {"users": 50, "ramp": 10.0, "duration": 60.0, "arrivals": OpenArrivals(rate=rate)}
    return Phase(name=name, requirements=requirements, **(figures | changed))


def samples(due: npt.ArrayLike, response: npt.ArrayLike = 0.02, **columns: npt.ArrayLike) -> Samples:
    """Samples with these due times (s) and response times (s), sent on time, answered 200 unless columns say otherwise."""
    moments = np.asarray(due, np.float64)
    n = len(moments)
    filled: dict[str, Any] = {
        "due": moments,
        "sent": moments,
        "done": moments + np.asarray(response, np.float64),
        "queued": 0.0,
        "connect": np.nan,
        "first_byte": 0.001,
        "step": 0,
        "user": 0,
        "status": 200,
        "outcome": Outcome.OK,
        "cache": 0,
        "received": 100,
    } | columns
    return Samples(**{name: np.broadcast_to(np.asarray(filled[name], dtype), n).copy() for name, dtype in COLUMNS.items()})


def run_of(measured: Samples, *, begin: float = 10.0, seconds: float = 60.0, **changed: Any) -> PhaseRun:
    """The engine's facts for these samples: the books balance unless ``changed`` says otherwise."""
    inside = (measured.due >= begin) & (measured.due < begin + seconds)
    due = {name: int((measured.step[inside] == i).sum()) for i, name in enumerate(STEPS)}
    figures: dict[str, Any] = {
        "name": "steady",
        "started": max(begin - 10.0, 0.0),
        "measured_from": begin,
        "measured_until": begin + seconds,
        "ended": begin + seconds + 1.0,
        "users": 50,
        "due": due,
        "blocked": {},
        "missed": {},
        "sent_total": len(measured),
        "delivered_total": len(measured),
        "connections_opened": 50,
        "reconnects": 0,
        "retries": 0,
        "ticks": tuple(Tick(at=begin + s, connected=50, in_flight=1, sent=0, ok=0, failed=0) for s in range(int(seconds))),
        "health": health(),
    }
    return PhaseRun(**(figures | changed))


def counts(ok: int = 6000, failed: int = 0, blocked: int = 0, missed: int = 0, cancelled: int = 0) -> Counts:
    """Books that balance."""
    sent = ok + failed + cancelled
    return Counts(
        due=sent + blocked + missed, sent=sent, ok=ok, failed=failed, cancelled=cancelled, blocked=blocked, missed=missed
    )


def window(start: float, ok: int, seconds: float = 10.0) -> Window:
    """A window in which ``ok`` requests were answered well."""
    return Window(
        start=start,
        seconds=seconds,
        sent=ok,
        ok=ok,
        failed=0,
        connected=50,
        p50=0.01,
        p95=0.02,
        p99=0.03,
        hit_rate=None,
        lateness_p99=0.0,
    )


def summary(measured: Mapping[str, Mapping[str, Estimate]] | None = None, **changed: Any) -> PhaseSummary:
    """A phase that ran well; ``measured``: step name -> metric -> estimate; ``books``: step name -> counts."""
    books: Mapping[str, Counts] = changed.pop("books", {})
    tables = {"all": {"lateness_p99": Estimate.exact(0.0005, n=6000)}} if measured is None else measured
    names = ("all", *(name for name in (tables | books) if name != "all"))
    figures: dict[str, Any] = {
        "name": "steady",
        "users": 50,
        "offered_rate": 100.0,
        "ramp": 10.0,
        "measured_seconds": 60.0,
        "planned_seconds": 60.0,
        "steps": tuple(
            StepSummary(step=name, counts=books.get(name, counts()), measurements=tables.get(name, {})) for name in names
        ),
        "windows": tuple(window(10.0 * i, 1000) for i in range(6)),
        "resources": (),
        "health": health(),
        "sent_total": 7000,
        "delivered_total": 7000,
        "connections_opened": 50,
        "reconnects": 0,
    }
    return PhaseSummary(**(figures | changed))


def record(*phases: PhaseSummary, planned: tuple[Phase, ...] = (), **changed: Any) -> RunRecord:
    """A record of these phases."""
    plan = Plan(scenario="s", digest="d", profile="quick", steps=STEPS, phases=planned, policy=Policy())
    environment = Environment(runner="r", cpu_model="c", cores=2, memory=2**33, kernel="k", python="3.12", tool="0.1")
    figures: dict[str, Any] = {"id": "run", "started_at": "2025-01-01T00:00:00Z", "tool": "0.1"}
    return RunRecord(plan=plan, environment=environment, revision=Revision(), phases=phases, **(figures | changed))
