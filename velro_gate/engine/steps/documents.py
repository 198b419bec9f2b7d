"""What stands in a JSON body. Also run as a file: as the process that reads the long ones, see ``document_reader``.

It imports the standard library only, so that the process is there at once. That reads from standard input, again and again:
the lengths of a list of paths and of a body (8 bytes each), the list as JSON, and the body. It answers with a length and JSON:
``null`` where the body is no JSON, else for each path ``[]`` where nothing is there, ``[value]``, or the number of characters
of a value that is too long to be handed on.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

JsonPath = tuple[str | int, ...]

LENGTHS = struct.Struct(">QQ")
LENGTH = struct.Struct(">Q")
MOST_VALUE = 512 * 2**10
"""Characters of a value's JSON, up to six for one of the value's own; no check and no capture takes as many."""

ABSENT = object()
"""Stands for nothing being there, which ``null`` is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongValue:
    """A value that was too long to be handed on."""

    characters: int


def value_at(document: object, path: Sequence[str | int]) -> object:
    """The value at a path, or ABSENT."""
    for part in path:
        if isinstance(part, str):
            if not isinstance(document, dict) or part not in document:
                return ABSENT
            document = document[part]
        elif isinstance(document, list) and part < len(document):
            document = document[part]
        else:
            return ABSENT
    return document


def values_at(body: bytes, paths: Sequence[Sequence[str | int]]) -> list[object] | None:
    """The values at these paths, ABSENT where the body has no such path; None where the body is not JSON."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return [value_at(document, path) for path in paths]


def packed(values: Sequence[object] | None) -> bytes:
    """The answer of the process."""
    text = "null" if values is None else f"[{', '.join(map(_packed, values))}]"
    # As json.loads reads it: half a character comes through.
    return text.encode("utf-8", "surrogatepass")


def _packed(value: object) -> str:
    if value is ABSENT:
        return "[]"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        # It could just be read.
        return str(MOST_VALUE + 1)
    return f"[{text}]" if len(text) <= MOST_VALUE else str(len(text))


def unpacked_values(answer: bytes) -> list[object] | None:
    """The values of an answer of the process."""
    found = json.loads(answer)
    return None if found is None else [_unpacked(item) for item in found]


def _unpacked(item: object) -> object:
    if isinstance(item, list):
        return item[0] if item else ABSENT
    assert isinstance(item, int)
    return LongValue(characters=item)


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until the other end hangs up."""
    while len(head := source.read(LENGTHS.size)) == LENGTHS.size:
        order, length = LENGTHS.unpack(head)
        paths = json.loads(source.read(order))
        answer = packed(values_at(source.read(length), paths))
        sink.write(LENGTH.pack(len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
