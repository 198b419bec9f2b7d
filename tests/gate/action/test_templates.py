"""A job's own templates are those of the base; what is wrong with them is said, and its verdict does not wait for them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest

from tests.github.clients import TOKEN, Standing
from tests.report.examples import EXAMPLES
from velro_gate.gate.action.templates import use_own_templates
from velro_gate.github.api import Api
from velro_gate.report.formats.comment import markdown, marker_of
from velro_gate.report.text.templating import use_templates

BASE = "b" * 40
MADE = EXAMPLES["fail-both"]()


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    yield
    use_templates("")


def used(text: str | None, said: list[str]) -> str:
    """The comment after a job has taken this template from its base; None: the folder is not there."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["ref"] == BASE
        if text is None:
            return httpx.Response(404, json={"message": "Not Found"})
        if request.url.path.endswith(".j2"):
            return httpx.Response(200, json={"encoding": "base64", "content": b64encode(text.encode()).decode()})
        return httpx.Response(200, json=[{"type": "file", "name": "verdict.md.j2"}])

    transport = httpx.MockTransport(answer)
    with Api(base_url="https://api.example", repository="a/b", token=TOKEN, clock=Standing().clock, transport=transport) as api:
        use_own_templates("perf/templates", BASE, api, said.append)
    return markdown(*MADE)


def test_the_comment_is_worded_by_the_template_of_the_base() -> None:
    said: list[str] = []
    own = '{% extends "velro/verdict.md.j2" %}{% block next %}Ask the performance team.{% endblock %}'
    assert "Ask the performance team." in used(own, said)
    assert said == [f"templates: verdict.md.j2 of perf/templates at {BASE[:12]}"]


@pytest.mark.parametrize("text", [None, "{{ oops }}", "{% block", "{{ view.__class__.__mro__ }}"])
def test_templates_that_are_missing_or_wrong_are_said_and_the_shipped_ones_used(text: str | None) -> None:
    before, said = markdown(*MADE), list[str]()
    assert used(text, said) == before
    assert before.startswith(marker_of(MADE[0].plan))
    assert sum(line.startswith("warning: ") for line in said) == 1


def test_without_a_token_or_a_folder_nothing_is_asked_for() -> None:
    said: list[str] = []
    assert use_own_templates("", BASE, None, said.append) == {}
    assert said == []
    assert use_own_templates("perf", BASE, None, said.append) == {}
    assert "no token" in said[0]
