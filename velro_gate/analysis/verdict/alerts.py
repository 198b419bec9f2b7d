"""Which findings about main deserve an alert: what fails it, what has drifted, and limits that are near."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.analysis.stored.outlook import outlook
from velro_gate.model.facts.alerts import Alert, AlertKind
from velro_gate.model.facts.findings import BehindRelease, MainWorse, RequirementNotMet, RowDecided
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Finding, Level, Verdict


def alerts(record: RunRecord, verdict: Verdict, history: Sequence[RunRecord], merges: float) -> tuple[Alert, ...] | None:
    """What a run of main gives reason for; None: the run cannot be trusted, so it says nothing about main.

    history: the accepted runs before it, oldest first. merges: limits that are reached within as many are near.
    """
    if verdict.level is Level.BROKEN or not record.complete:
        return None
    found = [Alert(kind=kind, finding=finding) for finding in verdict.findings if (kind := _kind(finding)) is not None]
    return (*found, *_near(record, history, merges))


def _kind(finding: Finding) -> AlertKind | None:
    match finding.facts:
        case MainWorse() | BehindRelease():
            return AlertKind.DRIFT
        case _ if finding.level is not Level.FAIL:
            return None
        case RowDecided():
            return AlertKind.REGRESSION
        case RequirementNotMet():
            return AlertKind.REQUIREMENT
        case _:
            return AlertKind.FAILURE


def _near(record: RunRecord, history: Sequence[RunRecord], merges: float) -> Iterator[Alert]:
    runs = (*(run for run in history if run.id != record.id), record)
    for phase in record.plan.phases:
        for wanted in phase.requirements:
            found = outlook(runs, phase.name, wanted, record.plan.policy)
            if found is not None and found.merges.value <= merges:
                yield Alert(kind=AlertKind.FORECAST, outlook=found)
