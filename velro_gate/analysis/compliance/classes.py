"""The class of each phase, by the table of its scenario (or the PRD's): response time, throughput and cache hits.

A phase is of the class of its worst figure. A figure that was not measured has no class, and neither has the throughput of a
phase that offers less than the lowest class asks for: it could not reach it, whatever the service does.

The built-in table is the PRD's. A scenario that states no PRD requirement and names no table of its own has no classes: its
service may be held to other limits, and would be called excellent or in need of work by those of another one.
"""

from __future__ import annotations

from velro_gate.model.compliance.assessment import FigureClass, PhaseClass
from velro_gate.model.compliance.rules import CLASSES, NEEDS_WORK, PRD, ClassLimits, ComplianceRules
from velro_gate.model.metrics import METRICS, Direction
from velro_gate.model.record import PhaseSummary, Plan, RunRecord

CLASSIFIED = ("p95", "throughput", "hit_rate")
"""The figures of the table, by their metrics."""


def phase_classes(record: RunRecord, rules: ComplianceRules) -> tuple[PhaseClass, ...]:
    """The class of every planned phase, in the plan's order; one that did not run to its end has no class.

    Empty where the table does not concern this plan.
    """
    if not concerns(rules, record.plan):
        return ()
    return tuple(_phase(phase.name, record.phase(phase.name), rules) for phase in record.plan.phases)


def concerns(rules: ComplianceRules, plan: Plan) -> bool:
    """Whether the table of classes is about this plan: it is the scenario's own, or the plan states PRD requirements."""
    return rules.classes != CLASSES or _states_prd(plan)


def _states_prd(plan: Plan) -> bool:
    return bool(plan.unproven) or any(one.source == PRD for phase in plan.phases for one in phase.requirements)


def _phase(name: str, phase: PhaseSummary | None, rules: ComplianceRules) -> PhaseClass:
    figures = tuple(_figure(metric, phase, rules) for metric in CLASSIFIED)
    order = [*(one.name for one in rules.classes), NEEDS_WORK]
    known = [order.index(one.name) for one in figures if one.name is not None]
    return PhaseClass(phase=name, name=order[max(known)] if known else None, figures=figures)


def _figure(metric: str, phase: PhaseSummary | None, rules: ComplianceRules) -> FigureClass:
    found = phase.measurement(metric) if phase is not None and phase.complete else None
    if phase is None or found is None:
        return FigureClass(metric=metric, estimate=None, name=None)
    if metric == "throughput" and phase.offered_rate is not None and phase.offered_rate < rules.classes[-1].throughput:
        return FigureClass(metric=metric, estimate=found, name=None)
    name = next((one.name for one in rules.classes if _holds(metric, found.value, one)), NEEDS_WORK)
    return FigureClass(metric=metric, estimate=found, name=name)


def _holds(metric: str, value: float, limits: ClassLimits) -> bool:
    limit = {"p95": limits.p95, "throughput": limits.throughput, "hit_rate": limits.hit_rate}[metric]
    return value < limit if METRICS[metric].direction is Direction.LOWER else value >= limit
