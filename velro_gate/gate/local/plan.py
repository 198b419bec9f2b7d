"""The dry run from a terminal: the plan, what it costs, and whether this machine can send it."""

from __future__ import annotations

from collections.abc import Mapping

from velro_gate.cluster.options import RAW, ClusterOptions
from velro_gate.engine.machine.limits import read_machine
from velro_gate.errors import UsageError
from velro_gate.gate.measure.dry_run import DryRun, dry_run
from velro_gate.gate.measure.setup import RunOptions, prepare


def plan_run(wanted: RunOptions, environ: Mapping[str, str], *, ask: bool, cluster: ClusterOptions | None) -> DryRun:
    """The dry run of a plan. ask: ask the services, too. cluster: what would send it; its workers are taken to be like this
    machine, and nothing is asked of them.

    Raises:
        UsageError: it is not known how many workers there would be.
        UnreachableError, BrokenError: the service does not answer, or not as its steps expect.
    """
    setup = prepare(wanted, environ, need_secrets=False)
    machine = read_machine(sources=setup.scenario.target.source_addresses)
    if cluster is not None and cluster.workers is None:
        raise UsageError(
            "the number of workers is not known",
            hint="Add --cluster-workers N; the cluster itself is not contacted.",
        )
    return dry_run(
        setup,
        machine,
        environ,
        ask=ask,
        workers=None if cluster is None else cluster.workers,
        raw=RAW if cluster is None else cluster.raw,
    )
