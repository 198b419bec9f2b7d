"""What a build's command prints: kept in a file, its end shown when the start fails, without secrets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from velro_gate.errors import OutputError, StorageError
from velro_gate.model.masking import mask
from velro_gate.secrecy import outgoing
from velro_gate.store.files import unwritable, write_whole
from velro_gate.units import format_count

TAIL_LINES = 12
"""Of what a build printed last, shown where it failed."""
_TAIL_BYTES = 8_192
"""Bytes that are read for them."""
MOST_BYTES = 4 << 20
"""What is kept of an output: its end. A service that logs each request would fill the artifact."""


class BuildOutput:
    """The output of one build, all of its starts one after another.

    The command writes into a file without a name. ``path`` gets the masked text from ``keep``, so nothing unmasked is left
    behind, however this process ends.

    Args:
        secrets: what nobody may read in it.
    """

    def __init__(self, path: Path, secrets: Iterable[str] = ()) -> None:
        self.path = path
        self._secrets = frozenset(secrets)
        self._begin = 0
        self._tail = ""
        self._raw: BinaryIO | None = None

    def __del__(self) -> None:
        """An output that nobody wants to keep."""
        if self._raw is not None:
            self._raw.close()

    @contextlib.contextmanager
    def opened(self, title: str) -> Iterator[BinaryIO]:
        """The file, open for one more start of the command; title: distinguishes this start from the others.

        Raises:
            OutputError: the place cannot be written. StorageError: the disk is full.
        """
        try:
            file = self._file()
            file.write(f"--- {title}\n".encode())
            file.flush()
            self._begin = os.fstat(file.fileno()).st_size
            yield file
            file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def tail(self) -> str:
        """The last lines that the newest start has printed, masked; empty when it printed nothing."""
        if self._raw is None:
            return self._tail
        text = self._read(max(self._begin, self._size - _TAIL_BYTES))
        lines = [line.rstrip() for line in self._masked(text).splitlines() if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])

    def keep(self) -> None:
        """Write what there is, masked, to ``path``. A disk that is full costs this file and nothing else."""
        if self._raw is None:
            return
        begin = max(0, self._size - MOST_BYTES)
        dropped = f"--- {format_count(begin)} bytes before this are not kept\n" if begin else ""
        # What cannot be written here could not be written there: who needs the disk says so.
        with contextlib.suppress(OutputError, StorageError):
            write_whole(self.path, dropped + self._masked(self._read(begin)))
        self._tail = self.tail()
        self._raw.close()
        self._raw = None

    def _file(self) -> BinaryIO:
        if self._raw is None:
            self._raw = cast("BinaryIO", tempfile.TemporaryFile(dir=self.path.parent))  # noqa: SIM115 (as long as this object)
            # Several processes may write, and a look at the end must not move anybody.
            flags = fcntl.fcntl(self._raw, fcntl.F_GETFL)
            fcntl.fcntl(self._raw, fcntl.F_SETFL, flags | os.O_APPEND)
            if self.path.exists():
                self._raw.write(self.path.read_bytes())
        return self._raw

    @property
    def _size(self) -> int:
        return 0 if self._raw is None else os.fstat(self._raw.fileno()).st_size

    def _read(self, begin: int) -> str:
        assert self._raw is not None
        # 'echo x >/dev/stderr' in a command empties the file, so that less is there than was.
        begin = begin if begin <= self._size else 0
        return os.pread(self._raw.fileno(), self._size - begin, begin).decode("utf-8", "replace")

    def _masked(self, text: str) -> str:
        return outgoing(mask(text, self._secrets))
