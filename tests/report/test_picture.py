"""README's picture is drawn from a run, and shows nothing else."""

from __future__ import annotations

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts.picture import COMMENT, PICTURE, drawn
from tests.report.examples import EXAMPLES
from velro_gate.report.formats.console import terminal


def words(svg: str) -> str:
    """All text of a picture, its lines joined."""
    return " ".join(html.unescape(" ".join(ET.fromstring(svg).itertext())).replace("\N{NO-BREAK SPACE}", " ").split())


def test_a_drawn_verdict_is_well_formed_needs_nothing_else_and_says_what_the_terminal_says() -> None:
    run, verdict = EXAMPLES["fail-confirmed"]()
    svg = drawn(terminal(run, verdict), "velro-gate gate")
    assert not re.search(r"href|<script|@import|url\((?!#)", svg)
    for part in ("velro-gate: fail, please read", "authorization_check", run.id, "velro-gate gate"):
        assert part in words(svg)


def test_the_picture_and_the_comment_that_readme_shows_are_of_one_run_in_which_the_slowed_step_was_found() -> None:
    comment, picture = COMMENT.read_text(encoding="utf-8"), words(PICTURE.read_text(encoding="utf-8"))
    found = re.search(r"<sub>run `([^`]+)`", comment)
    assert found
    assert found[1] in picture
    assert "### ❌ velro-gate: fail, please read" in comment
    assert "velro-gate: fail, please read p95 of authorization_check rose" in picture
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert "(docs/demo.svg)" in readme
    assert "(docs/demo.md)" in readme
