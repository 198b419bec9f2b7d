"""``local:N``: a scheduler and N workers on this machine, each a process of its own, for the length of a command.

They speak TLS with certificates that exist for this run only, since any user of the machine can connect to a local port. They
get no signal of the terminal, and end when their standard input closes, so also when this process is killed.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from velro_gate.errors import BrokenError
from velro_gate.hardening import bare

START_SECONDS = 30.0
"""How long the processes of a cluster on this machine may take to start: Dask takes seconds to import, on busy cores longer."""
_END_SECONDS = 5.0
"""How long they may take to end by themselves; then they are killed."""


@dataclass(slots=True, kw_only=True)
class LocalCluster:
    """A cluster of processes of this machine."""

    address: str
    security: Any
    """What ``distributed`` needs for TLS."""
    folder: str = field(repr=False)
    scheduler: subprocess.Popen[bytes] = field(repr=False)


@contextmanager
def local_cluster(count: int, *, each: int = 1) -> Iterator[LocalCluster]:
    """Processes of a scheduler and ``count`` workers; gone at the end of the block.

    each: how many workers are in one process; more than one only where their number matters and not how fast they are.

    Raises:
        BrokenError: they do not start.
    """
    from distributed.security import Security

    security = Security.temporary()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="velro-gate-cluster-"))
        order = _order(security, folder, role="scheduler")
        scheduler = stack.enter_context(_process(order, "the scheduler"))
        address = _line(scheduler, "the scheduler")["address"]
        cluster = LocalCluster(address=address, security=security, folder=folder, scheduler=scheduler)
        for first in range(0, count, each):
            stack.enter_context(more_workers(cluster, range(first, min(first + each, count))))
        yield cluster


@contextmanager
def more_workers(cluster: LocalCluster, numbers: Iterable[int]) -> Iterator[subprocess.Popen[bytes]]:
    """A process with these workers, which join the cluster; gone at the end of the block.

    Raises:
        BrokenError: it does not start.
    """
    order = _order(cluster.security, cluster.folder, role="workers", address=cluster.address, numbers=list(numbers))
    with _process(order, "a worker") as process:
        yield process


def _order(security: Any, folder: str, **more: Any) -> dict[str, Any]:
    return {"certificate": security.tls_ca_file, "key": security.tls_client_key, "folder": folder, **more}


@contextmanager
def _process(order: dict[str, Any], what: str) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "velro_gate.cluster.local.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**bare(os.environ), "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(what, error.strerror or str(error)) from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        yield process
    except BrokenPipeError as error:
        raise _not_started(what, f"it ended with exit code {process.wait()}") from error
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _line(process: subprocess.Popen[bytes], what: str) -> dict[str, Any]:
    """What the process prints first."""
    assert process.stdout is not None
    text, until = b"", time.monotonic() + START_SECONDS
    while not text.endswith(b"\n"):
        # By select and os.read, not readline: a process that says half a line must not hold this one for ever.
        if not select.select([process.stdout], [], [], max(until - time.monotonic(), 0.0))[0]:
            raise _not_started(what, "it said nothing")
        some = os.read(process.stdout.fileno(), 4096)
        if not some:
            raise _not_started(what, "it ended at once")
        text += some
    found: dict[str, Any] = json.loads(text)
    return found


def _not_started(what: str, why: str) -> BrokenError:
    return BrokenError(
        f"{what} of the local cluster did not start",
        why=why,
        hint="Look for a limit of processes or memory ('ulimit -u'), and whether the extra is complete: pip install "
        "'velro-gate[cluster]'.",
    )
