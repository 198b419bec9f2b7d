"""Small files that the kernel writes at each reading, kept open.

On a virtual machine code and data that have lain still for a second cost many times as much as at once again. So a reading
takes as few calls as it can: one for each file, none to look its path up.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PIECE = 1 << 16
"""Bytes that are asked for at a time."""
_WHOLE = 2048
"""Bytes. The kernel writes a table a page at a time and breaks it between lines, so a shorter piece is the end."""


class KernelFile:
    """One file, opened when it is first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> bytes:
        """What it says now; nothing where it cannot be read."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            found = piece = os.pread(self._descriptor, _PIECE, 0)
            while len(piece) >= _WHOLE:
                piece = os.pread(self._descriptor, _PIECE, len(found))
                found += piece
        except OSError:
            self.close()
            return b""
        return found

    def close(self) -> None:
        """Close it; the next reading opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        """Close it where nobody has."""
        self.close()


def number_after(text: bytes, word: bytes) -> float | None:
    """The first number behind a word and blanks; None where either is missing."""
    place = text.find(word)
    if place < 0:
        return None
    words = text[place + len(word) : place + len(word) + 40].split(None, 1)
    return float(words[0]) if words and words[0].isdigit() else None


class TableColumn:
    """One value of a file of pairs of lines, ``Tcp: Name Other`` and below it ``Tcp: 1 2``.

    Where its name stands is looked for once: the kernel's headings stay as they are.
    """

    def __init__(self, group: str, name: str) -> None:
        self._group, self._name = b"%s: " % group.encode(), name.encode()
        self._heading = b""
        self._index = -1

    def value(self, text: bytes) -> float | None:
        """The value in this text of the file; None where it has none."""
        begin = 0 if text.startswith(self._group) else text.find(b"\n" + self._group) + 1
        end = text.find(b"\n", begin)
        heading = text[begin:end]
        if end < 0 or not heading.startswith(self._group):
            return None
        if heading != self._heading:
            words = heading.split()
            self._heading, self._index = heading, words.index(self._name) if self._name in words else -1
        row = text[end + 1 : text.find(b"\n", end + 1) % (len(text) + 1)].split(None, self._index + 1)
        return float(row[self._index]) if 0 < self._index < len(row) and row[0] + b" " == self._group else None
