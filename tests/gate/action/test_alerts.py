"""Alerts about main: which runs give one, what issue and webhook say, and that nothing here changes a verdict."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterator
from random import Random

import httpx
import pytest

from tests.github.clients import Standing
from tests.github.issues import AUTHOR, Issues
from tests.report.examples import SITUATIONS, SMALL, Example
from tests.report.hostile import hostile
from velro_gate import secrecy
from velro_gate.analysis.verdict.alerts import alerts
from velro_gate.errors import PublishError, UsageError
from velro_gate.gate.action.alerting.issue import publish_alerts
from velro_gate.gate.action.alerting.webhook import SIGNATURE, TIMESTAMP, Webhook
from velro_gate.gate.action.inputs import read_inputs
from velro_gate.gate.action.publish import Outlets
from velro_gate.github.channels.alert_issue import LONGEST
from velro_gate.github.delivery import TRIES
from velro_gate.model.facts.alerts import Alert, AlertKind
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.verdict import Finding, Level
from velro_gate.report.alerts.issue import alert_body, alert_marker
from velro_gate.report.alerts.messages import MessageFormat, message

ADDRESS = "https://hooks.example/T0/B1/s3cret-path"


def kinds(name: str) -> list[AlertKind]:
    made = SITUATIONS[name]()
    found = alerts(made.run, made.verdict, made.baselines, 20.0)
    assert found is not None
    return list(dict.fromkeys(alert.kind for alert in found))


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ("pass", []),
        ("fail-regression", [AlertKind.REGRESSION]),
        ("fail-missed", [AlertKind.REQUIREMENT]),
        ("warn-drift", [AlertKind.DRIFT]),
        ("warn", []),
    ],
)
def test_what_fails_main_and_what_has_drifted_gives_an_alert(situation: str, expected: list[AlertKind]) -> None:
    assert [kind for kind in kinds(situation) if kind is not AlertKind.FORECAST] == expected


def test_a_run_that_cannot_be_trusted_says_nothing_about_main() -> None:
    made = SITUATIONS["broken"]()
    assert alerts(made.run, made.verdict, made.baselines, 20.0) is None


def test_a_limit_that_main_reaches_soon_is_near_and_one_that_is_far_is_not() -> None:
    base = SITUATIONS["pass"]()
    draw = Random(3)
    runs = [
        dataclasses.replace(
            SMALL(load=math.exp(0.005 * index + draw.gauss(0.0, 0.006))),
            id=f"run-{index}",
            started_at=f"2026-11-{index + 1:02}T12:00:00Z",
        )
        for index in range(25)
    ]
    found = alerts(runs[-1], base.verdict, runs[:-1], 500.0)
    assert found is not None
    near = [alert.outlook.merges.value for alert in found if alert.outlook is not None]
    assert near
    none = alerts(runs[-1], base.verdict, runs[:-1], min(near) / 2.0)
    assert none is not None
    assert [alert for alert in none if alert.outlook is not None] == []


def published(name: str | Example, there: Issues | None, webhook: Webhook | None = None) -> list[str]:
    made = SITUATIONS[name]() if isinstance(name, str) else name
    said: list[str] = []
    outlets = Outlets(
        command=said.append, say=said.append, author=AUTHOR, links={"Run": "https://github.example/r/1"}, api=None
    )
    if there is None:
        publish_alerts(made.run, made.verdict, made.baselines, outlets, issue=False, webhook=webhook, merges=20.0)
        return said
    with there.client() as api:
        outlets = dataclasses.replace(outlets, api=api)
        publish_alerts(made.run, made.verdict, made.baselines, outlets, issue=True, webhook=webhook, merges=20.0)
    return said


def test_the_issue_follows_main_from_its_first_alert_to_its_end() -> None:
    there = Issues()
    published("pass", there)
    assert there.issues == []
    published("fail-both", there)
    (issue,) = there.open
    assert issue["title"] == "Performance of main: velro-prd/full"
    assert "**Worse than the baselines**" in issue["body"]
    assert "**Requirements missed**" in issue["body"]
    published("broken", there)
    assert len(there.open) == 1
    published("pass", there)
    assert there.open == []
    assert "Resolved" in there.issues[0]["body"]


def test_what_cannot_be_published_is_said_and_raises_nothing() -> None:
    said = published("fail-both", Issues(refuse=403))
    assert any(line.startswith("alert not published: ") for line in said)
    assert said[-1].startswith("alerts: ")


def test_hostile_names_make_no_mention_link_or_html_in_the_issue() -> None:
    made = hostile()
    found = alerts(made.run, made.verdict, made.baselines, 20.0) or tuple(
        Alert(kind=AlertKind.FAILURE, finding=finding) for finding in made.verdict.findings
    )
    body = alert_body(made.run, found, alert_marker(made.run, ""), {})
    assert "@everyone" not in body
    assert "<script" not in body
    assert "](https://evil" not in body
    text = message(MessageFormat.SLACK, made.run, found, {})
    assert "<" not in json.loads(text)["text"]


@pytest.mark.hostile("alerts")
@pytest.mark.parametrize("wanted", [MessageFormat.SLACK, MessageFormat.TEAMS])
@pytest.mark.parametrize(
    "sentence", ["see https://evil.example @here <!channel> [x](https://evil.example)", "\U0001f600" * 9_000]
)
def test_what_a_service_says_is_neither_link_nor_mention_in_a_chat_and_fits(wanted: MessageFormat, sentence: str) -> None:
    there = Receiver()
    published(with_sentence(sentence, 60), None, there.webhook(format=wanted))
    (request,) = there.got
    assert len(request.content) <= 28_000
    for said in shown(json.loads(request.content)):
        text = said.replace("https://github.example", "")
        assert "://" not in text
        # Slack's links and mentions begin with the first of these; Teams takes a backslash in front of both.
        assert not re.search(r"<" if wanted is MessageFormat.SLACK else r"(?<!\\)[<\[]", text)


def shown(document: object) -> Iterator[str]:
    """Every text that a chat shows of a message."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == "text":
                yield value
            elif name != "$schema":
                yield from shown(value)
    elif isinstance(document, list):
        for one in document:
            yield from shown(one)


def with_sentence(sentence: str, count: int) -> Example:
    made = SITUATIONS["fail-both"]()
    findings = tuple(
        Finding(level=Level.FAIL, subject=str(index), facts=Worded(code="x", sentence=sentence, advice=sentence))
        for index in range(count)
    )
    return dataclasses.replace(made, verdict=dataclasses.replace(made.verdict, findings=findings))


@pytest.mark.hostile("alerts")
@pytest.mark.parametrize(("sentence", "count"), [("*_[]<>|" * 600, 60), ("@a " * 30_000, 1), ("&" * 900, 30)])
def test_what_a_service_says_without_end_keeps_no_alert_from_being_published(sentence: str, count: int) -> None:
    made, there = with_sentence(sentence, count), Issues()
    published(made, there)
    (issue,) = there.open
    assert len(issue["body"]) <= LONGEST
    assert issue["body"].count("\n- ") >= 1
    assert issue["body"].count("\n- ") == count or "more: see the report" in issue["body"]


@pytest.mark.hostile("alerts")
@pytest.mark.parametrize("wanted", list(MessageFormat))
def test_a_webhook_gets_no_secret_and_half_a_character_holds_nothing_up(
    wanted: MessageFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrecy, "_KNOWN", secrecy._Known(certain=frozenset({"canary-8471-wxyz"})))
    there = Receiver()
    said = published(with_sentence("it said canary-8471-wxyz \ud800", 1), None, there.webhook(format=wanted))
    (request,) = there.got
    assert b"canary-8471" not in request.content
    assert "it said" in json.dumps(json.loads(request.content))
    assert said[-1].startswith("alerts: ")


@pytest.mark.hostile("alerts")
def test_a_webhook_that_sends_elsewhere_is_not_followed() -> None:
    there = Receiver(307)
    said = published("fail-both", None, there.webhook())
    assert len(there.got) == 1
    assert any("status 307" in line for line in said)


class Receiver:
    """A webhook: what it got, and the answers it gives."""

    def __init__(self, *answers: int) -> None:
        self.got: list[httpx.Request] = []
        self.answers = list(answers)
        self.standing = Standing()

    def webhook(self, url: str = ADDRESS, **more: str | MessageFormat) -> Webhook:
        return Webhook(url=url, clock=self.standing.clock, transport=httpx.MockTransport(self.take), **more)  # type: ignore[arg-type]

    def take(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if answer == 0:
            raise httpx.ConnectError("nobody is there", request=request)
        return httpx.Response(answer)


def test_a_message_is_sent_once_and_signed() -> None:
    there = Receiver()
    published("fail-both", None, there.webhook(key="a-key"))
    (request,) = there.got
    signed = hmac.new(b"a-key", f"{request.headers[TIMESTAMP]}.".encode() + request.content, hashlib.sha256).hexdigest()
    assert request.headers[SIGNATURE] == f"sha256={signed}"
    found = json.loads(request.content)
    assert found["state"] == "alert"
    assert {each["kind"] for each in found["alerts"]} >= {"regression", "requirement"}


def test_a_passing_run_sends_nothing_unless_an_issue_is_closed_by_it() -> None:
    there, issues = Receiver(), Issues()
    published("pass", issues, there.webhook())
    assert there.got == []
    published("fail-both", issues, there.webhook())
    published("pass", issues, there.webhook())
    assert [json.loads(request.content)["state"] for request in there.got] == ["alert", "resolved"]


def test_a_webhook_that_fails_for_a_moment_is_tried_again_and_one_that_refuses_is_not() -> None:
    passing = Receiver(503, 0, 502)
    passing.webhook().send("{}")
    assert len(passing.got) == TRIES
    refusing = Receiver(404)
    with pytest.raises(PublishError):
        refusing.webhook().send("{}")
    assert len(refusing.got) == 1


def test_a_webhook_that_never_answers_is_said_without_its_address() -> None:
    there = Receiver(*[0] * 10)
    said = "\n".join(published("fail-both", None, there.webhook()))
    assert len(there.got) == TRIES
    assert "alert not published: " in said
    assert "hooks.example" in said
    assert "s3cret" not in said
    assert "s3cret" not in repr(there.webhook())


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://hooks.slack.com/services/T/B/x", MessageFormat.SLACK),
        ("https://acme.webhook.office.com/webhookb2/x", MessageFormat.TEAMS),
        ("https://prod-1.westeurope.logic.azure.com/workflows/x", MessageFormat.TEAMS),
        ("https://hooks.slack.com.evil.example/x", MessageFormat.JSON),
        (ADDRESS, MessageFormat.JSON),
    ],
)
def test_the_address_says_what_the_other_side_understands(url: str, wanted: MessageFormat) -> None:
    assert Webhook(url=url).wanted is wanted


@pytest.mark.parametrize(
    "url", ["s3cret", "http://[s3cret", "https://", "http://host:s3cret/", "http://host:99999/s3cret", "file:///s3cret"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Webhook(url=url)
    assert "s3cret" not in str(refused.value)


def test_of_the_answer_only_the_head_is_read() -> None:
    def endless() -> Iterator[bytes]:
        yield b"x"
        raise AssertionError("the body was read")

    taking = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    Webhook(url="https://hooks.example/1", transport=taking).send("{}")


def test_a_card_for_teams_is_an_adaptive_card() -> None:
    made = SITUATIONS["fail-both"]()
    found = alerts(made.run, made.verdict, made.baselines, 20.0)
    assert found
    (card,) = json.loads(message(MessageFormat.TEAMS, made.run, found, {}))["attachments"]
    assert card["content"]["type"] == "AdaptiveCard"
    assert all(block["type"] == "TextBlock" for block in card["content"]["body"])


def test_the_inputs_of_alerts_are_read_and_checked() -> None:
    found = read_inputs({"VELRO_ALERTS": "true", "VELRO_ALERT_MERGES": "5", "VELRO_WEBHOOK_FORMAT": "Slack"})
    assert (found.alerts, found.alert_merges, found.webhook_format) == (True, 5, MessageFormat.SLACK)
    with pytest.raises(UsageError, match="webhook-format"):
        read_inputs({"VELRO_WEBHOOK_FORMAT": "fax"})
