"""Commands that print what is there already: the report of a kept run, and the schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from velro_gate.cli.options import DEFAULT_OUTPUT, GitlabNote, Output, PushUrl, RemoteWriteUrl
from velro_gate.cli.output import put
from velro_gate.errors import UsageError
from velro_gate.report.formats.registry import FORMATS, known_format

As = Annotated[str, typer.Option("--as", help=f"One of: {', '.join(FORMATS)}.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: velro-gate report --formats json,html,csv,junit,openmetrics --into reports")(report)


def report(
    record: Annotated[
        Path | None, typer.Argument(help="Folder of a run, or its record.json; default: the newest run.", show_default=False)
    ] = None,
    others: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="[FORMAT]...")] = None,
    as_: As = "text",
    formats: Annotated[
        str | None,
        typer.Option("--formats", help="Several, separated by commas or blanks; default with --into: all.", show_default=False),
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", help="Write files into this folder instead of printing.", show_default=False)
    ] = None,
    dated: Annotated[
        bool, typer.Option("--dated", help="With --into: file names with the time of the run; record and log too.")
    ] = False,
    push: PushUrl = None,
    remote_write: RemoteWriteUrl = None,
    gitlab_note: GitlabNote = False,
    output: Output = DEFAULT_OUTPUT,
) -> int:
    """Print the report of a kept run with its verdict, or write several. 'judge' judges it again with today's baselines."""
    from velro_gate.gate.local.reports import newest_run

    record, formats = separated(record, formats, others or [])
    run = newest_run(output) if record is None else record
    publishes = push is not None or remote_write is not None or gitlab_note
    if into is None and formats is None and not dated and not publishes:
        return print_given(run, as_)
    # The files first: whatever becomes of the rest, they are there.
    if into is not None or not publishes:
        write_formats(run, formats, into, dated=dated)
    return publish_report(run, push, remote_write, gitlab_note=gitlab_note) if publishes else 0


def separated(record: Path | None, formats: str | None, others: Sequence[str]) -> tuple[Path | None, str | None]:
    """The run and the formats of ``[RUN] --formats json html csv``, of which only the first is read as the option's.

    Raises:
        UsageError: there are further words without formats.
    """
    if formats is not None and record is not None and str(record) in FORMATS and not record.exists():
        return None, " ".join((formats, str(record), *others))
    if formats is not None:
        return record, " ".join((formats, *others))
    if others:
        raise UsageError(
            f"there is one run to report, and not {' '.join(others)!r} as well", hint="Name formats with --formats."
        )
    return record, None


def print_given(folder: Path, wanted: str) -> int:
    """The verdict that was given to a kept run, in one format."""
    from velro_gate.gate.judge.given import given_report

    put(given_report(folder, known_format(wanted).file).removesuffix("\n"))
    return 0


def write_formats(run: Path, listed: str | None, into: Path | None, *, dated: bool) -> int:
    """Write reports of a kept run into a folder, and say which.

    Raises:
        UsageError: a format does not exist, or no folder is named.
    """
    from velro_gate.gate.local.reports import wanted_formats, write_given

    if into is None:
        raise UsageError("no folder for the reports is named", hint="Add --into FOLDER, or print one report with --as.")
    for path in write_given(run, wanted_formats(listed), into, dated=dated):
        put(str(path))
    return 0


def publish_report(run: Path, push: str | None, remote: str | None, *, gitlab_note: bool) -> int:
    """Push the figures of a kept run, and write its verdict as a note on the merge request of this job; say what became of it.

    Raises:
        RecordError: there is no such run, or it was not judged. PublishError: it was refused, or nobody answered.
    """
    from velro_gate.cli.commands.afterwards import note_on_merge_request
    from velro_gate.gate.judge.push import kept_figures, push_targets
    from velro_gate.hardening import withheld

    targets, figures = push_targets(push, remote, withheld()), kept_figures(run)
    if gitlab_note:
        put(note_on_merge_request(run))
    for target in targets:
        put(f"pushed to {target.push(figures)}")
    return 0


def print_schema(of: str) -> int:
    """A JSON Schema on standard output.

    Raises:
        UsageError: there is no such schema.
    """
    put(json.dumps(_schema(of), indent=2, ensure_ascii=False))
    return 0


def _schema(of: str) -> dict[str, object]:
    if of == "scenario":
        from velro_gate.scenario.syntax.schema import json_schema

        return json_schema()
    if of == "verdict":
        from velro_gate.report.formats.schema import verdict_schema

        return verdict_schema()
    if of == "record":
        from velro_gate.store.codec import record_schema

        return record_schema()
    if of == "summary":
        from velro_gate.report.formats.executive import executive_schema

        return executive_schema()
    raise UsageError(f"there is no schema of {of!r}", hint="Choose one of: scenario, verdict, record, summary.")
