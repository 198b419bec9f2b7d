"""Baselines on a branch, against a real smart-HTTP git server: nothing is lost, nothing else is touched, refusals are told."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.github.git_server import GH006, GH013, git, git_server, make_repository, protect_branches
from velro_gate.errors import BrokenError, PublishError
from velro_gate.store.branch import Branch, Pause, Pushed, pull, push
from velro_gate.store.git import Git

pytestmark = pytest.mark.hostile("baselines")

TOKEN = "good-token-of-the-test"
DATA = Branch(name="velro-baselines")
MAIN = Branch(name="main")


class World:
    """A served repository and its users."""

    def __init__(self, root: Path, url: str, seen: list[str]) -> None:
        self.root, self.url, self.seen = root, f"{url}/acme/shop", seen
        self.bare = root / "served" / "acme" / "shop.git"
        self.slept: list[float] = []
        self._made = 0

    def git(self, token: str = TOKEN, **environ: str) -> Git:
        """A user with a private repository."""
        self._made += 1
        return Git(
            folder=self.root / f"private-{self._made}",
            url=self.url,
            token=token,
            environ={"PATH": git_path(), "HOME": str(self.root), **environ},
        )

    @property
    def pause(self) -> Pause:
        return Pause(sleep=self.slept.append, chance=lambda: 0.5)

    def files(self, branch: str) -> list[str]:
        return git("ls-tree", "-r", "--name-only", branch, cwd=self.bare).splitlines()

    def commits(self, branch: str) -> int:
        return int(git("rev-list", "--count", branch, cwd=self.bare))

    def commit(self, branch: str, **files: str) -> None:
        """Somebody else's commit, made in the served repository itself."""
        lines = []
        for name, content in files.items():
            blob = git("hash-object", "-w", str(_kept(self.root / "blob", content)), cwd=self.bare)
            lines.append(f"100644 blob {blob}\tbaselines/{name}")
        inner = git_tree(self.bare, [line.replace("\tbaselines/", "\t") for line in lines])
        outer = git_tree(self.bare, [f"040000 tree {inner}\tbaselines"])
        made = git("commit-tree", outer, "-m", "theirs", cwd=self.bare)
        git("update-ref", f"refs/heads/{branch}", made, cwd=self.bare)


def git_path() -> str:
    return os.environ["PATH"]


def git_tree(bare: Path, lines: list[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return subprocess.run(["git", "mktree"], cwd=bare, input=text, capture_output=True, check=True, text=True).stdout.strip()


def _kept(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    make_repository(tmp_path / "served")
    with git_server(tmp_path / "served") as (url, seen):
        yield World(tmp_path, url, seen)


def adding(name: str, content: str = "{}") -> Callable[[Path], str]:
    """A change that adds one file."""

    def change(folder: Path) -> str:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return f"Baseline {name} [skip ci]"

    return change


def test_a_branch_that_does_not_exist_yet_holds_nothing(world: World, tmp_path: Path) -> None:
    found = pull(world.git(), DATA, tmp_path / "into", world.pause)
    assert (found.commit, dict(found.files), found.skipped) == ("", {}, ())


def test_the_first_write_creates_the_branch_from_nothing(world: World) -> None:
    done = push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)
    assert done.tries == 1
    assert world.files("velro-baselines") == ["baselines/shop/abc/1.json"]
    assert world.commits("velro-baselines") == 1
    assert git("rev-parse", "velro-baselines", cwd=world.bare) == done.commit


def test_what_was_written_is_read_again(world: World, tmp_path: Path) -> None:
    push(world.git(), DATA, adding("shop/abc/1.json", '{"é": 1}'), world.pause)
    found = pull(world.git(), DATA, tmp_path / "into", world.pause)
    assert (tmp_path / "into/shop/abc/1.json").read_text(encoding="utf-8") == '{"é": 1}'
    assert len(found.commit) == 40


def test_a_pin_travels_with_its_baseline_and_goes_when_it_is_let_go(world: World, tmp_path: Path) -> None:
    push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)
    push(world.git(), DATA, adding("shop/abc/1.pin", "v1.0\n"), world.pause)
    pull(world.git(), DATA, tmp_path / "into", world.pause)
    assert (tmp_path / "into/shop/abc/1.pin").read_text(encoding="utf-8") == "v1.0\n"

    def let_go(folder: Path) -> str:
        (folder / "shop/abc/1.pin").unlink()
        return "let go"

    push(world.git(), DATA, let_go, world.pause)
    assert world.files("velro-baselines") == ["baselines/shop/abc/1.json"]


def test_a_write_to_main_leaves_everything_else_there_as_it_is(world: World) -> None:
    push(world.git(), MAIN, adding("shop/abc/1.json"), world.pause)
    assert world.files("main") == ["README.md", "baselines/shop/abc/1.json", "src/shop.py"]
    assert world.commits("main") == 2
    assert "[skip ci]" in git("log", "-1", "--format=%B", "main", cwd=world.bare)


def test_adding_and_pruning_are_one_commit(world: World) -> None:
    push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)

    def replace(folder: Path) -> str:
        (folder / "shop/abc/1.json").unlink()
        return adding("shop/abc/2.json")(folder)

    push(world.git(), DATA, replace, world.pause)
    assert world.files("velro-baselines") == ["baselines/shop/abc/2.json"]
    assert world.commits("velro-baselines") == 2


def test_a_proposal_grows_from_main_and_begins_again_when_it_has_to(world: World) -> None:
    proposal = Branch(name="velro-gate/baselines", start="main")
    push(world.git(), proposal, adding("shop/abc/1.json"), world.pause)
    push(world.git(), proposal, adding("shop/abc/2.json"), world.pause)
    assert len([name for name in world.files(proposal.name) if name.startswith("baselines")]) == 2
    from_start = Branch(name=proposal.name, start="main", from_start=True)
    push(world.git(), from_start, adding("shop/abc/3.json"), world.pause)
    assert world.files(proposal.name) == ["README.md", "baselines/shop/abc/3.json", "src/shop.py"]
    assert world.commits(proposal.name) == 2


def test_eight_writers_at_once_all_land(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lots = random.Random(7)
    # The pauses are real: without them eight writers on two cores would mostly be in one another's way.
    waits = Pause(sleep=time.sleep, chance=lots.random)

    def write(number: int) -> Pushed:
        return push(world.git(), DATA, adding(f"shop/abc/{number:02d}.json"), waits)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(write, range(8)))
    with capsys.disabled():
        print(f"\n8 of 8 writers landed; tries: {sorted(one.tries for one in done)}")
    assert world.files("velro-baselines") == [f"baselines/shop/abc/{number:02d}.json" for number in range(8)]
    assert world.commits("velro-baselines") == 8
    assert len({one.commit for one in done}) == 8


def test_a_writer_that_was_too_late_begins_again_from_what_is_there(world: World) -> None:
    calls = []

    def change(folder: Path) -> str:
        calls.append(sorted(path.name for path in folder.rglob("*.json")))
        if len(calls) == 1:
            push(world.git(), DATA, adding("shop/abc/theirs.json"), world.pause)
        return adding("shop/abc/ours.json")(folder)

    assert push(world.git(), DATA, change, world.pause).tries == 2
    assert calls == [[], ["theirs.json"]]
    assert world.files("velro-baselines") == ["baselines/shop/abc/ours.json", "baselines/shop/abc/theirs.json"]
    assert world.slept == [0.1]


@pytest.mark.parametrize("words", [GH006, GH013])
def test_a_protected_branch_is_recognised_at_once_and_says_what_to_choose(world: World, words: str) -> None:
    protect_branches(world.bare, ["main"], words)
    with pytest.raises(PublishError, match="main is protected") as caught:
        push(world.git(), MAIN, adding("shop/abc/1.json"), world.pause)
    assert words.partition(":")[0] in (caught.value.why or "")
    assert "baseline-store: branch" in caught.value.hint
    assert world.slept == []
    push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)


def test_what_the_change_refuses_is_not_pushed(world: World) -> None:
    def refuse(_folder: Path) -> str:
        raise BrokenError("no")

    with pytest.raises(BrokenError):
        push(world.git(), DATA, refuse, world.pause)
    assert git("branch", "--list", "velro-baselines", cwd=world.bare) == ""


@pytest.mark.parametrize("token", ["", "bad-token-of-the-test"])
def test_a_token_that_may_not_is_reported_without_showing_it(world: World, tmp_path: Path, token: str) -> None:
    with pytest.raises(BrokenError) as reading:
        pull(world.git(token), DATA, tmp_path / "into", world.pause)
    with pytest.raises(PublishError) as writing:
        push(world.git(token), DATA, adding("1.json"), world.pause)
    assert "contents: write" in writing.value.hint
    assert token == "" or token not in f"{reading.value}{writing.value}{reading.value.__cause__!r}"


def test_the_token_is_in_no_address_and_in_no_file(world: World) -> None:
    mine = world.git()
    push(mine, DATA, adding("shop/abc/1.json"), world.pause)
    assert not [line for line in world.seen if TOKEN in line]
    kept = [path for path in mine.folder.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


def test_the_token_is_in_no_argument(world: World, tmp_path: Path) -> None:
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    log = tmp_path / "arguments"
    spy.write_text(f'#!/bin/sh\necho "$@" >> {log}\nPATH={git_path()} exec git "$@"\n', encoding="utf-8")
    spy.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{spy.parent}:{before}"
    try:
        push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)
    finally:
        os.environ["PATH"] = before
    assert "push --porcelain" in log.read_text(encoding="utf-8")
    assert TOKEN not in log.read_text(encoding="utf-8")


def test_the_users_own_repository_and_index_are_not_touched(world: World, tmp_path: Path) -> None:
    own = tmp_path / "own"
    git("init", "--quiet", str(own))
    (own / "staged.txt").write_text("x", encoding="utf-8")
    git("add", ".", cwd=own)
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    mine = world.git(GIT_DIR=str(own / ".git"), GIT_INDEX_FILE=str(own / ".git/index"), GIT_WORK_TREE=str(own))
    push(mine, DATA, adding("shop/abc/1.json"), world.pause)
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before


def test_a_foreign_file_is_skipped_with_a_sentence_and_kept_in_the_branch(world: World, tmp_path: Path) -> None:
    world.commit("velro-baselines", **{"huge.json": "x" * 1_000_001, "notes.txt": "hello", "good.json": "{}"})
    found = pull(world.git(), DATA, tmp_path / "into", world.pause)
    assert sorted(found.files) == ["good.json"]
    assert found.skipped == ("huge.json is not used: it has more than 1,000,000 bytes",)
    push(world.git(), DATA, adding("shop/abc/1.json"), world.pause)
    assert set(world.files("velro-baselines")) == {
        "baselines/good.json",
        "baselines/huge.json",
        "baselines/notes.txt",
        "baselines/shop/abc/1.json",
    }


def test_a_link_in_the_branch_is_not_followed(world: World, tmp_path: Path) -> None:
    blob = git("hash-object", "-w", str(_kept(tmp_path / "target", "../../etc/passwd")), cwd=world.bare)
    inner = git_tree(world.bare, [f"120000 blob {blob}\tlink.json"])
    outer = git_tree(world.bare, [f"040000 tree {inner}\tbaselines"])
    git("update-ref", "refs/heads/velro-baselines", git("commit-tree", outer, "-m", "x", cwd=world.bare), cwd=world.bare)
    found = pull(world.git(), DATA, tmp_path / "into", world.pause)
    assert found.skipped == ("link.json is not used: it is not a regular file",)
    assert not (tmp_path / "into").exists()


def test_a_server_that_is_not_there_breaks_reading_and_is_reported_when_writing(tmp_path: Path) -> None:
    nowhere = Git(folder=tmp_path / "p", url="http://127.0.0.1:9/acme/shop", environ={"PATH": git_path()})
    slept: list[float] = []
    waits = Pause(sleep=slept.append, chance=lambda: 1.0)
    with pytest.raises(BrokenError, match="cannot be fetched"):
        pull(nowhere, DATA, tmp_path / "into", waits)
    assert slept == [0.2, 0.4]
    with pytest.raises(PublishError, match="cannot be pushed"):
        push(nowhere, DATA, adding("1.json"), waits)


def test_pauses_grow_to_a_bound_and_are_drawn_by_lot() -> None:
    slept: list[float] = []
    waits = Pause(sleep=slept.append, chance=lambda: 1.0)
    for attempt in (1, 2, 3, 10, 59):
        waits.before(attempt)
    assert slept == [0.2, 0.4, 0.8, 5.0, 5.0]


def test_a_branch_in_the_way_is_named_at_the_first_try(world: World) -> None:
    git("branch", "velro-baselines/x", "main", cwd=world.bare)
    with pytest.raises(PublishError) as caught:
        push(world.git(), DATA, adding("a.json"), world.pause)
    assert "velro-baselines/x is in the way of velro-baselines" in caught.value.what
    assert world.slept == []
