"""The options that several commands share, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from velro_gate.model.scenario import SUSPICIOUS, BlockInconclusive


class Format(StrEnum):
    """What goes to standard output."""

    TEXT = "text"
    JSON = "json"


class HistoryFormat(StrEnum):
    """How the history of main is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


class TrendFormat(StrEnum):
    """How the trend of main is printed."""

    TEXT = "text"
    HTML = "html"
    CSV = "csv"


class FigureFormat(StrEnum):
    """How the figures of an evaluation are printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class Blocking(StrEnum):
    """Which inconclusive runs end with exit code 3."""

    SUSPICIOUS = SUSPICIOUS
    ALWAYS = "true"
    NEVER = "false"

    @property
    def meaning(self) -> BlockInconclusive:
        """As a policy has it."""
        return SUSPICIOUS if self is Blocking.SUSPICIOUS else self is Blocking.ALWAYS


LOAD = "What to run"
PLACE = "Where things are"
SHOWN = "What is printed"

ScenarioArgument = Annotated[
    Path | None, typer.Argument(help="Scenario file; default: velro-scenario.yaml in this folder.", show_default=False)
]
StoredScenario = Annotated[
    Path | None, typer.Argument(help="Scenario file: only its stored runs; default: all.", show_default=False)
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", "-p", help="Profile of the scenario: full, pr, quick, ... (default: pr).", rich_help_panel=LOAD),
]
QuickTest = Annotated[bool, typer.Option("--quick-test", help="Same as --profile quick.", rich_help_panel=LOAD)]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the plan and try it: health, each step, Redis, PostgreSQL.",
        rich_help_panel=LOAD,
    ),
]
Phases = Annotated[list[str] | None, typer.Option("--phase", help="Only this phase; may be repeated.", rich_help_panel=LOAD)]
Shards = Annotated[
    str,
    typer.Option(
        "--shards", help="Processes that send the load: a number, or auto for as many as the plan needs.", rich_help_panel=LOAD
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Send the load from a Dask cluster: its scheduler's address or scheduler.json, or local:N.",
        show_default=False,
        rich_help_panel=LOAD,
    ),
]
ClusterWorkers = Annotated[
    int | None,
    typer.Option(
        "--cluster-workers",
        help="How many workers send; default: all that are connected.",
        show_default=False,
        rich_help_panel=LOAD,
    ),
]
ClusterWait = Annotated[str, typer.Option("--cluster-wait", help="How long to wait for workers.", rich_help_panel=LOAD)]
ClusterListen = Annotated[
    str | None,
    typer.Option(
        "--cluster-listen",
        help="HOST:PORT of this machine that workers connect to. Default: a free port towards the scheduler.",
        show_default=False,
        rich_help_panel=LOAD,
    ),
]
ClusterRaw = Annotated[
    str | None,
    typer.Option(
        "--cluster-raw",
        help="Keep the samples of a phase up to this size; of a larger one workers send counts only. Default: 512 MiB.",
        show_default=False,
        rich_help_panel=LOAD,
    ),
]
DEFAULT_CLUSTER_WAIT = "1 min"
Url = Annotated[
    str | None,
    typer.Option("--url", help="URL of the service (default: VELRO_API_URL, then the scenario's).", rich_help_panel=PLACE),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.", rich_help_panel=PLACE)]
BaselineRoot = Annotated[
    Path,
    typer.Option(
        "--baselines",
        "-b",
        help="Folder of the stored baselines; the default is also found in the repository.",
        rich_help_panel=PLACE,
    ),
]
StartCommand = Annotated[
    str | None,
    typer.Option(
        "--start-command",
        help="Shell command that serves on port PORT, in the foreground; started for the run, behind its fault proxies.",
        show_default=False,
        rich_help_panel=PLACE,
    ),
]
Runner = Annotated[
    str | None,
    typer.Option(
        "--runner",
        help="Label of this pool of identical machines; only its runs are compared.",
        rich_help_panel=PLACE,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log every detail to the run's log file.", rich_help_panel=SHOWN)
]
Formatted = Annotated[Format, typer.Option("--format", "-f", help="text for people, json for scripts.", rich_help_panel=SHOWN)]
HistoryFormatted = Annotated[
    HistoryFormat,
    typer.Option(
        "--format",
        "-f",
        help="text for people, json for scripts, csv: every figure of every stored run, for pandas or a spreadsheet.",
        rich_help_panel=SHOWN,
    ),
]
FiguresFormatted = Annotated[
    FigureFormat,
    typer.Option("--format", "-f", help="text for people, json for scripts, markdown for pages.", rich_help_panel=SHOWN),
]
TemplateFolder = Annotated[
    Path | None,
    typer.Option(
        "--template-dir",
        help="Folder of templates that override the shipped ones, as a whole or block by block (docs/reports.md).",
        show_default=False,
        rich_help_panel=PLACE,
    ),
]
PushUrl = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="URL",
        help="Push the figures to this Prometheus Pushgateway; a token for it is read from VELRO_PUSH_TOKEN.",
        show_default=False,
        rich_help_panel=PLACE,
    ),
]
RemoteWriteUrl = Annotated[
    str | None,
    typer.Option(
        "--remote-write",
        metavar="URL",
        help="Write the figures to this Prometheus remote-write endpoint; a token is read from VELRO_REMOTE_WRITE_TOKEN.",
        show_default=False,
        rich_help_panel=PLACE,
    ),
]
SummaryFile = Annotated[
    Path | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Append the verdict and the executive summary to this file, as markdown.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
GitlabNote = Annotated[
    bool,
    typer.Option(
        "--gitlab-note",
        help="In a merge request pipeline of GitLab: write the verdict as a note. Token: VELRO_GITLAB_TOKEN.",
        rich_help_panel=SHOWN,
    ),
]
LivePort = Annotated[
    int | None,
    typer.Option(
        "--live",
        min=0,
        max=65535,
        metavar="[PORT]",
        help="Serve a page with charts of the running load, for this machine only; without a port, any free one.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]
NoCalibration = Annotated[
    bool,
    typer.Option("--no-calibration", help="Skip the null run that measures the generator alone first.", rich_help_panel=LOAD),
]
NoConfirm = Annotated[
    bool,
    typer.Option("--no-confirm", help="Do not re-measure suspicious phases: one unusual run can fail.", rich_help_panel=LOAD),
]
MaxMinutes = Annotated[
    float,
    typer.Option("--max-minutes", min=0.0, help="Time limit for re-measuring suspicious phases.", rich_help_panel=LOAD),
]
RequireBaseline = Annotated[
    bool,
    typer.Option("--require-baseline", help="Fail if there is no stored baseline to compare with.", rich_help_panel=SHOWN),
]
AllowInconclusive = Annotated[
    bool,
    typer.Option("--allow-inconclusive", help="Same as --block-inconclusive false.", rich_help_panel=SHOWN),
]
BlockInconclusiveOption = Annotated[
    Blocking | None,
    typer.Option(
        "--block-inconclusive",
        help="When an inconclusive verdict exits with 3: if something looks worse (suspicious), always (true), never "
        "(false). Default: as the scenario's policy says, else suspicious.",
        show_default=False,
        rich_help_panel=SHOWN,
    ),
]

AUTO = "auto"
Waivers = Annotated[
    Path,
    typer.Option("--waivers", help="File of accepted regressions (waivers), if any.", rich_help_panel=PLACE),
]

DEFAULT_MAX_MINUTES = 30.0
"""Of a whole command where nothing else is asked for."""
DEFAULT_WAIVERS = Path("velro-waivers.yaml")
DEFAULT_OUTPUT = Path("velro-results")
DEFAULT_BASELINES = Path("baselines")  # as store.baselines.DEFAULT_FOLDER
