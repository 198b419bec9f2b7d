"""Read the Prometheus text format, strictly, and of it only the families that are asked for. Pure.

Grammar: ``name{label="value",...} value [timestamp]``, a line each; lines that begin with ``#`` are comments. A label's value
escapes backslash, quote and line feed. An exemplar, as OpenMetrics allows after a counter, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_GOES_ON = re.compile(r"[a-zA-Z0-9_:]")
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
    # By looking for the names in the whole text, in C: a page may have thousands of lines, of which a few are wanted. Lines
    # end at a line feed only; a label may hold what other alphabets break lines by.
    places = sorted((place, len(family)) for family in families for place in _lines_of(text, family))
    found = []
    for place, length in places:
        end = text.find("\n", place)
        try:
            found.append(_sample(text[place : len(text) if end < 0 else end], length))
        except _FormatError as error:
            raise ValueError(f"line {text.count(chr(10), 0, place) + 1}: {error}") from None
    return found


class _FormatError(Exception):
    """What is wrong with a line."""


def _lines_of(text: str, family: str) -> Iterator[int]:
    """Where the lines of this family begin."""
    if not _NAME.fullmatch(family):
        return
    if text.startswith(family) and not _GOES_ON.match(text, len(family)):
        yield 0
    wanted = f"\n{family}"
    place = text.find(wanted)
    while place >= 0:
        if not _GOES_ON.match(text, place + len(wanted)):
            yield place + 1
        place = text.find(wanted, place + len(wanted))


def _sample(line: str, position: int) -> Sample:
    family = line[:position]
    labels: dict[str, str] = {}
    if line[position : position + 1] == "{":
        labels, position = _labels(line, position + 1)
    rest = _REST.fullmatch(line, position)
    try:
        if rest is None:
            raise ValueError
        value = float(rest[1])
    except ValueError:
        raise _FormatError(f"no number after {family}") from None
    return Sample(family=family, labels=labels, value=value)


def _labels(line: str, position: int) -> tuple[dict[str, str], int]:
    labels: dict[str, str] = {}
    while line[position : position + 1] != "}":
        label = _LABEL.match(line, position)
        if label is None or label[1] in labels:
            raise _FormatError("labels that cannot be read")
        labels[label[1]] = _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], label[2])
        position = label.end()
        if line[position : position + 1] == ",":
            position += 1
        elif line[position : position + 1] != "}":
            raise _FormatError("labels that cannot be read")
    return labels, position + 1
