"""docs/github.md says what the code says: messages, permissions, outputs, stores, modes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from velro_gate.gate.action.inputs import Inputs
from velro_gate.gate.action.publish import HISTORY
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.github.api import PATIENCE, TRIES
from velro_gate.github.artifacts import FILE_LIMIT
from velro_gate.github.channels.commands import MOST_ANNOTATIONS
from velro_gate.github.event import Mode
from velro_gate.github.refusals import permission
from velro_gate.report.formats.comment import LIMIT
from velro_gate.report.parts.trend import MOST

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "velro_gate").rglob("*.py"))


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section(title).splitlines() if line.startswith("| ")
    ][1:]


@pytest.mark.parametrize("message", [row[0].strip("`") for row in rows("Messages and what to do")])
def test_every_message_that_the_page_explains_is_one_that_is_said(message: str) -> None:
    for part in re.split(r"NAME|\.\.\.|main|`, `", message):
        # The colon after what an error is called is put there by the error itself.
        assert part.strip(" :") in SOURCES, part


def test_every_message_of_the_installation_that_is_explained_is_one_that_is_said() -> None:
    page = (ROOT / "docs" / "github-setup.md").read_text(encoding="utf-8")
    said = (ROOT / "scripts" / "install.sh").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page.split("## When the action does not start")[1], re.MULTILINE)
    assert len(messages) == 6
    assert [part for message in messages for part in re.split(r"\.\.\. ?,?", message) if part.strip(" ,") not in said] == []


def test_every_permission_that_a_refusal_names_is_on_the_page() -> None:
    named = {
        permission(method, path)
        for method in ("GET", "POST")
        for path in ("/issues/7/comments", "/statuses/x", "/pulls/7", "/actions/artifacts")
    }
    shown = {row[0].strip("`") for row in rows("Permissions")}
    # Whoever may write may read as well.
    assert {line for line in named if line and line.replace(": read", ": write") not in shown and line not in shown} == set()


def test_every_store_and_every_mode_is_on_the_page() -> None:
    assert [row[0].strip("`") for row in rows("Baselines")] == [kind.value for kind in StoreKind]
    assert {row[1] for row in rows("What a job does")} == {mode.value for mode in Mode} | {"refused"}


def test_every_output_on_the_page_is_set_somewhere() -> None:
    outputs = re.findall(r"`([a-z0-9-]+)`", section("What people see").split("**Outputs**")[1].split("\n\n")[0])
    assert len(outputs) == 17
    assert [name for name in outputs if f'"{name}"' not in SOURCES] == []


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    assert f"at most {LIMIT:,} characters" in PAGE
    assert (TRIES, PATIENCE) == (5, 300.0)
    assert "at most five tries" in section("Limits")
    assert "take 300 seconds in all" in " ".join(section("Limits").split())
    assert f"The newest {Inputs().keep} of each plan" in PAGE
    assert (FILE_LIMIT, MOST_ANNOTATIONS, HISTORY) == (5_000_000, 10, MOST)
    assert "up to 5 MB" in PAGE
