"""Print the demonstration and say whether it came out as it should."""

from __future__ import annotations

from pathlib import Path

from rich.rule import Rule

from velro_gate.cli.output import put, show
from velro_gate.cli.world import real_effects
from velro_gate.cluster.options import ClusterOptions
from velro_gate.gate.sandboxed.demo import Gated, demo
from velro_gate.report.formats.console import terminal

FAILED = 1


def show_demo(output: Path, verbose: bool, cluster: ClusterOptions | None = None) -> int:
    """Run the demonstration; 0 when both verdicts came out as expected. cluster: what sends the load; None: this machine."""
    with real_effects(None, verbose, cluster=cluster) as effects:
        gated = demo(output, effects)
    for build in gated:
        show(Rule(f"Gating {build.title}: expected {build.expected}"), terminal(build.record, build.verdict))
        put(f"Files: {build.folder}")
    show(Rule("Demonstration"))
    for build in gated:
        put(_line(build))
    return 0 if all(build.as_expected for build in gated) else FAILED


def _line(build: Gated) -> str:
    outcome = "as expected" if build.as_expected else f"NOT as expected ({build.expected})"
    return f"{build.title}: {build.verdict.level.word}, {outcome}; comment: {build.folder / 'verdict.md'}"
