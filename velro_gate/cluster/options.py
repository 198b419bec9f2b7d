"""What was asked for: which cluster, how many of its workers, and how long they are waited for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from velro_gate.errors import UsageError

MOST_WORKERS = 256
"""Each has a connection to this machine, and passes on its samples over it."""

_LOCAL = re.compile(r"local:(\d{1,4})")
_ADDRESS = re.compile(r"(?:(?:tcp|tls)://)?(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_ASK = "Give the scheduler's address (tcp://HOST:8786), its scheduler.json, or local:N for N workers on this machine."


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Exactly one of ``local``, ``address`` and ``file`` is set."""

    local: int | None = None
    """Workers to start on this machine, for the length of the command."""
    address: str | None = None
    """Where the scheduler is."""
    file: Path | None = None
    """What the scheduler has written: ``--scheduler-file``."""
    workers: int | None = None
    """How many workers are to send; None: all that are there."""
    wait: float = 60.0
    """Seconds for which they are waited for."""
    listen: tuple[str, int] | None = None
    """Host and port at which the workers connect to this machine; None: the address that faces the scheduler, any port."""

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.local, self.address, self.file)) != 1:
            raise ValueError("a cluster is named in one way")


def cluster_options(text: str | None, workers: int | None, wait: float, listen: str | None = None) -> ClusterOptions | None:
    """What ``--cluster`` and its companions ask for; None without ``--cluster``.

    Raises:
        UsageError: they contradict each other, or name nothing that can be a cluster.
    """
    if text is None:
        if workers is not None or listen is not None:
            raise UsageError("--cluster-workers and --cluster-listen go with --cluster", hint=_ASK)
        return None
    at = _host_and_port(listen)
    if found := _LOCAL.fullmatch(text):
        count = int(found[1])
        _check_count(f"--cluster {text}", count)
        if workers not in (None, count):
            raise UsageError(
                f"--cluster {text} and --cluster-workers {workers} contradict each other", hint="Give one of them."
            )
        return ClusterOptions(local=count, workers=count, wait=wait, listen=at)
    if workers is not None:
        _check_count(f"--cluster-workers {workers}", workers)
    if text.endswith(".json"):
        path = Path(text)
        if not path.is_file():
            raise UsageError("there is no such scheduler file", where=text, hint=_ASK)
        return ClusterOptions(file=path, workers=workers, wait=wait, listen=at)
    if not _ADDRESS.fullmatch(text):
        raise UsageError(f"--cluster {text} does not name a cluster", hint=_ASK)
    return ClusterOptions(address=text if "://" in text else f"tcp://{text}", workers=workers, wait=wait, listen=at)


def _check_count(said: str, count: int) -> None:
    if not 1 <= count <= MOST_WORKERS:
        raise UsageError(f"{said} is not a number of workers", hint=f"Give a number from 1 to {MOST_WORKERS}.")


def _host_and_port(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(
            f"--cluster-listen {text} is not HOST:PORT", hint="Name an address of this machine, as in 10.0.0.5:8790."
        )
    return host.strip("[]"), int(port)
