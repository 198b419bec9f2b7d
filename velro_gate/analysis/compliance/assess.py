"""One run's assessment: score, band, classes, checklists, impact, and whether it speaks for going to production."""

from __future__ import annotations

from velro_gate.analysis.compliance.checklist import checklist, criteria
from velro_gate.analysis.compliance.classes import phase_classes
from velro_gate.analysis.compliance.impact import impact_of
from velro_gate.analysis.compliance.score import requirement_scores, score_of, unscored
from velro_gate.model.compliance.assessment import Compliance, Readiness, Unscored
from velro_gate.model.compliance.rules import NEEDS_WORK, ComplianceRules
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict


def assess(record: RunRecord, verdict: Verdict) -> Compliance:
    """The assessment of a run by the rules in its own plan."""
    rules = record.plan.compliance
    rows = requirement_scores(verdict.requirements, rules, record.phases)
    why = unscored(verdict, record.plan, rows)
    score = score_of(rows) if why is None else None
    band = None if score is None else rules.band(score)
    return Compliance(
        score=score,
        band=band,
        unscored=why,
        unproven=record.plan.unproven,
        readiness=readiness(verdict, band, why, rules),
        rows=rows,
        phases=phase_classes(record, rules),
        checklist=checklist(record, verdict, score, why, rules),
        criteria=criteria(record, verdict, why),
        impact=None if verdict.level is Level.BROKEN else impact_of(record),
    )


def readiness(verdict: Verdict, band: str | None, why: Unscored | None, rules: ComplianceRules) -> Readiness:
    """Ready: the best band and a verdict that holds nothing back.

    A failed run is not ready, even under a smaller load; a broken one, and one that does not prove the PRD, say nothing.
    """
    if verdict.level is Level.FAIL or band == NEEDS_WORK:
        return Readiness.NOT_READY
    if why is not None or band is None:
        return Readiness.UNKNOWN
    best = band == rules.bands[0].name
    return Readiness.READY if best and verdict.level is not Level.INCONCLUSIVE else Readiness.RESERVATIONS
