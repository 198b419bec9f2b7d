"""Workflow commands: lines that the runner obeys. Pure; whoever prints them decides where.

The runner looks for commands in everything that a job prints, on standard error as well. So text from outside is made harmless
before it is printed, and values inside a command are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

MOST_ANNOTATIONS = 10
"""GitHub shows this many of each kind for a step, and a composite action is one step."""

# The runner trims a line before it looks for this sign. The older one, ##[, it obeys anywhere in a line.
_BEFORE_COMMAND = re.compile(r"(\A|[\r\n])(?=[^\S\r\n]*::)")


class Weight(Enum):
    """How an annotation is shown."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One line on the page of a run."""

    weight: Weight
    title: str
    message: str
    file: str = ""
    """The file of the repository where it belongs, if any."""
    line: int | None = None
    """The line in that file."""


def annotation(wanted: Annotation) -> str:
    """The command that makes an annotation."""
    where = {"file": wanted.file, "line": "" if wanted.line is None else str(wanted.line), "title": wanted.title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in where.items() if value)
    return f"::{wanted.weight.value}{f' {properties}' if properties else ''}::{_data(wanted.message)}"


def annotation_lines(wanted: Iterable[Annotation]) -> list[str]:
    """The first ten of each weight: GitHub drops the others without a word."""
    left = dict.fromkeys(Weight, MOST_ANNOTATIONS)
    lines = []
    for one in wanted:
        if left[one.weight]:
            left[one.weight] -= 1
            lines.append(annotation(one))
    return lines


def harmless(text: str) -> str:
    """Text for the log of which no line is obeyed, whoever wrote it."""
    return _BEFORE_COMMAND.sub(r"\1| ", text).replace("##[", "## [")


def output_line(name: str, value: str, delimiter: str) -> str:
    """An output as GITHUB_OUTPUT wants it, of one line or many. delimiter: random, not in the value.

    Raises:
        ValueError: the value holds the delimiter, and could set outputs of its own.
    """
    if not delimiter or delimiter in value or delimiter in name:
        raise ValueError("the delimiter must not stand in the output")
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
