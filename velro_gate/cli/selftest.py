"""The selftest printed: what this runner's noise is, what can be seen on it, how to lower it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from velro_gate import units
from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.cli.world import real_effects
from velro_gate.errors import BrokenError
from velro_gate.gate.selftest import SelftestAsked, selftest
from velro_gate.model.metrics import METRICS
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.model.selftest import MUST_SEE, Selftest
from velro_gate.store.selftests import selftest_folder

OK = 0


def run_selftest(
    minutes: float, block: float, warm_up: float, runner: str | None, output: Path, scenario: Path | None, format: Format
) -> int:
    """Measure and print; 4 when this runner does not see +20 %."""
    asked = SelftestAsked(
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
        for line in sentences(made):
            put(line)
        put(f"Files: {folder}")
    return BrokenError.exit_code if made.quote.blind else OK


def _table(made: Selftest) -> Table:
    title = f"This runner, {made.cycles} cycles of blocks of {units.format_duration(made.block_seconds)}"
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "noise of a block", "of a pair", "a duet sees", "stored baselines see"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for row in made.rows:
        label = METRICS[row.metric].label
        table.add_row(
            label if row.step == ALL_STEPS else f"{row.step} {label}",
            units.format_share(row.block),
            units.format_share(row.pair),
            units.format_change(row.duet),
            units.format_change(row.stored),
        )
    return table


def sentences(made: Selftest) -> list[str]:
    """What the table means, what was injected and found, and what to do."""
    lines = [
        f"a duet: {made.duet_pairs} pairs of blocks of {units.format_duration(made.duet_seconds)}, about "
        f"{made.duet_minutes:.0f} minutes here; stored baselines: {made.stored_runs} of them and a run of "
        f"{units.format_duration(made.stored_seconds)}, if days differ no more than these minutes did",
        f"the unchanged service against itself: {made.unchanged}" + _alarm(made),
    ]
    for percent, found in made.found.items():
        said = "found" if found else "NOT found"
        lines.append(f"injected +{percent} %: {said}")
    if made.quote.blind:
        lines.append(f"this runner cannot see +{MUST_SEE} %: a gate on it would be blind")
    return lines + [f"to lower the noise: {advice}" for advice in made.advice]


def _alarm(made: Selftest) -> str:
    return " (a false alarm: one in a hundred is to be expected)" if made.unchanged == "fail" else ""
