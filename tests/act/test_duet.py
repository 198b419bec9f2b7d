"""What the screen leaves open, under act: the base is fetched from a server, both builds are made and served by commands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.act.host import ACTION, Host, pull_request
from tests.gate.programs import service
from tests.github.git_server import git
from velro_gate.adoption import Choices

SCENARIO = """\
name: shop
target: {url: "http://127.0.0.1:1", metrics: null}
steps:
  - name: list_items
    path: /items
requirements:
  error_rate: "< 1 %"
profiles:
  pr:
    - {name: steady, users: 50, ramp: 1 s, duration: 4 s, rate: 100/s}
"""
BUILD = 'echo "builds in $PWD, below $RUNNER_TEMP?"; test ! -e broken || { echo no compiler; exit 9; }; cp delay built'
START = f"exec {shlex.quote(sys.executable)} -I -S service.py $(cat built)"
# As short as a duet can be: the pilot takes its ten seconds twice, whatever the blocks are.
SHORTEST = ("pairs: 7", "block-seconds: 2", "warm-up-seconds: 1")


@pytest.fixture
def shop(here: Host) -> Host:
    """A repository whose service answers after as many milliseconds as its file ``delay`` says; gated side by side."""
    here.adopt(Choices(action=ACTION, duet=True, build=BUILD, start=START), *SHORTEST)
    (here.repository / "velro-scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    service(here.repository, 0.0)
    git("config", "uploadpack.allowFilter", "true", cwd=here.bare)
    return here


def commit(shop: Host, message: str, files: dict[str, str]) -> str:
    for name, text in files.items():
        (shop.repository / name).write_text(text, encoding="utf-8")
    git("add", "--all", cwd=shop.repository)
    git("commit", "--quiet", "--message", message, cwd=shop.repository)
    return shop.head


def pushed(shop: Host, *refs: str) -> None:
    git("push", "--quiet", "--force", str(shop.bare), *refs, cwd=shop.repository)


def output(shop: Host, name: str) -> str:
    """What one of the uploaded files says."""
    found = sorted((shop.folder / "uploads").rglob(name))
    assert found, name
    return found[0].read_text(encoding="utf-8")


def build_folder(said: str) -> tuple[Path, Path]:
    """Where a build command has run, and the job's temporary folder."""
    found = re.search(r"builds in (/\S+), below (/\S+)\?", said)
    assert found, said
    return Path(found[1]), Path(found[2])


def test_a_slower_build_fails_next_to_what_its_merge_adds_it_to(shop: Host) -> None:
    commit(shop, "It serves", {"delay": "10\n"})
    git("switch", "--quiet", "--create", "feature", cwd=shop.repository)
    head = commit(shop, "It serves otherwise", {"delay": "20\n"})
    git("switch", "--quiet", "main", cwd=shop.repository)
    tip = commit(shop, "Somebody else's", {"LATER.md": "later\n"})
    # What GitHub checks out for a pull request: its merge with the base branch.
    git("switch", "--quiet", "--detach", "main", cwd=shop.repository)
    git("merge", "--quiet", "--no-ff", "--message", "Merge", "feature", cwd=shop.repository)
    pushed(shop, "main", "feature", "HEAD:refs/pull/7/merge")
    shop.api.state.pulls[0]["head_sha"] = head

    log = shop.run("pull_request", "perf-gate", pull_request(head, base=tip))

    assert f"comparing with merge base {tip[:12]}" in log
    first, last = shop.lights
    assert first == (head, "pending")
    # Other work on this machine may spoil the measurement, and then it says so. The slower build never passes.
    assert last in [(head, "failure"), (head, "error")], log
    (comment,) = shop.api.state.comments
    assert "please read" in comment["body"]
    assert "the base build decides" in log
    if last == (head, "failure"):
        # Nothing is stored yet, so the screen had nothing to say.
        assert "the duet of 7 pairs settled" in comment["body"].replace("\N{NO-BREAK SPACE}", " ")
        assert re.search(r"p95[^\n]*\+\d+\s%", comment["body"]), comment["body"]
    assert {"duet.json", "verdict.json", "report.html", "base.log", "head.log"} <= shop.uploads("velro-reports")
    base, temporary = build_folder(output(shop, "build-base.log"))
    assert base.is_relative_to(temporary)
    assert not base.exists()
    assert not build_folder(output(shop, "build-head.log"))[0].is_relative_to(temporary)


def test_a_base_that_cannot_be_built_gives_way_to_stored_baselines_and_the_comment_says_why(shop: Host) -> None:
    built = commit(shop, "It serves", {"delay": "10\n"})
    payload = {"ref": "refs/heads/main", "after": built, "repository": {"full_name": "acme/shop", "default_branch": "main"}}
    pushed(shop, "main")
    assert "baseline stored" in shop.run("push", "perf-baseline", payload)
    main = commit(shop, "It does not build", {"broken": ""})
    git("switch", "--quiet", "--create", "feature", cwd=shop.repository)
    (shop.repository / "broken").unlink()
    head = commit(shop, "It builds again", {})
    pushed(shop, "main", "feature")
    shop.api.state.pulls[0]["head_sha"] = head

    log = shop.run("pull_request", "perf-gate", pull_request(head, base=main))

    assert f"comparing with merge base {main[:12]}" in log
    assert shop.lights[-2:] == [(head, "pending"), (head, "success")], log
    (comment,) = shop.api.state.comments
    assert "No duet, so this run is compared with stored baselines: the base build's build-command" in comment["body"]
    assert "no compiler" in comment["body"]
    assert "1 used" in comment["body"]
    assert {"build-base.log", "build-head.log", "head.log"} <= shop.uploads("velro-reports")
