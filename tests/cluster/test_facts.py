"""Workers of other versions are told from fit ones, and a cluster's shape does not depend on the order of its workers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cluster.values import FACTS, cluster_of, elsewhere
from velro_gate.cluster.facts import code_digest, shape, worker_differences, workers_on_machine


def test_a_worker_like_this_machine_is_fit() -> None:
    assert worker_differences(FACTS, elsewhere("two", python="3.11.9", memory=1)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tool": "1.2.2"}, "velro-gate 1.2.2 there, 1.2.3 here"),
        ({"code": "fedcba9876543210"}, "another velro-gate 1.2.3 there than here (digest fedcba98 and 01234567)"),
        ({"python": "3.12.1"}, "Python 3.12.1 there, 3.11.7 here"),
        ({"numpy": "2.0.0"}, "numpy 2.0.0 there, 2.4.6 here"),
    ],
)
def test_another_version_is_named(changed: dict[str, str], said: str) -> None:
    assert worker_differences(FACTS, dataclasses.replace(FACTS, **changed)) == [said]  # type: ignore[arg-type]


@given(st.permutations([FACTS, FACTS, elsewhere("two"), elsewhere("three", cpu_model="Other")]))
def test_the_shape_is_that_of_the_machines_in_whatever_order_they_come(workers: list) -> None:  # type: ignore[type-arg]
    found = shape(workers)
    assert found == (
        "1 x 1 on CPU, 2 cores, 8.00 GiB, Linux 6.1, 3.11.7; 1 x 1 on Other, 2 cores, 8.00 GiB, Linux 6.1, 3.11.7; "
        "1 x 2 on CPU, 2 cores, 8.00 GiB, Linux 6.1, 3.11.7"
    )
    assert shape(workers[:3]) != found


def test_workers_of_one_machine_share_its_ports() -> None:
    assert workers_on_machine([FACTS, elsewhere("two"), FACTS]) == {0: 2, 1: 1, 2: 2}
    together = cluster_of([FACTS, FACTS, elsewhere("two")]).limits
    assert (together.ports, together.descriptors_reachable, together.cores) == (56_000, 60_000, 4.0)


def test_another_line_of_source_is_another_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one = 1\n")
    before = code_digest.__wrapped__(tmp_path)
    assert code_digest.__wrapped__(tmp_path) == before
    (tmp_path / "a.py").write_text("one = 2\n")
    assert code_digest.__wrapped__(tmp_path) != before
