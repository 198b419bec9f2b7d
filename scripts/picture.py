"""Draws what README shows, from a real run: ``make picture``.

Runs the demonstration on the embedded service and keeps what the gate says of the build whose authorization step is 30 %
slower: ``docs/demo.svg`` is its verdict as a terminal shows it, ``docs/demo.md`` the comment on the pull request. Nothing
of it is made up, so the figures are those of the machine that drew them.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from rich.console import Console, RenderableType

from velro_gate.cli.world import real_effects
from velro_gate.gate.judge.verdict import judge_kept
from velro_gate.gate.sandboxed.demo import demo
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURE, COMMENT = DOCS / "demo.svg", DOCS / "demo.md"
RUNNER = "demo"
"""What the picture calls the machine, in place of its own name."""
WIDTH = 118

_FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "Liberation Mono", Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
"""As rich's own frame, without the font that it would fetch."""


def drawn(what: RenderableType, title: str) -> str:
    """What a terminal with colours shows, as SVG that needs nothing but itself."""
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, highlight=False)
    console.print(what)
    text = console.export_svg(title=title, code_format=_FRAME, unique_id="verdict")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def draw(record: RunRecord, verdict: Verdict) -> None:
    """Write both files."""
    PICTURE.write_text(drawn(terminal(record, verdict), "velro-gate gate"), encoding="utf-8")
    COMMENT.write_text(markdown(record, verdict), encoding="utf-8")
    print(f"drawn: {PICTURE} and {COMMENT}; look at them before you commit them")


def main() -> int:
    """Run the demonstration and draw; 1, with nothing drawn, when a build did not come out as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("velro-results"), help="where the runs are kept")
    parser.add_argument(
        "--kept", type=Path, help="draw this run of an earlier demonstration again, as after a change of wording"
    )
    chosen = parser.parse_args()
    if chosen.kept:
        draw(*judge_kept(chosen.kept, chosen.kept.parent / "baselines"))
        return 0
    with real_effects(RUNNER, verbose=False) as effects:
        unchanged, slower = demo(chosen.output, effects)
    for build in (unchanged, slower):
        print(f"{build.title}: {build.verdict.level.word}, expected {build.expected}: {build.folder}")
    if not (unchanged.as_expected and slower.as_expected):
        return 1
    draw(slower.record, slower.verdict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
