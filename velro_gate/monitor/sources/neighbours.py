"""What else uses this machine's CPU: other processes, by the name of their command."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LEAST_SHARE = 0.05
"""Of one core: who uses less disturbs nothing that can be seen."""

_EVERY = 2.0  # some milliseconds of CPU for two hundred processes
_KERNEL_EVERY = 5
"""Looks from one at the kernel's own threads to the next: they are most of the processes, and seldom what disturbs."""
_KERNEL_THREAD = 0x0020_0000
"""PF_KTHREAD among the flags in /proc/PID/stat."""
_TICK = os.sysconf("SC_CLK_TCK")


class _Process(NamedTuple):
    """One process at a look, without what a dataclass would cost for each of hundreds."""

    pid: int
    parent: int
    command: str
    flags: int
    ticks: int
    at: float

    @property
    def is_kernel(self) -> bool:
        """Whether it is a thread of the kernel."""
        return bool(self.flags & _KERNEL_THREAD)


class Neighbours:
    """Shares of a core since the look before, of all processes but ours and those that ``ours`` names, children included."""

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
        self._looks = 0
        self._of_kernel: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """``process_NAME_cpu_share`` for each that uses enough; nothing between two looks, and at the first."""
        now = self._clock()
        if now - self._at < _EVERY:
            return {}
        self._at = now
        everything = self._looks % _KERNEL_EVERY == 0
        self._looks += 1
        before = self._before
        kept = {} if everything else {pid: process for pid, process in before.items() if process.is_kernel}
        found = {process.pid: process for process in _processes(self._proc, kept, now)}
        self._before = kept | found
        if not before:
            return {}
        left_out = _family({os.getpid(), *self._ours()}, found)
        shares = _shares(before, (each for each in found.values() if not each.is_kernel and each.pid not in left_out))
        if everything:
            self._of_kernel = _shares(before, (each for each in found.values() if each.is_kernel))
        # Between two looks at them the kernel's threads keep their share, so that all series have the same times.
        return {
            f"process_{re.sub(r'[^A-Za-z0-9]+', '_', name)}_cpu_share": share
            for name, share in (self._of_kernel | shares).items()
            if share >= LEAST_SHARE
        }


def _shares(before: dict[int, _Process], now: Iterable[_Process]) -> dict[str, float]:
    """Shares of a core by command, since each process was seen before."""
    spent: dict[str, float] = {}
    for process in now:
        earlier = before.get(process.pid)
        # One that is new may be another one's number once more.
        if earlier is not None and earlier.command == process.command and process.at > earlier.at:
            used = max(process.ticks - earlier.ticks, 0) / _TICK / (process.at - earlier.at)
            spent[process.command] = spent.get(process.command, 0.0) + used
    return spent


def _processes(proc: Path, without: Collection[int], now: float) -> Iterator[_Process]:
    """All processes but these."""
    try:
        pids = [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 (a Path for each would cost more)
    except OSError:
        return
    # No path is put together and no file object made: there may be hundreds.
    folder = f"{proc}/"
    for pid in pids:
        if pid in without:
            continue
        try:
            descriptor = os.open(f"{folder}{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            text = os.read(descriptor, 4096)
        except OSError:  # it has ended meanwhile
            continue
        finally:
            os.close(descriptor)
        # The command stands in brackets and may hold brackets and blanks itself.
        command, _, rest = text.partition(b"(")[2].rpartition(b")")
        words = rest.split(None, 13)
        if len(words) > 12:
            ticks = int(words[11]) + int(words[12])
            yield _Process(pid, int(words[1]), command.decode("ascii", "replace"), int(words[6]), ticks, now)


def _family(roots: Collection[int], found: dict[int, _Process]) -> set[int]:
    """These processes and all that they started."""
    family = set(roots)
    grown = True
    while grown:
        more = {pid for pid, process in found.items() if process.parent in family} - family
        family |= more
        grown = bool(more)
    return family
