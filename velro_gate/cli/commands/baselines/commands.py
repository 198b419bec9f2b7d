"""The ``baseline`` commands: add, list, show, history, pin, unpin, calibrate, remove, prune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.help import App
from velro_gate.cli.options import (
    AUTO,
    DEFAULT_BASELINES,
    DEFAULT_CLUSTER_WAIT,
    DEFAULT_OUTPUT,
    DEFAULT_WAIVERS,
    BaselineRoot,
    ClusterListen,
    ClusterOption,
    ClusterRaw,
    ClusterWait,
    ClusterWorkers,
    Format,
    Formatted,
    HistoryFormat,
    HistoryFormatted,
    NoCalibration,
    Output,
    Phases,
    Profile,
    QuickTest,
    Runner,
    ScenarioArgument,
    Shards,
    StoredScenario,
    Url,
    Verbose,
    Waivers,
)
from velro_gate.gate.action.store_kind import StoreKind

baseline_app = App(name="baseline", help="Accepted runs that later ones are compared with.")


@baseline_app.command(epilog="Example: velro-gate baseline add velro-results/20261123T120000.482913Z-velro-prd-pr")
def add(
    record: Annotated[Path, typer.Argument(help="Folder of a run, or its record.json.")],
    baselines: BaselineRoot = DEFAULT_BASELINES,
    accept_change: Annotated[
        bool, typer.Option("--accept-change", help="Store it even if it is a regression: the new level is intended.")
    ] = False,
    waivers: Waivers = DEFAULT_WAIVERS,
) -> int:
    """Store a kept run as a baseline: only a complete, trustworthy run without a regression, or with an accepted one.

    Any other is kept as quarantined: it can be seen, and is not used.
    """
    from velro_gate.cli.output import put
    from velro_gate.gate.judge.calibrate import accept_kept
    from velro_gate.store.baselines import find_baselines

    stored = accept_kept(record, find_baselines(baselines, record), accept_change=accept_change, waivers=waivers)
    put(f"stored {stored}")
    return 0


@baseline_app.command("list", epilog="Example: velro-gate baseline list --format json")
def list_(baselines: BaselineRoot = DEFAULT_BASELINES, format: Formatted = Format.TEXT) -> int:
    """List every stored run, whether it is used or quarantined and why, and every file there that is not a run."""
    from velro_gate.cli.commands.baselines.stored import print_baselines
    from velro_gate.store.baselines import find_baselines

    return print_baselines(find_baselines(baselines, Path()), format)


@baseline_app.command(epilog="Example: velro-gate baseline show baselines/velro-prd/1f0c2a.../20261123T120000Z-4be1d2c.json")
def show(
    file: Annotated[Path, typer.Argument(help="One baseline file.")],
    format: Formatted = Format.TEXT,
) -> int:
    """Show the figures of one baseline."""
    from velro_gate.cli.commands.baselines.stored import print_baseline
    from velro_gate.store.baselines import find_stored

    return print_baseline(find_stored(file), format)


@baseline_app.command(epilog="Example: velro-gate baseline history --metric p95 --step authorization_check")
def history(
    scenario: StoredScenario = None,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    metric: Annotated[str, typer.Option(help="The figure to show: p50, p95, throughput, ...")] = "p95",
    step: Annotated[str, typer.Option(help="The step; all: all steps together.")] = "all",
    format: HistoryFormatted = HistoryFormat.TEXT,
) -> int:
    """Show main's history run by run: epochs, change points, quarantined runs, drift from the pinned release."""
    from velro_gate.cli.commands.history import print_history
    from velro_gate.store.baselines import find_baselines

    return print_history(find_baselines(baselines, scenario or Path()), metric, step, scenario, format)


@baseline_app.command(epilog="Example: velro-gate baseline pin baselines/velro-prd/1f0c2a.../20261123T120000Z-4be1d2c.json")
def pin(
    file: Annotated[Path, typer.Argument(help="One baseline file.")],
    release: Annotated[str, typer.Option("--release", help="The release's name; default: the revision.")] = "",
) -> int:
    """Pin a baseline as a release: it is never pruned, and main is compared with the newest pinned one."""
    from velro_gate.cli.output import put
    from velro_gate.store.baselines import find_stored
    from velro_gate.store.pins import pin_baseline

    file = find_stored(file)
    put(f"pinned {file} as {pin_baseline(file, release)}")
    return 0


@baseline_app.command(epilog="Example: velro-gate baseline unpin baselines/velro-prd/1f0c2a.../20261123T120000Z-4be1d2c.json")
def unpin(file: Annotated[Path, typer.Argument(help="One pinned baseline file.")]) -> int:
    """Unpin a baseline: it is a baseline like any other again."""
    from velro_gate.cli.output import put
    from velro_gate.store.baselines import find_stored
    from velro_gate.store.pins import unpin_baseline

    file = find_stored(file)
    unpin_baseline(file)
    put(f"{file} is no longer pinned")
    return 0


@baseline_app.command(epilog="Example: velro-gate baseline calibrate scenarios/velro-prd.yaml --profile pr --runs 5")
def calibrate(
    scenario: ScenarioArgument = None,
    runs: Annotated[int, typer.Option(min=1, max=30, help="Number of runs.")] = 5,
    profile: Profile = None,
    quick_test: QuickTest = False,
    phase: Phases = None,
    url: Url = None,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    cluster_raw: ClusterRaw = None,
    output: Output = DEFAULT_OUTPUT,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    waivers: Waivers = DEFAULT_WAIVERS,
    runner: Runner = None,
    no_calibration: NoCalibration = False,
    verbose: Verbose = False,
) -> int:
    """Run the accepted build several times and store each run, so that the noise of this runner is known at once."""
    from velro_gate.cli.asked import asked, clustered
    from velro_gate.cli.commands.baselines.calibrated import print_calibrated
    from velro_gate.cli.output import put
    from velro_gate.cli.world import real_world
    from velro_gate.gate.local.calibration import calibrate_baselines
    from velro_gate.store.baselines import find_baselines

    wanted = asked(scenario, profile, quick_test, phase, url, shards)
    baselines = find_baselines(baselines, wanted.scenario)
    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards, cluster_raw)
    made = calibrate_baselines(
        wanted,
        real_world(runner, verbose, sends),
        runs=runs,
        output=output,
        baselines=baselines,
        waivers=waivers,
        null_run=not no_calibration,
    )
    print_calibrated(made)
    put(f"stored {len(made.stored)} baselines in {baselines}")
    return 0


@baseline_app.command(epilog="Example: velro-gate baseline remove baselines/velro-prd/1f0c2a.../20261123T120000Z-4be1d2c.json")
def remove(file: Annotated[Path, typer.Argument(help="One stored run.")]) -> int:
    """Remove one stored run, for example one that was disturbed; a pinned one stays."""
    from velro_gate.cli.output import put
    from velro_gate.store.baselines import find_stored, remove_baseline

    file = find_stored(file)
    record = remove_baseline(file)
    put(f"removed {file}" + ("" if record is None else f", which was run {record.id}"))
    return 0


@baseline_app.command(epilog="Example: velro-gate baseline prune --keep 30")
def prune(
    baselines: BaselineRoot = DEFAULT_BASELINES,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest to keep for each plan and environment.")] = 30,
) -> int:
    """Remove the oldest baselines of each plan (scenario, version, profile) and environment; the others stay comparable."""
    from velro_gate.cli.output import put
    from velro_gate.store.baselines import find_baselines, prune_baselines

    baselines = find_baselines(baselines, Path())
    removed = prune_baselines(baselines, keep)
    put(f"removed {len(removed)} baselines in {baselines}, kept at most {keep} of each plan and environment")
    return 0


StoreOption = Annotated[
    StoreKind | None, typer.Option("--store", help="Where baselines are kept (default: VELRO_STORE, then branch).")
]


@baseline_app.command(epilog="Example: velro-gate baseline pull --store branch --to baselines")
def pull(
    to: Annotated[Path, typer.Option("--to", help="Folder to fetch them into.")] = DEFAULT_BASELINES,
    store: StoreOption = None,
) -> int:
    """In a job of GitHub Actions: fetch the repository's baselines into a folder."""
    from velro_gate.cli.action.app import pull_baselines

    return pull_baselines(to, store)


@baseline_app.command(
    epilog="Example: velro-gate baseline push velro-results/20261123T120000.482913Z-velro-prd-pr --store branch"
)
def push(
    record: Annotated[Path, typer.Argument(help="Folder of a run, or its record.json.")],
    store: StoreOption = None,
) -> int:
    """In a job of GitHub Actions: store a kept run where the repository keeps its baselines."""
    from velro_gate.cli.action.app import push_baseline

    return push_baseline(record, store)
