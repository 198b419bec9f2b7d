"""What a service did that fails a run whatever was required: it stopped responding, refused everybody, or failed too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from velro_gate import units
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary, RunRecord, StepSummary
from velro_gate.model.samples import Outcome
from velro_gate.model.scenario import ALL_STEPS, Phase, Requirement
from velro_gate.model.verdict import Finding, Level

ERROR_CAP = 0.05
"""The PRD's critical error rate. Where a plan names no limit of its own, more than this fails without any statistics."""

SEE_FAILURES = METRICS["error_rate"].advice
_SEE_END = "See the service's own log for the moment at which it stopped: it was healthy before the load."
_SEE_CREDENTIALS = "Check the key or token that the scenario's auth names, and what the service accepts."
_SEE_WAITS = "Give the phase more users or a lower rate, or find out why users wait so long for their answers."
_SEE_CAPTURES = (
    "A value that requests need was never captured: look at the login step, or the step that captures it, and at how the "
    "service answers it."
)
_SEE_REDIRECTS = (
    "The service redirects requests, and that is an answer like any other: name the final path in the step, name the status "
    "under 'expect', or set 'follow_redirects' under the scenario's target."
)
_SEE_CERTIFICATES = (
    "Fix the certificate, or say under the scenario's target whom to trust (ca_file), what to show (client_certificate), or "
    "that nothing is checked (verify_tls)."
)
_REFUSALS = frozenset({401, 403})
_GOOD = frozenset({Outcome.OK.name, Outcome.CANCELLED.name})


def failure_findings(record: RunRecord, planned: Sequence[Phase]) -> Iterator[Finding]:
    """One finding for each phase that the service ended early, or with more errors than any run may have.

    Nothing answered well always fails. Beyond the cap a phase fails unless the plan itself says how many errors it may have.
    """
    judged = {phase.name for phase in planned if any(_limits_errors(wanted) for wanted in phase.requirements)}
    for phase in record.phases:
        step = phase.step()
        if phase.ended_by_service is not None:
            yield _ended(phase)
            continue
        rate = step.counts.error_rate if step is not None else None
        if step is None or rate is None or not phase.complete or not step.counts.sent:
            continue
        if not step.counts.ok:
            said = f"all {step.counts.sent:,} requests in {phase.name} failed"
        elif rate > ERROR_CAP and phase.name not in judged:
            most = units.trim_zeros(units.format_share(ERROR_CAP))
            said = f"{units.format_share(rate)} of the requests in {phase.name} failed; no run may have more than {most}"
        else:
            continue
        yield Finding(level=Level.FAIL, subject=phase.name, sentence=said + causes(phase), advice=failure_advice(phase))


def _ended(phase: PhaseSummary) -> Finding:
    if phase.service_gone is not None:
        said = f"the service stopped responding in {phase.name}: {phase.service_gone}"
        # Most reasons count themselves what came.
        said += "" if " x " in phase.service_gone else causes(phase)
    else:
        said = f"the phase {phase.name} was ended early: {phase.hopeless}"
    return Finding(level=Level.FAIL, subject=phase.name, sentence=said, advice=end_advice(phase))


def end_advice(phase: PhaseSummary) -> str:
    """Where to look for why the service ended this phase."""
    return _SEE_END if phase.service_gone is not None else failure_advice(phase)


def _limits_errors(requirement: Requirement) -> bool:
    return requirement.definition.of_counts and requirement.step == ALL_STEPS and requirement.required


def failed_kinds(phase: PhaseSummary, step: StepSummary) -> list[tuple[str, int]]:
    """How often a step failed in each way, the commonest first: by status where that is what was wrong, else by outcome."""
    kinds = {name: count for name, count in step.outcomes.items() if name not in _GOOD and name != Outcome.STATUS.name}
    unexpected = step.outcomes.get(Outcome.STATUS.name, 0)
    if unexpected:
        known = {failed.status for failed in phase.failures if failed.outcome == Outcome.STATUS.name}
        found = {status: count for status, count in step.statuses.items() if status in known or (not known and status >= 300)}
        # A status may be expected of one step and not of another: then only the failures themselves tell it apart.
        if sum(found.values()) != unexpected:
            found = _statuses_of(phase, step.step) or found
        kinds |= {str(status): count for status, count in found.items()} or {"unexpected status": unexpected}
    if step.counts.blocked:
        kinds[_BLOCKED] = step.counts.blocked
    return sorted(((_NAMES.get(name, name.lower()), count) for name, count in kinds.items()), key=lambda item: -item[1])


_BLOCKED = "not sent, the user still waiting for an earlier answer"
_NAMES = {
    Outcome.CHECK.name: "failed check",
    Outcome.CAPTURE.name: "missing capture",
    Outcome.PROTOCOL.name: "answer refused",
    Outcome.TLS.name: "TLS failed",
    Outcome.CERTIFICATE.name: "certificate not accepted",
    Outcome.DNS.name: "name not resolved",
    Outcome.REFUSED.name: "connection refused",
    Outcome.RESET.name: "connection closed or reset",
}


def _statuses_of(phase: PhaseSummary, step: str) -> dict[int, int]:
    counts: dict[int, int] = {}
    for failed in phase.failures:
        if failed.outcome == Outcome.STATUS.name and step in (ALL_STEPS, failed.step):
            counts[failed.status] = counts.get(failed.status, 0) + failed.count
    return counts


def causes(phase: PhaseSummary, step: StepSummary | None = None) -> str:
    """The commonest failures in brackets, with why TLS failed where it did, and why an answer was refused."""
    step = phase.step() if step is None else step
    kinds = failed_kinds(phase, step) if step is not None else []
    if not kinds:
        return ""
    listed = ", ".join(f"{count:,} x {name}" for name, count in kinds[:3])
    why = [phase.tls_fault] if phase.tls_fault is not None else []
    why += [
        f"{failed.step}, {failed.count:,} x: {failed.reason}"
        for failed in phase.failures
        if failed.outcome == Outcome.PROTOCOL.name and failed.reason
    ][:3]
    return f" ({listed}{': ' if why else ''}{'; '.join(why)})"


def failure_advice(phase: PhaseSummary) -> str:
    """Where to look, by what most of the failures of a phase are."""
    step = phase.step()
    failed = {name: count for name, count in (step.outcomes if step is not None else {}).items() if name not in _GOOD}
    if step is not None and step.counts.blocked > sum(failed.values()):
        return _SEE_WAITS
    worst = max(failed, key=lambda name: failed[name], default="")
    if worst == Outcome.CAPTURE.name:
        return _SEE_CAPTURES
    if worst == Outcome.CERTIFICATE.name:
        return _SEE_CERTIFICATES
    if worst == Outcome.STATUS.name and any(_is_redirected(one) for one in phase.steps if one.step != ALL_STEPS):
        return _SEE_REDIRECTS
    if worst == Outcome.STATUS.name and step is not None:
        refused = sum(count for status, count in step.statuses.items() if status in _REFUSALS)
        if 2 * refused > failed[worst]:
            return _SEE_CREDENTIALS
    return SEE_FAILURES


def _is_redirected(step: StepSummary) -> bool:
    """Whether requests failed because of a redirect: more statuses were unexpected than there were errors."""
    unexpected = step.outcomes.get(Outcome.STATUS.name, 0)
    errors = sum(count for status, count in step.statuses.items() if status >= 400)
    return unexpected > errors and any(300 <= status < 400 for status in step.statuses)
