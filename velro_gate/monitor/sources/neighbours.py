"""What else uses this machine's CPU: other processes, by the name of their command."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST_SHARE = 0.05
"""Of one core: who uses less disturbs nothing that can be seen."""

_EVERY = 2.0  # a few milliseconds of CPU for two hundred processes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    command: str
    seconds: float


class Neighbours:
    """Shares of a core since the reading before, of all processes but ours and those that ``ours`` names, children included."""

    def __init__(
        self,
        ours: Callable[[], Collection[int]] = tuple,
        *,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ours = ours
        self._proc = proc
        self._clock = clock
        self._before: dict[int, _Process] = {}
        self._at = -_EVERY

    def read(self) -> dict[str, float]:
        """``process_NAME_cpu_share`` for each that uses enough; nothing between two looks, and at the first."""
        now = self._clock()
        if now - self._at < _EVERY:
            return {}
        found = {process.pid: process for process in _processes(self._proc)}
        before, elapsed = self._before, now - self._at
        self._before, self._at = found, now
        if not before:
            return {}
        left_out = _family({os.getpid(), *self._ours()}, found)
        spent: dict[str, float] = {}
        for pid, process in found.items():
            # One that is new may be another one's number once more.
            if pid in before and before[pid].command == process.command and pid not in left_out:
                used = max(process.seconds - before[pid].seconds, 0.0) / elapsed
                spent[process.command] = spent.get(process.command, 0.0) + used
        return {
            f"process_{re.sub(r'[^A-Za-z0-9]+', '_', name)}_cpu_share": share
            for name, share in spent.items()
            if share >= LEAST_SHARE
        }


def _processes(proc: Path) -> Iterator[_Process]:
    tick = os.sysconf("SC_CLK_TCK")
    try:
        folders = [entry.name for entry in os.scandir(proc) if entry.name.isdigit()]
    except OSError:
        return
    for pid in folders:
        try:
            text = (proc / pid / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        # The command stands in brackets and may hold brackets and blanks itself.
        command, _, rest = text.partition("(")[2].rpartition(")")
        words = rest.split()
        if len(words) > 12:
            seconds = (int(words[11]) + int(words[12])) / tick
            yield _Process(pid=int(pid), parent=int(words[1]), command=command, seconds=seconds)


def _family(roots: Collection[int], found: dict[int, _Process]) -> set[int]:
    """These processes and all that they started."""
    family = set(roots)
    grown = True
    while grown:
        more = {pid for pid, process in found.items() if process.parent in family} - family
        family |= more
        grown = bool(more)
    return family
