"""The files through which a step speaks to its job: the summary that people see, and the outputs that later steps use."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from velro_gate.errors import PublishError
from velro_gate.github.commands import output_line

SUMMARY_LIMIT = 1_000_000
"""Bytes; GitHub drops a step's whole summary beyond 1 MiB."""


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


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise PublishError(
            f"{path.name} cannot be written",
            where=str(path),
            why=error.strerror,
            hint="The runner provides this file: look there.",
        ) from error
