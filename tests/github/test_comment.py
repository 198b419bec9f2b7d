"""The sticky comment: one a pull request, changed in place, whoever else writes there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.github.clients import client
from tests.github.stand_in import StandIn, State, stand_in
from velro_gate.errors import PublishError
from velro_gate.github.channels.comment import CommentOutcome, CommentResult, upsert_comment

SHA = "a" * 40
MARKER = "<!-- velro-gate:shop/pr -->"
BODY = f"{MARKER}\n### fine\n"


def reported(api: StandIn, body: str = BODY, **more: str) -> CommentResult:
    with client(api, timeout=0.5) as github:
        return upsert_comment(github, number=7, marker=MARKER, body=body, **{"head_sha": SHA, **more})  # type: ignore[arg-type]


def with_pull(**more: object) -> State:
    state = State(**more)  # type: ignore[arg-type]
    state.pull()
    return state


def add(state: State, body: str, author: str = "github-actions[bot]") -> int:
    number = state.next()
    state.comments.append({"id": number, "issue": 7, "body": body, "author": author, "edits": 0})
    return number


def test_the_first_run_creates_the_comment_and_says_where() -> None:
    with stand_in(with_pull()) as api:
        found = reported(api)
        assert found.outcome is CommentOutcome.CREATED
        assert found.url.endswith("#issuecomment-1")
        assert [one["body"] for one in api.state.comments] == [BODY]


def test_a_later_run_changes_it_in_place() -> None:
    with stand_in(with_pull()) as api:
        reported(api)
        assert reported(api, BODY + "more\n").outcome is CommentOutcome.UPDATED
        assert [(one["body"], one["edits"]) for one in api.state.comments] == [(BODY + "more\n", 1)]


def test_the_same_text_is_not_written_twice() -> None:
    with stand_in(with_pull()) as api:
        reported(api)
        assert reported(api).outcome is CommentOutcome.UNCHANGED
        assert api.state.comments[0]["edits"] == 0


def test_it_is_found_on_a_later_page() -> None:
    state = with_pull()
    for _ in range(150):
        add(state, "chatter", "someone")
    ours = add(state, BODY.replace("\n", "\r\n"))
    with stand_in(state) as api:
        assert reported(api, BODY + "new\n").outcome is CommentOutcome.UPDATED
        assert next(one for one in api.state.comments if one["id"] == ours)["body"] == BODY + "new\n"


@pytest.mark.parametrize(
    ("body", "author"),
    [
        (BODY, "mallory"),
        (f"> quoted\n{BODY}", "github-actions[bot]"),
        ("<!-- velro-gate:shop/full -->\nx", "github-actions[bot]"),
        (f"{MARKER} and more\n", "github-actions[bot]"),
    ],
    ids=["another's", "a quotation", "another profile's", "a longer line"],
)
def test_a_comment_that_only_looks_like_ours_is_left_alone(body: str, author: str) -> None:
    state = with_pull()
    add(state, body, author)
    with stand_in(state) as api:
        assert reported(api).outcome is CommentOutcome.CREATED
        assert [one["body"] for one in api.state.comments] == [body, BODY]


def test_a_comment_of_a_deleted_account_is_nobodys() -> None:
    state = with_pull()
    add(state, BODY, "ghost")
    with stand_in(state) as api:
        api.state.comments[0]["author"] = None
        assert reported(api).outcome is CommentOutcome.CREATED


def test_nothing_is_written_when_the_head_has_moved_on() -> None:
    with stand_in(with_pull()) as api:
        assert reported(api, head_sha="d" * 40).outcome is CommentOutcome.HEAD_MOVED
        assert api.state.comments == []


def test_two_racing_first_runs_end_with_one_comment() -> None:
    both = threading.Barrier(2)
    listed = threading.local()

    def meet(method: str, path: str) -> None:
        # Each run has listed before either creates.
        if method == "POST" and path.endswith("/comments") and not getattr(listed, "met", False):
            listed.met = True
            both.wait(timeout=20)

    with stand_in(with_pull()) as api:
        api.before = meet
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda text: reported(api, BODY + text), ["first\n", "second\n"]))
        assert {one.outcome for one in found} == {CommentOutcome.CREATED}
        assert len(api.state.comments) == 1
        assert api.state.comments[0]["id"] == 1


def test_left_over_doubles_are_tidied_up_by_the_next_run() -> None:
    state = with_pull()
    first, _, _ = add(state, BODY), add(state, BODY), add(state, BODY)
    with stand_in(state) as api:
        reported(api, BODY + "new\n")
        assert [(one["id"], one["body"]) for one in api.state.comments] == [(first, BODY + "new\n")]


def test_a_double_that_another_run_has_deleted_is_no_fault() -> None:
    state = with_pull()
    add(state, BODY)
    second = add(state, BODY)
    with stand_in(state) as api:
        api.fail(404, method="DELETE", path=f"comments/{second}")
        assert reported(api).outcome is CommentOutcome.UNCHANGED


@pytest.mark.parametrize("fault", ["lost", "hang", 502])
def test_a_creation_whose_answer_was_lost_is_looked_for_before_it_is_repeated(fault: str | int) -> None:
    with stand_in(with_pull()) as api:
        api.fail(fault, method="POST", path="comments")
        assert reported(api).outcome is CommentOutcome.CREATED
        assert len(api.state.comments) == 1
        assert len([call for call in api.state.calls if call["method"] == "POST"]) == (1 if fault == "lost" else 2)


def test_a_creation_that_never_works_is_reported() -> None:
    with stand_in(with_pull()) as api:
        api.fail(502, method="POST", path="comments", times=100)
        with pytest.raises(PublishError):
            reported(api)


def test_a_token_of_another_author_is_shown_how_to_be_found_again() -> None:
    with stand_in(with_pull(login="acme-bot[bot]")) as api:
        assert "comment-author: acme-bot[bot]" in reported(api).warning
        assert reported(api, BODY + "2\n", author="acme-bot[bot]").outcome is CommentOutcome.UPDATED


def test_a_body_without_its_marker_or_too_long_is_a_fault_of_the_caller() -> None:
    with stand_in(with_pull()) as api:
        for body in ("no marker", BODY + "x" * 65_536):
            with pytest.raises(ValueError, match="sticky comment"):
                reported(api, body)
