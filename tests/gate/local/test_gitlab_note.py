"""One note on a merge request, changed in place; what fails is tried again from the list on, and nothing shows the token."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.github.clients import Standing
from tests.report.examples import SITUATIONS, Example
from tests.report.hostile import hostile
from velro_gate.errors import PublishError, UsageError
from velro_gate.gate.local import gitlab_note
from velro_gate.gate.local.gitlab_note import TOKEN, merge_request_of
from velro_gate.github.delivery import TRIES
from velro_gate.model.facts.doubts import Worded
from velro_gate.report.formats.comment import markdown

HEAD = "a" * 40
JOB = {
    "CI_API_V4_URL": "https://gitlab.example/api/v4",
    "CI_PROJECT_ID": "7",
    "CI_MERGE_REQUEST_IID": "3",
    "CI_COMMIT_SHA": HEAD,
}
SECRET = "glpat-s3cret"
PLACE = "/api/v4/projects/7/merge_requests/3"
MARKER = "<!-- velro-gate:tiny/pr -->"


@dataclass
class Gitlab:
    """The notes of one merge request. failing: statuses that come first; lost: writes that are carried out unsaid."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    lost: int = 0
    head: str = HEAD
    seen: list[httpx.Request] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.headers["PRIVATE-TOKEN"] != SECRET:
            return httpx.Response(401)
        if self.failing:
            return httpx.Response(self.failing.pop(0), headers={"Retry-After": "2"})
        match request.method, request.url.path:
            case "GET", "/api/v4/user":
                return httpx.Response(200, json={"id": 42})
            case "GET", path if path == PLACE:
                return httpx.Response(200, json={"sha": self.head})
            case "GET", path if path == f"{PLACE}/notes":
                page = int(request.url.params["page"])
                more = {"X-Next-Page": str(page + 1)} if len(self.notes) > page * 100 else {"X-Next-Page": ""}
                return httpx.Response(200, json=self.notes[(page - 1) * 100 : page * 100], headers=more)
            case "POST", path if path == f"{PLACE}/notes":
                self.add(json.loads(request.content)["body"])
            case "PUT", path:
                number = int(path.rpartition("/")[2])
                next(note for note in self.notes if note["id"] == number)["body"] = json.loads(request.content)["body"]
        if self.lost:
            self.lost -= 1
            return httpx.Response(502)
        return httpx.Response(201, json={})

    def add(self, body: str, author: int = 42) -> None:
        self.notes.append({"id": len(self.notes) + 1, "body": body, "author": {"id": author}})


def wrote(server: Gitlab, text: str, environ: dict[str, str] | None = None, secret: str = SECRET) -> str:
    found = merge_request_of(environ or JOB, {TOKEN: f"{secret}\n"})
    made = type(found)(
        api=found.api,
        project=found.project,
        number=found.number,
        token=found.token,
        heads=found.heads,
        clock=Standing().clock,
        transport=httpx.MockTransport(server.answer),
    )
    assert secret not in repr(made)
    return made.upsert(f"{MARKER}\n{text}")


def test_the_first_run_writes_a_note_and_the_next_ones_change_it() -> None:
    server = Gitlab()
    assert wrote(server, "fail") == "note: created"
    assert wrote(server, "pass") == "note: updated"
    assert [note["body"] for note in server.notes] == [f"{MARKER}\npass"]


def test_notes_of_others_and_of_other_scenarios_stay() -> None:
    server = Gitlab()
    server.add(f"{MARKER}\nquoted by a person", author=1)
    server.add("<!-- velro-gate:other/pr -->\nother")
    before = [note["body"] for note in server.notes]
    assert wrote(server, "fail") == "note: created"
    assert [note["body"] for note in server.notes[:2]] == before


def test_a_note_behind_the_first_page_is_found() -> None:
    server = Gitlab()
    for number in range(150):
        server.add(f"talk {number}", author=1)
    server.add(f"{MARKER}\nold")
    assert wrote(server, "new") == "note: updated"
    assert len(server.notes) == 151


def test_a_note_that_was_written_though_nobody_said_so_is_not_written_twice() -> None:
    server = Gitlab(lost=1)
    assert wrote(server, "fail") == "note: updated"
    assert len(server.notes) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_is_tried_again_within_bounds(status: int) -> None:
    assert wrote(Gitlab(failing=[status] * (TRIES - 1)), "pass") == "note: created"
    server = Gitlab(failing=[status] * TRIES)
    with pytest.raises(PublishError, match="did not accept the note"):
        wrote(server, "pass")
    assert len(server.seen) == TRIES


def test_a_refusal_is_final_and_shows_no_token() -> None:
    server = Gitlab()
    with pytest.raises(PublishError) as caught:
        wrote(server, "pass", secret="wrong-t0ken")
    text = "\n".join(caught.value.lines())
    assert (len(server.seen), caught.value.exit_code) == (1, 5)
    assert "status 401" in text
    assert "wrong-t0ken" not in text


def test_a_merge_request_that_has_moved_on_is_left_alone() -> None:
    server = Gitlab(head="b" * 40)
    assert "another head" in wrote(server, "pass")
    assert server.notes == []
    # A pipeline of merged results runs a commit of its own, and names the head.
    assert wrote(server, "pass", {**JOB, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "b" * 40}) == "note: created"


@pytest.mark.parametrize("name", [*list(JOB)[:3], TOKEN])
def test_a_job_without_what_is_needed_is_refused_by_name(name: str) -> None:
    environ = {key: value for key, value in JOB.items() if key != name}
    with pytest.raises(UsageError) as caught:
        merge_request_of(environ, {} if name == TOKEN else {TOKEN: SECRET})
    assert name in "\n".join(caught.value.lines())


@pytest.mark.parametrize("wrong", [{"CI_API_V4_URL": "gitlab"}, {"CI_MERGE_REQUEST_IID": "3/../4"}, {"token": "s3\x01cret"}])
def test_what_cannot_be_an_address_a_number_or_a_token_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        merge_request_of(JOB | wrong, {TOKEN: wrong.get("token", SECRET)})
    assert "s3" not in "\n".join(caught.value.lines())


ANSWERS = {
    "no JSON": b"<html>",
    "a list": b"[]",
    "null": b"null",
    "notes that are not objects": b'["x", null, {"author": "me"}]',
}


@pytest.mark.parametrize("content", ANSWERS.values(), ids=ANSWERS)
def test_answers_that_nobody_expects_are_said_and_are_no_fault_of_ours(content: bytes) -> None:
    class Odd(Gitlab):
        def answer(self, request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return httpx.Response(200, content=content)

    with pytest.raises(PublishError, match="did not accept the note") as caught:
        wrote(Odd(), "pass")
    assert "it answered with" in str(caught.value.why)


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlab_note, "LARGEST", 100_000)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 10_000

    class Endless(Gitlab):
        def answer(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=endless())

    with pytest.raises(PublishError) as caught:
        wrote(Endless(), "pass")
    assert "more than" in str(caught.value.why)


def test_the_token_goes_nowhere_that_an_answer_names() -> None:
    class Elsewhere(Gitlab):
        def answer(self, request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return httpx.Response(307, headers={"Location": "https://evil.example/api/v4"})

    server = Elsewhere()
    with pytest.raises(PublishError):
        wrote(server, "pass")
    assert {request.url.host for request in server.seen} == {"gitlab.example"}


@pytest.mark.hostile("texts")
def test_no_line_of_the_note_is_a_command_to_gitlab() -> None:
    for made in (hostile(), renamed_to("/close"), renamed_to("/title x")):
        lines = markdown(made.run, made.verdict).splitlines()
        assert not [line for line in lines if re.match(r"\s*/[a-z]", line)]


def renamed_to(text: str) -> Example:
    """A failed run of which every finding begins with this text."""
    made = SITUATIONS["fail-both"]()
    findings = tuple(
        dataclasses.replace(one, subject=text, facts=Worded(code="x", sentence=f"{text} is slow.", advice=f"{text} it."))
        for one in made.verdict.findings
    )
    return dataclasses.replace(made, verdict=dataclasses.replace(made.verdict, findings=findings))
