"""``velro-gate capacity``: the most load that meets the requirements."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from velro_gate.cli.options import (
    AUTO,
    DEFAULT_BASELINES,
    DEFAULT_CLUSTER_WAIT,
    DEFAULT_OUTPUT,
    DEFAULT_WAIVERS,
    BaselineRoot,
    ClusterListen,
    ClusterOption,
    ClusterWait,
    ClusterWorkers,
    Format,
    Formatted,
    LivePort,
    Output,
    Phases,
    Profile,
    Runner,
    ScenarioArgument,
    Shards,
    Url,
    Verbose,
    Waivers,
)

if TYPE_CHECKING:
    from rich.table import Table

    from velro_gate.model.capacity import CapacityResult

SHORT = 1
"""The exit code where the plan's own load is certainly above the capacity."""


class By(Enum):
    """What is varied."""

    RATE = "rate"
    USERS = "users"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: velro-gate capacity scenarios/velro-prd.yaml --phase prd_compliance --max-minutes 10")(
        capacity
    )


def capacity(
    scenario: ScenarioArgument = None,
    profile: Profile = None,
    phase: Phases = None,
    url: Url = None,
    by: Annotated[
        By | None, typer.Option("--by", help="Vary the rate or the users. Default: the rate, if the phase has one.")
    ] = None,
    start: Annotated[float | None, typer.Option(min=0.1, help="First load. Default: half of the plan's.")] = None,
    max_minutes: Annotated[float, typer.Option("--max-minutes", min=0.5, help="Time limit.")] = 10.0,
    kept: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Measure nothing: fit the scalability law to the phases of this kept run.", show_default=False
        ),
    ] = None,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    output: Output = DEFAULT_OUTPUT,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    waivers: Waivers = DEFAULT_WAIVERS,
    runner: Runner = None,
    live: LivePort = None,
    verbose: Verbose = False,
    format: Formatted = Format.TEXT,
) -> int:
    """Search for the most load that meets the requirements, and compare it with that of accepted builds.

    Exit code 1: it is certainly less than the plan asks for, or a regression. 'velro-gate baseline add FOLDER' accepts it.
    Exit code 4: the search ended before it showed whether the plan's own load meets the requirements.
    """
    from velro_gate.cli.asked import asked, clustered
    from velro_gate.cli.output import show
    from velro_gate.cli.world import real_world
    from velro_gate.gate.local.capacity import search_capacity
    from velro_gate.gate.measure.capacity.search import CapacityOptions
    from velro_gate.model.capacity import LoadUnit
    from velro_gate.report.formats.console import terminal
    from velro_gate.store.baselines import find_baselines

    if kept is not None:
        return _print_law(kept, format)
    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards)
    wanted = asked(scenario, profile, False, phase, url, shards)
    found, results, judged = search_capacity(
        wanted,
        CapacityOptions(seconds=60.0 * max_minutes, unit=None if by is None else LoadUnit(by.value), start=start),
        output,
        real_world(runner, verbose, sends, live=live),
        baselines=find_baselines(baselines, wanted.scenario),
        waivers=waivers,
    )
    code = print_capacity(found, results.folder, format)
    if judged is None:
        return code
    record, verdict = judged
    if format is Format.TEXT:
        show(terminal(record, verdict))
    return verdict.exit_code(block_inconclusive=record.plan.policy.block_inconclusive)


def print_capacity(found: CapacityResult, folder: Path, format: Format) -> int:
    """The result on standard output, and the exit code where it cannot be judged."""
    from velro_gate.cli.output import put, show
    from velro_gate.errors import BrokenError
    from velro_gate.report.printed.capacity import capacity_sentences
    from velro_gate.store.codec import encode_capacity

    if format is Format.JSON:
        put(encode_capacity(found).removesuffix("\n"))
    else:
        show(capacity_table(found))
        for line in capacity_sentences(found):
            put(line)
        put(f"Files: {folder}")
    return {True: 0, False: SHORT, None: BrokenError.exit_code}[found.carries_plan]


def capacity_table(found: CapacityResult) -> Table:
    """One row a trial, under the result of the search."""
    from velro_gate.cli.output import figures_table
    from velro_gate.report.printed.capacity import CAPACITY_HEADINGS, capacity_rows, capacity_title

    table = figures_table(*CAPACITY_HEADINGS, left=CAPACITY_HEADINGS[-2:], title=capacity_title(found))
    for cells in capacity_rows(found):
        table.add_row(*cells)
    return table


def _print_law(folder: Path, format: Format) -> int:
    """The law of scalability fitted to the phases of a kept run."""
    from velro_gate.cli.output import put
    from velro_gate.gate.local.capacity import kept_law
    from velro_gate.report.printed.capacity import scalability_sentences

    law = kept_law(folder)
    if format is Format.JSON:
        put(json.dumps(asdict(law), indent=2))
    else:
        for line in scalability_sentences(law):
            put(line)
    return 0
