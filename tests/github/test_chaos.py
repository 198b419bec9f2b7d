"""Each call that is made of GitHub, answered by each fault: told in words or outlasted, never a crash, a loop or a double."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.github.clients import client
from tests.github.stand_in import STORE, StandIn, State, stand_in
from velro_gate.errors import PublishError
from velro_gate.github.api import TRIES, Api
from velro_gate.github.artifacts import artifact_of_run, download_archive, latest_artifact
from velro_gate.github.channels.comment import upsert_comment
from velro_gate.github.channels.status import CommitState as Light
from velro_gate.github.channels.status import CommitStatus, set_status
from velro_gate.github.pulls import open_proposal, open_pull_request, pull_request, pull_request_of

pytestmark = pytest.mark.hostile("statuses and comments")

SHA = "a" * 40
MARKER = "<!-- velro-gate:shop/pr -->"
FINAL = (401, 403, 404, 409, 422)
PASSING = (429, 500, 502, "hang", "reset", "half")


@dataclass(frozen=True)
class Call:
    """One use of the API. method and path: of the request that fails. comments: ours that are there. tries: at most."""

    act: Callable[[Api], object]
    method: str
    path: str
    comments: int = 0
    tries: int = TRIES


def _show(github: Api) -> object:
    return upsert_comment(github, number=7, head_sha=SHA, marker=MARKER, body=f"{MARKER}\nnew\n")


CALLS = {
    "set a status": Call(
        lambda github: set_status(github, SHA, CommitStatus(state=Light.SUCCESS, description="fine")), "POST", "/statuses/"
    ),
    "read a pull request": Call(lambda github: pull_request(github, 7), "GET", "/pulls/7$"),
    "find the pull request of a commit": Call(
        lambda github: pull_request_of(github, owner="acme", branch="feature", head_sha=SHA, base="main"), "GET", "/pulls$"
    ),
    "open a pull request": Call(
        lambda github: open_pull_request(github, branch="new", base="main", title="t", body="b"), "POST", "/pulls$"
    ),
    "find a proposal": Call(lambda github: open_proposal(github, branch="new", base="main"), "GET", "/pulls$"),
    "read the head before a comment": Call(_show, "GET", "/pulls/7$"),
    "list comments": Call(_show, "GET", "/issues/7/comments"),
    # It is looked for between its tries, so there are fewer.
    "create a comment": Call(_show, "POST", "/issues/7/comments", tries=3),
    "change a comment": Call(_show, "PATCH", "/issues/comments/", comments=1),
    "delete a double": Call(_show, "DELETE", "/issues/comments/", comments=2),
    "list the archives of a run": Call(lambda github: artifact_of_run(github, run_id=5, name="x"), "GET", "/runs/5/artifacts"),
    "list all archives": Call(lambda github: latest_artifact(github, name="x", branch="main"), "GET", "/actions/artifacts$"),
    "ask for an archive": Call(lambda github: download_archive(github, 3), "GET", "/artifacts/3/zip"),
    "read an archive from its store": Call(lambda github: download_archive(github, 3), "GET", STORE),
}


def repository(call: Call) -> State:
    state = State()
    state.pull()
    for _ in range(call.comments):
        old = {"id": state.next(), "issue": 7, "body": f"{MARKER}\nold\n", "author": state.login, "edits": 0}
        state.comments.append(old)
    run = {"id": 5, "repository_id": 1, "head_repository_id": 1, "head_branch": "main", "head_sha": SHA}
    content = base64.b64encode(b"PK, as it were").decode()
    state.artifacts = [{"id": 3, "name": "x", "expired": False, "workflow_run": run, "content": content}]
    return state


def after(api: StandIn, call: Call, fault: int | str, *, times: int) -> tuple[PublishError | None, int]:
    """What a call comes to when so many of its tries fail, and how many did."""
    with client(api, timeout=0.1 if fault == "hang" else 5.0, patience=10_000.0) as github:
        api.fail(fault, method=call.method, path=call.path, times=times)
        error = None
        try:
            call.act(github)
        except PublishError as reported:
            error = reported
    return error, len([one for one in api.state.calls if one["fault"] == fault])


def is_reported_in_words(error: PublishError | None) -> bool:
    """Whether it says what, where and what to do, and ends with the code of a failure to tell."""
    assert error is not None
    assert (error.where or "").startswith(("GET ", "POST ", "PATCH ", "DELETE "))
    return len(error.hint) > 20 and error.exit_code == 5


@pytest.mark.parametrize("fault", FINAL)
@pytest.mark.parametrize("name", CALLS)
def test_a_final_refusal_is_reported_at_once(name: str, fault: int) -> None:
    call = CALLS[name]
    with stand_in(repository(call)) as api:
        error, failed = after(api, call, fault, times=1_000)
        assert failed == 1
    if (call.method, fault) == ("DELETE", 404):
        # Another run has tidied up before us.
        assert error is None
    else:
        assert is_reported_in_words(error)


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("name", CALLS)
def test_a_fault_that_passes_is_outlasted_and_nothing_is_done_twice(name: str, fault: int | str) -> None:
    call = CALLS[name]
    with stand_in(repository(call)) as api:
        error, failed = after(api, call, fault, times=1)
        assert (error, failed) == (None, 1)
        if call.act is _show:
            assert [one["body"] for one in api.state.comments] == [f"{MARKER}\nnew\n"]
        assert len([one for one in api.state.pulls if one["head_branch"] == "new"]) == (name == "open a pull request")


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("name", CALLS)
def test_a_fault_that_does_not_pass_ends_in_words_and_not_in_a_loop(name: str, fault: int | str) -> None:
    call = CALLS[name]
    with stand_in(repository(call)) as api:
        error, failed = after(api, call, fault, times=1_000)
    if fault == "half" and (call.method in ("DELETE", "POST") or name == "ask for an archive"):
        # What was done before its answer broke off is found; deletions and redirections have no answer that could.
        assert error is None or is_reported_in_words(error)
    else:
        assert is_reported_in_words(error)
    assert failed <= (TRIES if fault == 429 else call.tries)
