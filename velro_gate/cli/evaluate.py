"""The ``evaluate`` commands: how often the decision itself is wrong, and how often right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.options import Format, Formatted

evaluate_app = typer.Typer(
    name="evaluate",
    help="Show how often the decision is wrong when nothing changed, and right when something did.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@evaluate_app.command(epilog="Example: velro-gate evaluate synthetic --only duet --count 2000")
def synthetic(
    count: Annotated[int, typer.Option(min=20, help="Jobs without a change in each experiment; 15 % as many with one.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made-up jobs: equal seeds give equal figures.")] = 1,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only these experiments: duet, stored; may be repeated.")
    ] = None,
    format: Formatted = Format.TEXT,
) -> int:
    """Judge made-up jobs whose truth is known: noise, outliers, drift, a given change. Exit code 1 when a figure is missed."""
    from velro_gate.cli.figures import print_figures
    from velro_gate.cli.output import people
    from velro_gate.gate.evaluation import synthetic_figures

    console = people()

    def say(line: str) -> None:
        console.print(line, markup=False)

    return print_figures(list(synthetic_figures(only or [], count=count, seed=seed, say=say)), format)


@evaluate_app.command(epilog="Example: velro-gate evaluate replay data")
def replay(
    folder: Annotated[Path, typer.Argument(help="Folder of real series: spl_jdom, hyper_bench, gha_bench, fastify, ...")],
    format: Formatted = Format.TEXT,
) -> int:
    """Replay the decision on real series in which nothing changed, or what changed is known. Exit code 1 when one is missed."""
    from velro_gate.cli.figures import print_figures
    from velro_gate.cli.output import people
    from velro_gate.gate.evaluation import replayed_figures

    console = people()

    def say(line: str) -> None:
        console.print(line, markup=False)

    return print_figures(list(replayed_figures(folder, say=say)), format)
