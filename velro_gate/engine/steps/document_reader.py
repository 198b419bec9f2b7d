"""Reads long JSON bodies in a process of its own.

Python's JSON parser holds the interpreter's lock, so that a thread would not help: 16 MB would keep the loop from reading
responses and sending requests for a fifth of a second. The process is started for the first long body only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from velro_gate.engine.steps import documents
from velro_gate.engine.steps.documents import LENGTH, LENGTHS, JsonPath, unpacked_values, values_at
from velro_gate.hardening import bare

COMMAND = (sys.executable, "-I", "-S", documents.__file__)
"""Isolated and without site-packages, as the responder is."""


class DocumentReader:
    """One process at most, for one caller at a time. ``close`` ends it; closing twice is harmless.

    command: what is started; another one in tests.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def values(self, body: bytes, paths: Sequence[JsonPath]) -> list[object] | None:
        """See ``documents.values_at``. Blocks, so it belongs in a thread. If there is no such process, it is read here."""
        try:
            return unpacked_values(self._answer(json.dumps(paths).encode(), body))
        except (OSError, EOFError, ValueError):
            self.close()
            return values_at(body, paths)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            # What was not written yet cannot be any more.
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _answer(self, order: bytes, body: bytes) -> bytes:
        if self._process is None:
            # In a session of its own, since Ctrl-C is for us.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=bare(os.environ),
                start_new_session=True,
            )
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        sink.write(LENGTHS.pack(len(order), len(body)) + order)
        sink.write(body)
        sink.flush()
        (length,) = LENGTH.unpack(_exactly(source, LENGTH.size))
        return _exactly(source, length)


def _exactly(source: IO[bytes], length: int) -> bytes:
    found = source.read(length)
    if len(found) < length:
        raise EOFError("the process that reads JSON has ended")
    return found
