"""Runs for the tests of comparison and judgement: every figure is what the test says, nothing is drawn in secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tests.analysis.phases import counts, health
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Counts, Estimate, PhaseSummary, Plan, Revision, RunRecord, StepSummary
from velro_gate.model.run import Environment
from velro_gate.model.scenario import OpenArrivals, Phase, Policy

STEPS = ("login", "authorize")
FIGURES: Mapping[str, float] = {"p50": 0.005, "p95": 0.012, "p99": 0.020, "throughput": 100.0, "achieved_share": 1.0}
ENVIRONMENT = Environment(
    runner="self-hosted-1", cpu_model="EPYC", cores=2, memory=8 * 2**30, kernel="6.8", python="3.12", tool="0.1.0"
)


def planned(*names: str) -> tuple[Phase, ...]:
    return tuple(
        Phase(name=name, users=50, ramp=5.0, duration=60.0, arrivals=OpenArrivals(rate=100.0)) for name in names or ("steady",)
    )


def figures(values: Mapping[str, float], n: int) -> dict[str, Estimate]:
    return {
        name: Estimate(value=value, low=value * 0.99, high=value * 1.01, n=n)
        if METRICS[name].quantile is not None
        else Estimate.exact(value, n=n)
        for name, value in values.items()
    }


def summary(
    name: str = "steady",
    *,
    times: float = 1.0,
    n: int = 6000,
    failed: int = 0,
    steps: Mapping[str, float] | None = None,
    without: Sequence[str] = (),
    changed: Mapping[str, float] | None = None,
) -> PhaseSummary:
    """A phase whose response times are ``times`` the usual ones; steps: a further factor by step; without: not measured."""
    factors = {"all": 1.0, **dict.fromkeys(STEPS, 1.0), **(steps or {})}

    def one(step: str, factor: float) -> StepSummary:
        usual = FIGURES | (changed or {})
        values = {
            metric: value * (times * factor if METRICS[metric].quantile is not None else 1.0)
            for metric, value in usual.items()
            if metric not in without
        }
        return StepSummary(step=step, counts=counts(ok=n - failed, failed=failed), measurements=figures(values, n - failed))

    return PhaseSummary(
        name=name,
        users=50,
        offered_rate=100.0,
        ramp=5.0,
        measured_seconds=60.0,
        planned_seconds=60.0,
        steps=tuple(one(step, factor) for step, factor in factors.items()),
        windows=(),
        resources=(),
        health=health(),
        sent_total=n,
        delivered_total=n,
        connections_opened=50,
        reconnects=0,
    )


def run(
    *phases: PhaseSummary, number: int = 0, policy: Policy | None = None, plan: tuple[Phase, ...] | None = None
) -> RunRecord:
    """A whole run of these phases, the ``number``-th of its day."""
    held = phases or (summary(),)
    return RunRecord(
        id=f"run-{number}",
        started_at=f"2025-01-01T{number // 60:02d}:{number % 60:02d}:00Z",
        tool="0.1.0",
        plan=Plan(
            scenario="shop",
            digest="d" * 64,
            profile="pr",
            steps=STEPS,
            phases=plan if plan is not None else planned(*(phase.name for phase in held)),
            policy=policy or Policy(),
        ),
        environment=ENVIRONMENT,
        revision=Revision(sha=f"{number:040x}", branch="main"),
        phases=held,
    )


def baselines(count: int, *, sd: float = 0.0, seed: int = 1, **summary_of: object) -> list[RunRecord]:
    """Accepted runs whose response times wander with this run-to-run sd (of the logarithm), newest last."""
    wander = np.exp(np.random.default_rng(seed).normal(0.0, sd, count)) if sd else np.ones(count)
    return [
        run(summary(times=float(factor), **summary_of), number=number)  # type: ignore[arg-type]
        for number, factor in enumerate(wander)
    ]


def with_counts(record: RunRecord, step: str, books: Counts) -> RunRecord:
    """The run with other books for one step of its first phase."""
    first, *rest = record.phases
    steps = tuple(replace(each, counts=books) if each.step == step else each for each in first.steps)
    return replace(record, phases=(replace(first, steps=steps), *rest))
