"""Agreed regressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import baselines, run, summary
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.waivers import proposed
from velro_gate.model.verdict import Change, Comparison, Level, Verdict
from velro_gate.model.waiver import Waiver
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason
from velro_gate.report.sentences.waivers import proposed_row

SOME = baselines(10)
TODAY = date(2025, 1, 1)  # the day on which the tests' runs were made
ROWS = (("all", "p50"), ("all", "p95"), ("login", "p95"), ("authorize", "p95"))


def waiver(step: str = "all", metric: str = "p95", **changed: Any) -> Waiver:
    fields: dict[str, Any] = {"ceiling": 0.3, "expires": date(2025, 2, 1), "issue": "#7", "reason": "a new check"}
    return Waiver(phase="steady", step=step, metric=metric, **(fields | changed))


def every(**changed: Any) -> list[Waiver]:
    return [waiver(step, metric, **changed) for step, metric in ROWS]


def judged(times: float, waivers: Sequence[Waiver]) -> Verdict:
    return judge(run(summary(times=times)), SOME, waivers=waivers)


def p95(verdict: Verdict) -> Comparison:
    return next(row for row in verdict.comparisons if (row.metric, row.step) == ("p95", "all"))


def test_a_waived_regression_warns_and_says_until_when_and_why() -> None:
    verdict = judged(1.2, every())
    assert verdict.level is Level.WARN
    assert p95(verdict).verdict is Change.REGRESSION
    assert any("waived up to 30 % until 2025-02-01 (#7): a new check" in words(found).sentence for found in verdict.findings)


def test_a_regression_beyond_the_ceiling_fails_all_the_same() -> None:
    verdict = judged(1.4, every())
    assert verdict.level is Level.FAIL
    assert "more than the 30 % that is waived" in row_reason(p95(verdict))


def test_a_waiver_of_one_figure_covers_no_other() -> None:
    assert judged(1.2, [waiver()]).level is Level.FAIL


def test_an_expired_waiver_fails_even_a_run_that_does_not_need_it() -> None:
    verdict = judged(1.0, [waiver(expires=date(2024, 12, 31))])
    assert verdict.level is Level.FAIL
    assert "expired on 2024-12-31" in words(verdict.findings[0]).sentence
    assert judged(1.0, [waiver(expires=TODAY)]).level is Level.PASS


@pytest.mark.parametrize("wrong", [{"step": "logout"}, {"metric": "p99"}])
def test_a_waiver_that_matches_nothing_fails(wrong: dict[str, str]) -> None:
    verdict = judged(1.0, [waiver(**wrong)])
    assert verdict.level is Level.FAIL
    assert "matches no figure" in words(verdict.findings[0]).sentence


def test_a_waiver_of_another_profiles_phase_is_that_profiles_to_find() -> None:
    assert judged(1.0, [replace(waiver(), phase="stress")]).level is Level.PASS


def test_a_waiver_that_is_not_needed_changes_nothing() -> None:
    assert judged(1.0, every()) == judged(1.0, [])


def test_a_regression_proposes_a_row_that_only_lacks_issue_and_reason() -> None:
    verdict = judged(1.2, [])
    advice = words(verdict.findings[0]).advice
    text = advice[advice.index("- {") :].rstrip(".")
    row = yaml.safe_load(text)[0]
    assert set(row) == {"phase", "step", "metric", "ceiling", "expires", "issue", "reason"}
    assert (row["ceiling"], row["expires"]) == ("25 %", date(2025, 1, 31))
    assert (row["issue"], row["reason"]) == ("", "")


def row_of(phase: str = "steady", step: str = "all", change: float = 0.2) -> Comparison:
    return Comparison(
        phase=phase,
        step=step,
        metric="p95",
        verdict=Change.REGRESSION,
        primary=True,
        level=Level.FAIL,
        baseline=1.0,
        current=1.0 + change,
        change=change,
        worse=change,
    )


@pytest.mark.parametrize("name", ["a: b", "no", "1e3", "#7", "a, b", "it's", 'say "hi"', "{x}", "null", "plain_name", "é"])
def test_a_proposed_row_names_any_phase_and_step_as_they_are_called(name: str) -> None:
    (row,) = yaml.safe_load(proposed_row(row_of(phase=name, step=name), TODAY))
    assert (row["phase"], row["step"]) == (name, name)


@given(st.floats(0.0001, 10.0))
def test_a_proposed_ceiling_covers_what_was_seen(change: float) -> None:
    (row,) = yaml.safe_load(proposed_row(row_of(change=change), TODAY))
    assert float(row["ceiling"].removesuffix(" %")) / 100.0 >= change


def test_without_a_figure_there_is_nothing_to_propose() -> None:
    row = Comparison(phase="p", step="all", metric="p95", verdict=Change.NOT_COMPARED, primary=True, level=Level.FAIL)
    assert proposed(row, TODAY) is None
    assert proposed_row(row, TODAY) == ""


def test_an_error_rate_is_waived_in_percentage_points() -> None:
    def with_errors(*waivers: Waiver) -> Verdict:
        return judge(run(summary(failed=60)), SOME, waivers=waivers)

    # 1 percentage point more.
    assert with_errors(waiver(metric="error_rate", ceiling=0.02)).level is Level.WARN
    assert with_errors(waiver(metric="error_rate", ceiling=0.005)).level is Level.FAIL
    assert "1.25 %" in words(with_errors().findings[0]).advice


@pytest.mark.slow
@given(st.floats(0.5, 2.0), st.floats(0.01, 0.99))
def test_a_waiver_never_makes_a_verdict_worse_nor_other_than_a_warning(times: float, ceiling: float) -> None:
    without, covered = judged(times, []), judged(times, every(ceiling=ceiling))
    assert covered.level <= without.level
    if covered.level < without.level:
        assert covered.level is Level.WARN


@pytest.mark.parametrize("broken", [{"metric": "p96"}, {"ceiling": 0.0}, {"issue": " "}, {"reason": ""}])
def test_a_row_that_is_no_waiver_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        waiver(**broken)
