"""What the doctor looks for on the machine that measures: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.units import format_count, format_number, format_percent

SPARE_DESCRIPTORS = 64
"""What a run opens in addition to its users' connections (docs/scenario.md)."""

MOST_BUSY = 0.1
"""Share of the machine's CPU time that others may use before their work shows in the figures."""

MOST_STEAL = 0.02
"""Share of CPU time that the host may take, as in the trust checks."""

GOOD_CLOCKS = frozenset({"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"})
"""Clock sources of Linux that are read without a system call, in tens of nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """The machine as it is now; None where that is unknown."""

    users: int
    """The connections that the largest plan needs."""
    descriptors: int
    """Open files that this process may reach."""
    ports: int | None
    """Local ports for one source address."""
    cores: float
    governors: tuple[str, ...] = ()
    """The governor of each core."""
    busy: float = 0.0
    """Share of CPU time in use over the last second."""
    steal: float = 0.0
    """Share of CPU time over the last second that the hypervisor gave to others."""
    busiest: tuple[str, ...] = ()
    """The processes that use most CPU, in words."""
    clock_source: str | None = None
    synchronised: bool | None = None
    """Whether the clock is synchronised with others."""


def examine_machine(facts: MachineFacts) -> list[DoctorFinding]:
    """Every finding about the machine."""
    return [*_capacity(facts), *_quiet(facts), *_clock(facts)]


def _capacity(facts: MachineFacts) -> Iterator[DoctorFinding]:
    needed = facts.users + SPARE_DESCRIPTORS
    if facts.descriptors < needed:
        yield DoctorFinding(
            rule="descriptors",
            severity=Severity.FAULT,
            where="ulimit -n",
            what=f"{format_count(facts.descriptors)} open files are allowed, and {format_count(facts.users)} users need "
            f"{format_count(needed)}",
            why="Each user has a connection of its own; a plan that does not fit is refused before it starts.",
            do=f"Set LimitNOFILE={max(65_536, needed)} in the runner's service, or ulimit -Hn in its shell.",
        )
    if facts.ports is not None and facts.ports < facts.users:
        yield DoctorFinding(
            rule="ports",
            severity=Severity.FAULT,
            where="net.ipv4.ip_local_port_range",
            what=f"{format_count(facts.ports)} local ports are available, and {format_count(facts.users)} users need one each",
            why="A connection needs a port of its own for each source address and target.",
            do="sysctl net.ipv4.ip_local_port_range='1024 65535', or name several source_addresses in the scenario.",
        )
    if facts.cores < 2.0:
        yield DoctorFinding(
            rule="cores",
            severity=Severity.ADVICE,
            where="this machine",
            what=f"only {format_number(facts.cores)} core is available",
            why="Generator and service share it when the service runs here, and each slows the other.",
            do="Give the runner two cores or more, or run the service on another machine.",
        )


def _quiet(facts: MachineFacts) -> Iterator[DoctorFinding]:
    slow = sorted({governor for governor in facts.governors if governor != "performance"})
    if slow:
        yield DoctorFinding(
            rule="governor",
            severity=Severity.ADVICE,
            where="/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            what=f"the CPU governor is {', '.join(slow)}",
            why="The clock of the cores follows the load, so the same work takes a different time in each run.",
            do="cpupower frequency-set --governor performance",
        )
    if facts.busy > MOST_BUSY:
        by = f": {', '.join(facts.busiest)}" if facts.busiest else ""
        yield DoctorFinding(
            rule="other-load",
            severity=Severity.ADVICE,
            where="this machine",
            what=f"{format_percent(facts.busy)} of the CPU time is used by others{by}",
            why="Other work on this machine shows up as noise, and noise hides small regressions.",
            do="Stop it while measuring, or give the gate a runner of its own.",
        )
    if facts.steal > MOST_STEAL:
        yield DoctorFinding(
            rule="steal",
            severity=Severity.ADVICE,
            where="this machine",
            what=f"the host takes {format_percent(facts.steal)} of the CPU time",
            why="Other machines on the same host decide how fast this one is.",
            do="Use a machine with cores of its own (dedicated, pinned, or bare metal).",
        )


def _clock(facts: MachineFacts) -> Iterator[DoctorFinding]:
    if facts.clock_source is not None and facts.clock_source not in GOOD_CLOCKS:
        yield DoctorFinding(
            rule="clock-source",
            severity=Severity.ADVICE,
            where="/sys/devices/system/clocksource/clocksource0/current_clocksource",
            what=f"the clock source is {facts.clock_source}",
            why="Reading it takes a system call, thousands of times a second.",
            do="Choose tsc (or the virtual machine's own) by the kernel's clocksource= option.",
        )
    if facts.synchronised is False:
        yield DoctorFinding(
            rule="clock",
            severity=Severity.ADVICE,
            where="timedatectl",
            what="the clock is not synchronised",
            why="Baselines are kept in the order of time; a clock that is off puts them in the wrong one.",
            do="Switch on NTP: timedatectl set-ntp true",
        )
