"""What a command does once it has a verdict: summary, note, push. Checked before the load; no failure changes the code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from velro_gate.errors import PublishError, UsageError

if TYPE_CHECKING:
    from velro_gate.model.record import RunRecord
    from velro_gate.model.verdict import Verdict

Afterwards = Callable[["RunRecord", "Verdict | None"], None]
"""Gets the record and its verdict; None: nobody has judged it."""


def nothing(record: RunRecord, verdict: Verdict | None) -> None:
    """Nothing is done afterwards."""


def afterwards(
    push: str | None = None, remote: str | None = None, *, summary: Path | None = None, gitlab_note: bool = False
) -> Afterwards:
    """What is done with a run once it is judged; what became of it is said on standard error.

    push, remote: addresses that get its figures. summary: a file that the verdict is appended to as markdown. gitlab_note:
    whether the merge request of this job gets a note.

    Raises:
        UsageError: an address, a token or a file cannot be one, or there is no merge request.
    """
    if push is None and remote is None and summary is None and not gitlab_note:
        return nothing
    from velro_gate.cli.output import people
    from velro_gate.gate.judge.push import figures_to_push, push_all, push_targets
    from velro_gate.gate.local.gitlab_note import merge_request_of
    from velro_gate.hardening import withheld

    targets = push_targets(push, remote, withheld())
    request = merge_request_of(os.environ, withheld()) if gitlab_note else None
    if summary is not None:
        require_file(summary)

    def say(text: str) -> None:
        """A line on standard error."""
        people().print(text, markup=False, soft_wrap=True)

    def attempt(act: Callable[[], str]) -> None:
        """Publish something; a failure is reported and changes nothing else."""
        try:
            say(act())
        except PublishError as error:
            for line in error.lines("not published"):
                say(line)

    def done(record: RunRecord, verdict: Verdict | None) -> None:
        """Publish what was asked for. verdict: None where nothing was judged."""
        if verdict is not None:
            if summary is not None:
                attempt(lambda: append_summary(summary, summary_of(record, verdict)))
            if request is not None:
                attempt(lambda: request.upsert(comment_of(record, verdict)))
        push_all(figures_to_push(record, verdict), targets, say)

    return done


def require_file(path: Path) -> None:
    """Refuse a place that no file can be written to.

    Raises:
        UsageError: it is a folder, or lies in none.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        why = "it is a folder" if path.is_dir() else "there is no such folder"
        raise UsageError("the summary cannot be written there", where=str(path), why=why, hint="Name a file: --summary FILE.")


def comment_of(record: RunRecord, verdict: Verdict) -> str:
    """The comment, which begins with its marker, with a link to this job."""
    from velro_gate.report.formats.comment import markdown

    links = {label: url for label, name in (("Job", "CI_JOB_URL"),) if (url := os.environ.get(name, ""))}
    return markdown(record, verdict, links=links)


def summary_of(record: RunRecord, verdict: Verdict) -> str:
    """The comment without its marker, and the executive summary."""
    from velro_gate.report.formats.executive import executive_markdown

    return f"{comment_of(record, verdict).partition(chr(10))[2]}\n{executive_markdown(record, verdict)}"


def append_summary(path: Path, text: str) -> str:
    """Append a text to a file; what was done.

    Raises:
        PublishError: it cannot be written.
    """
    from velro_gate.secrecy import outgoing

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(outgoing(text))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise PublishError(
            "the summary was not written", where=str(path), why=why, hint="The verdict is not affected."
        ) from error
    return f"summary: appended to {path}"


def note_on_merge_request(run: Path) -> str:
    """Write the verdict that was given to a kept run as a note on the merge request of this job; what became of it.

    Raises:
        VelroError: there is no such run, no merge request, or GitLab did not accept the note.
    """
    from velro_gate.gate.judge.given import given_report
    from velro_gate.gate.local.gitlab_note import merge_request_of
    from velro_gate.hardening import withheld

    return merge_request_of(os.environ, withheld()).upsert(given_report(run, "verdict.md"))
