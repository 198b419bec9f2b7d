"""What the control groups of this process allow it, and what they took from it: memory and CPU time.

A limit may stand at any level, so all groups from our own up to the root are read: of version 2, and of version 1 where a
controller is still mounted under its own name. None wherever nothing can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")

_MEMORY_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_NO_LIMIT = 2**60  # version 1 says "none" as the largest number that it knows


class ControlGroups:
    """The groups that this process is in. Which they are and how much memory they may use is looked up once."""

    def __init__(self, *, proc: Path = PROC, cgroup: Path = CGROUP) -> None:
        self._memory = tuple(_memory_limits(proc, cgroup))
        self._cpu = tuple(_folders("cpu", proc, cgroup))

    def memory_left(self, free: int) -> int:
        """Bytes until the tightest memory limit, or ``free``, the machine's own, where that is less.

        File cache that the kernel would give back counts as left. It is looked up only where it matters: that can be slow.
        """
        left = free
        for limit, folder, used_name, cache_name in self._memory:
            used = number_in(folder / used_name)
            if used is not None and limit - used < left:
                cache = _table(folder / "memory.stat").get(cache_name, 0)
                left = min(left, max(limit - max(used - cache, 0), 0))
        return left

    def quota_cores(self) -> float | None:
        """How many cores the tightest CPU quota is worth; None without a quota."""
        found = None
        for folder in self._cpu:
            words = (text_in(folder / "cpu.max") or "").split()
            if len(words) != 2:
                # cgroup v1 has the two numbers in files of their own; -1 is no quota, and no digit.
                words = [(text_in(folder / f"cpu.cfs_{name}_us") or "").strip() for name in ("quota", "period")]
            quota, period = words
            if quota.isdigit() and period.isdigit() and int(period):
                cores = int(quota) / int(period)
                found = cores if found is None else min(found, cores)
        return found

    def throttled_seconds(self) -> float | None:
        """Seconds for which a CPU quota has held our groups back since they were made; None where no group counts it."""
        found = None
        for folder in self._cpu:
            table = _table(folder / "cpu.stat")
            if "throttled_usec" in table:
                # Microseconds in cgroup v2, nanoseconds in v1.
                found = (found or 0.0) + table["throttled_usec"] / 1e6
            elif "throttled_time" in table:
                found = (found or 0.0) + table["throttled_time"] / 1e9
        return found


def _folders(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """The groups that have a say in one controller, each once."""
    found = {cgroup: None}
    for line in (text_in(proc / "self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        names, _, own = rest.partition(":")
        version_1 = [cgroup / names] if controller in names.split(",") else []
        roots = [cgroup, cgroup / "unified"] if number == "0" else version_1
        relative = PurePosixPath(own.lstrip("/"))
        # A container may get the host's path of its group without seeing it: then the root is its own.
        found |= {root / part: None for root in roots for part in (relative, *relative.parents)}
    return (folder for folder in found if folder.is_dir())


def _memory_limits(proc: Path, cgroup: Path) -> Iterator[tuple[int, Path, str, str]]:
    """Limit in bytes, folder, and the names of the files that show usage and file cache."""
    for folder in _folders("memory", proc, cgroup):
        for limit_name, used_name, cache_name in _MEMORY_FILES:
            limit = number_in(folder / limit_name)
            if limit is not None and limit < _NO_LIMIT:
                yield limit, folder, used_name, cache_name


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in (text_in(path) or "").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def number_in(path: Path) -> int | None:
    """The whole number that a file of the kernel holds; None: it holds none, or cannot be read."""
    text = (text_in(path) or "").strip()
    return int(text) if text.isdigit() else None


def text_in(path: Path) -> str | None:
    """What a file of the kernel holds; None: it cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
