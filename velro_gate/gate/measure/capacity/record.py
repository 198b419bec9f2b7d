"""A search as a record like a run's: its only figure is the capacity, so baselines, verdict and reports are those of any run.

Its scenario has a name of its own, so that searches are compared with searches only. The phase in it is the trial at the
highest load that was carried; the plan's own load is what its one requirement asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.capacity import CapacityResult, Ending, LoadUnit
from velro_gate.model.compliance.rules import ComplianceRules
from velro_gate.model.masking import mask
from velro_gate.model.metric.definition import FigureOrigin
from velro_gate.model.record import Estimate, PhaseSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS, Comparator, Phase, Requirement

SUFFIX = "-capacity"
"""Of the name under which searches of a scenario are kept."""

METRIC = {LoadUnit.RATE: "capacity", LoadUnit.USERS: "capacity_users"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One trial: the phase as it was sent, what was measured of it, and whether it met the requirements."""

    phase: Phase
    summary: PhaseSummary
    met: bool


def capacity_record(
    setup: Setup,
    found: CapacityResult,
    carried: Sequence[Carried],
    effects: Effects,
    *,
    name: str,
    started: datetime,
    hidden: Sequence[str],
) -> RunRecord | None:
    """The record of a search; None where it found nothing that could be compared."""
    estimate = _estimate(found)
    if estimate is None or not carried:
        return None
    shown = max(carried, key=lambda one: (one.met, one.summary.offered_rate or one.phase.users))
    metric = METRIC[found.unit]
    wanted = Requirement(metric=metric, comparator=Comparator.AT_LEAST, target=found.wanted)
    policy = replace(setup.plan.policy, primary=((ALL_STEPS, metric),))
    plan = replace(
        setup.plan,
        scenario=f"{setup.plan.scenario}{SUFFIX}",
        steps=(),
        phases=(replace(shown.phase, requirements=(wanted,)),),
        policy=policy,
        metrics=(),
        compliance=ComplianceRules(checklist=setup.plan.compliance.checklist),
    )
    return RunRecord(
        id=name,
        started_at=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        tool=effects.environment().tool,
        plan=plan,
        environment=effects.environment(),
        revision=effects.revision(),
        phases=(_only(shown.summary, metric, estimate),),
        url=mask(setup.scenario.target.url, hidden),
        selftest=effects.selftest,
    )


def _estimate(found: CapacityResult) -> Estimate | None:
    """The capacity; where no load was too much for the service, the highest one, which it is at least."""
    if found.capacity is not None or found.ending is not Ending.ALL_MET or found.met is None:
        return found.capacity
    return Estimate.exact(found.met, n=len(found.trials), origin=FigureOrigin.LOWER_BOUND)


def _only(summary: PhaseSummary, metric: str, estimate: Estimate) -> PhaseSummary:
    """The trial with the capacity as its only figure: its own are those of a load that differs from search to search."""
    whole = summary.steps[0]
    return replace(summary, steps=(replace(whole, measurements={metric: estimate}, undelayed={}),), windows=(), experiments=())
