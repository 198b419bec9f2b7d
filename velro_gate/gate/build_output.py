"""What a build's command prints: kept in a file, its end shown when the start fails, without secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from velro_gate.model.masking import mask
from velro_gate.store.files import unwritable

TAIL_LINES = 12
_TAIL_BYTES = 8_192


class BuildOutput:
    """The file of one build's output, all of its starts one after another. secrets: what nobody may read in it."""

    def __init__(self, path: Path, secrets: Iterable[str] = ()) -> None:
        self.path = path
        self._secrets = tuple(secrets)
        self._begin = 0

    @contextlib.contextmanager
    def opened(self, title: str) -> Iterator[BinaryIO]:
        """The file, open for one more start of the command; title: how that start is told from the others.

        Raises:
            OutputError: the place cannot be written. StorageError: the disk is full.
        """
        try:
            with self.path.open("ab") as file:
                file.write(mask(f"--- {title}\n", self._secrets).encode())
                file.flush()
                self._begin = file.tell()
                yield file
        except OSError as error:
            raise unwritable(self.path, error) from error

    def tail(self) -> str:
        """The last lines that the newest start has printed, masked; empty when it printed nothing."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self._begin, end - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.rstrip() for line in mask(text, self._secrets).splitlines() if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])

    def hide_secrets(self) -> None:
        """Mask the whole file, once nothing writes to it any more."""
        with contextlib.suppress(OSError):
            text = self.path.read_text("utf-8", "replace")
            masked = mask(text, self._secrets)
            if masked != text:
                self.path.write_text(masked, encoding="utf-8")
