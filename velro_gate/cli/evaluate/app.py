"""The ``evaluate`` commands: how often the decision itself is wrong, and how often right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.help import App
from velro_gate.cli.options import DEFAULT_OUTPUT, FigureFormat, FiguresFormatted, Format, Formatted, Output

evaluate_app = App(
    name="evaluate", help="Show how often the decision is wrong when nothing changed, and right when something did."
)


@evaluate_app.command(epilog="Example: velro-gate evaluate synthetic --only duet --count 2000")
def synthetic(
    count: Annotated[int, typer.Option(min=20, help="Unchanged jobs in each experiment; 15 % of that changed.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated jobs: equal seeds give equal figures.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only this experiment, such as together, duet, stored; may be repeated."),
    ] = None,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Judge simulated jobs whose truth is known: noise, outliers, drift, a given change. Exit code 1: a figure is missed."""
    from velro_gate.cli.evaluate.figures import print_figures
    from velro_gate.cli.output import people
    from velro_gate.evaluation.run import synthetic_figures

    console = people()

    def say(line: str) -> None:
        """One line, as it is: brackets in it are not markup."""
        console.print(line, markup=False)

    return print_figures(list(synthetic_figures(only or [], count=count, seed=seed, say=say)), format)


@evaluate_app.command(epilog="Example: velro-gate evaluate replay data")
def replay(
    folder: Annotated[
        Path, typer.Argument(help="Folder of real series, in the tidy format of docs/evidence.md or a known one.")
    ],
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Replay the decision on real series in which nothing changed, or what changed is known. Exit code 1 when one is missed."""
    from velro_gate.cli.evaluate.figures import print_figures
    from velro_gate.evaluation.run import replayed_figures

    return print_figures(list(replayed_figures(folder)), format)


@evaluate_app.command(epilog="Example: velro-gate evaluate experiment-figures --count 500")
def experiment_figures(
    count: Annotated[int, typer.Option(min=1, help="Jobs of each kind.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated jobs: equal seeds give equal figures.")] = 1,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Compare figures of experiments in simulated runs, unchanged and changed. Exit code 1 when a figure is missed."""
    from velro_gate.cli.evaluate.evaluations import evaluate_experiment_figures

    return evaluate_experiment_figures(count, seed, format)


@evaluate_app.command(epilog="Example: velro-gate evaluate leaks --sandbox leaks --count 10")
def leaks(
    count: Annotated[int, typer.Option(min=1, help="Services of each kind.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated services: equal seeds give equal figures.")] = 1,
    sandbox: Annotated[
        Path | None,
        typer.Option(help="Measure the embedded sandbox instead, in this folder: three runs of two minutes for each count."),
    ] = None,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Look for leaks in services that leak and in services that do not. Exit code 1 when a figure is missed."""
    from velro_gate.cli.evaluate.evaluations import evaluate_leaks

    return evaluate_leaks(count, seed, sandbox, format)


@evaluate_app.command(
    "end-to-end", epilog="Example: velro-gate evaluate end-to-end --bank bank.jsonl --cycles 200 --jobs 2000 --duets 10"
)
def end_to_end(
    bank: Annotated[Path, typer.Option(help="File of measured blocks; it grows, and an interrupted one is continued.")],
    cycles: Annotated[int, typer.Option(min=0, help="Number of cycles of four blocks in the bank.")] = 200,
    jobs: Annotated[int, typer.Option(min=0, help="Jobs of each kind drawn from the bank.")] = 2000,
    duets: Annotated[int, typer.Option(min=0, help="Whole duets of each kind in addition, kept next to the bank.")] = 0,
    block: Annotated[float, typer.Option(min=1.0, help="Seconds measured in each block.")] = 3.0,
    warm_up: Annotated[float, typer.Option(min=0.2, help="Seconds dropped before that.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order inside the cycles and of the drawn jobs.")] = 1,
    scenario: Annotated[
        Path | None, typer.Option(help="A scenario for the sandbox other than the shipped one.", show_default=False)
    ] = None,
    output: Output = DEFAULT_OUTPUT,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Judge real blocks of the sandbox, unchanged and slowed by a known share. Exit code 1 when a figure is missed."""
    from velro_gate.cli.evaluate.evaluations import evaluate_end_to_end
    from velro_gate.evaluation.sandboxed.end_to_end import EndToEnd

    return evaluate_end_to_end(
        EndToEnd(
            bank=bank,
            output=output,
            cycles=cycles,
            jobs=jobs,
            duets=duets,
            seed=seed,
            warm_up=warm_up,
            seconds=block,
            scenario=scenario,
        ),
        format,
    )


@evaluate_app.command(epilog="Example: velro-gate evaluate jobs --folder jobs --count 10")
def jobs(
    folder: Annotated[Path, typer.Option(help="Folder of baselines and jobs; complete jobs are not measured again.")],
    count: Annotated[int, typer.Option(min=1, help="Jobs of each kind.")] = 10,
    screen: Annotated[float, typer.Option(min=5.0, help="Seconds measured in the screen.")] = 10.0,
    block: Annotated[float, typer.Option(min=1.0, help="Seconds measured in each block of the duet.")] = 3.0,
    warm_up: Annotated[float, typer.Option(min=0.2, help="Seconds dropped before that.")] = 1.0,
    slowdown: Annotated[
        float, typer.Option(min=0.01, help="Share by which the service's own time in one step grows; p95 grows by .64 of it.")
    ] = 0.16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the orders and of what disturbs the runner.")] = 1,
    scenario: Annotated[
        Path | None, typer.Option(help="A scenario for the sandbox other than the shipped one.", show_default=False)
    ] = None,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Gate the sandbox in whole jobs with its base build: unchanged on a disturbed runner, and one step 10 % slower."""
    from velro_gate.cli.evaluate.evaluations import evaluate_jobs
    from velro_gate.evaluation.sandboxed.whole_jobs import WholeJobs
    from velro_gate.gate.duet.blocks import BlockShape

    shape = BlockShape(warm_up=warm_up, seconds=block)
    wanted = WholeJobs(folder=folder, count=count, seed=seed, screen=screen, shape=shape, slowdown=slowdown, scenario=scenario)
    return evaluate_jobs(wanted, format)


@evaluate_app.command(epilog="Example: velro-gate evaluate capacity --count 10 --sandbox searches")
def capacity(
    count: Annotated[int, typer.Option(min=1, help="Searches on each service.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated services: equal seeds give equal figures.")] = 1,
    sandbox: Annotated[
        Path | None,
        typer.Option(
            help="Search on the embedded sandbox instead, in this folder; complete searches are kept and not made again."
        ),
    ] = None,
    max_minutes: Annotated[
        float, typer.Option(min=1.0, help="Time limit of one search on the sandbox; ten of the default take 40 minutes.")
    ] = 3.8,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Search for the capacity of services whose capacity is known. Exit code 1 when too few searches come within 5 %."""
    from velro_gate.cli.evaluate.evaluations import evaluate_capacity

    return evaluate_capacity(count, seed, sandbox, max_minutes, format)


@evaluate_app.command(epilog="Example: velro-gate evaluate bottlenecks --folder causes --only pool --count 2")
def bottlenecks(
    folder: Annotated[Path, typer.Option(help="Folder of the runs; complete ones are not made again.")],
    count: Annotated[int, typer.Option(min=0, help="Runs of each cause.")] = 10,
    clean: Annotated[int, typer.Option(min=0, help="Runs without a cause.")] = 20,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this cause, such as pool, stall, clean; may be repeated.")
    ] = None,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Inject known causes into the sandbox under load: how often each is reported first. Exit code 1: not often enough."""
    from velro_gate.cli.evaluate.evaluations import evaluate_bottlenecks
    from velro_gate.evaluation.sandboxed.causes import CauseRuns

    return evaluate_bottlenecks(CauseRuns(folder=folder, count=count, clean=clean, only=tuple(only or ())), format)


@evaluate_app.command(epilog="Example: velro-gate evaluate resilience --folder resilience --count 10")
def resilience(
    folder: Annotated[Path, typer.Option(help="Folder of the runs; complete ones are not made again.")],
    count: Annotated[int, typer.Option(min=1, help="Runs of each version of the sandbox, and of the faults.")] = 10,
    killed: Annotated[
        int, typer.Option(min=0, help="Runs that are killed to see whether everything is undone; 0: as many.")
    ] = 20,
    format: FiguresFormatted = FigureFormat.TEXT,
) -> int:
    """Break the dependencies of good and wrong versions of the sandbox: how often each is judged right, in the right sentence.

    Needs redis-server, and a PostgreSQL whose address is in DATABASE_URL.
    """
    from velro_gate.cli.evaluate.evaluations import evaluate_resilience
    from velro_gate.evaluation.sandboxed.resilience import ResilienceRuns

    return evaluate_resilience(ResilienceRuns(folder=folder, count=count, killed=killed), format)


_SHARE = "For example 3%."


@evaluate_app.command(epilog="Example: velro-gate evaluate backtest velro-results --margin 3%")
def backtest(
    records: Annotated[Path, typer.Argument(help="Folder with results folders, duets and baselines, at any depth.")],
    policy: Annotated[Path | None, typer.Option(help="Scenario file whose policy is used.", show_default=False)] = None,
    margin: Annotated[str | None, typer.Option(help=f"Smallest change worth acting on. {_SHARE}")] = None,
    unchanged_below: Annotated[str | None, typer.Option(help=f"What shows 'unchanged'. {_SHARE}")] = None,
    screen_alpha: Annotated[str | None, typer.Option(help=f"Level of the screen. {_SHARE}")] = None,
    confirm_alpha: Annotated[str | None, typer.Option(help=f"Level of the confirmation. {_SHARE}")] = None,
    max_baselines: Annotated[int | None, typer.Option(min=1, max=100, help="Number of baselines to compare with.")] = None,
    history: Annotated[int | None, typer.Option(min=1, max=1000, help="Number of runs that determine the noise.")] = None,
    format: Formatted = Format.TEXT,
) -> int:
    """Judge kept runs again under another policy, each compared with what was stored before it: which verdicts would change."""
    from velro_gate.cli.evaluate.backtest import run_backtest

    shares = {
        "margin": margin,
        "unchanged_below": unchanged_below,
        "screen_alpha": screen_alpha,
        "confirm_alpha": confirm_alpha,
    }
    return run_backtest(records, policy, shares, {"max_baselines": max_baselines, "history": history}, format)


@evaluate_app.command(epilog="Example: velro-gate evaluate curves --svg docs/evidence.svg")
def curves(
    svg: Annotated[Path, typer.Option(help="SVG file to write.")],
    count: Annotated[int, typer.Option(min=20, help="Jobs for each noise and change.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated jobs: equal seeds give equal pictures.")] = 1,
    format: Formatted = Format.TEXT,
) -> int:
    """Draw false alarms and power against noise, for the duet next to the naive rules."""
    from velro_gate.cli.evaluate.evaluations import draw_curves

    return draw_curves(svg, count, seed, format)
