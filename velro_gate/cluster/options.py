"""What was asked for: which cluster, how many of its workers, and how long they are waited for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from velro_gate.bounded import read_text
from velro_gate.errors import UsageError

MOST_WORKERS = 256
"""Each has a connection to this machine, and passes on its samples over it."""

RAW = 512 * 2**20
"""Bytes of samples that are kept of a phase, unless another size is asked for: 10.5 million, whose figures take 2.1 GB here."""

_MOST_BYTES = 1 << 20
"""Of a scheduler file, which holds some hundred bytes."""
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
    """What the scheduler will have written, where it has not yet."""
    workers: int | None = None
    """How many workers are to send; None: all that are there."""
    wait: float = 60.0
    """Seconds for which they are waited for."""
    listen: tuple[str, int] | None = None
    """Host and port at which the workers connect to this machine; None: the address that faces the scheduler, any port."""
    raw: int = RAW
    """Bytes of samples of a phase beyond which the workers reduce them."""

    def __post_init__(self) -> None:
        if [self.local, self.address, self.file].count(None) != 2:
            raise ValueError("a cluster is named in one way")


def cluster_options(
    text: str | None, workers: int | None, wait: float, listen: str | None = None, raw: int | None = None
) -> ClusterOptions | None:
    """What ``--cluster`` and its companions ask for; None without ``--cluster``.

    Raises:
        UsageError: they contradict each other, or name nothing that can be a cluster.
    """
    if text is None:
        if workers is not None or listen is not None or raw is not None:
            raise UsageError("--cluster-workers, --cluster-listen and --cluster-raw go with --cluster", hint=_ASK)
        return None
    raw = RAW if raw is None else raw
    at = _host_and_port(listen)
    if local := _LOCAL.fullmatch(text):
        count = int(local[1])
        _check_count(f"--cluster {text}", count)
        if workers not in (None, count):
            raise UsageError(
                f"--cluster {text} and --cluster-workers {workers} contradict each other", hint="Give one of them."
            )
        return ClusterOptions(local=count, workers=count, wait=wait, listen=at, raw=raw)
    if workers is not None:
        _check_count(f"--cluster-workers {workers}", workers)
    if text.endswith(".json"):
        found = written_address(Path(text))
        later = Path(text) if found is None else None
        return ClusterOptions(address=found, file=later, workers=workers, wait=wait, listen=at, raw=raw)
    if not _ADDRESS.fullmatch(text):
        # What stands before an @ may be a password.
        shown = f"***@{text.rpartition('@')[2]}" if "@" in text else text
        raise UsageError(f"--cluster {shown} does not name a cluster", hint=_ASK)
    return ClusterOptions(address=text if "://" in text else f"tcp://{text}", workers=workers, wait=wait, listen=at, raw=raw)


def written_address(file: Path, *, last: bool = False) -> str | None:
    """The address in what ``dask scheduler --scheduler-file FILE`` writes. None: it has not yet, or not to the end.

    last: whether that is an error as well.

    Raises:
        UsageError: the file cannot be read, or another program wrote it.
    """
    try:
        text = read_text(file, _MOST_BYTES)
        # One that is being written: Dask writes it in place.
        if not last and text.lstrip()[:1] in ("", "{") and not text.rstrip().endswith("}"):
            return None
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if not last and isinstance(error, FileNotFoundError) and file.absolute().parent.is_dir():
            return None
        why = error.strerror if isinstance(error, OSError) else f"it is no JSON: {error}"
        raise UsageError("the scheduler file cannot be read", where=str(file), why=why, hint=_ASK) from error
    address = found.get("address") if isinstance(found, dict) else None
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise UsageError("the scheduler file holds no address of a scheduler", where=str(file), hint=_ASK)
    return address


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
