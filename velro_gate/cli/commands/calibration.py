"""The generator alone, measured and printed: what it adds to response times on this machine, and whether that is too much."""

from __future__ import annotations

import dataclasses
import json

from rich.table import Table

from velro_gate import units
from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.cli.world import real_world
from velro_gate.errors import BrokenError
from velro_gate.gate.local.calibration import calibrate_generator
from velro_gate.gate.measure.null_run import NullRun
from velro_gate.gate.measure.setup import RunOptions
from velro_gate.report.formats.document import noise_json, trust_row
from velro_gate.report.sentences.findings import words

OK = 0


def calibrate(wanted: RunOptions, seconds: float, format: Format) -> int:
    """Make a null run of the plan's peak and print it; broken when the generator was at its limit, or too noisy for a limit."""
    made = calibrate_generator(wanted, seconds, real_world(None, verbose=False))
    if format is Format.JSON:
        put(json.dumps(_document(made), indent=2))
    else:
        _print(made)
    return BrokenError.exit_code if made.broken else OK


def _print(made: NullRun) -> None:
    noise, found = made.noise, (*made.own, *made.limits)
    put(
        f"The generator alone: {units.format_count(noise.requests)} answers in {units.format_duration(noise.seconds)}, "
        f"{units.format_rate(noise.rate)} over {units.format_count(noise.users)} users"
    )
    show(_table(made))
    for one in found:
        put(f"{one.trust.value}: {words(one).sentence}")
    for advice in dict.fromkeys(words(one).advice for one in found):
        put(f"do: {advice}")
    if not found:
        put("The generator was far from its limit, and its noise is small against every latency limit of the plan.")


def _table(made: NullRun) -> Table:
    noise, health = made.noise, made.summary.health
    table = Table()
    for heading in ("", "p50", "p95", "p99"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("response time", *map(units.format_seconds, (noise.p50, noise.p95, noise.p99)))
    table.add_row("lateness", *map(units.format_seconds, made.lateness))
    table.add_row("loop lag", "", "", units.format_seconds(health.loop_lag_p99))
    table.add_row("longest loop lag", "", "", units.format_seconds(health.loop_lag_max))
    table.add_row("CPU, of one core", units.format_share(health.cpu_share), "", "")
    return table


def _document(made: NullRun) -> dict[str, object]:
    health, everything = made.summary.health, made.summary.step()
    p50, p95, p99 = made.lateness
    return {
        "generator_alone": noise_json(made.noise),
        "lateness": {"p50": p50, "p95": p95, "p99": p99},
        "loop_lag": {"p99": health.loop_lag_p99, "max": health.loop_lag_max},
        "cpu_share": health.cpu_share,
        "counts": None if everything is None else dataclasses.asdict(everything.counts),
        "findings": [trust_row(found) for found in (*made.own, *made.limits)],
        "broken": made.broken,
    }
