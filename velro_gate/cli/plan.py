"""The plan of a run on standard output, as text for people or JSON for scripts."""

from __future__ import annotations

import dataclasses
import json
import os

from velro_gate.cli.options import Format
from velro_gate.cli.output import put, show
from velro_gate.cluster.options import ClusterOptions
from velro_gate.gate.local.plan import plan_run
from velro_gate.gate.measure.dry_run import DryRun
from velro_gate.gate.measure.setup import RunOptions
from velro_gate.report.parts.dry_run.plan import PlanRow, plan_view


def print_plan(wanted: RunOptions, format: Format, *, ask: bool = False, cluster: ClusterOptions | None = None) -> int:
    """The dry run: the plan, what it costs, and whether this machine can carry it out. ask: ask the services, too. cluster:
    what would send it; its workers are taken to be like this machine, and nothing is asked of them.

    Raises:
        UsageError: it is not known how many workers there would be.
        InfeasibleError, MissingVariableError: a run would end with it; raised after the plan has been printed.
        UnreachableError, BrokenError: the service does not answer, or not as its steps expect; raised then, too.
    """
    planned = plan_run(wanted, os.environ, ask=ask, cluster=cluster)
    if format is Format.JSON:
        put(json.dumps(_plan_json(planned), indent=2))
    else:
        expected = {part.name: part.requests for part in planned.forecast.phases}
        rows = [PlanRow.of(phase, expected[phase.name]) for phase in planned.setup.phases]
        show(plan_view(rows, planned.sentences()))
    if planned.refusal is not None:
        raise planned.refusal
    return 0


def _plan_json(planned: DryRun) -> dict[str, object]:
    return {
        "scenario": planned.setup.plan.scenario,
        "profile": planned.setup.plan.profile,
        "digest": planned.setup.plan.digest,
        "url": planned.url,
        "shards": planned.shards,
        "forecast": dataclasses.asdict(planned.forecast),
        **({} if planned.cluster is None else {"cluster": dataclasses.asdict(planned.cluster)}),
        "shortfalls": [dataclasses.asdict(short) for short in planned.shortfalls],
        "feasible": not any(short.fatal for short in planned.shortfalls),
        "missing": None if planned.missing is None else planned.missing.what,
    }
