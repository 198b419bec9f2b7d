"""The commands: each parses, calls one use case, prints and returns its exit code. Imports are inside, for a quick --help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from velro_gate import __version__
from velro_gate.cli.commands import adoption, capacity, reading, service, trend
from velro_gate.cli.commands.baselines.commands import baseline_app
from velro_gate.cli.commands.duet_options import (
    BaseCommand,
    BaseDirectory,
    BaseUrl,
    BlockSeconds,
    DuetMinutes,
    HeadCommand,
    HeadDirectory,
    HeadUrl,
    HealthPath,
    NoPilot,
    Pairs,
    Seed,
    ServiceUserName,
    StartSeconds,
    WarmUp,
)
from velro_gate.cli.evaluate.app import evaluate_app
from velro_gate.cli.help import App, RootGroup
from velro_gate.cli.options import (
    AUTO,
    DEFAULT_BASELINES,
    DEFAULT_CLUSTER_WAIT,
    DEFAULT_MAX_MINUTES,
    DEFAULT_OUTPUT,
    DEFAULT_WAIVERS,
    AllowInconclusive,
    BaselineRoot,
    BlockInconclusiveOption,
    ClusterListen,
    ClusterOption,
    ClusterRaw,
    ClusterWait,
    ClusterWorkers,
    DryRunOption,
    Format,
    Formatted,
    GitlabNote,
    LivePort,
    MaxMinutes,
    NoCalibration,
    NoConfirm,
    Output,
    Phases,
    Profile,
    PushUrl,
    QuickTest,
    RemoteWriteUrl,
    RequireBaseline,
    Runner,
    ScenarioArgument,
    Shards,
    StartCommand,
    SummaryFile,
    TemplateFolder,
    Url,
    Verbose,
    Waivers,
)
from velro_gate.cli.overview import EPILOG, PURPOSE
from velro_gate.report.formats.registry import FORMATS

app = App(
    name="velro-gate",
    cls=RootGroup,
    help=PURPOSE,
    epilog=EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(baseline_app, name="baseline")
app.add_typer(evaluate_app, name="evaluate")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"velro-gate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options that come before a command."""


@app.command(epilog="Example: velro-gate check scenarios/velro-prd.yaml --profile full")
def check(
    scenario: ScenarioArgument = None,
    profile: Profile = None,
    quick_test: QuickTest = False,
    phase: Phases = None,
    url: Url = None,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_raw: ClusterRaw = None,
    format: Formatted = Format.TEXT,
) -> int:
    """Validate the scenario, print the plan and whether this machine can carry it out. Sends nothing ('run --dry-run' does)."""
    from velro_gate.cli.asked import asked, clustered
    from velro_gate.cli.plan import print_plan

    sends = clustered(cluster, cluster_workers, DEFAULT_CLUSTER_WAIT, None, shards, cluster_raw)
    return print_plan(asked(scenario, profile, quick_test, phase, url, shards), format, cluster=sends)


@app.command(epilog="Example: velro-gate run scenarios/velro-prd.yaml --profile quick --url http://127.0.0.1:8400")
def run(
    scenario: ScenarioArgument = None,
    profile: Profile = None,
    quick_test: QuickTest = False,
    phase: Phases = None,
    url: Url = None,
    start_command: StartCommand = None,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    cluster_raw: ClusterRaw = None,
    output: Output = DEFAULT_OUTPUT,
    runner: Runner = None,
    dry_run: DryRunOption = False,
    no_calibration: NoCalibration = False,
    live: LivePort = None,
    push: PushUrl = None,
    remote_write: RemoteWriteUrl = None,
    verbose: Verbose = False,
    format: Formatted = Format.TEXT,
) -> int:
    """Run the load and keep the record; judge nothing."""
    from velro_gate.cli.asked import asked, clustered
    from velro_gate.cli.commands.afterwards import afterwards
    from velro_gate.cli.measured import print_run
    from velro_gate.cli.plan import print_plan
    from velro_gate.cli.world import real_world
    from velro_gate.gate.local.run import StartedService, measure, stop_if_interrupted

    wanted = asked(scenario, profile, quick_test, phase, url, shards)
    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards, cluster_raw)
    if dry_run:
        return print_plan(wanted, format, ask=True, cluster=sends)
    then = afterwards(push, remote_write)
    record, results = measure(
        wanted,
        output,
        real_world(runner, verbose, sends, live=live),
        calibrate=not no_calibration,
        service=None if start_command is None else StartedService(line=start_command, folder=Path.cwd()),
    )
    stop_if_interrupted(record, results)
    code = print_run(record, results, format)
    then(record, None)
    return code


@app.command(epilog="Example: velro-gate gate scenarios/velro-prd.yaml --profile pr --baselines baselines")
def gate(
    scenario: ScenarioArgument = None,
    profile: Profile = None,
    quick_test: QuickTest = False,
    phase: Phases = None,
    url: Url = None,
    start_command: StartCommand = None,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    cluster_raw: ClusterRaw = None,
    output: Output = DEFAULT_OUTPUT,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    waivers: Waivers = DEFAULT_WAIVERS,
    require_baseline: RequireBaseline = False,
    runner: Runner = None,
    dry_run: DryRunOption = False,
    no_calibration: NoCalibration = False,
    no_confirm: NoConfirm = False,
    base_url: BaseUrl = None,
    base_command: BaseCommand = None,
    base_directory: BaseDirectory = None,
    service_user: ServiceUserName = None,
    max_minutes: MaxMinutes = DEFAULT_MAX_MINUTES,
    live: LivePort = None,
    push: PushUrl = None,
    remote_write: RemoteWriteUrl = None,
    summary: SummaryFile = None,
    gitlab_note: GitlabNote = False,
    template_dir: TemplateFolder = None,
    verbose: Verbose = False,
    block_inconclusive: BlockInconclusiveOption = None,
    allow_inconclusive: AllowInconclusive = False,
    format: Formatted = Format.TEXT,
) -> int:
    """Run the load, check requirements, compare with the baselines, re-measure what looks worse, and say pass or fail."""
    from velro_gate.cli.asked import asked, blocking, clustered
    from velro_gate.cli.commands.afterwards import afterwards
    from velro_gate.cli.commands.duet import BuildOptions, another_user, confirmable
    from velro_gate.cli.plan import print_plan
    from velro_gate.cli.printing import print_verdict, use_template_folder
    from velro_gate.cli.world import real_world
    from velro_gate.gate.local.run import StartedService, measure_and_judge
    from velro_gate.store.baselines import find_baselines, require_folder

    blocks = blocking(block_inconclusive, allow_inconclusive)
    wanted = asked(scenario, profile, quick_test, phase, url, shards, blocking=blocks)
    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards, cluster_raw)
    if dry_run:
        return print_plan(wanted, format, ask=True, cluster=sends)
    # A place that cannot work is refused now, not after an hour of load.
    stored = find_baselines(baselines, wanted.scenario)
    require_folder(stored)
    then = afterwards(push, remote_write, summary=summary, gitlab_note=gitlab_note)
    use_template_folder(template_dir, stands=True)
    with another_user(service_user, base_command) as user:
        base = BuildOptions(side="base", url=base_url, command=base_command, directory=base_directory, user=user)
        record, verdict, results = measure_and_judge(
            wanted,
            output,
            real_world(runner, verbose, sends, live=live),
            calibrate=not no_calibration,
            baselines=stored,
            waivers=waivers,
            require_baseline=require_baseline,
            confirm=confirmable(base, max_minutes, no_confirm=no_confirm),
            service=None if start_command is None else StartedService(line=start_command, folder=Path.cwd()),
        )
    code = print_verdict(record, verdict, results.folder, format)
    then(record, verdict)
    return code


@app.command(epilog="Example: velro-gate confirm velro-results/20261123T120000.482913Z-velro-prd-pr scenarios/velro-prd.yaml")
def confirm(
    record: Annotated[Path, typer.Argument(help="Folder of a gated run, or its record.json.")],
    scenario: ScenarioArgument = None,
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
    baselines: BaselineRoot = DEFAULT_BASELINES,
    waivers: Waivers = DEFAULT_WAIVERS,
    runner: Runner = None,
    no_calibration: NoCalibration = False,
    max_minutes: MaxMinutes = DEFAULT_MAX_MINUTES,
    verbose: Verbose = False,
    block_inconclusive: BlockInconclusiveOption = None,
    allow_inconclusive: AllowInconclusive = False,
    format: Formatted = Format.TEXT,
) -> int:
    """Measure the suspicious phases of a kept run twice more, later or on another machine, and judge all runs together."""
    from velro_gate.cli.asked import asked, blocking, clustered
    from velro_gate.cli.printing import print_verdict
    from velro_gate.cli.world import real_world
    from velro_gate.gate.judge.verdict import under_policy
    from velro_gate.gate.local.run import confirm_kept
    from velro_gate.store.baselines import find_baselines

    blocks = blocking(block_inconclusive, allow_inconclusive)
    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards, cluster_raw)
    kept, verdict, results = confirm_kept(
        record,
        asked(scenario, profile, quick_test, phase, url, shards),
        real_world(runner, verbose, sends),
        calibrate=not no_calibration,
        baselines=find_baselines(baselines, record),
        waivers=waivers,
        seconds=max_minutes * 60.0,
    )
    return print_verdict(under_policy(kept, kept.plan.policy, blocks), verdict, results.folder, format)


@app.command(epilog="Example: velro-gate duet scenario.yaml --base-command 'old/serve' --head-command './serve'")
def duet(
    scenario: ScenarioArgument = None,
    base_url: BaseUrl = None,
    head_url: HeadUrl = None,
    base_command: BaseCommand = None,
    head_command: HeadCommand = None,
    base_directory: BaseDirectory = None,
    head_directory: HeadDirectory = None,
    service_user: ServiceUserName = None,
    health_path: HealthPath = None,
    start_seconds: StartSeconds = 60.0,
    profile: Profile = None,
    phase: Phases = None,
    pairs: Pairs = None,
    block: BlockSeconds = None,
    warm_up: WarmUp = None,
    seed: Seed = None,
    no_pilot: NoPilot = False,
    max_minutes: DuetMinutes = 20.0,
    shards: Shards = AUTO,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    output: Output = DEFAULT_OUTPUT,
    waivers: Waivers = DEFAULT_WAIVERS,
    runner: Runner = None,
    no_calibration: NoCalibration = False,
    live: LivePort = None,
    push: PushUrl = None,
    remote_write: RemoteWriteUrl = None,
    summary: SummaryFile = None,
    gitlab_note: GitlabNote = False,
    template_dir: TemplateFolder = None,
    verbose: Verbose = False,
    block_inconclusive: BlockInconclusiveOption = None,
    allow_inconclusive: AllowInconclusive = False,
    format: Formatted = Format.TEXT,
) -> int:
    """Measure base and head side by side in pairs of blocks, and say whether the head build is worse."""
    from velro_gate.cli.asked import asked, blocking, clustered
    from velro_gate.cli.commands.afterwards import afterwards
    from velro_gate.cli.commands.duet import BuildOptions, another_user, run_duet
    from velro_gate.cli.printing import use_template_folder
    from velro_gate.cli.world import real_world
    from velro_gate.gate.duet.pilot import DuetOptions, fresh_seed

    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, shards)
    then = afterwards(push, remote_write, summary=summary, gitlab_note=gitlab_note)
    use_template_folder(template_dir, stands=True)
    with another_user(service_user, base_command, head_command) as user:
        return run_duet(
            asked(scenario, profile, False, phase, None, shards, blocking=blocking(block_inconclusive, allow_inconclusive)),
            BuildOptions(side="base", url=base_url, command=base_command, directory=base_directory, user=user),
            BuildOptions(side="head", url=head_url, command=head_command, directory=head_directory, user=user),
            DuetOptions(
                seed=fresh_seed() if seed is None else seed,
                pairs=pairs,
                block=block,
                warm_up=warm_up,
                pilot=not no_pilot,
                most_seconds=max_minutes * 60.0,
            ),
            real_world(runner, verbose, sends, live=live),
            output=output,
            waivers=waivers,
            format=format,
            calibrate=not no_calibration,
            health_path=health_path,
            start_seconds=start_seconds,
            then=then,
        )


RecordArgument = Annotated[Path, typer.Argument(help="Folder of a run, or its record.json.")]


@app.command(epilog="Example: velro-gate action    (as the last line of the action's step)")
def action() -> int:
    """Do one job of GitHub Actions, depending on its event: gate, refresh, report. Inputs: VELRO_* (docs/github.md)."""
    from velro_gate.cli.action.app import run_action

    return run_action()


@app.command(epilog="Example: velro-gate publish velro-results/20261123T120000.482913Z-velro-prd-pr")
def publish(record: RecordArgument) -> int:
    """Publish the verdict of a kept run on GitHub (again): summary, outputs, status, comment. Inputs as for 'action'."""
    from velro_gate.cli.action.app import run_publish

    return run_publish(record)


@app.command(epilog="Example: velro-gate judge velro-results/20261123T120000.482913Z-velro-prd-pr --scenario stricter.yaml")
def judge(
    record: RecordArgument,
    baselines: BaselineRoot = DEFAULT_BASELINES,
    waivers: Waivers = DEFAULT_WAIVERS,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", help="Judge by this file's requirements and policy instead of the run's own.")
    ] = None,
    block_inconclusive: BlockInconclusiveOption = None,
    allow_inconclusive: AllowInconclusive = False,
    as_: Annotated[str | None, typer.Option("--as", help=f"One of: {', '.join(FORMATS)}.", show_default=False)] = None,
    template_dir: TemplateFolder = None,
    format: Formatted = Format.TEXT,
) -> int:
    """Judge a kept record again, offline, if you like with another policy. The record itself is not changed."""
    from velro_gate.cli.asked import blocking
    from velro_gate.cli.printing import print_again, print_verdict, use_template_folder
    from velro_gate.errors import UsageError
    from velro_gate.gate.local.judge import judge_again
    from velro_gate.store.baselines import find_baselines

    if template_dir is not None and as_ is None:
        raise UsageError("--template-dir has no effect without --as", hint="Add --as html, executive or markdown.")
    blocks = blocking(block_inconclusive, allow_inconclusive)
    kept, verdict = judge_again(record, find_baselines(baselines, record), scenario, waivers, os.environ, blocks)
    if as_ is not None:
        use_template_folder(template_dir)
        return print_again(kept, verdict, as_, record if record.is_dir() else record.parent)
    return print_verdict(kept, verdict, None, format)


reading.register(app)


@app.command(epilog="Example: velro-gate demo")
def demo(cluster: ClusterOption = None, output: Output = DEFAULT_OUTPUT, verbose: Verbose = False) -> int:
    """Show the gate at work on the embedded service: an unchanged build passes, a 30 % slower one fails.

    With --cluster local:2, two workers of a Dask cluster on this machine send the load.
    """
    from velro_gate.cli.asked import clustered
    from velro_gate.cli.commands.demonstration import show_demo

    return show_demo(output, verbose, clustered(cluster, None, DEFAULT_CLUSTER_WAIT, None, AUTO))


@app.command(
    "calibrate-generator", epilog="Example: velro-gate calibrate-generator scenarios/velro-prd.yaml --profile full --seconds 10"
)
def calibrate_generator(
    scenario: ScenarioArgument = None,
    profile: Profile = None,
    quick_test: QuickTest = False,
    phase: Phases = None,
    shards: Shards = AUTO,
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="How long to measure, not counting the ramp.")] = 10.0,
    format: Formatted = Format.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> int:
    """Measure the generator alone at the plan's peak load, against a built-in responder; needs no service and no secret."""
    from velro_gate.cli.asked import asked
    from velro_gate.cli.commands.calibration import calibrate

    return calibrate(asked(scenario, profile, quick_test, phase, None, shards), seconds, Format.JSON if json else format)


service.register(app)


@app.command(epilog="Example: velro-gate selftest --minutes 10")
def selftest(
    minutes: Annotated[float, typer.Option(min=1.0, help="Time limit.")] = 10.0,
    block: Annotated[float, typer.Option(min=1.0, help="Seconds measured in each block.")] = 5.0,
    warm_up: Annotated[float, typer.Option(min=0.2, help="Seconds dropped before that.")] = 1.0,
    scenario: Annotated[
        Path | None, typer.Option(help="A scenario for the sandbox other than the shipped one.", show_default=False)
    ] = None,
    runner: Runner = None,
    output: Output = DEFAULT_OUTPUT,
    format: Formatted = Format.TEXT,
) -> int:
    """Measure this runner's noise and the smallest change it can detect; exit code 4: it did not detect +20 %."""
    from velro_gate.cli.commands.selftest import run_selftest

    return run_selftest(minutes, block, warm_up, runner, output, scenario, format)


adoption.register(app)
capacity.register(app)
trend.register(app)


@app.command(epilog="Example: velro-gate schema > scenarios/velro-prd.schema.json")
def schema(
    of: Annotated[str, typer.Option("--of", help="scenario, verdict, record or summary.")] = "scenario",
) -> int:
    """Print the JSON Schema of scenario files (or of verdict.json, record.json, executive_summary.json)."""
    from velro_gate.cli.commands.reading import print_schema

    return print_schema(of)
