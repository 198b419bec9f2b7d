"""Ends the processes that foreign code has left behind. A journey may fork, and its children would outlive the run.

In a block of ``orphans_ended`` whatever a descendant of this process leaves behind becomes its child (Linux,
PR_SET_CHILD_SUBREAPER), even where it has left its group and its session. Nothing else may start a process in the block that
is to stay. Elsewhere than on Linux nothing is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_PROC = Path("/proc")
_LOOK_EVERY = 0.01
"""Seconds between two looks."""
_SECONDS = 5.0
"""How long killed processes are waited for."""


def adopt_orphans() -> None:
    """From now on whatever a descendant of this process leaves behind becomes its child, where the system knows that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def orphans_ended() -> Iterator[None]:
    """At the end of the block no process is left that became a child of this one in it."""
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    spared = frozenset(_children_of({os.getpid()}))
    try:
        yield
    finally:
        _end_all_but(spared)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def end_family(pid: int) -> None:
    """Kill a process, and before it whatever it has started that is still below it."""
    family = [pid]
    for parent in family:
        family += set(_children_of({parent})) - set(family)
    for one in reversed(family):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def _end_all_but(spared: Collection[int]) -> None:
    """Kill every other child with its descendants, and wait until they are gone, or for 5 s: one may be another user's."""
    deadline = time.monotonic() + _SECONDS
    while (orphans := set(_children_of({os.getpid()})) - set(spared)) and time.monotonic() < deadline:
        found = orphans
        while found:
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            # A descendant whose parent is dead becomes this process's child (it is the subreaper) and is found by the next
            # look.
            found = set(_children_of(found))
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_LOOK_EVERY)


def _children_of(parents: Collection[int]) -> Iterator[int]:
    if not _PROC.is_dir():
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name in brackets may hold anything; the state and the parent follow it.
                words = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[1]) in parents:
                yield int(entry.name)
