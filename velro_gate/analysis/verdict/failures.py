"""What a service did that fails a run whatever was required: it stopped responding, refused everybody, or failed too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate.model.facts.findings import Causes, Failing, PhaseEnded, RequestsFailed
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import Finding, Level

ERROR_CAP = 0.05
"""The PRD's critical error rate. Where a plan names no limit of its own, more than this fails without any statistics."""

_REFUSALS = frozenset({401, 403})
_OF_OUTCOMES = {
    Outcome.CAPTURE.name: Failing.CAPTURE,
    Outcome.CERTIFICATE.name: Failing.CERTIFICATE,
    Outcome.REFUSED.name: Failing.REFUSED,
}
_GOOD = frozenset({Outcome.OK.name, Outcome.CANCELLED.name})
BLOCKED = "BLOCKED"
"""The kind of a request that was not sent, because its user still waited for an earlier response."""


def failure_findings(record: RunRecord, planned: Sequence[Phase]) -> Iterator[Finding]:
    """One finding for each phase that the service ended early, or with more errors than any run may have.

    No success at all always fails. Beyond the cap a phase fails unless the plan itself says how many errors it may have, or
    breaks something on purpose.
    """
    judged = {
        phase.name for phase in planned if phase.experiments or any(_limits_errors(wanted) for wanted in phase.requirements)
    }
    for phase in record.phases:
        step = phase.step()
        if phase.ended_by_service:
            yield _ended(phase)
            continue
        rate = step.counts.error_rate if step is not None else None
        if step is None or rate is None or not phase.complete or not step.counts.sent:
            continue
        if not step.counts.ok or (rate > ERROR_CAP and phase.name not in judged):
            facts = RequestsFailed(
                phase=phase.name,
                sent=step.counts.sent,
                succeeded=step.counts.ok,
                rate=rate,
                most=ERROR_CAP,
                causes=causes(phase),
                failing=failing(phase),
            )
            yield Finding(level=Level.FAIL, subject=phase.name, facts=facts)


def _ended(phase: PhaseSummary) -> Finding:
    # Most reasons count by themselves what came.
    counted = phase.service_gone is None or " x " in phase.service_gone
    facts = PhaseEnded(
        phase=phase.name,
        stopped=phase.service_gone,
        ended=phase.hopeless,
        causes=Causes() if counted else causes(phase),
        failing=failing(phase),
    )
    return Finding(level=Level.FAIL, subject=phase.name, facts=facts)


def _limits_errors(requirement: Requirement) -> bool:
    return requirement.definition.of_counts and requirement.step == ALL_STEPS and requirement.required


def failed_kinds(phase: PhaseSummary, step: StepSummary) -> list[tuple[str, int]]:
    """How often a step failed in each way, the commonest first: by status where that is what was wrong, else by outcome."""
    kinds = {name: count for name, count in step.outcomes.items() if name not in _GOOD and name != Outcome.STATUS.name}
    unexpected = step.outcomes.get(Outcome.STATUS.name, 0)
    if unexpected:
        known = {failed.status for failed in phase.failures if failed.outcome == Outcome.STATUS.name}
        found = {status: count for status, count in step.statuses.items() if status in known or (not known and status >= 300)}
        # A status may be expected of one step and not of another: then only the failures themselves show the difference.
        if sum(found.values()) != unexpected:
            found = _statuses_of(phase, step.step) or found
        kinds |= {str(status): count for status, count in found.items()} or {Outcome.STATUS.name: unexpected}
    if step.counts.blocked:
        kinds[BLOCKED] = step.counts.blocked
    return sorted(kinds.items(), key=lambda item: -item[1])


def _statuses_of(phase: PhaseSummary, step: str) -> dict[int, int]:
    counts: dict[int, int] = {}
    for failed in phase.failures:
        if failed.outcome == Outcome.STATUS.name and step in (ALL_STEPS, failed.step):
            counts[failed.status] = counts.get(failed.status, 0) + failed.count
    return counts


def causes(phase: PhaseSummary, step: StepSummary | None = None) -> Causes:
    """The commonest failures, with why TLS failed where it did, and why a response was refused."""
    step = phase.step() if step is None else step
    kinds = failed_kinds(phase, step) if step is not None else []
    refused = [failed for failed in phase.failures if failed.outcome == Outcome.PROTOCOL.name and failed.reason]
    return Causes(
        kinds=tuple(kinds[:3]),
        tls_fault=phase.tls_fault,
        refused=tuple((failed.step, failed.count, failed.reason) for failed in refused[:3]),
    )


def failing(phase: PhaseSummary) -> Failing:
    """What most of the failures of a phase are, as far as it says where to look."""
    step = phase.step()
    failed = {name: count for name, count in (step.outcomes if step is not None else {}).items() if name not in _GOOD}
    if step is not None and step.counts.blocked > sum(failed.values()):
        return Failing.WAITING
    worst = max(failed, key=lambda name: failed[name], default="")
    if (found := failing_of(worst)) is not Failing.OTHERWISE:
        return found
    if worst == Outcome.STATUS.name and any(_is_redirected(one) for one in phase.steps if one.step != ALL_STEPS):
        return Failing.REDIRECT
    if worst == Outcome.STATUS.name and step is not None:
        kinds = failed_kinds(phase, step)
        if 2 * sum(count for kind, count in kinds if failing_of(kind) is Failing.UNEXPECTED) > failed[worst]:
            return Failing.UNEXPECTED
        refused = sum(count for status, count in step.statuses.items() if status in _REFUSALS)
        if 2 * refused > failed[worst]:
            return Failing.CREDENTIALS
    return Failing.OTHERWISE


def failing_of(kind: str) -> Failing:
    """What failures of one kind are: of a status, or of the outcome of this name."""
    if not kind.isdecimal():
        return _OF_OUTCOMES.get(kind, Failing.OTHERWISE)
    if int(kind) in _REFUSALS:
        return Failing.CREDENTIALS
    return {"2": Failing.UNEXPECTED, "3": Failing.REDIRECT}.get(kind[0], Failing.OTHERWISE)


def _is_redirected(step: StepSummary) -> bool:
    """Whether requests failed because of a redirect: more statuses were unexpected than there were errors."""
    unexpected = step.outcomes.get(Outcome.STATUS.name, 0)
    errors = sum(count for status, count in step.statuses.items() if status >= 400)
    return unexpected > errors and any(300 <= status < 400 for status in step.statuses)
