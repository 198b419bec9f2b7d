"""The compliance score: the weighted mean of what each requirement earns.

- A met requirement earns 1. A missed one earns what is left on the way from its target to its critical level, halved: 0.5 at
  the target, 0 at the critical level and beyond. Without a critical level it earns 0. What was not measured earns 0.
- A requirement weighs 1, with a critical level 2, and half of that if missing it only warns. A scenario may name its own.
- So a better figure never lowers the score, and 100 % means that every requirement with a weight is met.

There is no score for a run whose measurement is broken, without requirements, of a scaled plan, or of one that does not contain
every PRD requirement of its scenario, or none at all: such a run does not prove the PRD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from velro_gate.analysis.verdict.requirements import decisive_value
from velro_gate.model.compliance.assessment import RequirementScore, Unscored
from velro_gate.model.compliance.rules import PRD, ComplianceRules
from velro_gate.model.record import PhaseSummary, Plan
from velro_gate.model.verdict import Level, RequirementResult, Verdict

HALF = 0.5
"""What a figure just outside its target earns where there is a critical level, and the share of an optional one's weight."""
CRITICAL_WEIGHT = 2.0
"""Weight of a requirement that has a critical level, next to one that has not."""


def requirement_scores(
    results: Sequence[RequirementResult], rules: ComplianceRules, phases: Sequence[PhaseSummary] = ()
) -> tuple[RequirementScore, ...]:
    """Weight, points and gap of each requirement, in their order, with what held the phases back in which one is not met."""
    found = {phase.name: phase.bottlenecks for phase in phases}
    return tuple(
        RequirementScore(
            result=one,
            weight=_weight(one, rules),
            points=points(one),
            gap=_gap(one),
            bottlenecks=() if one.met else found.get(one.phase, ()),
        )
        for one in results
    )


def score_of(rows: Sequence[RequirementScore]) -> float | None:
    """The score as a share, to a tenth of a percent and never rounded up; None where nothing has a weight."""
    total = sum(row.weight for row in rows)
    return _floored(sum(row.weight * row.points for row in rows) / total) if total > 0.0 else None


def unscored(verdict: Verdict, plan: Plan, rows: Sequence[RequirementScore]) -> Unscored | None:
    """Why there is no score; None where there is one."""
    if verdict.level is Level.BROKEN:
        return Unscored.BROKEN
    if not any(row.weight > 0.0 for row in rows):
        return Unscored.NO_REQUIREMENTS
    if any(row.result.requirement.scaled_from is not None for row in rows):
        return Unscored.SCALED
    if plan.unproven:
        return Unscored.UNPROVEN
    stated = any(row.weight > 0.0 and row.result.requirement.source == PRD for row in rows)
    return None if stated else Unscored.NO_PRD


def points(result: RequirementResult) -> float:
    """What one requirement earns, in [0, 1]."""
    if result.met:
        return 1.0
    wanted, found = result.requirement, result.estimate
    if found is None or wanted.critical is None or wanted.critical == wanted.target:
        return 0.0
    way = (decisive_value(wanted, found) - wanted.target) / (wanted.critical - wanted.target)
    # From half just outside the target down to nothing at the critical level: one step over the line must not cost everything.
    return HALF * (1.0 - min(max(way, 0.0), 1.0))


def _weight(result: RequirementResult, rules: ComplianceRules) -> float:
    wanted = result.requirement
    named = rules.weight(wanted.step, wanted.metric)
    if named is not None:
        return named
    weight = 1.0 if wanted.critical is None else CRITICAL_WEIGHT
    return weight if wanted.required else weight * HALF


def _gap(result: RequirementResult) -> float | None:
    if result.met or result.estimate is None:
        return None
    return abs(decisive_value(result.requirement, result.estimate) - result.requirement.target)


def _floored(share: float) -> float:
    """A share to a tenth of a percent, never more than it is: a score of 95 % is in the band that begins there."""
    return math.floor(share * 1000.0 + 1e-9) / 1000.0
