"""Commands that bring velro-gate into a repository and look whether it is right there: init and doctor."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from velro_gate.cli.options import (
    AUTO,
    DEFAULT_CLUSTER_WAIT,
    ClusterListen,
    ClusterOption,
    ClusterWait,
    ClusterWorkers,
    Format,
    Formatted,
)

if TYPE_CHECKING:
    from velro_gate.gate.onboarding.init import SetUp

FAULTS = 1
"""The exit code of a doctor that has found faults."""

RepositoryArgument = Annotated[Path, typer.Argument(help="The repository.", exists=True, file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add both commands to the application."""
    app.command(
        epilog="Example: velro-gate init --start-command 'docker compose up --detach --wait' --url http://127.0.0.1:8000"
    )(init)
    app.command(epilog="Example: velro-gate doctor --users 10000")(doctor)


def init(
    root: RepositoryArgument = Path(),
    action: Annotated[str | None, typer.Option(help="owner/repository@commit of velro-gate.")] = None,
    main: Annotated[str | None, typer.Option(help="Branch whose commits become baselines.")] = None,
    runner_labels: Annotated[str | None, typer.Option(help="Labels of the runner that measures.")] = None,
    start_command: Annotated[str | None, typer.Option(help="Starts the service and returns once it is up.")] = None,
    duet: Annotated[
        bool,
        typer.Option("--duet", help="Measure pull requests side by side with their base; --start-command serves on port PORT."),
    ] = False,
    build_command: Annotated[str | None, typer.Option(help="With --duet: builds the service in its folder.")] = None,
    service_url: Annotated[str | None, typer.Option("--url", help="URL of the service.")] = None,
    health: Annotated[str | None, typer.Option("--health", help="Path that answers 200 when the service is up.")] = None,
    scenario: Annotated[str | None, typer.Option(help="Scenario file; written if it does not exist.")] = None,
    resilience: Annotated[
        str | None, typer.Option(help="Scenario with experiments that runs each night, as PATH or PATH:PROFILE.")
    ] = None,
    bearer: Annotated[str | None, typer.Option(help="Secret that holds the service's bearer token.")] = None,
    store: Annotated[str | None, typer.Option(help="branch, push, pull-request, artifact or none.")] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME=EXPRESSION: an environment variable of the gate, from the secret of that name."),
    ] = None,
    cluster_workers: Annotated[
        int,
        # By --cluster other commands name the scheduler; here it is the older spelling.
        typer.Option("--cluster-workers", "--cluster", min=0, help="Also a workflow of a cluster with this many workers."),
    ] = 0,
    cluster_head: Annotated[
        str, typer.Option("--cluster-head", help="With --cluster-workers: the name by which workers reach the head's runner.")
    ] = "",
    no_questions: Annotated[
        bool, typer.Option("--no-questions", help="Ask nothing: use the options, and defaults for the rest.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Overwrite files that differ, without asking.")] = False,
) -> int:
    """Write scenario, workflows, waivers and .gitignore into a repository; files that differ stay unless --overwrite."""
    from velro_gate.errors import UsageError
    from velro_gate.gate.onboarding.init import set_up

    if not no_questions and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask questions in", hint="Add --no-questions, and options for what is not the default."
        )
    asked = {
        "action": action,
        "main": main,
        "labels": runner_labels,
        "start": start_command,
        "build": build_command,
        "url": service_url,
        "health": health,
        "scenario": scenario,
        "resilience": resilience,
        "bearer": bearer,
        "store": store,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if duet:
        # Nothing else has an address.
        given = {"url": "", **given}
    _print_set_up(
        set_up(
            root,
            given,
            _variables(variable or ()),
            None if no_questions else _ask,
            may_overwrite=lambda path: _may_overwrite(path, no_questions, overwrite),
            duet=duet,
            cluster=(cluster_workers, cluster_head),
        )
    )
    return 0


def _print_set_up(made: SetUp) -> None:
    """What became of each file, and what to do next."""
    from velro_gate.cli.output import put

    choices = made.choices
    for each in made.written:
        put(f"{each.outcome:<12} {each.path}")
    put(
        "\nNext:\n"
        f"  1. Describe your requests in {choices.scenario}, then: velro-gate run --dry-run {choices.scenario}\n"
        f"  2. Register a runner with the labels {', '.join(choices.labels)}, and on it: velro-gate doctor\n"
        "     (several such machines are compared with one another by their runner-label: they have to be alike)\n"
        f"  3. Require the status {choices.status} in the protection of {choices.main}\n"
        "docs/github.md of velro-gate explains each step."
    )


def _ask(question: str, default: str | None) -> str:
    return str(typer.prompt(question, default=default, err=True))


def _may_overwrite(path: str, no_questions: bool, overwrite: bool) -> bool:
    if overwrite or no_questions:
        return overwrite
    return typer.confirm(f"{path} is there and differs. Overwrite it?", default=False, err=True)


def _variables(named: Sequence[str]) -> dict[str, str]:
    pairs = (text.partition("=") for text in named)
    return {name: expression or f"secrets.{name}" for name, _, expression in pairs}


def doctor(
    root: RepositoryArgument = Path(),
    users: Annotated[int, typer.Option(min=1, help="Users of your largest phase.")] = 10_000,
    no_machine: Annotated[bool, typer.Option("--no-machine", help="Check the workflows only.")] = False,
    cluster: ClusterOption = None,
    cluster_workers: ClusterWorkers = None,
    cluster_wait: ClusterWait = DEFAULT_CLUSTER_WAIT,
    cluster_listen: ClusterListen = None,
    format: Formatted = Format.TEXT,
) -> int:
    """Find mistakes in a repository's workflows, and what makes this machine measure badly. Exit code 1: there is a fault.

    With --cluster, its workers are examined as well.
    """
    from velro_gate.adoption import Severity
    from velro_gate.cli.asked import clustered
    from velro_gate.cli.output import people, put
    from velro_gate.cluster.connect import connected
    from velro_gate.gate.onboarding.cluster_doctor import check_sentence
    from velro_gate.gate.onboarding.examination import examine

    sends = clustered(cluster, cluster_workers, cluster_wait, cluster_listen, AUTO)
    workers = None if sends is None else connected(sends, lambda line: people().print(line, markup=False))
    examined = examine(root, users, machine=not no_machine, cluster=workers)
    found = examined.findings
    faults = sum(finding.severity is Severity.FAULT for finding in found)
    if format is Format.JSON:
        put(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    else:
        for check in examined.workers:
            put(check_sentence(check))
        for finding in found:
            put("\n".join(finding.lines()) + "\n")
        put(f"Faults: {faults}. Advice: {len(found) - faults}." if found else "Nothing to fix.")
    return FAULTS if faults else 0
