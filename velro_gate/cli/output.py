"""The way out: results to standard output, talk to standard error, and what happens when nobody can be reached there.

An exit code must be the verdict's and never that of a pipe, so losing a reader loses text and nothing else.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, TextIO, cast

from velro_gate.errors import StorageError
from velro_gate.github.channels.commands import harmless
from velro_gate.secrecy import outgoing, outgoing_json

if TYPE_CHECKING:
    # Imported where it draws, since texts are printed without it.
    from rich.console import Console, RenderableType
    from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 10_000
"""Columns: readers of a pipe or a file fold lines themselves, or search them."""
WIDTH_OF_RULES = 80
"""Columns of a line that is drawn across where there is no terminal: without a bound it would be as wide as the text may be."""


def put(text: str) -> None:
    """Write a text and a line break to standard output, at once.

    A closed output and a reader that has gone (head, less) are theirs to want: then the text is dropped.

    Raises:
        StorageError: the output is a file and the disk is full or fails.
    """
    # Absent when the caller closed it.
    out: TextIO | None = sys.stdout
    if out is None:
        return
    try:
        out.write(f"{_without_secrets(text)}\n")
        # At once: a later error would otherwise appear above what was written before it, and a full disk only at exit.
        out.flush()
    except BrokenPipeError:
        _let_go(out)
    except OSError as error:
        _let_go(out)
        raise StorageError(
            "the output cannot be written",
            where="standard output",
            why=error.strerror or str(error),
            hint="Free some space, or send the output elsewhere; files written before are complete.",
        ) from error


def _without_secrets(text: str) -> str:
    return outgoing_json(text) if text.startswith(("{", "[")) else outgoing(text)


def show(*parts: RenderableType) -> None:
    """Print renderables to standard output: as wide as the terminal, and where there is none no line is folded."""
    from rich.console import Console
    from rich.rule import Rule

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    kept = _Kept()
    width = None if on_terminal else WIDTH_WITHOUT_TERMINAL
    console = Console(file=kept, force_terminal=on_terminal, width=width, highlight=False)
    for part in parts:
        console.print(part, markup=False, width=WIDTH_OF_RULES if isinstance(part, Rule) and not on_terminal else None)
    text = kept.getvalue().removesuffix("\n")
    put(text if on_terminal else "\n".join(line.rstrip() for line in text.split("\n")))


def figures_table(*heads: str, left: Sequence[str], title: str | None = None) -> Table:
    """A table that fits a terminal of 80 columns: without a frame. left: heads of columns of text."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for head in heads:
        table.add_column(head, justify="left" if head in left else "right", overflow="fold")
    return table


class _Kept(io.StringIO):
    """Text on its way to standard output, drawn with the signs that its encoding has."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of standard output."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"


def people() -> Console:
    """Where people read while a command works: standard error, so that standard output stays for results."""
    from rich.console import Console

    way = talk()
    return Console(file=cast("IO[str]", way), highlight=False, width=None if way.isatty() else WIDTH_WITHOUT_TERMINAL)


def talk() -> Lasting:
    """Standard error. In a job on GitHub no line of it is obeyed as a command: services, builds and forks have written in it.

    The filter sits below everything that wraps lines, since a line that is wrapped may begin again with a command.
    """
    return Lasting(sys.stderr, harmless if os.environ.get("GITHUB_ACTIONS") == "true" else None)


class Lasting(io.TextIOBase):
    """Standard error that falls silent when its reader has gone: an hour of load must not end for want of a listener.

    made: what is done to a text before it is written; None: nothing.
    """

    def __init__(self, stream: TextIO | None, made: Callable[[str], str] | None = None) -> None:
        self._stream = stream
        self._made = made

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream below."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a terminal is still there."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream below."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, or drop the text when nobody is there any more."""
        try:
            if self._stream is not None:
                self._stream.write(outgoing(text if self._made is None else self._made(text)))
        except OSError:
            self._silence()
        return len(text)

    def flush(self) -> None:
        """Flush, if anybody is there."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            _let_go(stream)


def speak_utf8() -> None:
    """Make standard output able to write every character.

    Files and pipes get UTF-8 whatever the locale says: reports and JSON are defined so. A terminal of another encoding gets
    question marks for what it cannot show.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _let_go(stream: TextIO) -> None:
    """Point a broken stream at nothing, so that Python does not complain of it once more at exit."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        # At the level of the descriptor: Python flushes the stream once more when it exits.
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        # A stream without a descriptor (in a test) has nothing to complain of either.
        return
