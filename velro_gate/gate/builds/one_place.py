"""Whether a started build runs what belongs to the other one: then a duet would compare a build with itself.

A build command that writes outside of its own folder (an install prefix, a shared environment) leaves one result for both
builds, and the second overwrites the first. It shows in what the started processes run: their program, and the files that
their command lines name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def foreign_file(pid: int, *, own: tuple[Path, ...], other: tuple[Path, ...], since: float | None) -> Path | None:
    """A file that the processes below ``pid`` run and that is the other build's; None if there is no such file.

    Args:
        own: folders of this build.
        other: folders of the other one.
        since: when the other one's build began, where that was after this one's: what was written since and lies in no folder
            of this build is the other's. Seconds since 1970.
    """
    for path in _files(pid):
        if _below(path, own):
            continue
        if _below(path, other) or (since is not None and _changed(path) >= since):
            return path
    return None


def _files(pid: int) -> Iterator[Path]:
    try:
        processes = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return
    for process in processes:
        try:
            # An interpreter is named by exe(); what it runs, by a word of its command line.
            named = [process.exe(), *process.cmdline()]
            folder = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        for word in filter(None, named):
            try:
                path = (folder / word).resolve()
                if path.is_file():
                    yield path
            except (OSError, ValueError, RuntimeError):
                continue


def _below(path: Path, folders: tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


def _changed(path: Path) -> float:
    try:
        found = path.stat()
    except OSError:
        return 0.0
    return max(found.st_mtime, found.st_ctime)
