"""The golden files: what the renderers make of the examples. ``python -m tests.report.golden --write`` rewrites them.

Each example is kept as comment and as terminal text, since these are what people read; one failed run as table and as page, and
a few verdicts as documents. Everything else about the long formats is tested as a property of all examples.
"""

from __future__ import annotations

import dataclasses
import io
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from rich.console import Console, RenderableType

from tests.report.examples import SITUATIONS, Example
from tests.report.hostile import crowded, hostile
from velro_gate.gate.action.fork_report import measured_by_others
from velro_gate.model.record import Revision
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.page import html
from velro_gate.report.formats.table import csv

FOLDER = Path(__file__).parent / "golden"
LINKS = {
    "Run": "https://github.example/acme/shop/actions/runs/77",
    "Reports": "https://github.example/acme/shop/actions/runs/77/artifacts/5",
}
COMMITS = ("head 4c1d9e07a2b8", "base 0f3b2a118c55", "measured 77aa01b2c3d4")
RICHEST = "fail-both"
DOCUMENTS = frozenset({"pass", "warn", "no-baseline", "inconclusive", RICHEST, "fail-confirmed-beside", "broken", "duet-fail"})


def shown(what: RenderableType, *, width: int = 100) -> str:
    """What a terminal without colour prints, without the spaces that pad its lines."""
    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def comment(example: Example) -> str:
    """The comment as a job publishes it: with trend, links and commits."""
    return markdown(*example.made, links=LINKS, history=example.baselines, about=COMMITS)


def without_programs(page: str) -> str:
    """A page without its scripts and the digests of them, which change with every version of the library."""
    page = re.sub(r"<script>.*?</script>", "<script>...</script>", page, flags=re.DOTALL)
    return re.sub(r"sha256-[\w+/=]+", "sha256-...", page)


def from_fork() -> Example:
    """What the reporter tells of a fork's run."""
    made = SITUATIONS["fail-regression"]()
    revision = Revision(sha="4c1d9e07a2b85f63d0e1c2b3a4958677deadbeef", branch="", label="pull request 7")
    return dataclasses.replace(
        made, run=dataclasses.replace(made.run, revision=revision), verdict=measured_by_others(made.verdict)
    )


COMMENTS: dict[str, Callable[[], Example]] = {
    **SITUATIONS,
    "fail-fork": from_fork,
    "fail-hostile": hostile,
    "fail-truncated": lambda: crowded(300),
}
"""Everything that has a comment."""

RENDERERS: dict[str, Callable[[Example], str]] = {
    "md": comment,
    "txt": lambda example: shown(terminal(*example.made)),
    "json": lambda example: verdict_json(*example.made),
    "csv": lambda example: csv(*example.made),
    "html": lambda example: without_programs(html(*example.made)),
}
"""Renderer by the ending of its golden file."""

KEPT: dict[str, frozenset[str]] = {
    "md": frozenset(COMMENTS),
    "txt": frozenset(SITUATIONS),
    "json": DOCUMENTS,
    "csv": frozenset({RICHEST}),
    "html": frozenset({RICHEST}),
}
"""Which examples have a golden file of each ending."""


@cache
def rendered(example: str, ending: str) -> str:
    """What one renderer makes of one example."""
    return RENDERERS[ending](COMMENTS[example]())


def cases() -> list[tuple[str, str]]:
    """Every (example, ending) that has a golden file."""
    return [(name, end) for end, names in KEPT.items() for name in COMMENTS if name in names]


def golden(example: str, ending: str) -> Path:
    """Where the golden file of one example and one renderer lies."""
    return FOLDER / f"{example}.{ending}"


def stable(text: str) -> str:
    """The text with figures of full precision cut to nine digits: the last ones depend on the processor."""
    return re.sub(r"-?\d+\.\d{10,}(?:e[+-]\d+)?", lambda found: f"{float(found[0]):.9g}", text)


def write() -> int:
    """Write the golden files that differ; how many do."""
    FOLDER.mkdir(exist_ok=True)
    changed = 0
    for example, ending in cases():
        path, made = golden(example, ending), rendered(example, ending)
        if not path.exists() or stable(path.read_text(encoding="utf-8")) != stable(made):
            path.write_text(made, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.report.golden --write")
    print(f"{write()} golden files written; look at 'git diff tests/report/golden' before you commit them")
