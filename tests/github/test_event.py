"""What an event asks for: the mode, the commit that gets the status, and who may not write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.errors import UsageError
from velro_gate.github.event import Event, Mode, read_event

HEAD, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40
EVENTS = (
    "pull_request",
    "push",
    "merge_group",
    "workflow_dispatch",
    "schedule",
    "workflow_run",
    "pull_request_target",
    "issues",
)


def environ(name: str, **more: str) -> dict[str, str]:
    return {
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_SHA": MERGE,
        "GITHUB_RUN_ID": "77",
        "GITHUB_ACTOR": "someone",
        **more,
    }


def pull_request(*, head_repository: Any = "acme/shop", action: str = "opened", number: Any = 7) -> dict[str, Any]:
    head_repo = None if head_repository is None else {"full_name": head_repository}
    return {
        "action": action,
        "repository": {"default_branch": "main"},
        "pull_request": {
            "number": number,
            "head": {"sha": HEAD, "ref": "feature", "repo": head_repo},
            "base": {"sha": BASE, "ref": "main", "repo": {"full_name": "acme/shop"}},
        },
    }


def push(ref: str = "refs/heads/main", **more: Any) -> Event:
    payload = {"ref": ref, "after": HEAD, "repository": {"default_branch": "main"}, **more}
    return read_event(environ("push", GITHUB_REF=ref), payload)


def run_of(event: str = "pull_request") -> dict[str, Any]:
    return {
        "repository": {"default_branch": "main"},
        "workflow_run": {
            "id": 5,
            "event": event,
            "head_sha": HEAD,
            "head_branch": "feature",
            "head_repository": {"owner": {"login": "mallory"}},
        },
    }


def test_a_pull_request_is_gated_and_its_own_head_gets_the_status() -> None:
    found = read_event(environ("pull_request"), pull_request())
    assert (found.mode, found.pull_request, found.head_sha, found.base_sha) == (Mode.GATE, 7, HEAD, BASE)
    assert found.measured_sha == MERGE
    assert not found.read_only
    assert found.run_url == "https://github.com/acme/shop/actions/runs/77"


@pytest.mark.parametrize("repository", ["mallory/shop", None])
def test_a_fork_is_recognised_even_when_it_was_deleted(repository: str | None) -> None:
    found = read_event(environ("pull_request"), pull_request(head_repository=repository))
    assert found.fork
    assert found.read_only
    assert "fork" in found.reason


def test_a_night_knows_its_branch_without_a_repository_in_its_payload() -> None:
    found = read_event(environ("schedule", GITHUB_REF="refs/heads/trunk"), {"schedule": "17 3 * * *"})
    assert (found.mode, found.default_branch) == (Mode.SELFTEST, "trunk")


def test_a_merge_queue_that_dependabot_entered_gets_its_status() -> None:
    payload = {"merge_group": {"head_sha": HEAD, "base_sha": BASE, "head_ref": "refs/heads/queue/x"}}
    assert not read_event(environ("merge_group", GITHUB_ACTOR="dependabot[bot]"), payload).read_only


@pytest.mark.parametrize(
    ("sha", "parents", "measures"),
    [
        (HEAD, (BASE,), True),
        (MERGE, (BASE, HEAD), True),
        (MERGE, (HEAD, BASE), False),
        (MERGE, (BASE, "d" * 40), False),
        (BASE, (), False),
    ],
    ids=["head", "merge", "a merge into the head", "an older merge", "base"],
)
def test_only_the_head_and_its_merge_with_the_base_are_a_measurement_of_the_head(
    sha: str, parents: tuple[str, ...], measures: bool
) -> None:
    found = read_event(environ("pull_request"), pull_request()).seen(sha=sha, parents=parents, why="")
    assert (found.measured_sha, found.measures_head) == (sha, measures)


def test_dependabot_is_recognised() -> None:
    found = read_event(environ("pull_request", GITHUB_ACTOR="dependabot[bot]"), pull_request())
    assert found.dependabot
    assert found.read_only
    assert not found.fork
    assert "Dependabot" in found.reason


def test_what_a_person_adds_to_dependabots_pull_request_is_reported_by_the_reporter_as_well() -> None:
    payload = pull_request()
    payload["pull_request"]["user"] = {"login": "dependabot[bot]"}
    found = read_event(environ("pull_request", GITHUB_ACTOR="maintainer"), payload)
    assert found.dependabot
    assert found.read_only


def test_a_closed_pull_request_asks_for_nothing() -> None:
    assert read_event(environ("pull_request"), pull_request(action="closed")).mode is Mode.NONE


def test_pull_request_target_is_refused() -> None:
    with pytest.raises(UsageError, match="pull_request_target") as caught:
        read_event(environ("pull_request_target"), pull_request())
    assert "workflow_run" in caught.value.hint


def test_a_push_to_the_default_branch_refreshes_the_baselines() -> None:
    found = push()
    assert (found.mode, found.head_sha, found.pull_request) == (Mode.REFRESH, HEAD, None)


@pytest.mark.parametrize("ref", ["refs/heads/other", "refs/tags/main", "refs/heads/main/x"])
def test_a_push_elsewhere_asks_for_nothing(ref: str) -> None:
    assert push(ref).mode is Mode.NONE


def test_a_deleted_branch_has_no_commit() -> None:
    found = push(deleted=True, after="0" * 40)
    assert (found.mode, found.head_sha) == (Mode.NONE, "")


def test_a_merge_queue_is_gated_on_its_own_head_and_has_no_pull_request() -> None:
    payload = {"merge_group": {"head_sha": HEAD, "base_sha": BASE, "head_ref": "refs/heads/gh-readonly-queue/main/pr-7"}}
    found = read_event(environ("merge_group"), payload)
    assert (found.mode, found.head_sha, found.base_sha, found.pull_request) == (Mode.GATE, HEAD, BASE, None)


def test_a_dispatch_brings_what_a_person_filled_in() -> None:
    payload = {"inputs": {"profile": "full", "url": "", "quiet": True, "none": None}, "ref": "refs/heads/x"}
    found = read_event(environ("workflow_dispatch"), payload)
    assert (found.mode, dict(found.inputs)) == (Mode.DISPATCH, {"profile": "full", "quiet": "true"})


def test_a_schedule_looks_at_the_runner() -> None:
    assert read_event(environ("schedule"), {}).mode is Mode.SELFTEST


def test_a_finished_run_of_a_pull_request_is_reported() -> None:
    payload = run_of()
    payload["workflow_run"]["conclusion"] = "failure"
    found = read_event(environ("workflow_run"), payload)
    assert found.mode is Mode.REPORT
    assert found.source is not None
    assert (found.source.run_id, found.source.head_owner, found.source.head_sha) == (5, "mallory", HEAD)
    assert found.source.conclusion == "failure"


def test_the_reporter_may_write_whoever_caused_it() -> None:
    assert not read_event(environ("workflow_run", GITHUB_ACTOR="dependabot[bot]"), run_of()).read_only


def test_a_finished_run_of_anything_else_is_none_of_its_business() -> None:
    assert read_event(environ("workflow_run"), run_of("push")).mode is Mode.NONE


def test_an_event_that_nobody_has_thought_of_asks_for_nothing() -> None:
    assert read_event(environ("issues"), {}).mode is Mode.NONE


def test_a_workflow_may_ask_for_another_mode() -> None:
    assert read_event(environ("push", GITHUB_REF="refs/heads/x"), {}, wanted="gate").mode is Mode.GATE
    with pytest.raises(UsageError, match="no mode 'gait'"):
        read_event(environ("push"), {}, wanted="gait")
    with pytest.raises(UsageError, match="no run to report on"):
        read_event(environ("push"), {}, wanted="report")


def test_an_enterprise_server_is_known_by_its_addresses() -> None:
    addresses = {"GITHUB_API_URL": "https://ghe.example/api/v3/", "GITHUB_SERVER_URL": "https://ghe.example"}
    found = read_event(environ("schedule", **addresses), {})
    assert (found.api_url, found.server_url) == ("https://ghe.example/api/v3", "https://ghe.example")


@pytest.mark.parametrize("missing", ["GITHUB_EVENT_NAME", "GITHUB_REPOSITORY"])
def test_outside_of_github_actions_it_says_so(missing: str) -> None:
    known = environ("push")
    del known[missing]
    with pytest.raises(UsageError, match="not a job of GitHub Actions"):
        read_event(known, {})


@pytest.mark.parametrize("payload", [{}, {"pull_request": None}, pull_request(number="7"), {"pull_request": {"number": 7}}])
@pytest.mark.hostile("small inputs")
def test_a_payload_that_is_no_pull_requests_is_a_usage_error(payload: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="payload"):
        read_event(environ("pull_request"), payload)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("head", "sha", "number", "repo", "x")), inner),
    max_leaves=12,
)


@given(name=st.sampled_from(EVENTS), pull=trees, run=trees, inputs=trees)
@pytest.mark.hostile("small inputs")
def test_no_payload_whatever_makes_anything_but_an_event_or_a_usage_error(name: str, pull: Any, run: Any, inputs: Any) -> None:
    payload = {"pull_request": pull, "workflow_run": run, "inputs": inputs, "merge_group": pull, "repository": run}
    try:
        found = read_event(environ(name), payload)
    except UsageError:
        return
    assert len(found.head_sha) in (0, 40, 64)
