"""The selftest printed: what this runner's noise is, what can be seen on it, how to lower it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.cli.world import real_effects
from velro_gate.errors import BrokenError
from velro_gate.gate.sandboxed.selftest import SelftestOptions, selftest
from velro_gate.model.selftest import Selftest
from velro_gate.report.printed.selftest import SELFTEST_HEADINGS, selftest_rows, selftest_sentences, selftest_title
from velro_gate.store.selftests import selftest_folder

OK = 0


def run_selftest(
    minutes: float, block: float, warm_up: float, runner: str | None, output: Path, scenario: Path | None, format: Format
) -> int:
    """Measure and print; 4 when this runner does not detect +20 %."""
    asked = SelftestOptions(
        minutes=minutes,
        warm_up=warm_up,
        seconds=block,
        output=output,
        kept=selftest_folder(os.environ),
        scenario=scenario,
    )
    with real_effects(runner, verbose=False) as effects:
        made, results = selftest(asked, effects)
    return print_selftest(made, results.folder, format)


def print_selftest(made: Selftest, folder: Path, format: Format) -> int:
    """The selftest on standard output, and its exit code."""
    if format is Format.JSON:
        put(json.dumps(asdict(made), indent=2, ensure_ascii=False))
    else:
        show(_table(made))
        for line in selftest_sentences(made):
            put(line)
        put(f"Files: {folder}")
    return BrokenError.exit_code if made.quote.blind else OK


def _table(made: Selftest) -> Table:
    table = Table(title=selftest_title(made), title_justify="left")
    for heading in SELFTEST_HEADINGS:
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for cells in selftest_rows(made):
        table.add_row(*cells)
    return table
