"""Alerts as messages for webhooks: a document for programs, and what Slack and Teams show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from velro_gate.model.facts.alerts import Alert
from velro_gate.model.record import RunRecord
from velro_gate.report.alerts.issue import alert_title, alert_words, cut
from velro_gate.report.text.escape import visible

MESSAGE_SCHEMA = 1
MOST = 10
"""Alerts that a chat shows; the document holds all."""
MOST_SENTENCE = 200
"""Characters of one sentence in a chat: Teams takes 28 KB, and a character may need twelve of them."""

_LINKED = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)")
"""Where chats see the beginning of an address."""


class MessageFormat(Enum):
    """What the other side understands."""

    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"


def message(wanted: MessageFormat, record: RunRecord, alerts: Sequence[Alert], links: Mapping[str, str]) -> str:
    """The body of the request. No alerts: what was wrong is right again."""
    if wanted is MessageFormat.JSON:
        made = _document(record, alerts, links)
    elif wanted is MessageFormat.SLACK:
        made = {"text": "\n".join(_lines(record, alerts, links, bold="*", escape=_slack))}
    else:
        made = _card(_lines(record, alerts, links, bold="**", escape=_teams))
    # In ASCII: half a character, which a service can send, has no place in UTF-8.
    return json.dumps(made, allow_nan=False)


def _document(record: RunRecord, alerts: Sequence[Alert], links: Mapping[str, str]) -> dict[str, Any]:
    return {
        "schema": MESSAGE_SCHEMA,
        "state": "alert" if alerts else "resolved",
        "scenario": record.plan.scenario,
        "profile": record.plan.profile,
        "run": record.id,
        "revision": record.revision.sha,
        "alerts": [
            {"kind": alert.kind.value, "sentence": said.sentence, "advice": said.advice}
            for alert in alerts
            for said in (alert_words(alert),)
        ],
        "links": dict(links),
    }


def _lines(record: RunRecord, alerts: Sequence[Alert], links: Mapping[str, str], *, bold: str, escape: Any) -> list[str]:
    title = escape(_unlinked(alert_title(record)))
    lines = [f"{bold}{title}{bold}" + ("" if alerts else ": resolved")]
    lines += [f"• {escape(_unlinked(cut(visible(alert_words(alert).sentence), MOST_SENTENCE)))}" for alert in alerts[:MOST]]
    if len(alerts) > MOST:
        lines.append(f"• and {len(alerts) - MOST} more")
    return [*lines, *(f"{escape(label)}: {url}" for label, url in links.items())]


def _unlinked(text: str) -> str:
    """Text from outside leads nowhere: an invisible space keeps its addresses from becoming links."""
    return _LINKED.sub("\u200b", text)


def _slack(text: str) -> str:
    """Slack reads three characters as its own: a mention or a link begins with one of them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(text: str) -> str:
    """A card's text is markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>" else sign for sign in text)


def _card(lines: Sequence[str]) -> dict[str, Any]:
    """An adaptive card, as the webhooks of Teams and of Power Automate take it."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "text": line, "wrap": True} for line in lines],
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
