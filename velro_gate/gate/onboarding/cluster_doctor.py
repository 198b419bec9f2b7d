"""The doctor of a cluster: what each worker is like, and what stands in the way of measuring well with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from velro_gate import units
from velro_gate.adoption import DoctorFinding, MachineFacts, Severity, examine_machine
from velro_gate.cluster.checkup import WorkerCheck, check_workers
from velro_gate.cluster.connect import Cluster
from velro_gate.gate.measure.run import run_trio

MOST_ROUND_TRIP = 0.010
"""Seconds; the begin of a phase is known to half of it on each worker, and 25 ms between two of them are a caveat."""

MOST_TIME_OF_DAY = 0.1
"""Seconds by which a worker's time of day may differ before it is worth a word: logs of several machines are compared by it."""
LEAST_BANDWIDTH = 2.5e6
"""Bytes a second: samples of 50,000 requests."""


def check_cluster(cluster: Cluster) -> list[WorkerCheck]:
    """What the workers are like now.

    Raises:
        BrokenError: one cannot take part in a load.
    """

    async def main() -> list[WorkerCheck]:
        """What the event loop runs."""
        return await check_workers(cluster)

    return run_trio(main)


def examine_workers(checks: Sequence[WorkerCheck], users: int) -> list[DoctorFinding]:
    """Every finding about a cluster that sends a plan of this number of users."""
    return [*_machines(checks, users), *(finding for check in checks for finding in _connection(check))]


def check_sentence(check: WorkerCheck) -> str:
    """One worker in one line."""
    limits, off = check.facts.limits, check.time_of_day
    return ", ".join(
        (
            f"{check.name}: round trip {units.format_seconds(check.round_trip)}",
            f"clock {units.format_seconds(abs(off))} {'ahead' if off > 0.0 else 'behind'}",
            f"bandwidth {'unknown' if check.bandwidth is None else f'{units.format_bytes(check.bandwidth)}/s'}",
            f"{units.format_number(limits.cores)} cores",
            f"{units.format_count(limits.descriptors_reachable)} open files",
        )
    )


def _machines(checks: Sequence[WorkerCheck], users: int) -> Iterator[DoctorFinding]:
    """What a machine lacks for its part of the users, which all of its workers send."""
    each = math.ceil(users / len(checks))
    machines: dict[str, list[WorkerCheck]] = {}
    for check in checks:
        machines.setdefault(check.facts.machine, []).append(check)
    for found in machines.values():
        limits, host = found[0].facts.limits, found[0].facts.host
        # Descriptors are those of each process, ports those of the machine.
        one = MachineFacts(users=each, descriptors=limits.descriptors_reachable, ports=None, cores=2.0)
        whole = MachineFacts(users=each * len(found), descriptors=2**31, ports=limits.ports, cores=2.0)
        for finding in (*examine_machine(one), *examine_machine(whole)):
            yield replace(finding, where=f"{host}: {finding.where}")
        if limits.cores < len(found):
            yield DoctorFinding(
                rule="worker-cores",
                severity=Severity.FAULT,
                where=host,
                what=f"{len(found)} workers share {units.format_number(limits.cores)} cores",
                why="A worker that waits for its core sends late, and lateness breaks a run.",
                do="Start one worker for each core: dask worker SCHEDULER --nworkers auto --nthreads 1",
            )


def _connection(check: WorkerCheck) -> Iterator[DoctorFinding]:
    if check.round_trip > MOST_ROUND_TRIP:
        yield DoctorFinding(
            rule="worker-round-trip",
            severity=Severity.ADVICE,
            where=check.name,
            what=f"a round trip takes {units.format_seconds(check.round_trip)}",
            why="The begin of a phase is known to half of it; beyond 25 ms between two workers a run has a caveat.",
            do="Start the head in the network of its workers.",
        )
    if abs(check.time_of_day) > MOST_TIME_OF_DAY:
        yield DoctorFinding(
            rule="worker-clock",
            severity=Severity.ADVICE,
            where=check.name,
            what=f"its clock differs by {units.format_seconds(abs(check.time_of_day))}",
            why="Time stamps and tokens in requests come from that clock; beyond a second the worker is refused.",
            do="Switch on NTP there and here: timedatectl set-ntp true",
        )
    if check.bandwidth is not None and check.bandwidth < LEAST_BANDWIDTH:
        yield DoctorFinding(
            rule="worker-bandwidth",
            severity=Severity.ADVICE,
            where=check.name,
            what=f"{units.format_bytes(check.bandwidth)}/s reach it",
            why="Each request is a sample of 50 bytes on its way back; the connection must carry those of this worker.",
            do="Look for a slow link, a VPN or a proxy between the two.",
        )
