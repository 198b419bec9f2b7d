"""Read the Prometheus text format, strictly, and of it only the families that are asked for. Pure.

Grammar: ``name{label="value",...} value [timestamp]``, a line each; lines that begin with ``#`` are comments. A label's value
escapes backslash, quote and line feed. An exemplar, as OpenMetrics allows after a counter, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\["\\n])*)"\s*')
_REST = re.compile(r"\s*([^\s_]+)(?:\s+-?\d+(?:\.\d+)?)?\s*(?:#.*)?")
_ESCAPE = re.compile(r'\\(["\\n])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of the text: a family's name, its labels, its value."""

    family: str
    labels: Mapping[str, str]
    value: float


def parse(text: str, families: Collection[str]) -> list[Sample]:
    """The samples of these families, in their order.

    Lines of other families are not looked into, so a large page costs little.

    Raises:
        ValueError: a line of a wanted family breaks the grammar; the message has its number.
    """
    found = []
    # Not splitlines: it knows more ends of a line than the format, and a label may hold them.
    for number, line in enumerate(text.split("\n"), start=1):
        name = _NAME.match(line)
        if name is not None and name[0] in families:
            found.append(_sample(line, name.end(), number))
    return found


def _sample(line: str, position: int, number: int) -> Sample:
    family = line[:position]
    labels: dict[str, str] = {}
    if line[position : position + 1] == "{":
        labels, position = _labels(line, position + 1, number)
    rest = _REST.fullmatch(line, position)
    try:
        if rest is None:
            raise ValueError
        value = float(rest[1])
    except ValueError:
        raise ValueError(f"line {number}: no number after {family}") from None
    return Sample(family=family, labels=labels, value=value)


def _labels(line: str, position: int, number: int) -> tuple[dict[str, str], int]:
    labels: dict[str, str] = {}
    while line[position : position + 1] != "}":
        label = _LABEL.match(line, position)
        if label is None or label[1] in labels:
            raise ValueError(f"line {number}: labels that cannot be read")
        labels[label[1]] = _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], label[2])
        position = label.end()
        if line[position : position + 1] == ",":
            position += 1
        elif line[position : position + 1] != "}":
            raise ValueError(f"line {number}: labels that cannot be read")
    return labels, position + 1
