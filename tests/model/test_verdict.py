"""The verdict: the worst of its findings, never green without one, never green for what was not measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.model.facts.doubts import Worded
from velro_gate.model.scenario import Comparator, Policy, Requirement
from velro_gate.model.verdict import (
    Change,
    Comparison,
    Finding,
    Level,
    RequirementResult,
    RequirementStatus,
    Trust,
    TrustFinding,
    Verdict,
    worst,
)

levels = st.sampled_from(list(Level))
findings = st.builds(Finding, level=levels, subject=st.just("p95"), facts=st.just(Worded(code="x", sentence="it is so")))


def verdict(*found: Level) -> Verdict:
    return Verdict(
        findings=tuple(Finding(level=level, subject="p95", facts=Worded(code="x", sentence="it is so")) for level in found)
    )


@given(st.lists(findings, max_size=10), findings)
def test_adding_a_finding_never_improves_a_verdict(found: list[Finding], more: Finding) -> None:
    if found:
        assert Verdict(findings=(*found, more)).level >= Verdict(findings=tuple(found)).level


@given(st.lists(findings, min_size=1, max_size=10))
def test_a_verdict_is_the_worst_of_its_findings_in_any_order(found: list[Finding]) -> None:
    level = Verdict(findings=tuple(found)).level
    assert level is max(finding.level for finding in found)
    assert level is Verdict(findings=tuple(reversed(found))).level


def test_without_any_finding_a_verdict_is_broken() -> None:
    assert Verdict(findings=()).level is Level.BROKEN
    assert worst([]) is Level.BROKEN


@pytest.mark.parametrize(
    ("level", "blocking", "lenient"),
    [
        (Level.PASS, 0, 0),
        (Level.WARN, 0, 0),
        (Level.NO_BASELINE, 0, 0),
        (Level.INCONCLUSIVE, 3, 0),
        (Level.FAIL, 1, 1),
        (Level.BROKEN, 4, 4),
    ],
)
def test_each_verdict_has_its_exit_code(level: Level, blocking: int, lenient: int) -> None:
    assert verdict(level).exit_code(block_inconclusive=True) == blocking
    assert verdict(level).exit_code(block_inconclusive=False) == lenient


def row(change: Change, level: Level = Level.INCONCLUSIVE, *, primary: bool = True) -> Comparison:
    return Comparison(phase="steady", step="all", metric="p95", verdict=change, primary=primary, level=level)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ((row(Change.INCONCLUSIVE),), 0),
        ((row(Change.INCONCLUSIVE), row(Change.SUSPICIOUS)), 3),
        ((row(Change.NOT_COMPARED),), 3),  # the baselines had enough successful responses, this build has not
        ((row(Change.INCONCLUSIVE), row(Change.SUSPICIOUS, Level.WARN)), 0),  # waived, or too few baselines to tell
        ((row(Change.INCONCLUSIVE), row(Change.SUSPICIOUS, primary=False)), 0),
    ],
)
def test_by_default_an_inconclusive_run_blocks_only_while_something_looks_worse(rows: Sequence[Comparison], code: int) -> None:
    found = dataclasses.replace(verdict(Level.INCONCLUSIVE), comparisons=tuple(rows))
    assert found.exit_code(block_inconclusive=Policy().block_inconclusive) == code
    assert found.is_suspicious is (code == 3)
    assert found.is_open is (code == 0)
    assert (found.exit_code(block_inconclusive=True), found.exit_code(block_inconclusive=False)) == (3, 0)


@given(levels, levels)
def test_no_policy_turns_a_failed_or_broken_run_green(first: Level, second: Level) -> None:
    level = max(first, second)
    if level in (Level.FAIL, Level.BROKEN):
        assert verdict(first, second).exit_code(block_inconclusive=False) != 0


def test_verdicts_are_called_what_the_glossary_calls_them() -> None:
    assert [level.word for level in Level] == ["pass", "warn", "no-baseline", "inconclusive", "fail", "broken"]


@pytest.mark.parametrize("level", [Level.PASS, Level.WARN, Level.NO_BASELINE])
def test_a_requirement_that_was_not_measured_cannot_be_green(level: Level) -> None:
    with pytest.raises(ValueError, match="not measured cannot be green"):
        result(level)


@pytest.mark.parametrize("level", [Level.INCONCLUSIVE, Level.FAIL, Level.BROKEN])
def test_a_requirement_that_was_not_measured_may_stand_as_open_or_worse(level: Level) -> None:
    assert result(level).status is RequirementStatus.NOT_MEASURED


def result(level: Level) -> RequirementResult:
    requirement = Requirement(metric="database_connections", comparator=Comparator.AT_LEAST, target=200)
    return RequirementResult(
        phase="steady",
        requirement=requirement,
        status=RequirementStatus.NOT_MEASURED,
        met=False,
        level=level,
        estimate=None,
        headroom=None,
    )


@pytest.mark.parametrize(("trust", "level"), [(Trust.CAVEAT, Level.WARN), (Trust.BROKEN, Level.BROKEN)])
def test_a_caveat_warns_and_a_broken_measurement_breaks(trust: Trust, level: Level) -> None:
    finding = TrustFinding(
        trust=trust, phase="steady", figure=0.8, limit=0.7, facts=Worded(code="cpu", sentence="s", advice="a")
    )
    assert finding.level is level
