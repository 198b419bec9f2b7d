"""What a change is held against, on real repositories: shallow checkouts, merges, and what cannot be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate.builds.changes import History, history
from tests.github.git_server import git, git_server
from velro_gate.gate.builds.merge_base import check_out, merge_base
from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.monitor.environment import revision


@pytest.fixture
def known(tmp_path: Path) -> History:
    return history(tmp_path / "served", {"serve.txt": "base\n"}, {"serve.txt": "head\n", "new.txt": "new\n"})


def found(known: History, folder: Path, measured: str, base: str) -> str:
    return merge_base(known.private(folder / "history.git"), measured=measured, head=known.head, base=base)


def test_a_change_is_held_against_the_commit_where_it_left_main_and_not_against_its_tip(known: History, tmp_path: Path) -> None:
    assert found(known, tmp_path, known.head, known.tip) == known.start


def test_the_merge_of_a_pull_request_is_held_against_the_main_that_it_holds(known: History, tmp_path: Path) -> None:
    assert found(known, tmp_path, known.merge, known.tip) == known.tip


@pytest.mark.parametrize("base", ["first", "later", ""])
def test_what_main_is_by_now_or_was_before_changes_nothing_about_that(known: History, tmp_path: Path, base: str) -> None:
    work = known.bare.parents[1] / "work"
    git("switch", "--quiet", "main", cwd=work)
    git("commit", "--quiet", "--allow-empty", "--message", "Later", cwd=work)
    git("push", "--quiet", str(known.bare), "main", cwd=work)
    named = {"first": known.first, "later": git("rev-parse", "HEAD", cwd=work), "": ""}[base]
    assert found(known, tmp_path, known.merge, named) == known.tip


def test_a_merge_that_the_change_made_itself_is_no_merge_of_the_pull_request(known: History, tmp_path: Path) -> None:
    merged = merge_base(known.private(tmp_path / "h.git"), measured=known.merge, head=known.merge, base=known.tip)
    assert merged == known.tip


def test_a_shallow_checkout_is_enough_and_stays_as_it_is(known: History, tmp_path: Path) -> None:
    workspace = known.cloned(tmp_path / "workspace", known.head)
    measured = revision(workspace, environ={}).sha
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}
    assert found(known, tmp_path, measured, known.tip) == known.start
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*")} == before


def test_the_history_comes_without_any_file(known: History, tmp_path: Path) -> None:
    found(known, tmp_path, known.head, known.tip)
    objects = git(
        "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)", cwd=tmp_path / "history.git", GIT_NO_LAZY_FETCH="1"
    )
    assert set(objects.split()) == {"commit"}


def test_a_server_that_leaves_nothing_out_serves_as_well(known: History, tmp_path: Path) -> None:
    git("config", "uploadpack.allowFilter", "false", cwd=known.bare)
    assert found(known, tmp_path, known.head, known.tip) == known.start


def test_the_base_is_checked_out_alone(known: History, tmp_path: Path) -> None:
    place = check_out(known.private(tmp_path / "base" / ".git"), known.start)
    assert {path.name for path in place.iterdir()} == {".git", "README.md", "serve.txt"}
    assert (place / "serve.txt").read_text(encoding="utf-8") == "base\n"
    assert git("rev-parse", "HEAD", cwd=place) == known.start
    assert git("status", "--porcelain", cwd=place) == ""


def test_a_private_repository_is_fetched_with_the_token(known: History, tmp_path: Path) -> None:
    with git_server(known.bare.parents[1]) as (url, _):
        private = known.private(tmp_path / "h.git", f"{url}/acme/shop", "good-token")
        assert merge_base(private, measured=known.head, head=known.head, base=known.tip) == known.start
        place = check_out(known.private(tmp_path / "base" / ".git", f"{url}/acme/shop", "good-token"), known.start)
    assert (place / "serve.txt").is_file()
    kept = "".join(path.read_text("utf-8", "replace") for path in tmp_path.glob("*/config"))
    assert "good-token" not in kept + (place / ".git" / "config").read_text("utf-8")


def refusal(known: History, folder: Path, **chosen: str) -> NoDuetError:
    given = {"measured": known.head, "head": known.head, "base": known.tip, "url": "", "token": "", **chosen}
    private = known.private(folder / "h.git", given.pop("url"), given.pop("token"))
    with pytest.raises(NoDuetError) as caught:
        merge_base(private, **given)
    return caught.value


def test_an_event_without_a_base_is_reported(known: History, tmp_path: Path) -> None:
    assert refusal(known, tmp_path, base="").reason == "the event names no base commit"


def test_a_commit_that_nobody_pushed_is_reported(known: History, tmp_path: Path) -> None:
    assert refusal(known, tmp_path, measured="d" * 40).reason.startswith("the history cannot be fetched: ")


def test_histories_with_nothing_in_common_are_reported(known: History, tmp_path: Path) -> None:
    work = known.bare.parents[1] / "work"
    git("switch", "--quiet", "--orphan", "alone", cwd=work)
    git("commit", "--quiet", "--allow-empty", "--message", "Alone", cwd=work)
    git("push", "--quiet", str(known.bare), "alone", cwd=work)
    alone = git("rev-parse", "HEAD", cwd=work)
    assert "no commit in common" in refusal(known, tmp_path, measured=alone, head=alone).reason


def test_a_token_that_is_refused_is_reported_without_it(known: History, tmp_path: Path) -> None:
    with git_server(known.bare.parents[1]) as (url, _):
        error = refusal(known, tmp_path, url=f"{url}/acme/shop", token="bad-token")
    assert "cannot be fetched" in error.reason
    assert "bad-token" not in error.reason
    assert "contents: read" in error.advice


def test_a_base_that_is_not_there_cannot_be_checked_out(known: History, tmp_path: Path) -> None:
    with pytest.raises(NoDuetError, match="the base commit dddddddddddd cannot be fetched"):
        check_out(known.private(tmp_path / "base" / ".git"), "d" * 40)
