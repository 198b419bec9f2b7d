"""Results on standard output, as text for people or JSON for scripts."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from rich.table import Table

from velro_gate import report, units
from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.engine.machine.limits import read_machine
from velro_gate.errors import UsageError
from velro_gate.gate.judge.verdict import DUET_FILES, FILES, given_report
from velro_gate.gate.measure.dry_run import DryRun, dry_run
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import RunOptions, prepare
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.formats.registry import FORMATS, ReportFormat
from velro_gate.report.parts.trustline import generator_alone
from velro_gate.report.text.figures import FEW_NOTE, has_few, marked
from velro_gate.scenario import json_schema

OK = 0


def print_verdict(record: RunRecord, verdict: Verdict, folder: Path | None, format: Format) -> int:
    """The verdict, and the exit code that belongs to it."""
    if format is Format.JSON:
        put(report.verdict_json(record, verdict))
    else:
        show(report.terminal(record, verdict))
        if folder is not None:
            written = [name for name in (FILES if verdict.duet is None else DUET_FILES) if (folder / name).exists()]
            put(f"Files: {folder}/{{{','.join(written)}}}")
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)


def print_run(record: RunRecord, results: Results, format: Format) -> int:
    """Where a record lies and what was measured, in one table."""
    if format is Format.JSON:
        put(json.dumps({"id": record.id, "folder": str(results.folder), "complete": record.complete}))
        return OK
    show(phase_table(record))
    put(f"The generator alone: {generator_alone(record.generator_noise)}")
    put(f"Record: {results.folder}  (judge it with: velro-gate judge {results.folder})")
    return OK


_QUANTILES = ("p50", "p95", "p99", "lateness_p99")


def phase_table(record: RunRecord) -> Table:
    """One row a phase."""
    table = Table(title=f"{record.plan.scenario}, profile {record.plan.profile}", title_justify="left")
    for heading in ("phase", "users", "requests/s", "p50", "p95", "p99", "errors", "hit rate", "lateness p99", "generator CPU"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    few = False
    for phase in record.phases:
        found = {name: phase.measurement(name) for name in (*_QUANTILES, "throughput", "error_rate", "hit_rate")}
        value = {name: each.value if each else None for name, each in found.items()}
        few |= any(has_few(name, found[name]) for name in _QUANTILES)
        table.add_row(
            phase.name,
            units.format_count(phase.users),
            units.format_count(value["throughput"]),
            *(marked(name, found[name]) for name in _QUANTILES[:3]),
            units.format_share(value["error_rate"]),
            units.format_share(value["hit_rate"]),
            marked("lateness_p99", found["lateness_p99"]),
            units.format_share(phase.health.cpu_share),
        )
    table.caption, table.caption_justify = FEW_NOTE if few else None, "left"
    return table


def print_given(folder: Path, wanted: str) -> int:
    """The verdict that was given to a kept run, in one format."""
    put(given_report(folder, _known(wanted).file).removesuffix("\n"))
    return OK


def print_anew(record: RunRecord, verdict: Verdict, wanted: str) -> int:
    """A verdict that was reached just now in one format, and the exit code that belongs to it."""
    made = _known(wanted)
    if made.name == "text":
        # On a terminal it has colours and folds its lines.
        return print_verdict(record, verdict, None, Format.TEXT)
    put(made.render(record, verdict).removesuffix("\n"))
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)


def _known(wanted: str) -> ReportFormat:
    if wanted not in FORMATS:
        raise UsageError(f"there is no report {wanted!r}", hint=f"Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[wanted]


def print_schema(of: str) -> int:
    """A JSON Schema on standard output."""
    schemas = {"scenario": json_schema, "verdict": report.verdict_schema}
    if of not in schemas:
        raise UsageError(f"there is no schema of {of!r}", hint=f"Choose one of: {', '.join(schemas)}.")
    put(json.dumps(schemas[of](), indent=2, ensure_ascii=False))
    return OK


def print_plan(wanted: RunOptions, format: Format, *, ask: bool = False) -> int:
    """The dry run: the plan, what it costs, and whether this machine can carry it out. ask: ask the services, too.

    Raises:
        InfeasibleError, MissingVariableError: a run would end with it; raised after the plan has been printed.
        UnreachableError, BrokenError: the service does not answer, or not as its steps expect; raised then, too.
    """
    setup = prepare(wanted, os.environ, need_secrets=False)
    machine = read_machine(sources=setup.scenario.target.source_addresses)
    planned = dry_run(setup, machine, os.environ, ask=ask)
    if format is Format.JSON:
        put(json.dumps(_plan_json(planned), indent=2))
    else:
        expected = {part.name: part.requests for part in planned.forecast.phases}
        rows = [(p.name, p.users, p.ramp, p.duration, report.offered(p), expected[p.name]) for p in planned.setup.phases]
        show(report.plan_view(rows, planned.sentences()))
    if planned.refusal is not None:
        raise planned.refusal
    return OK


def _plan_json(planned: DryRun) -> dict[str, object]:
    return {
        "scenario": planned.setup.plan.scenario,
        "profile": planned.setup.plan.profile,
        "digest": planned.setup.plan.digest,
        "url": planned.url,
        "shards": planned.shards,
        "forecast": dataclasses.asdict(planned.forecast),
        "shortfalls": [dataclasses.asdict(short) for short in planned.shortfalls],
        "feasible": not any(short.fatal for short in planned.shortfalls),
        "missing": None if planned.missing is None else planned.missing.what,
    }
