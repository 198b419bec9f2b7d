"""Findings in words: the sentences a reviewer reads, letter by letter where it matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.analysis.phases import counts
from tests.analysis.runs import planned, run, summary
from velro_gate.analysis.verdict.failures import failure_findings
from velro_gate.analysis.verdict.findings import comparison_findings, requirement_findings
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.metrics import METRICS, Direction
from velro_gate.model.record import Estimate, PhaseSummary, StepSummary
from velro_gate.model.run import FirstFailure
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change, Comparison, Finding, Level, RequirementResult, RequirementStatus
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.kinds.comparisons import change_sentence


def comparison(**changed: Any) -> Comparison:
    """A regression of one step, unless ``changed`` says otherwise."""
    figures: dict[str, Any] = {
        "phase": "steady",
        "step": "authorization_check",
        "metric": "p95",
        "verdict": Change.REGRESSION,
        "primary": True,
        "level": Level.FAIL,
        "baseline": 0.0119,
        "current": 0.0155,
        "change": 0.3025,
        "change_low": 0.27,
        "change_high": 0.33,
        "worse": 0.264,
        "p": 0.00001,
        "p_adjusted": 0.00008,
        "noise": 0.02,
        "mde": 0.062,
        "k": 5,
    }
    return Comparison(**(figures | changed))


def unchanged(**changed: Any) -> Comparison:
    figures: dict[str, Any] = {
        "verdict": Change.UNCHANGED,
        "level": Level.PASS,
        "current": 0.0119,
        "change": 0.0,
        "change_low": -0.03,
        "change_high": 0.03,
        "p": 0.5,
    }
    return comparison(**(figures | changed))


def uncompared(level: Level, reason: str, **changed: Any) -> Comparison:
    gone = ("baseline", "current", "change", "change_low", "change_high", "worse", "p", "p_adjusted", "noise", "mde")
    figures: dict[str, Any] = dict.fromkeys(gone)
    figures |= {"verdict": Change.NOT_COMPARED, "level": level, "reasons": (Worded(code="x", sentence=reason),), "k": 0}
    return comparison(**(figures | changed))


def findings(*rows: Comparison, skipped: Sequence[UnusedRuns] = (), several: bool = False, **more: Any) -> list[Finding]:
    return list(comparison_findings(rows, skipped=skipped, several=several, **more))


def requirement(**changed: Any) -> RequirementResult:
    figures: dict[str, Any] = {
        "phase": "steady",
        "requirement": Requirement(metric="p95", comparator=Comparator.BELOW, target=0.075),
        "status": RequirementStatus.MET,
        "met": True,
        "level": Level.PASS,
        "estimate": Estimate.exact(0.05, n=100),
        "headroom": 0.3,
    }
    return RequirementResult(**(figures | changed))


class TestSentences:
    def test_a_slower_step(self) -> None:
        assert change_sentence(comparison()) == (
            "p95 of authorization_check is 30 % slower than the baseline "
            "(+27 to +33 %, 11.9 ms -> 15.5 ms, p < 0.001, 5 baselines)"
        )

    def test_the_phase_is_named_when_there_are_several(self) -> None:
        assert change_sentence(comparison(), several=True).startswith("p95 of authorization_check in steady is 30 % slower")

    def test_all_steps_together_are_called_all_requests(self) -> None:
        assert change_sentence(comparison(step="all")).startswith("p95 of all requests is")

    def test_less_throughput_is_lower_not_slower(self) -> None:
        row = comparison(
            metric="throughput", step="all", baseline=100.0, current=80.0, change=-0.2, change_low=-0.25, change_high=-0.15
        )
        assert change_sentence(row) == (
            "throughput is 20 % lower than the baseline (-25 to -15 %, 100/s -> 80/s, p < 0.001, 5 baselines)"
        )

    def test_more_memory_is_higher(self) -> None:
        row = comparison(metric="rss", step="all", baseline=2.0**28, current=2.0**28 * 1.5, change=0.5)
        assert "resident memory is 50 % higher" in change_sentence(row)

    def test_an_error_rate_is_reported_in_percentage_points(self) -> None:
        row = comparison(metric="error_rate", step="all", baseline=0.0, current=0.0167, change=None)
        assert change_sentence(row) == (
            "error rate is 1.67 percentage points higher than the baseline (0 % -> 1.7 %, p < 0.001, 5 baselines)"
        )

    @pytest.mark.parametrize(("p", "words"), [(0.0004, "p < 0.001"), (0.0031, "p = 0.0031"), (0.25, "p = 0.25")])
    def test_p_has_two_digits_at_most(self, p: float, words: str) -> None:
        assert words in change_sentence(comparison(p=p))

    def test_one_baseline_is_singular(self) -> None:
        assert "1 baseline)" in change_sentence(comparison(k=1))

    def test_an_improvement_needs_no_p_for_worse(self) -> None:
        row = comparison(
            verdict=Change.IMPROVEMENT, level=Level.PASS, current=0.0083, change=-0.3, change_low=-0.33, change_high=-0.27
        )
        assert change_sentence(row) == (
            "p95 of authorization_check is 30 % faster than the baseline (-33 to -27 %, 11.9 ms -> 8.30 ms, 5 baselines)"
        )


class TestComparisonFindings:
    def test_each_regression_fails_on_its_own_and_says_where_to_look(self) -> None:
        found = findings(comparison(), comparison(step="all"))
        assert [finding.level for finding in found] == [Level.FAIL, Level.FAIL]
        assert "in authorization_check" in words(found[0]).advice
        assert "what this change does." in words(found[1]).advice

    def test_a_suspicion_says_that_it_is_not_confirmed(self) -> None:
        (found,) = findings(comparison(verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE, p=0.012))
        assert found.level is Level.INCONCLUSIVE
        assert words(found).sentence.startswith("suspicious, not confirmed: p95 of authorization_check is 30 % slower")
        assert "base build" in words(found).advice
        assert "second job" in words(found).advice

    def test_a_suspicion_against_few_baselines_warns_by_name_and_says_what_would_show(self) -> None:
        (found,) = findings(comparison(verdict=Change.SUSPICIOUS, level=Level.WARN, p=0.012, k=2))
        assert found.level is Level.WARN
        assert words(found).sentence.startswith(
            "looks worse, but too few runs are stored to decide: p95 of authorization_check"
        )
        assert "calibrate" in words(found).advice
        assert "base build" in words(found).advice

    def test_undecided_rows_are_reported_once_with_the_least_visible_of_them(self) -> None:
        rows = [
            unchanged(verdict=Change.INCONCLUSIVE, level=Level.INCONCLUSIVE, step=step, mde=mde, noise=mde / 4)
            for step, mde in (("a", 0.14), ("b", 0.22))
        ]
        (found,) = findings(*rows)
        assert found.level is Level.INCONCLUSIVE
        assert words(found).sentence == (
            "2 of 2 comparisons are open, neither worse nor shown to be unchanged: for p95 of b only a worsening of 22 % or "
            "more would have been found (noise from run to run 5.5 %, 5 baselines)"
        )

    def test_too_few_baselines_are_reported_as_such(self) -> None:
        (found,) = findings(unchanged(verdict=Change.INCONCLUSIVE, level=Level.NO_BASELINE, k=1, mde=0.53))
        assert found.level is Level.NO_BASELINE
        assert words(found).sentence.startswith("1 baseline is too few to show that nothing changed")
        assert "53 %" in words(found).sentence
        assert "calibrate" in words(found).advice

    def test_no_baseline_is_one_finding_that_says_what_to_do(self) -> None:
        rows = [uncompared(Level.NO_BASELINE, "no comparable baseline", step=step) for step in "abc"]
        (found,) = findings(*rows)
        assert (found.level, found.subject) == (Level.NO_BASELINE, "baselines")
        assert "no regression can be detected" in words(found).sentence
        assert "velro-gate baseline calibrate" in words(found).advice

    def test_it_names_the_stored_runs_that_could_have_been_compared_with(self) -> None:
        unused = UnusedRuns(why=WhyUnused.UNREADABLE, detail="shop/x.json is not used: it is not JSON")
        (found,) = findings(uncompared(Level.NO_BASELINE, "-"), skipped=[unused])
        assert "(shop/x.json is not used: it is not JSON)" in words(found).sentence

    def test_rows_without_a_figure_are_reported_once_for_each_reason(self) -> None:
        rows = [uncompared(Level.BROKEN, "p95 was not measured in this run", step=step) for step in ("a", "b")]
        (found,) = findings(*rows)
        assert found.level is Level.BROKEN
        assert words(found).sentence == "p95 of a, p95 of b are not compared: p95 was not measured in this run"

    def test_a_broken_phase_is_not_broken_twice(self) -> None:
        row = uncompared(Level.BROKEN, "phase steady did not run to its planned end")
        assert findings(row, doubted=frozenset({"steady"})) == []

    def test_figures_too_small_to_compare_do_not_add_up_to_a_pass(self) -> None:
        rows = [uncompared(Level.PASS, "only 600 successful responses", step=step) for step in ("all", "a")]
        levels = [finding.level for finding in findings(*rows, unchanged(metric="error_rate", step="all"))]
        assert max(levels) is Level.INCONCLUSIVE

    def test_one_compared_latency_is_enough(self) -> None:
        rows = [uncompared(Level.PASS, "only 600 successful responses"), unchanged(metric="p50", step="all")]
        assert max(finding.level for finding in findings(*rows)) is Level.PASS

    def test_no_regression_says_what_would_have_been_seen(self) -> None:
        (found,) = findings(
            unchanged(mde=0.041), unchanged(step="all", mde=0.062), unchanged(step="all", metric="p50", mde=0.5)
        )
        assert (found.level, words(found).sentence) == (
            Level.PASS,
            "no regression in any of the 3 comparisons with 5 baselines: "
            "a worsening of p95 by 6.2 % or more would have been seen",
        )

    def test_next_to_a_regression_the_rest_is_counted(self) -> None:
        found = findings(comparison(), unchanged(step="all"))
        assert words(found[-1]).sentence.startswith("no regression in 1 of 2 comparisons")

    def test_an_improvement_is_reported_and_passes(self) -> None:
        found = findings(comparison(verdict=Change.IMPROVEMENT, level=Level.PASS, current=0.0083, change=-0.3))
        assert {finding.level for finding in found} == {Level.PASS}
        assert "30 % faster" in words(found[0]).sentence

    def test_an_improvement_that_does_not_count_says_why(self) -> None:
        row = comparison(
            verdict=Change.INCONCLUSIVE,
            level=Level.WARN,
            current=0.0083,
            change=-0.3,
            reasons=(Worded(code="x", sentence="more requests failed"),),
        )
        (found,) = findings(row)
        assert found.level is Level.WARN
        assert words(found).sentence.endswith("; more requests failed")

    def test_advisory_rows_of_a_phase_are_one_warning_the_surest_first(self) -> None:
        rows = [
            comparison(primary=False, level=Level.WARN, verdict=Change.SUSPICIOUS, metric=metric, p=p)
            for metric, p in (("p99", 0.01), ("p50", 0.001))
        ]
        (found,) = findings(*rows)
        assert found.level is Level.WARN
        assert (
            words(found).sentence
            == "also worse in steady, for information: p50 of authorization_check +30 %, p99 of authorization_check +30 %"
        )

    def test_a_long_list_is_cut(self) -> None:
        rows = [
            comparison(primary=False, level=Level.WARN, verdict=Change.SUSPICIOUS, metric="p99", step=f"step{i}")
            for i in range(8)
        ]
        (found,) = findings(*rows)
        assert words(found).sentence.endswith("and 3 more")

    def test_an_advisory_figure_that_is_gone_is_one_warning(self) -> None:
        (found,) = findings(uncompared(Level.WARN, "resident memory was not measured in this run", primary=False, metric="rss"))
        assert (found.level, words(found).advice) == (Level.WARN, "resident memory was not measured in this run.")

    def test_advisory_error_rates_are_reported_as_shares(self) -> None:
        row = comparison(
            primary=False,
            level=Level.WARN,
            verdict=Change.SUSPICIOUS,
            metric="error_rate",
            baseline=0.0,
            current=0.02,
            change=None,
        )
        assert "error rate of authorization_check 0 % -> 2.0 %" in words(findings(row)[0]).sentence

    def test_nothing_compared_says_nothing(self) -> None:
        assert findings() == []


class TestRequirementFindings:
    def test_all_met_is_one_finding(self) -> None:
        (found,) = requirement_findings([requirement()] * 12)
        assert (found.level, words(found).sentence) == (Level.PASS, "all 12 requirements are met")

    def test_a_single_requirement_is_singular(self) -> None:
        (found,) = requirement_findings([requirement()])
        assert words(found).sentence == "the one requirement is met"

    def test_what_is_missed_is_reported_and_the_rest_counted(self) -> None:
        missed = requirement(
            status=RequirementStatus.MISSED, met=False, level=Level.FAIL, estimate=Estimate.exact(0.09, n=100), headroom=-0.2
        )
        first, rest = requirement_findings([missed, requirement(), requirement()])
        assert (first.level, words(first).sentence, first.subject) == (
            Level.FAIL,
            "p95 of all requests 90.0 ms misses < 75 ms by 20 %",
            "steady",
        )
        assert words(rest).sentence == "2 of 3 requirements are met"

    @pytest.mark.parametrize(
        ("status", "level", "advice"),
        [
            (RequirementStatus.MARGINAL, Level.WARN, "measure longer"),
            (RequirementStatus.CRITICAL, Level.FAIL, "before anything else"),
            (RequirementStatus.NOT_MEASURED, Level.BROKEN, "or remove the limit"),
            (RequirementStatus.MISSED, Level.FAIL, "where the time goes"),
        ],
    )
    def test_every_status_has_advice_of_its_own(self, status: RequirementStatus, level: Level, advice: str) -> None:
        (found,) = requirement_findings([requirement(status=status, met=False, level=level)])
        assert advice in words(found).advice

    def test_no_requirement_says_nothing(self) -> None:
        assert list(requirement_findings([])) == []


@pytest.mark.parametrize(
    ("metric", "advice"),
    [
        ("p95", "where the time goes"),
        ("error_rate", "failed requests"),
        ("hit_rate", "cache layer"),
        ("throughput", "limited the throughput"),
        ("achieved_share", "limited the throughput"),
        ("users_held", "connected"),
        ("database_connections", "pool"),
        ("rss", "what the service keeps"),
        ("cpu_per_1000", "where the time goes"),
    ],
)
def test_the_advice_on_a_missed_requirement_fits_its_metric(metric: str, advice: str) -> None:
    side = Comparator.BELOW if METRICS[metric].direction is Direction.LOWER else Comparator.ABOVE
    wanted = Requirement(metric=metric, comparator=side, target=0.5)
    figure = Estimate(value=1.0, low=0.9, high=1.1, n=100)
    missed = requirement(requirement=wanted, status=RequirementStatus.MISSED, met=False, level=Level.FAIL, estimate=figure)
    (found,) = requirement_findings([missed])
    assert advice in words(found).advice


def phase_of(outcomes: dict[str, int], statuses: dict[int, int], *, tls_fault: str | None = None) -> PhaseSummary:
    """A phase of one step whose requests ended like this."""
    ok = outcomes.get("OK", 0)
    books = counts(ok=ok, failed=sum(outcomes.values()) - ok)
    steps = tuple(
        StepSummary(step=name, counts=books, measurements={}, outcomes=outcomes, statuses=statuses) for name in ("all", "list")
    )
    return replace(summary(), steps=steps, tls_fault=tls_fault)


class TestAdviceOnFailures:
    @pytest.mark.parametrize(
        ("outcomes", "statuses", "advice"),
        [
            ({"STATUS": 100}, {302: 100}, "follow_redirects"),
            ({"OK": 60, "STATUS": 40}, {200: 60, 301: 30, 500: 10}, "follow_redirects"),
            ({"STATUS": 100}, {500: 100}, "failed requests"),
            ({"OK": 60, "STATUS": 40}, {302: 60, 404: 40}, "failed requests"),
            ({"TIMEOUT": 70, "STATUS": 30}, {0: 70, 302: 30}, "failed requests"),
            ({"CERTIFICATE": 100}, {0: 100}, "ca_file"),
            ({"CAPTURE": 100}, {200: 100}, "never captured"),
        ],
    )
    def test_it_names_what_most_of_them_need(self, outcomes: dict[str, int], statuses: dict[int, int], advice: str) -> None:
        phase = phase_of(outcomes, statuses)
        missed = requirement(
            requirement=Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.01),
            status=RequirementStatus.MISSED,
            met=False,
            level=Level.FAIL,
        )
        (found,) = requirement_findings([missed], phases=[phase])
        assert advice in words(found).advice
        failed = list(failure_findings(run(phase), planned()))
        assert [advice in words(finding).advice for finding in failed] == [True]

    def test_a_success_that_was_not_expected_is_to_be_named_in_the_scenario_if_it_is_right(self) -> None:
        created = FirstFailure(step="list", outcome="STATUS", status=201, count=60, at=1.0, request="POST /list")
        phase = replace(
            phase_of({"STATUS": 100}, {201: 60, 500: 40}), failures=(created, replace(created, status=500, count=40))
        )
        (found,) = failure_findings(run(phase), planned())
        assert "name its status under the step's 'expect'" in words(found).advice

    def test_a_certificate_that_is_not_accepted_is_reported_with_its_reason(self) -> None:
        phase = phase_of({"CERTIFICATE": 100}, {0: 100}, tls_fault="the service's certificate has expired")
        (found,) = failure_findings(run(phase), planned())
        assert words(found).sentence.endswith("(100 x certificate not accepted: the service's certificate has expired)")
