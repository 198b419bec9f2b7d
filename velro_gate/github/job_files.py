"""The files through which a step speaks to its job: the summary that people see, and the outputs that later steps use.

They lie in a folder that everything the job's user starts can list. So what stood in them when this step began is remembered,
and what it wrote itself; at its end nothing else is left in them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from velro_gate.errors import PublishError
from velro_gate.github.channels.commands import output_line
from velro_gate.secrecy import outgoing

SUMMARY_LIMIT = 1_000_000
"""Bytes; GitHub drops a step's whole summary beyond 1 MiB."""

_ours: dict[Path, bytes] = {}


def _random() -> str:
    return f"velro-{secrets.token_hex(16)}"


def append_summary(path: Path, markdown: str) -> None:
    """Add to the job's summary. A text that GitHub would drop as a whole is cut at a line.

    Raises:
        PublishError: the file cannot be written.
    """
    encoded = markdown.encode("utf-8", "replace")
    if len(encoded) > SUMMARY_LIMIT:
        markdown = encoded[:SUMMARY_LIMIT].decode("utf-8", "ignore").rpartition("\n")[0] + "\n"
    _append(path, markdown if markdown.endswith("\n") else f"{markdown}\n")


def append_outputs(path: Path, outputs: Mapping[str, str], delimiter: Callable[[], str] = _random) -> None:
    """Set the step's outputs.

    Raises:
        PublishError: the file cannot be written.
    """
    _append(path, "".join(output_line(name, value, delimiter()) for name, value in outputs.items()))


@contextlib.contextmanager
def guarded(files: Iterable[Path], say: Callable[[str], None]) -> Iterator[None]:
    """At the end of the ``with`` block the files hold what they held at its beginning, and what this process has added.

    say: called with each file that somebody else has changed.
    """
    before = {path: found for path in files if (found := _content(path)) is not None}
    since = dict(_ours)
    try:
        yield
    finally:
        for path, content in before.items():
            wanted = content + _ours.get(path, b"").removeprefix(since.get(path, b""))
            if _content(path) != wanted:
                _restore(path, wanted, say)


def _content(path: Path) -> bytes | None:
    """None where there is no such file; a link to another file does not count."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        return path.read_bytes()
    except OSError:
        return None


def _restore(path: Path, content: bytes, say: Callable[[str], None]) -> None:
    what = f"warning: what this step has started has changed the runner's file {path.name}, which steers later steps"
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except OSError as error:
        say(f"{what}; it could not be put right: {error.strerror}")
        return
    say(f"{what}; this was undone")


def _append(path: Path, text: str) -> None:
    try:
        encoded = outgoing(text).encode("utf-8")
        with path.open("ab") as file:
            file.write(encoded)
        _ours[path] = _ours.get(path, b"") + encoded
    except OSError as error:
        raise PublishError(
            f"{path.name} cannot be written",
            where=str(path),
            why=error.strerror,
            hint="The runner provides this file: look there.",
        ) from error
