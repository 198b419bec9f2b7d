"""A collector written in Python: a class of the user's, asked once a second in a process of its own.

Its code never runs where the load is sent or the verdict is made: what it prints goes to standard error, what it raises is why
the source cannot be read, and where it ends its process the run goes on without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from velro_gate.leftovers import end_family
from velro_gate.monitor.watching import SourceError

_CHILD = Path(__file__).with_name("collecting.py")
"""Started as a file: it needs nothing of ours, so it is there within a tenth of a second."""
_MOST_BYTES = 1 << 20
"""Bytes of what a collector prints, which may print without end."""


class CollectorSource:
    """Reads numbers from ``package.module:Class``.

    Args:
        folders: where its module is looked for, behind the places that Python knows itself.
        wanted: the key of what the collector returns, by the name of the reading.
    """

    name = "own"

    def __init__(self, function: str, folders: Sequence[str], wanted: Mapping[str, str], *, key: str = "own_collector") -> None:
        self.key = key
        self._function, self._folders, self._wanted = function, tuple(folders), dict(wanted)
        self._process: trio.Process | None = None
        self._received = bytearray()

    async def read(self) -> Mapping[str, float]:
        """The numbers by the names of their metrics; what the collector does not return is left out.

        Raises:
            SourceError: the collector cannot be imported, raised an error, returned no mapping of numbers, or has ended.
        """
        try:
            if self._process is None:
                self._process = await self._started()
            assert self._process.stdin is not None
            await self._process.stdin.send_all(b"\n")
            line = await self._line(self._process)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            await self.aclose()
            raise SourceError(f"the collector {self._function} has ended") from error
        except BaseException:
            # Cancelled half way, an answer may still be under way: the next one must not be taken for it.
            await self.aclose()
            raise
        said = json.loads(line)
        if "error" in said:
            raise SourceError(f"the collector {self._function}: {said['error']}")
        values = said["values"]
        return {name: float(values[key]) for name, key in self._wanted.items() if key in values}

    async def aclose(self) -> None:
        """End its process."""
        process, self._process = self._process, None
        self._received.clear()
        if process is not None:
            # With its family: code of the project may have started others, which would outlive the run.
            if process.poll() is None:
                end_family(process.pid)
            with trio.CancelScope(shield=True):
                await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await trio.aclose_forcefully(stream)

    async def _started(self) -> trio.Process:
        places = [entry or os.curdir for entry in sys.path]
        return await trio.lowlevel.open_process(
            [sys.executable, "-P", str(_CHILD), self._function, *self._folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            # Ctrl-C is for us, and what its code starts ends with it.
            start_new_session=True,
        )

    async def _line(self, process: trio.Process) -> bytes:
        assert process.stdout is not None
        while (end := self._received.find(b"\n")) < 0:
            chunk = await process.stdout.receive_some(65536)
            if not chunk or len(self._received) > _MOST_BYTES:
                raise trio.BrokenResourceError
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line
