"""Which processes an experiment may break: those of the service and of what it depends on, and nothing else.

A description such as ``command:python`` or a port fits more than is meant. Never broken are this process, what it runs below,
and its own helpers: a run that stops its own fault proxy waits for itself. On a runner what does not belong to the job is
left alone, too: it is another job's, or the runner's.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import psutil

from velro_gate.monitor import SourceError
from velro_gate.monitor.sources.service import source_at as processes_at

TRACKED = "RUNNER_TRACKING_ID"
"""The variable by which a runner of GitHub recognises the processes of a job."""

_PACKAGE, _SANDBOX = "velro_gate", "velro_gate.sandbox"
_SUPERVISOR = "supervisor.py"
_WORDS = 6
"""Of a command line: where a helper's are."""


def processes_of(of: str, environ: Mapping[str, str], *, injector: int | None = None) -> list[int]:
    """The processes of a description that may be broken, children included. injector: the one that breaks them.

    Raises:
        SourceError: no such process may be broken.
    """
    found = processes_at(of, verify=True)
    try:
        found.read_blocking()
    except psutil.Error as error:
        raise SourceError(f"{of} names a process that this user may not inspect") from error
    own = psutil.Process()
    # A process number may be anybody's: whoever writes "pid:1" or the number of the runner's own service would break the job
    # itself.
    above = {process.pid for process in own.parents()}
    if above.intersection(found.pids) or own.pid in found.pids:
        raise SourceError(f"{of} names a process that velro-gate itself runs below, which is never broken")
    others = [pid for pid in found.pids if not _is_ours(pid, injector)]
    if not others:
        raise SourceError(f"{of} names a process of velro-gate itself, which is never broken: name the service's own")
    tracked = environ.get(TRACKED)
    # Within a job only what that job has started: a shared machine may run services of others under the same command line.
    kept = others if tracked is None else [pid for pid in others if _is_below(pid, own.pid) or _is_of_job(pid, tracked)]
    if not kept:
        raise SourceError(f"{of} names a process that this job has not started, which is never broken")
    return kept


def _is_ours(pid: int, injector: int | None) -> bool:
    """Whether it is a helper of this run. What the supervisor of a service and the injector have started is not."""
    line = _line(pid)
    first = next((each for each in line if each[1] == os.getpid()), None)
    if first is None:
        return False
    starts_others = first[0] == injector or _is_helper(first[0], _SUPERVISOR)
    return first[0] == pid if starts_others else _is_helper(first[0], _PACKAGE)


def _is_below(pid: int, ancestor: int) -> bool:
    return any(parent == ancestor for _, parent in _line(pid))


def _line(pid: int) -> list[tuple[int, int]]:
    """A process and its ancestors, each with the number of its parent."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [(each.pid, each.ppid()) for each in (process, *process.parents())]
    return []


def _is_helper(pid: int, named: str) -> bool:
    """Whether a process is a Python of ours in whose first words this stands."""
    with contextlib.suppress(psutil.Error):
        words = psutil.Process(pid).cmdline()[:_WORDS]
        named_so = any(named in word for word in words[1:]) and _SANDBOX not in words
        return named_so and words[0] == sys.executable
    return False


def _is_of_job(pid: int, tracked: str) -> bool:
    try:
        variables: Collection[bytes] = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{TRACKED}={tracked}".encode() in variables
