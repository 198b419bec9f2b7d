"""Failed requests and services that stopped, worded."""

from __future__ import annotations

from velro_gate import units
from velro_gate.model.facts.findings import Causes, Failing, PhaseEnded, RequestsFailed
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import PhaseSummary
from velro_gate.model.samples import Outcome
from velro_gate.report.text.words import Words

LOOK = {
    Failing.OTHERWISE: METRICS["error_rate"].advice,
    Failing.WAITING: "Give the phase more users or a lower rate, or find out why users wait so long for their responses.",
    Failing.CAPTURE: "A value that requests need was never captured: check the login step, or the step that captures it, and "
    "how the service responds to it.",
    Failing.REDIRECT: "The service redirects requests, and a redirect is a response like any other: name the final path in the "
    "step, name the status under 'expect', or set 'follow_redirects' under the scenario's target.",
    Failing.UNEXPECTED: "The service answered with success, but not with a status that the step expects: if the answer is "
    "right, name its status under the step's 'expect'.",
    Failing.CERTIFICATE: "Fix the certificate, or set under the scenario's target whom to trust (ca_file), what to present "
    "(client_certificate), or that nothing is checked (verify_tls).",
    Failing.CREDENTIALS: "Check the key or token that the scenario's auth names, and what the service accepts: "
    "'velro-gate run SCENARIO --dry-run' sends each step once.",
    Failing.REFUSED: "Nothing listened on the service's port, or its accept queue was full: see the service's log for a crash "
    "or a restart, and raise its backlog ('sysctl net.core.somaxconn' is its upper bound).",
}
_SEE_END = "See the service's own log for the moment at which it stopped: it was healthy before the load."
_KINDS = {
    "BLOCKED": "not sent, the user still waiting for an earlier response",
    Outcome.STATUS.name: "unexpected status",
    Outcome.CHECK.name: "failed check",
    Outcome.CAPTURE.name: "missing capture",
    Outcome.PROTOCOL.name: "response refused",
    Outcome.TLS.name: "TLS failed",
    Outcome.CERTIFICATE.name: "certificate not accepted",
    Outcome.DNS.name: "name not resolved",
    Outcome.REFUSED.name: "connection refused",
    Outcome.RESET.name: "connection closed or reset",
}


def requests_failed(facts: RequestsFailed) -> Words:
    """All requests failed, or too many."""
    if facts.succeeded:
        most = units.trim_zeros(units.format_share(facts.most))
        said = f"{units.format_share(facts.rate)} of the requests in {facts.phase} failed; no run may have more than {most}"
    else:
        said = f"{all_requests(facts.sent)} in {facts.phase} failed"
    return Words(sentence=said + causes_words(facts.causes), advice=LOOK[facts.failing])


def all_requests(sent: int | None) -> str:
    """``all 9,000 requests``, ``the only request``; None: how many is not known."""
    if sent is None:
        return "all requests"
    return "the only request" if sent == 1 else f"all {units.format_count(sent)} requests"


def phase_ended(facts: PhaseEnded) -> Words:
    """A phase that the service ended early."""
    if facts.stopped is not None:
        said = f"the service stopped responding in {facts.phase}: {facts.stopped}{causes_words(facts.causes)}"
    else:
        said = f"the phase {facts.phase} was ended early: {facts.ended}"
    return Words(sentence=said, advice=end_advice(facts.failing, stopped=facts.stopped is not None))


def early_end(phase: PhaseSummary) -> str:
    """Why the service ended a phase early; empty when it did not."""
    if phase.service_gone is not None:
        return f"the service stopped responding: {phase.service_gone}"
    return phase.hopeless or ""


def end_advice(failing: Failing, *, stopped: bool) -> str:
    """Where to look for why the service ended a phase."""
    return _SEE_END if stopped else LOOK[failing]


def causes_words(causes: Causes) -> str:
    """The commonest failures in brackets, with why TLS failed where it did, and why a response was refused."""
    if not causes.kinds:
        return ""
    listed = ", ".join(f"{units.format_count(count)} x {kind_words(kind)}" for kind, count in causes.kinds)
    why = [causes.tls_fault] if causes.tls_fault is not None else []
    why += [f"{step}, {units.format_count(count)} x: {reason}" for step, count, reason in causes.refused]
    return f" ({listed}{': ' if why else ''}{'; '.join(why)})"


def kind_words(kind: str) -> str:
    """A kind of failure: an outcome in words, or a status as it is."""
    return _KINDS.get(kind, kind.lower())
