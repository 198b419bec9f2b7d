"""The options of the duet command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.options import LOAD

BUILDS = "The two builds"

_COMMAND = "Line for the shell that serves it on port PORT, in the foreground; started afresh for each block."

BaseUrl = Annotated[str | None, typer.Option("--base-url", help="Where the base build runs.", rich_help_panel=BUILDS)]
HeadUrl = Annotated[str | None, typer.Option("--head-url", help="Where the head build runs.", rich_help_panel=BUILDS)]
BaseCommand = Annotated[str | None, typer.Option("--base-command", help=_COMMAND, rich_help_panel=BUILDS)]
HeadCommand = Annotated[str | None, typer.Option("--head-command", help="The same of the head build.", rich_help_panel=BUILDS)]
BaseDirectory = Annotated[
    Path | None, typer.Option("--base-directory", help="Where the base command runs (default: here).", rich_help_panel=BUILDS)
]
HeadDirectory = Annotated[
    Path | None, typer.Option("--head-directory", help="Where the head command runs (default: here).", rich_help_panel=BUILDS)
]
ServiceUserName = Annotated[
    str | None,
    typer.Option(
        "--service-user",
        help="Commands run as this user, in copies of their directories; for root, or where sudo needs no password.",
        rich_help_panel=BUILDS,
    ),
]
HealthPath = Annotated[
    str | None,
    typer.Option("--health-path", help="Asked until it answers well (default: the scenario's).", rich_help_panel=BUILDS),
]
StartSeconds = Annotated[
    float, typer.Option("--start-seconds", min=1.0, help="How long a command may take to answer.", rich_help_panel=BUILDS)
]
Pairs = Annotated[
    int | None,
    typer.Option("--pairs", min=1, help="Exactly so many pairs (default: 10, and up to 16 if need be).", rich_help_panel=LOAD),
]
BlockSeconds = Annotated[
    float | None,
    typer.Option("--block", min=2.0, help="Seconds measured in each block (default: the pilot chooses).", rich_help_panel=LOAD),
]
WarmUp = Annotated[
    float | None,
    typer.Option("--warm-up", min=0.5, help="Seconds dropped before (default: the pilot chooses).", rich_help_panel=LOAD),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Of the order in each pair (default: a new one).", rich_help_panel=LOAD),
]
NoPilot = Annotated[
    bool, typer.Option("--no-pilot", help="No pilot: blocks of 60 s after 10 s unless said otherwise.", rich_help_panel=LOAD)
]
DuetMinutes = Annotated[
    float, typer.Option("--max-minutes", min=0.1, help="The whole duet takes no longer.", rich_help_panel=LOAD)
]
