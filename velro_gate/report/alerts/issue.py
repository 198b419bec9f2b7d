"""The alert as an issue: opened once for each plan, kept up to date, and closed with a last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from velro_gate.model.facts.alerts import Alert, AlertKind
from velro_gate.model.record import RunRecord
from velro_gate.report.sentences.baselines import outlook_sentence
from velro_gate.report.sentences.findings import words
from velro_gate.report.text.escape import markdown_link, markdown_name, markdown_text, marker_key, visible
from velro_gate.report.text.words import Words

MOST = 30
"""Alerts that an issue lists: a reader's patience ends there."""
MOST_TITLE = 250
"""Characters; GitHub refuses titles of more than 256."""
MOST_SENTENCE = 1_000
"""Characters of one sentence, which may name steps and metrics of any length."""
ROOM = 60_000
"""Characters of title, sentence and all alerts; GitHub takes 256 and 65,536. What a service says has no length of its own."""
_TITLES = {
    AlertKind.REGRESSION: "Worse than the baselines",
    AlertKind.REQUIREMENT: "Requirements missed",
    AlertKind.FAILURE: "Failures",
    AlertKind.DRIFT: "Drift",
    AlertKind.FORECAST: "Limits that will be reached",
}
_FORECAST_ADVICE = "See since when it rises: 'velro-gate trend'; fix it before the limit is reached, or change the limit."


def alert_words(alert: Alert) -> Words:
    """One alert as sentence and advice."""
    if alert.outlook is not None:
        return Words(sentence=outlook_sentence(alert.outlook), advice=_FORECAST_ADVICE)
    assert alert.finding is not None
    return words(alert.finding)


def alert_marker(record: RunRecord, label: str) -> str:
    """The first line of the issue of a plan, by which it is found again."""
    names = (record.plan.scenario, record.plan.profile, label)
    return f"<!-- velro-gate-alert:{marker_key(*filter(None, names))} -->"


def alert_title(record: RunRecord) -> str:
    """``Performance of main: velro-prd/pr``."""
    return cut(f"Performance of main: {visible(record.plan.scenario)}/{visible(record.plan.profile)}", MOST_TITLE)


def alert_body(record: RunRecord, alerts: Sequence[Alert], marker: str, links: Mapping[str, str]) -> str:
    """The whole text of the open issue."""
    lines = [marker, f"The newest run of main, of {_revision(record)}, gives these reasons to look:", ""]
    listed = _listed(alerts)
    for kind, title in _TITLES.items():
        alike = [text for alert, text in listed if alert.kind is kind]
        if alike:
            lines += [f"**{title}**", "", *alike, ""]
    if len(alerts) > len(listed):
        lines += [f"And {len(alerts) - len(listed)} more: see the report.", ""]
    lines += [_linked(links), "", "<sub>Updated with each run of main, and closed by the first run that gives no reason.</sub>"]
    return "\n".join([*lines, ""])


def _listed(alerts: Sequence[Alert]) -> list[tuple[Alert, str]]:
    """The first alerts, each as an item of the list, as far as there is room for them."""
    found, room = [], ROOM
    for alert in alerts[:MOST]:
        said = alert_words(alert)
        text = f"- {markdown_text(cut(said.sentence, MOST_SENTENCE))}"
        if said.advice:
            text += f"\n  {markdown_text(cut(said.advice, MOST_SENTENCE))}"
        room -= len(text) + 1
        if room < 0:
            break
        found.append((alert, text))
    return found


def cut(text: str, most: int) -> str:
    """The text, shortened to this many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def resolved_body(record: RunRecord, marker: str, links: Mapping[str, str]) -> str:
    """The text of the issue once there is no reason any more."""
    return f"{marker}\nResolved: the run of {_revision(record)} gives no reason to look.\n\n{_linked(links)}\n"


def _revision(record: RunRecord) -> str:
    return markdown_name(record.revision.sha[:12] or record.id)


def _linked(links: Mapping[str, str]) -> str:
    return " · ".join(markdown_link(label, url) for label, url in links.items())
