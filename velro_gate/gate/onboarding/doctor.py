"""The doctor: reads the workflows and the machine, and has the rules look at both."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil

from velro_gate import units
from velro_gate.adoption import DoctorFinding, MachineFacts, examine_machine, examine_workflows, read_workflows, unguarded
from velro_gate.engine.machine.limits import read_machine

SYS = Path("/sys/devices/system")


def examine_repository(root: Path) -> list[DoctorFinding]:
    """Everything that is wrong with the workflows below ``root``, and what no file of them can guard."""
    workflows, unreadable = read_workflows(root)
    return [*unreadable, *examine_workflows(workflows), *unguarded(workflows)]


def machine_facts(users: int, *, seconds: float = 1.0, system: Path = SYS) -> MachineFacts:
    """This machine as it is now; watches for ``seconds`` what else runs on it. users: what the largest plan needs."""
    limits = read_machine()
    busy, steal, busiest = _others(seconds)
    return MachineFacts(
        users=users,
        descriptors=limits.descriptors_reachable,
        ports=limits.ports,
        cores=limits.cores,
        governors=tuple(filter(None, map(_word, sorted(system.glob("cpu/cpu*/cpufreq/scaling_governor"))))),
        busy=busy,
        steal=steal,
        busiest=busiest,
        clock_source=_word(system / "clocksource/clocksource0/current_clocksource"),
        synchronised=_synchronised(),
    )


def examine_this_machine(users: int) -> list[DoctorFinding]:
    """Everything that stands in the way of measuring well here."""
    return examine_machine(machine_facts(users))


def _others(seconds: float) -> tuple[float, float, tuple[str, ...]]:
    """Share of CPU time in use and stolen, and the three processes that used most of it."""
    processes = [process for process in psutil.process_iter(["name"]) if process.pid != os.getpid()]
    psutil.cpu_times_percent(interval=None)
    for process in processes:
        _share(process)
    time.sleep(seconds)
    times = psutil.cpu_times_percent(interval=None)
    shares = sorted(((_share(process), process.info["name"]) for process in processes), reverse=True)
    busiest = tuple(f"{name} {units.format_percent(share / 100.0)} of a core" for share, name in shares[:3] if share >= 1.0)
    steal = getattr(times, "steal", 0.0) / 100.0
    return max(0.0, 1.0 - (times.idle + getattr(times, "iowait", 0.0)) / 100.0 - steal), steal, busiest


def _share(process: psutil.Process) -> float:
    try:
        return float(process.cpu_percent(interval=None))
    except psutil.Error:
        return 0.0


def _synchronised() -> bool | None:
    """Whether systemd says that the clock follows others; None where it does not run."""
    if not Path("/run/systemd/system").is_dir():
        return None
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5.0, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(said)


def _word(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
