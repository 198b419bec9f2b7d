"""Writes files into a repository, and overwrites one that somebody has changed only on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from velro_gate.errors import OutputError

IGNORED = ("velro-results/", "velro-gate-crash-*.txt")
"""What runs leave in the folder they are started in."""


class WriteOutcome(StrEnum):
    """What became of one file."""

    WRITTEN = "written"
    OVERWRITTEN = "overwritten"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class Written:
    """One file and what became of it."""

    path: str
    """Its path inside the repository."""
    outcome: WriteOutcome


def write_files(root: Path, files: Mapping[str, str], overwrite: Callable[[str], bool]) -> list[Written]:
    """Write each file below ``root``; ``overwrite`` is asked for each that is there with another content.

    All is read and asked before anything is written, so that an answer by Ctrl-C leaves the repository as it was.

    Raises:
        OutputError: a file cannot be read or written; the message names it.
    """
    outcomes = [Written(path, _outcome(root / path, text, path, overwrite)) for path, text in files.items()]
    for each in outcomes:
        if each.outcome in (WriteOutcome.WRITTEN, WriteOutcome.OVERWRITTEN):
            _write(root / each.path, files[each.path])
    return outcomes


def ignore_results(root: Path) -> Written:
    """Have git ignore what runs leave behind. Lines are added to a .gitignore that is there; none of it is changed.

    Raises:
        OutputError: it cannot be read or written.
    """
    file = root / ".gitignore"
    try:
        # A file of any encoding is read and left as it is; only lines are compared.
        present = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
        missing = [line for line in IGNORED if line not in present.splitlines()]
        if missing:
            gap = "" if not present or present.endswith("\n") else "\n"
            with file.open("a", encoding="utf-8") as end:
                end.write(gap + "".join(f"{line}\n" for line in missing))
    except OSError as error:
        raise OutputError("a file cannot be written", where=str(file), why=error.strerror) from error
    return Written(
        ".gitignore", (WriteOutcome.EXTENDED if present else WriteOutcome.WRITTEN) if missing else WriteOutcome.UNCHANGED
    )


def _outcome(file: Path, text: str, path: str, overwrite: Callable[[str], bool]) -> WriteOutcome:
    try:
        present = file.read_bytes()
    except FileNotFoundError:
        return WriteOutcome.WRITTEN
    except OSError as error:
        raise OutputError("a file cannot be read", where=str(file), why=error.strerror) from error
    if present == text.encode():
        return WriteOutcome.UNCHANGED
    return WriteOutcome.OVERWRITTEN if overwrite(path) else WriteOutcome.KEPT


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError("a file cannot be written", where=str(file), why=error.strerror) from error
