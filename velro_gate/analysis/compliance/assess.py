"""One run's assessment: score, band, classes, checklists, impact, and whether it speaks for going to production."""

from __future__ import annotations

from collections.abc import Sequence

from velro_gate.analysis.compliance.checklist import checklist, criteria
from velro_gate.analysis.compliance.classes import phase_classes
from velro_gate.analysis.compliance.impact import impact_of
from velro_gate.analysis.compliance.score import requirement_scores, score_of, unscored
from velro_gate.model.compliance.assessment import Check, CheckState, Compliance, Readiness, Reservation, Unscored
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
    items = checklist(record, verdict, score, why, rules)
    successes = criteria(record, verdict, why)
    ready = readiness(verdict, band, why)
    held_back = reservations(verdict, band, rules, (*items, *successes)) if ready is Readiness.READY else ()
    return Compliance(
        score=score,
        band=band,
        unscored=why,
        unproven=record.plan.unproven,
        readiness=Readiness.RESERVATIONS if held_back else ready,
        reservations=held_back,
        rows=rows,
        phases=phase_classes(record, rules),
        checklist=items,
        criteria=successes,
        impact=None if verdict.level is Level.BROKEN else impact_of(record),
    )


def readiness(verdict: Verdict, band: str | None, why: Unscored | None) -> Readiness:
    """Ready, unless something is against it or nothing is proved; reservations are looked for apart.

    A failed run is not ready, even under a smaller load; a broken one, and one that does not prove the PRD, say nothing.
    """
    if verdict.level is Level.FAIL or band == NEEDS_WORK:
        return Readiness.NOT_READY
    return Readiness.READY if why is None else Readiness.UNKNOWN


def reservations(verdict: Verdict, band: str | None, rules: ComplianceRules, items: Sequence[Check]) -> tuple[Reservation, ...]:
    """What is less than perfect: the band, the verdict, items that failed, items that nobody ticked."""
    found = {
        Reservation.BAND: band != rules.bands[0].name,
        Reservation.VERDICT: verdict.level is not Level.PASS,
        Reservation.FAILED: any(item.state is CheckState.FAILED for item in items),
        Reservation.OPEN: any(item.state is CheckState.OPEN for item in items),
    }
    return tuple(one for one, holds in found.items() if holds)
