"""The doctor's whole examination: the workflows, this machine, and the workers of a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from velro_gate.adoption import DoctorFinding
from velro_gate.cluster.checkup import WorkerCheck
from velro_gate.cluster.connect import Cluster
from velro_gate.gate.onboarding.cluster_doctor import check_cluster, examine_workers
from velro_gate.gate.onboarding.doctor import examine_repository, examine_this_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the doctor saw."""

    findings: tuple[DoctorFinding, ...]
    workers: tuple[WorkerCheck, ...]
    """What each worker of the cluster is like; empty without one."""


def examine(root: Path, users: int, *, machine: bool, cluster: AbstractContextManager[Cluster] | None) -> Examination:
    """Examine the repository at ``root``; this machine, if ``machine``; and the workers of ``cluster``, if there is one.

    users: what the largest plan needs.

    Raises:
        UsageError: a workflow cannot be read. BrokenError: the cluster, or one of its workers, cannot be used.
    """
    found = [*examine_repository(root), *(examine_this_machine(users) if machine else ())]
    checks: tuple[WorkerCheck, ...] = ()
    if cluster is not None:
        with cluster as workers:
            checks = tuple(check_cluster(workers))
        found += examine_workers(checks, users)
    return Examination(findings=tuple(found), workers=checks)
