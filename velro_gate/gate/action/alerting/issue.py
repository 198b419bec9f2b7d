"""Alerts after a run of main: the issue on GitHub and the webhook. Whatever fails here is said, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from velro_gate.analysis.verdict.alerts import alerts
from velro_gate.errors import PublishError
from velro_gate.gate.action.alerting.webhook import Webhook
from velro_gate.gate.action.publish import Outlets
from velro_gate.github.api import Api
from velro_gate.github.channels.alert_issue import IssueOutcome, raise_alert, resolve_alert
from velro_gate.model.facts.alerts import Alert
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.alerts.issue import alert_body, alert_marker, alert_title, resolved_body
from velro_gate.report.alerts.messages import message
from velro_gate.secrecy import outgoing_json

T = TypeVar("T")


def publish_alerts(
    record: RunRecord,
    verdict: Verdict,
    history: Sequence[RunRecord],
    outlets: Outlets,
    *,
    issue: bool,
    webhook: Webhook | None,
    merges: float,
) -> None:
    """Open, update or close the issue of a plan, and send what is new to the webhook.

    A run that cannot be trusted changes nothing: it says neither that something is wrong nor that it is right again.
    history: the accepted runs before this one. issue: whether there is one. merges: limits within as many are near.
    """
    found = alerts(record, verdict, history, merges)
    if found is None:
        outlets.say("alerts: as they are, since this run cannot be trusted")
        return
    links, api = outlets.links, outlets.api
    outcome: IssueOutcome | None = None
    if issue and api is not None:

        def settle() -> IssueOutcome:
            """Open, update or close the issue, within one attempt of publishing."""
            return _settled(api, record, found, outlets, links)

        outcome = _attempt(settle, outlets.say)
    if webhook is not None and (found or outcome is IssueOutcome.CLOSED):
        text = outgoing_json(message(webhook.wanted, record, found, links))
        _attempt(lambda: webhook.send(text), outlets.say)
    outlets.say(f"alerts: {len(found)}" + (f", issue {outcome.value}" if outcome is not None else ""))


def _settled(api: Api, record: RunRecord, found: Sequence[Alert], outlets: Outlets, links: Mapping[str, str]) -> IssueOutcome:
    marker = alert_marker(record, outlets.label)
    if not found:
        body = resolved_body(record, marker, links)
        return resolve_alert(api, marker=marker, body=body, author=outlets.author).outcome
    body = alert_body(record, found, marker, links)
    return raise_alert(api, marker=marker, title=alert_title(record), body=body, author=outlets.author).outcome


def _attempt(act: Callable[[], T], say: Callable[[str], None]) -> T | None:
    try:
        return act()
    except PublishError as error:
        for line in error.lines("alert not published"):
            say(line)
        return None
