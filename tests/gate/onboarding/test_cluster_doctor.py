"""The doctor of a cluster: each shortcoming of a worker at its bound, and real connections measured."""

from __future__ import annotations

import dataclasses

import pytest

from tests.cluster.values import FACTS, cluster_of, elsewhere
from velro_gate.adoption import Severity
from velro_gate.cluster.checkup import WorkerCheck
from velro_gate.gate.onboarding.cluster_doctor import check_cluster, check_sentence, examine_workers

GOOD = WorkerCheck(name="worker 1 of 1", facts=FACTS, round_trip=0.0004, time_of_day=-0.002, bandwidth=1.2e8)


def found(*checks: WorkerCheck, users: int = 1_000) -> list[tuple[str, Severity]]:
    return [(finding.rule, finding.severity) for finding in examine_workers(checks or (GOOD,), users)]


def test_a_good_cluster_has_no_finding() -> None:
    assert found() == found(GOOD, dataclasses.replace(GOOD, bandwidth=None)) == []


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"round_trip": 0.011}, "worker-round-trip"),
        ({"time_of_day": -0.11}, "worker-clock"),
        ({"bandwidth": 1e6}, "worker-bandwidth"),
    ],
)
def test_a_poor_connection_is_advice_that_names_the_worker(changed: dict[str, float], rule: str) -> None:
    (finding,) = examine_workers([dataclasses.replace(GOOD, **changed)], 1_000)  # type: ignore[arg-type]
    assert (finding.rule, finding.severity, finding.where) == (rule, Severity.ADVICE, "worker 1 of 1")


def test_each_machine_must_carry_its_part_of_the_users() -> None:
    other = dataclasses.replace(GOOD, facts=elsewhere("two"))
    # 20,000 open files a process, 28,000 ports a machine.
    assert found(GOOD, other, users=39_800) == []
    assert found(GOOD, other, users=40_000) == [("descriptors", Severity.FAULT)] * 2
    assert found(GOOD, GOOD, users=30_000) == [("ports", Severity.FAULT)]
    assert found(GOOD, GOOD, GOOD) == [("worker-cores", Severity.FAULT)]


@pytest.mark.real
def test_the_workers_are_measured_over_the_connections_of_a_load() -> None:
    (one, two) = check_cluster(cluster_of([FACTS, FACTS]))
    assert [one.name.split(" (")[0], two.name.split(" (")[0]] == ["worker 1 of 2", "worker 2 of 2"]
    assert 0.0 < one.round_trip < 1.0
    assert one.bandwidth is not None
    assert one.bandwidth > 1e5
    assert "open files" in check_sentence(one)
