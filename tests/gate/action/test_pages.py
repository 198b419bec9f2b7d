"""The trend of main on a branch for GitHub Pages: one file, made from what is stored, next to whatever else is there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.gate.jobs import World, world
from tests.github.git_server import git, protect_branches
from tests.report.records import record
from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.pages import Pages, pages_url
from velro_gate.gate.action.stores import NoStore
from velro_gate.store.branch import Branch, Pause, push
from velro_gate.store.git import Git

PAUSE = Pause(sleep=lambda _seconds: None, chance=lambda: 0.5)


def pages(here: World) -> Pages:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(here.folder)}
    made = Git(folder=here.folder / "pages.git", url=f"{here.git_url}/acme/shop", token="good-token", environ=environ)
    return Pages(git=made, pause=PAUSE, branch="gh-pages", path="velro-gate")


def test_the_page_is_pushed_next_to_other_files_and_replaced_by_the_next_one(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        here.seed(*(dataclasses.replace(record(), id=f"run-{n}", started_at=f"2026-11-{n + 1:02}T12:00:00Z") for n in range(3)))
        made = pages(here)

        def others(folder: Path) -> str:
            (folder / "index.html").write_text("the project's own page", encoding="utf-8")
            return "a site"

        push(made.git, Branch(name="gh-pages", path="docs", endings=(".html",)), others, PAUSE)
        store = here.store(Inputs(), None)
        for _ in range(2):
            made.publish(store, tmp_path, here.said.append)
        page = git("show", "gh-pages:velro-gate/index.html", cwd=here.bare)
        assert "<title>" in page
        assert "3 runs" in page
        assert git("show", "gh-pages:docs/index.html", cwd=here.bare) == "the project's own page"
        assert here.said[-1].startswith("trend published: gh-pages/velro-gate/index.html@")


def test_a_branch_that_takes_no_pushes_is_said_and_nothing_fails(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        protect_branches(here.bare, ("gh-pages",))
        pages(here).publish(NoStore(), tmp_path, here.said.append)
        assert here.said[-1].startswith("the trend is not published on gh-pages: ")


@pytest.mark.parametrize(
    ("server", "repository", "expected"),
    [
        ("https://github.com", "Acme/shop", "https://acme.github.io/shop/velro-gate/"),
        ("https://github.com", "acme/acme.github.io", "https://acme.github.io/velro-gate/"),
        ("https://git.example", "acme/shop", ""),
        ("https://github.com", "", ""),
    ],
)
def test_the_address_of_the_page_follows_from_the_repository(server: str, repository: str, expected: str) -> None:
    assert pages_url(server, repository, "velro-gate") == expected
