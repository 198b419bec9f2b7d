"""Good and wrong versions as they are counted. Here the verdicts are made by hand, and nothing is broken."""

from __future__ import annotations

import pytest

from velro_gate.evaluation.sandboxed.resilience import GOOD, VERSIONS, Version, is_right
from velro_gate.model.record import Estimate
from velro_gate.model.resilience.experiment import Expectation, Expected
from velro_gate.model.verdict import ExpectationResult, Level, RequirementStatus

BY_NAME = {version.name: version for version in VERSIONS}


def result(experiment: str, kind: Expected, *, met: bool, unfinished: bool = False) -> ExpectationResult:
    return ExpectationResult(
        phase="dependencies",
        experiment=experiment,
        repeat=1,
        expectation=Expectation(kind=kind, limit=3.0),
        status=RequirementStatus.MET if met else RequirementStatus.MISSED,
        met=met,
        level=Level.PASS if met else Level.FAIL,
        estimate=Estimate.exact(1.0 if met else 5.0, n=10),
        unfinished=unfinished,
        users=(5, 5) if kind is Expected.CONSISTENCY else None,
    )


def seen(version: Version) -> tuple[ExpectationResult, ...]:
    """What a version misses, and one expectation more that it meets."""
    waited = (Expected.BREAKER, Expected.CONSISTENCY)
    missed = (result(*key, met=False, unfinished=key[1] in waited) for key in version.misses)
    return (*missed, result("redis_resets", Expected.P95, met=True))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_each_version_is_right_only_by_its_own_sentences(version: Version) -> None:
    assert is_right(version, seen(version))
    assert [other.name for other in VERSIONS if is_right(other, seen(version))] == [version.name]


def test_what_follows_from_a_fault_may_be_missed_with_it_and_nothing_else_may() -> None:
    lost = BY_NAME["writes lost"]
    follows = result("database_silent", Expected.BREAKER, met=False, unfinished=True)
    assert is_right(lost, (*seen(lost), follows))
    assert not is_right(lost, (*seen(lost), result("redis_resets", Expected.RETRIES, met=False)))
    assert not is_right(lost, (follows,))


def test_a_run_without_results_is_right_for_nobody() -> None:
    assert not is_right(BY_NAME[GOOD], ())
