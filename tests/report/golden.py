"""The golden files: what every renderer makes of every example. ``python -m tests.report.golden --write`` writes them anew."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, RenderableType

from tests.report.examples import EXAMPLES
from velro_gate import report
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict

FOLDER = Path(__file__).parent / "golden"
LINKS = {"HTML report": "https://ci.example/runs/7/report.html", "Run log": "https://ci.example/runs/7"}


def shown(what: RenderableType, *, width: int = 100) -> str:
    """What a terminal without colour prints, without the spaces that pad its lines."""
    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _markdown(record: RunRecord, verdict: Verdict) -> str:
    return report.markdown(record, verdict, links=LINKS)


def _terminal(record: RunRecord, verdict: Verdict) -> str:
    return shown(report.terminal(record, verdict))


RENDERERS: dict[str, Callable[[RunRecord, Verdict], str]] = {
    "md": _markdown,
    "csv": report.csv,
    "json": report.verdict_json,
    "html": report.html,
    "txt": _terminal,
}
"""Renderer by the ending of its golden file."""

VARIANTS = frozenset({"improved", "fail-regression", "fail-missed", "duet-pass", "duet-inconclusive", "duet-broken"})
"""Second examples of a level: kept as comment, document and terminal only, since the long formats differ little."""


def cases() -> list[tuple[str, str]]:
    """Every (example, ending) that has a golden file."""
    return [(name, end) for name in EXAMPLES for end in RENDERERS if name not in VARIANTS or end in ("md", "json", "txt")]


def golden(example: str, ending: str) -> Path:
    """Where the golden file of one example and one renderer lies."""
    return FOLDER / f"{example}.{ending}"


def write() -> int:
    """Write every golden file; how many there are."""
    FOLDER.mkdir(exist_ok=True)
    for example, ending in cases():
        text = RENDERERS[ending](*EXAMPLES[example]())
        golden(example, ending).write_text(text, encoding="utf-8")
    return len(cases())


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.report.golden --write")
    print(f"{write()} golden files written; look at 'git diff tests/report/golden' before you commit them")
