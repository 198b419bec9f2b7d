"""The API client: every page, patient retries, writes one at a time, and a token that nobody sees."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.github.clients import TOKEN, Standing, client
from tests.github.stand_in import Fault, StandIn, State, stand_in
from velro_gate.errors import PublishError, UsageError
from velro_gate.github.api import Api
from velro_gate.github.channels.status import CommitState as Light
from velro_gate.github.channels.status import CommitStatus, set_status
from velro_gate.github.refusals import RefusedError, UncertainError

SHA = "a" * 40
GREEN = CommitStatus(state=Light.SUCCESS, description="fine")
RED = CommitStatus(state=Light.FAILURE, description="slow")


def commented(count: int) -> State:
    """A repository whose pull request 7 has so many comments."""
    state = State()
    state.pull()
    state.comments = [
        {"id": state.next(), "issue": 7, "body": f"comment {number}", "author": "someone", "edits": 0}
        for number in range(count)
    ]
    return state


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
def test_a_list_is_read_to_its_last_page_by_the_links(count: int, calls: int) -> None:
    with stand_in(commented(count)) as api, client(api) as github:
        bodies = [item["body"] for item in github.pages("/issues/7/comments")]
        assert bodies == [f"comment {number}" for number in range(count)]
        assert len(api.state.calls) == calls


@pytest.mark.parametrize(
    "named", ["http://GHE.Example.:8443/api/v3/repositories/1/issues", "https://internal/repositories/1/issues", "/issues"]
)
def test_the_next_page_is_asked_for_where_the_first_was_however_the_server_spells_its_own_address(named: str) -> None:
    asked: list[httpx.URL] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        last = request.url.params.get("page") == "2"
        link = {} if last else {"link": f'<{named}?state=all&page=2>; rel="next"'}
        return httpx.Response(200, json=[2 if last else 1], headers=link)

    transport = httpx.MockTransport(server)
    base = "https://ghe.example/behind/api/v3"
    with Api(base_url=base, repository="acme/shop", token=TOKEN, transport=transport) as github:
        assert list(github.pages("/issues", {"state": "all"})) == [1, 2]
    assert {f"{url.scheme}://{url.netloc.decode()}{url.path}" for url in asked} == {f"{base}/repos/acme/shop/issues"}
    assert dict(asked[-1].params) == {"state": "all", "page": "2"}


def test_an_api_that_never_answers_holds_a_job_no_longer_than_its_patience() -> None:
    standing = Standing()

    def silent(request: httpx.Request) -> httpx.Response:
        standing.time += request.extensions["timeout"]["read"]
        raise httpx.ReadTimeout("no answer")

    with Api(
        base_url="http://github.test", repository="acme/shop", token=TOKEN, clock=standing.clock, timeout=30.0,
        transport=httpx.MockTransport(silent),
    ) as github:  # fmt: skip
        began = standing.time
        with github.at_most(60.0), pytest.raises(PublishError):
            github.send("POST", "/statuses/x", {})
        assert standing.time - began <= 65.0
        for _ in range(3):
            with pytest.raises(PublishError):
                github.get("/pulls/7")
        assert standing.time - began <= 300.0 + 5 * 2.0


def test_a_locked_conversation_is_no_missing_permission() -> None:
    with stand_in(commented(0)) as api, client(api) as github:
        api.faults.append(Fault(fault=403, message="Unable to create comment because issue is locked."))
        with pytest.raises(PublishError) as caught:
            github.send("POST", "/issues/7/comments", {"body": "x"})
    assert "is locked" in caught.value.what
    assert "permissions" not in caught.value.hint


def test_an_enterprise_servers_base_url_has_a_path_in_it() -> None:
    with stand_in(commented(2), prefix="/api/v3", page_size=1) as api, client(api) as github:
        assert api.url.endswith("/api/v3")
        assert len(list(github.pages("/issues/7/comments"))) == 2


def test_writes_are_a_second_apart() -> None:
    standing = Standing()
    with stand_in() as api, client(api, standing) as github:
        for _ in range(3):
            set_status(github, SHA, GREEN)
    assert standing.slept == [1.0, 1.0]


def test_what_an_answer_takes_is_part_of_the_second_between_two_writes() -> None:
    standing = Standing()

    def slow(_: httpx.Request) -> httpx.Response:
        standing.time += 0.4
        return httpx.Response(201, json={})

    with Api(
        base_url="http://github.test",
        repository="acme/shop",
        token=TOKEN,
        clock=standing.clock,
        transport=httpx.MockTransport(slow),
    ) as github:
        set_status(github, SHA, RED)
        set_status(github, SHA, RED)
    assert standing.slept == pytest.approx([0.6])


def test_reads_do_not_wait_for_one_another() -> None:
    standing = Standing()
    with stand_in(commented(1)) as api, client(api, standing) as github:
        github.get("/pulls/7")
        github.get("/pulls/7")
    assert standing.slept == []


@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [
        (429, {"retry_after": "7"}, [7.5]),
        (403, {"retry_after": "7"}, [7.5]),
        (403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1800000030"}, [30.5]),
        (429, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1700000000"}, [0.5]),
        (429, {}, [60.5]),
        (429, {"retry_after": "Fri, 15 Jan 2027 08:00:20 GMT"}, [20.5]),
        (502, {}, [0.75]),
        (503, {"retry_after": "3"}, [3.5]),
        (429, {"retry_after": "soon"}, [60.5]),
    ],
)
def test_a_retry_waits_as_long_as_the_server_says_or_else_by_the_rule(
    status: int, headers: dict[str, str], waits: list[float]
) -> None:
    standing = Standing()
    with stand_in(commented(0)) as api, client(api, standing) as github:
        api.fail(status, **headers)
        github.get("/pulls/7")
    assert standing.slept == pytest.approx(waits)


def test_waits_grow_while_the_server_fails() -> None:
    standing = Standing()
    with stand_in(commented(0)) as api, client(api, standing) as github:
        api.fail(500, times=3)
        github.get("/pulls/7")
    assert standing.slept == [0.75, 1.5, 3.0]


def test_a_limit_that_outlasts_the_patience_is_reported_and_not_waited_for() -> None:
    standing = Standing()
    with stand_in(commented(0)) as api, client(api, standing) as github:
        api.fail(403, x_ratelimit_remaining="0", x_ratelimit_reset="1800003000")
        with pytest.raises(PublishError, match="longer than this job waits") as caught:
            github.get("/pulls/7")
    assert standing.slept == []
    assert "3,000 s" in (caught.value.why or "")


def test_patience_is_shared_by_all_requests() -> None:
    standing = Standing()
    with stand_in(commented(0)) as api, client(api, standing, patience=10.0) as github:
        api.fail(429, times=2, retry_after="6")
        with pytest.raises(PublishError, match="longer than this job waits"):
            github.get("/pulls/7")
    assert standing.slept == [6.5]


@pytest.mark.parametrize(
    ("taken", "call", "line"),
    [
        ("statuses", "status", "statuses: write"),
        ("pull-requests", "comment", "pull-requests: write"),
        ("pull-requests", "list", "pull-requests: read"),
        ("actions", "artifacts", "actions: read"),
    ],
)
def test_a_403_names_the_missing_permission(taken: str, call: str, line: str) -> None:
    state = commented(0)
    del state.permissions[taken]
    with stand_in(state) as api, client(api) as github:
        calls = {
            "status": lambda: set_status(github, SHA, GREEN),
            "comment": lambda: github.send("POST", "/issues/7/comments", {"body": "x"}),
            "list": lambda: list(github.pages("/issues/7/comments")),
            "artifacts": lambda: list(github.pages("/actions/artifacts", key="artifacts")),
        }
        with pytest.raises(RefusedError) as caught:
            calls[call]()
    assert caught.value.status == 403
    assert f"'{line}' under 'permissions:'" in caught.value.hint
    assert caught.value.exit_code == 5


def test_a_token_that_is_not_accepted_is_said_without_showing_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = "ghs_veryveryprivate"
    with (
        caplog.at_level(logging.DEBUG),
        stand_in(commented(0)) as api,
        client(api, token=secret) as github,
        pytest.raises(RefusedError) as caught,
    ):
        github.get("/pulls/7")
    assert caught.value.status == 401
    assert secret not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"
    assert secret not in caplog.text
    assert secret not in f"{vars(github)}"
    assert all(secret not in call["path"] for call in api.state.calls)


@pytest.mark.parametrize("token", ["ghs_private\n", "ghs private", "ghs_priv\u00e4t", "ghs_private\r\nX-Evil: 1"])
def test_a_token_that_no_header_can_hold_is_refused_before_anything_could_quote_it(token: str) -> None:
    with pytest.raises(UsageError, match="the input token is malformed") as caught:
        Api(base_url="http://127.0.0.1:9", repository="acme/shop", token=token)
    assert "priv" not in "".join(caught.value.lines())


def test_an_archive_is_fetched_from_its_store_without_the_token() -> None:
    state = State()
    run = {"id": 5, "repository_id": 1, "head_repository_id": 1, "head_branch": "main", "head_sha": SHA}
    state.artifacts = [{"id": 3, "name": "x", "expired": False, "workflow_run": run, "content": "aGVsbG8="}]
    with stand_in(state) as api, client(api) as github:
        assert github.download("/actions/artifacts/3/zip", limit=5) == b"hello"
        with pytest.raises(PublishError, match="too large"):
            github.download("/actions/artifacts/3/zip", limit=4)


# What must not be done twice; the faults of all other calls are in test_chaos.py.


def creating(api: StandIn, fault: int | str) -> Exception | None:
    """What creating a comment comes to when its first try fails so."""
    with client(api, timeout=0.3 if fault == "hang" else 5.0) as github:
        api.fail(fault)
        try:
            github.send("POST", "/issues/7/comments", {"body": "new"}, repeatable=False)
        except PublishError as error:
            return error
    return None


@pytest.mark.parametrize("fault", [500, 502, "hang", "reset", "half"])
def test_what_must_not_be_done_twice_is_not_repeated_blindly(fault: int | str) -> None:
    with stand_in(commented(1)) as api:
        assert isinstance(creating(api, fault), UncertainError)
        assert len(api.state.calls) == 1


def test_what_the_limit_kept_from_being_done_is_repeated_even_so() -> None:
    with stand_in(commented(1)) as api:
        assert creating(api, 429) is None
        assert len(api.state.comments) == 2


def test_a_repository_that_has_moved_is_reported_and_not_followed_with_the_token() -> None:
    with stand_in(commented(0)) as api, client(api) as github:
        api.fail(301, location="http://elsewhere.example/")
        with pytest.raises(RefusedError, match="has moved"):
            github.get("/pulls/7")
        assert len(api.state.calls) == 1


def test_a_server_that_is_not_there_is_reported() -> None:
    with stand_in() as api:
        url = api.url
    with (
        Api(base_url=url, repository="acme/shop", token="t", clock=Standing().clock) as github,
        pytest.raises(PublishError, match="cannot be reached"),
    ):
        github.get("/pulls/7")
