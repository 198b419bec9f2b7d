"""Files of a repository come from the commit that was asked for, regular ones only, and within bounds."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.github.clients import TOKEN, Standing
from velro_gate.errors import PublishError
from velro_gate.gate.action.templates import MOST, files_below
from velro_gate.github.api import Api

SHA = "c" * 40
FOLDER = "/repos/owner/name/contents/perf%20templates"


def asked(answers: dict[str, Any], ref: str = SHA) -> dict[str, str]:
    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == ({"ref": ref} if ref else {})
        found = answers.get(request.url.raw_path.decode().partition("?")[0])
        return httpx.Response(404, json={"message": "Not Found"}) if found is None else httpx.Response(200, json=found)

    transport = httpx.MockTransport(answer)
    with Api(
        base_url="https://api.example", repository="owner/name", token=TOKEN, clock=Standing().clock, transport=transport
    ) as api:
        return files_below(api, "perf templates/", ref, ".j2")


def content(text: str) -> dict[str, str]:
    return {"encoding": "base64", "content": b64encode(text.encode()).decode()}


def listed(name: str, kind: str = "file") -> dict[str, str]:
    return {"name": name, "type": kind}


@pytest.mark.parametrize("ref", [SHA, ""])
def test_regular_files_with_the_ending_are_read_at_that_commit(ref: str) -> None:
    answers = {
        FOLDER: [listed("verdict.md.j2"), listed("link.j2", "symlink"), listed("below.j2", "dir"), listed("README.md"), "odd"],
        f"{FOLDER}/verdict.md.j2": content("ä {{ view }}"),
    }
    assert asked(answers, ref) == {"verdict.md.j2": "ä {{ view }}"}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {FOLDER: {"name": "a file"}},
        {FOLDER: [listed(f"{number}.j2") for number in range(MOST + 1)]},
        {FOLDER: [listed("a.j2")], f"{FOLDER}/a.j2": {"encoding": "none", "content": ""}},
        {FOLDER: [listed("a.j2")], f"{FOLDER}/a.j2": {"encoding": "base64", "content": b64encode(b"\xff\xfe").decode()}},
        {FOLDER: [listed("a.j2")], f"{FOLDER}/a.j2": ["odd"]},
    ],
)
def test_what_is_no_folder_of_texts_is_an_error_in_words(answers: dict[str, Any]) -> None:
    with pytest.raises(PublishError):
        asked(answers)
