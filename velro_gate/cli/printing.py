"""Results on standard output, as text for people or JSON for scripts."""

from __future__ import annotations

import os
from pathlib import Path

from velro_gate.cli.options import Format
from velro_gate.cli.output import people, put, show
from velro_gate.errors import UsageError, VelroError
from velro_gate.gate.judge.chart_data import chart_data
from velro_gate.gate.judge.template_limits import template_limits
from velro_gate.gate.judge.verdict import DUET_FILES, FILES
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.registry import known_format
from velro_gate.report.text.templating import use_templates

DRY_RUN = "'velro-gate run SCENARIO --dry-run' checks service, credentials and machine without a load."
"""What to do next where a test has failed."""


def print_verdict(record: RunRecord, verdict: Verdict, folder: Path | None, format: Format) -> int:
    """The verdict, and the exit code that belongs to it."""
    if format is Format.JSON:
        put(verdict_json(record, verdict))
    else:
        show(terminal(record, verdict))
        if folder is not None:
            written = [name for name in (FILES if verdict.duet is None else DUET_FILES) if (folder / name).exists()]
            put(f"Files: {folder}/{{{','.join(written)}}}")
            if verdict.level in (Level.FAIL, Level.BROKEN):
                put(f"Log: {folder}/log.txt. {DRY_RUN}")
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)


def use_template_folder(folder: Path | None, *, stands: bool = False) -> None:
    """Let templates of a folder stand over those of the package; None: only the package's.

    stands: a verdict stands whatever a template does: what is wrong with one is said, and the package's own is used instead.

    Raises:
        UsageError: it is no folder, or something in it leads out of it.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError("there is no such folder of templates", where=str(folder))
    stray = _stray(folder.resolve())
    if stray is not None:
        raise UsageError(
            "a template cannot be used",
            where=str(stray),
            why="it is not a regular file of this folder",
            hint="Put the templates themselves into a folder of their own.",
        )
    use_templates(str(folder), complain=_say if stands else None, limits=template_limits)


def _say(wrong: VelroError) -> None:
    console = people()
    for line in wrong.lines("warning"):
        console.print(line, markup=False, soft_wrap=True)


def _stray(folder: Path) -> Path | None:
    """What of a folder is neither a folder nor a regular file below it: a link in a pull request may lead anywhere."""
    for place, folders, files in os.walk(folder):
        for found in (Path(place, name) for name in (*folders, *files)):
            if not found.resolve().is_relative_to(folder) or not (found.is_file() or found.is_dir()):
                return found
    return None


def print_again(record: RunRecord, verdict: Verdict, wanted: str, folder: Path) -> int:
    """A verdict that was reached just now in one format, and the exit code that belongs to it. folder: of the run."""
    made = known_format(wanted)
    if made.name == "text":
        # On a terminal it has colours and folds its lines.
        return print_verdict(record, verdict, None, Format.TEXT)
    data = chart_data(folder, record) if made.charts else None
    put(made.render(record, verdict, data).removesuffix("\n"))
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)
