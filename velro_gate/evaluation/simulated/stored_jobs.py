"""One simulated job and its stored baselines: records as a run leaves them, judged by the code that judges runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from velro_gate.analysis.rows.shifts import FURTHER_RUNS
from velro_gate.analysis.stored.comparison import compare
from velro_gate.analysis.stored.confirmation import confirm, needed_repeats
from velro_gate.arrays import Floats
from velro_gate.evaluation import naive_rules
from velro_gate.evaluation.simulated import simulation
from velro_gate.evaluation.simulated.queues import HEALTHY
from velro_gate.model.record import Counts, Estimate, PhaseSummary, Plan, Revision, RunRecord, StepSummary
from velro_gate.model.run import Environment
from velro_gate.model.scenario import ALL_STEPS, ClosedArrivals, Phase, Policy
from velro_gate.model.verdict import Change

STEPS = ("one", "two", "three", "four")
REQUESTS = 20_000
"""Of one simulated run."""
ERRORS = 0.001
"""Error rate of an unchanged build."""
PHASE = Phase(name="steady", users=100, ramp=0.0, duration=60.0, arrivals=ClosedArrivals(think_time=1.0))
_PLACE = Environment(runner="made up", cpu_model="", cores=1, memory=1, kernel="", python="", tool="")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJobOutcome:
    """How one job ended, and what the naive rules said of its first run."""

    failed: bool
    inconclusive: bool
    repeated: bool
    over_previous: bool
    raw: bool


def stored_job(
    values: Floats, kept: int, random: np.random.Generator, policy: Policy, *, second_job: bool = True
) -> StoredJobOutcome:
    """Judge the run after ``kept`` accepted ones, and run it again where that is asked for.

    values: (kept + 1 + FURTHER_RUNS, 8) logarithms, + is worse: p50, p95 and throughput of all steps, p95 of four steps, and
    the logarithm of the error rate. second_job: whether another job makes the further runs.
    """
    plan = plan_of(policy)
    failed = random.binomial(REQUESTS, np.minimum(ERRORS * np.exp(values[:, 7]), 1.0))
    records = [simulated_record(row, int(e), plan) for row, e in zip(values[: kept + 1], failed, strict=False)]
    candidate, baselines = records[-1], records[:-1]
    rows = compare(candidate, baselines, policy)
    repeated = bool(needed_repeats(rows, plan.phases).phases)
    if repeated:
        further = [phase_of(values[kept + i], int(failed[kept + i])) for i in range(1, FURTHER_RUNS + 1)]
        rows = confirm(rows, candidate, {PHASE.name: further}, baselines, policy, second_job=second_job)
    primary = [row.verdict for row in rows if row.primary]
    known = kept > 0
    raw = [simulation.requests(random, values[[i], 1]) for i in (kept - 1, kept)] if known else []
    return StoredJobOutcome(
        failed=Change.REGRESSION in primary,
        inconclusive=Change.REGRESSION not in primary and bool({Change.INCONCLUSIVE, Change.SUSPICIOUS} & set(primary)),
        repeated=repeated,
        over_previous=known and bool(naive_rules.over_previous(values[kept - 1], values[kept])),
        raw=known and bool(naive_rules.mann_whitney_worse(*raw)[0] < naive_rules.P),
    )


def plan_of(policy: Policy) -> Plan:
    """The plan of all simulated runs."""
    return Plan(scenario="made up", digest="0" * 64, profile="pr", steps=STEPS, phases=(PHASE,), policy=policy)


def simulated_record(row: Floats, failed: int, plan: Plan) -> RunRecord:
    """A run with these figures (``stored_job``)."""
    return RunRecord(
        id="made up",
        started_at="2025-01-01T00:00:00Z",
        tool="",
        plan=plan,
        environment=_PLACE,
        revision=Revision(),
        phases=(phase_of(row, failed),),
    )


def phase_of(row: Floats, failed: int) -> PhaseSummary:
    """A phase with these figures (``stored_job``)."""
    y = row.tolist()

    def time(median: float, worse: float, n: int) -> Estimate:
        """An exact figure: what differs between jobs is drawn outside."""
        return Estimate.exact(median * math.exp(worse), n=n)

    ok = REQUESTS - failed
    whole = {"p50": time(0.02, y[0], ok), "p95": time(0.05, y[1], ok), "throughput": time(300.0, -y[2], ok)}
    of_all = StepSummary(step=ALL_STEPS, counts=_counts(REQUESTS, failed), measurements=whole)
    n = REQUESTS // len(STEPS)
    of_steps = [
        StepSummary(step=name, counts=_counts(n, 0), measurements={"p95": time(0.05, y[3 + i], n)})
        for i, name in enumerate(STEPS)
    ]
    return PhaseSummary(
        name=PHASE.name,
        users=PHASE.users,
        offered_rate=None,
        ramp=PHASE.ramp,
        measured_seconds=PHASE.duration,
        planned_seconds=PHASE.duration,
        steps=(of_all, *of_steps),
        windows=(),
        resources=(),
        health=HEALTHY,
        sent_total=REQUESTS,
        delivered_total=REQUESTS,
        connections_opened=PHASE.users,
        reconnects=0,
    )


def _counts(n: int, failed: int) -> Counts:
    return Counts(due=n, sent=n, ok=n - failed, failed=failed, cancelled=0, blocked=0, missed=0)
