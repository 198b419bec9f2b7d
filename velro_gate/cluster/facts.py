"""What a worker is: versions, machine, limits. Read there, compared here before anything is sent."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import velro_gate
from velro_gate.engine.machine.limits import MachineLimits, read_machine
from velro_gate.units import format_bytes, format_number

_PACKAGE = Path(velro_gate.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """One worker as it describes itself."""

    tool: str
    code: str
    """Digest of the source of velro-gate there."""
    python: str
    numpy: str
    host: str
    machine: str
    """Equal for workers that share a machine, its ports and its memory."""
    cpu_model: str
    memory: int
    kernel: str
    limits: MachineLimits


def describe() -> WorkerFacts:
    """What this process is; runs on the worker."""
    from velro_gate.monitor.environment import cpu_model

    return WorkerFacts(
        tool=velro_gate.__version__,
        code=code_digest(),
        python=platform.python_version(),
        numpy=version("numpy"),
        host=socket.gethostname(),
        machine=_machine(),
        cpu_model=cpu_model(),
        memory=_memory(),
        kernel=f"{platform.system()} {platform.release()}",
        limits=read_machine(),
    )


@cache
def code_digest(package: Path = _PACKAGE) -> str:
    """Over every source file of the package: two checkouts of one version may differ."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _machine() -> str:
    """Boot and network namespace: containers of one machine have ports of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/net').readlink()}"
    except OSError:
        return socket.gethostname()


def _memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def worker_differences(ours: WorkerFacts, theirs: WorkerFacts) -> list[str]:
    """What makes a worker unfit to send a part of our plan, in words; empty if nothing does."""
    found = []
    if theirs.tool != ours.tool:
        found.append(f"velro-gate {theirs.tool} there, {ours.tool} here")
    elif theirs.code != ours.code:
        found.append(f"another velro-gate {theirs.tool} there than here (digest {theirs.code[:8]} and {ours.code[:8]})")
    if _minor(theirs.python) != _minor(ours.python):
        found.append(f"Python {theirs.python} there, {ours.python} here")
    if theirs.numpy != ours.numpy:
        # Schedules are drawn by it, and every worker draws the whole one.
        found.append(f"numpy {theirs.numpy} there, {ours.numpy} here")
    return found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def workers_on_machine(workers: Sequence[WorkerFacts]) -> dict[int, int]:
    """By a worker's index, how many of them are on its machine, itself included."""
    machines = Counter(worker.machine for worker in workers)
    return {index: machines[worker.machine] for index, worker in enumerate(workers)}


def shape(workers: Sequence[WorkerFacts]) -> str:
    """The cluster as a part of an environment's fingerprint: equal for clusters that are alike, in whatever order they are."""
    machines: dict[str, list[WorkerFacts]] = {}
    for worker in workers:
        machines.setdefault(worker.machine, []).append(worker)
    kinds = Counter(_kind(each) for each in machines.values())
    return "; ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))


def _kind(workers: Sequence[WorkerFacts]) -> str:
    one = workers[0]
    # Machines that are alike differ by some pages.
    whole_gib = round(one.memory / 2**30) * 2**30
    memory = format_bytes(whole_gib)
    return f"{len(workers)} on {one.cpu_model}, {format_number(one.limits.cores)} cores, {memory}, {one.kernel}, {one.python}"


def named(index: int, count: int, address: str, facts: Mapping[str, WorkerFacts]) -> str:
    """What a worker is called in reports."""
    host = facts[address].host if address in facts else ""
    return f"worker {index + 1} of {count} ({address}{f' on {host}' if host else ''})"
