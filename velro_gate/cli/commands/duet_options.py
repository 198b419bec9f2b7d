"""The options of the duet command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.options import LOAD

BUILDS = "The two builds"

_COMMAND = "Shell command that serves it on port PORT, in the foreground; restarted for each block."

BaseUrl = Annotated[str | None, typer.Option("--base-url", help="URL of the running base build.", rich_help_panel=BUILDS)]
HeadUrl = Annotated[str | None, typer.Option("--head-url", help="URL of the running head build.", rich_help_panel=BUILDS)]
BaseCommand = Annotated[str | None, typer.Option("--base-command", help=_COMMAND, rich_help_panel=BUILDS)]
HeadCommand = Annotated[str | None, typer.Option("--head-command", help="The same for the head build.", rich_help_panel=BUILDS)]
BaseDirectory = Annotated[
    Path | None,
    typer.Option("--base-directory", help="Folder of the base command (default: this one).", rich_help_panel=BUILDS),
]
HeadDirectory = Annotated[
    Path | None,
    typer.Option("--head-directory", help="Folder of the head command (default: this one).", rich_help_panel=BUILDS),
]
ServiceUserName = Annotated[
    str | None,
    typer.Option(
        "--service-user",
        help="Run the commands as this user, in copies of their directories; needs root or passwordless sudo.",
        rich_help_panel=BUILDS,
    ),
]
HealthPath = Annotated[
    str | None,
    typer.Option("--health-path", help="Path requested until it succeeds (default: the scenario's).", rich_help_panel=BUILDS),
]
StartSeconds = Annotated[
    float,
    typer.Option("--start-seconds", min=1.0, help="Seconds within which its service must respond.", rich_help_panel=BUILDS),
]
Pairs = Annotated[
    int | None,
    typer.Option("--pairs", min=1, help="Number of pairs (default: 10, and up to 16 if necessary).", rich_help_panel=LOAD),
]
BlockSeconds = Annotated[
    float | None,
    typer.Option("--block", min=2.0, help="Seconds measured in each block (default: the pilot chooses).", rich_help_panel=LOAD),
]
WarmUp = Annotated[
    float | None,
    typer.Option("--warm-up", min=0.5, help="Seconds dropped before that (default: the pilot chooses).", rich_help_panel=LOAD),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Seed of the order within each pair (default: a new one).", rich_help_panel=LOAD),
]
NoPilot = Annotated[
    bool, typer.Option("--no-pilot", help="No pilot: blocks of 60 s after a warm-up of 10 s by default.", rich_help_panel=LOAD)
]
DuetMinutes = Annotated[
    float, typer.Option("--max-minutes", min=0.1, help="Time limit for the whole duet.", rich_help_panel=LOAD)
]
