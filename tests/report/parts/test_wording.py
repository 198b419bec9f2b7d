"""The sentence a reviewer reads names what matters, with its interval and its limit."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest

from tests.analysis.runs import run, summary
from tests.report.examples import EXAMPLES
from tests.report.records import PRD, around, record, requirement
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.requirements import check_requirements
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.metrics import METRICS
from velro_gate.model.record import Estimate, RunRecord
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Change, Comparison, Finding, Level, RequirementResult, RequirementStatus, Verdict
from velro_gate.report.parts.view import build
from velro_gate.report.parts.wording import TITLES, action, headline, missed, moved, title
from velro_gate.report.sentences.findings import words
from velro_gate.report.text import figures
from velro_gate.report.text.phrase import plain


def comparison(
    step: str,
    metric: str,
    change: float,
    *,
    baseline: float = 0.02,
    half: float = 0.03,
    verdict: Change = Change.UNCHANGED,
    level: Level = Level.PASS,
) -> Comparison:
    """A row to be worded; half: half the width of its interval."""
    return Comparison(
        phase=PRD,
        step=step,
        metric=metric,
        verdict=verdict,
        primary=True,
        level=level,
        baseline=baseline,
        current=baseline * (1.0 + change),
        change=change,
        change_low=change - half,
        change_high=change + half,
        worse=math.log1p(change) * METRICS[metric].worse_sign,
        p=0.01,
        p_adjusted=0.04,
        noise=0.014,
        mde=0.094,
        margin=0.05,
        k=10,
    )


def checked(run: RunRecord, *wanted: Requirement) -> tuple[RequirementResult, ...]:
    """How requirements of one phase fared."""
    (planned,) = (phase for phase in run.plan.phases if phase.name == PRD)
    return check_requirements([replace(planned, requirements=wanted)], run)


def verdict(level: Level, *rows: Comparison, limits: tuple[RequirementResult, ...] = ()) -> Verdict:
    finding = Finding(level=level, subject="x", facts=Worded(code="x", sentence="The judge's own words."))
    return Verdict(findings=(finding,), comparisons=rows, requirements=limits, baselines_used=10)


def regression(change: float = 0.31, **more: object) -> Comparison:
    base = comparison("authorization_check", "p95", change, baseline=0.04, verdict=Change.REGRESSION, level=Level.FAIL)
    return dataclasses.replace(base, **more)  # type: ignore[arg-type]


def missed_limit(value: float = 0.088, status: RequirementStatus = RequirementStatus.MISSED) -> RequirementResult:
    wanted = requirement("p95", Comparator.BELOW, 0.075, 0.1)
    return RequirementResult(
        phase=PRD,
        requirement=wanted,
        status=status,
        met=False,
        level=Level.FAIL,
        estimate=around(value, 0.03, 100),
        headroom=(0.075 - value) / 0.075,
    )


def test_a_regression_names_step_change_interval_figures_and_limit() -> None:
    assert headline(record(), verdict(Level.FAIL, regression())) == (
        "p95 of authorization_check rose 31 % in prd_compliance_validation (95 % interval +28 to +34 %), "
        "from 40.0 ms to 52.4 ms; above the 5 % margin."
    )


def test_a_missed_requirement_names_value_interval_and_limit() -> None:
    assert headline(record(), verdict(Level.FAIL, limits=(missed_limit(),))) == (
        "p95 of all requests in prd_compliance_validation is 88.0 ms (95 % interval 85.4 to 90.6 ms), "
        "outside its limit of < 75 ms."
    )


def test_the_largest_primary_regression_leads_and_the_others_are_counted() -> None:
    small, advisory = regression(0.1), regression(0.9, primary=False)
    text = headline(record(), verdict(Level.FAIL, small, regression(), advisory))
    assert text.startswith("p95 of authorization_check rose 31 %")
    assert text.endswith("2 other changes fail too.")


def test_a_regression_comes_before_a_missed_limit_and_a_critical_one_before_both() -> None:
    plainly = headline(record(), verdict(Level.FAIL, regression(), limits=(missed_limit(),)))
    assert plainly.index("rose 31 %") < plainly.index("outside its limit")
    critical = missed_limit(0.12, RequirementStatus.CRITICAL)
    badly = headline(record(), verdict(Level.FAIL, regression(), limits=(missed_limit(), critical)))
    assert badly.index("over even the critical level of 100 ms (limit < 75 ms)") < badly.index("rose 31 %")
    assert badly.endswith("1 other requirement fails too.")


def test_a_fall_of_throughput_is_called_a_fall() -> None:
    row = comparison("all", "throughput", -0.11, baseline=1_098.0, verdict=Change.REGRESSION, level=Level.FAIL)
    assert headline(record(), verdict(Level.FAIL, row)).startswith("Throughput fell 11 % in prd_compliance_validation")
    assert "above the 5 % margin" in headline(record(), verdict(Level.FAIL, row))


def test_the_margin_of_few_baselines_is_the_limit_named() -> None:
    assert "above the 15 % margin." in plain(moved(regression(margin=0.15, k=3)))


def test_a_share_moves_in_points_not_in_percent_of_percent() -> None:
    row = comparison(
        "authorization_check", "hit_rate", -0.05, baseline=0.96, half=0.01, verdict=Change.REGRESSION, level=Level.FAIL
    )
    text = plain(moved(row))
    assert "fell by 4.8 points" in text
    assert "(95 % interval -5.8 to -3.8 points), from 96.0 % to 91.2 %." in text


def test_errors_out_of_nothing_have_no_relative_change_and_still_read_well() -> None:
    row = dataclasses.replace(
        regression(),
        step="all",
        metric="error_rate",
        baseline=0.0,
        current=0.012,
        change=None,
        change_low=None,
        change_high=None,
    )
    assert plain(moved(row)) == "Error rate rose by 1.2 points in prd_compliance_validation, from 0 % to 1.2 %."


def test_an_unsure_change_says_that_it_is_unsure_and_what_could_have_been_seen() -> None:
    row = comparison("all", "p95", 0.08, baseline=0.04, half=0.1, verdict=Change.SUSPICIOUS, level=Level.INCONCLUSIVE)
    text = headline(record(), verdict(Level.INCONCLUSIVE, dataclasses.replace(row, mde=0.22)))
    assert "looks 8.0 % higher" in text
    assert text.endswith("neither shown to have changed nor to be unchanged: this run could only have detected 22 % or more.")


def test_a_figure_that_is_missing_because_nothing_was_answered_says_so_first() -> None:
    run = record()
    (slow,) = checked(run, requirement("p95", Comparator.BELOW, 0.075))
    lacking = dataclasses.replace(slow, estimate=None, status=RequirementStatus.MISSED, headroom=None, met=False)
    assert plain(missed(lacking)) == (
        "All requests failed in prd_compliance_validation, so there is no figure for p95 of all requests; limit < 75 ms."
    )


def test_a_missing_figure_is_called_not_measured() -> None:
    run = record(connections=None)
    (lacking,) = checked(run, requirement("database_connections", Comparator.AT_LEAST, 200))
    assert (
        plain(missed(lacking)) == "No figure for database connections in prd_compliance_validation: not measured, limit ≥ 200."
    )


@pytest.mark.parametrize(
    ("met", "side"), [(True, "but its interval reaches beyond it"), (False, "though its interval reaches inside")]
)
def test_a_marginal_value_says_on_which_side_it_lies(met: bool, side: str) -> None:
    marginal = dataclasses.replace(missed_limit(0.0745), status=RequirementStatus.MARGINAL, met=met)
    assert side in plain(missed(marginal))


def test_a_pass_names_its_tightest_requirement_and_its_largest_change() -> None:
    text = headline(*EXAMPLES["pass"]())
    assert text.startswith("All 14 requirements are met; the tightest: cache hit rate in prd_compliance_validation, 95.7 %")
    assert (
        "No regression in 54 compared figures; the largest change for the worse: p50 of all requests in stress_test, +2.9 %"
        in text
    )


def test_an_improvement_is_news_worth_a_sentence() -> None:
    assert "p95 of generation_list fell 24 % in prd_compliance_validation" in headline(*EXAMPLES["pass-improved"]())


def test_no_baseline_is_said_before_anything_else() -> None:
    assert headline(*EXAMPLES["no-baseline-first"]()).startswith("There is no baseline to compare with yet. All 14")
    text = headline(*EXAMPLES["no-baseline"]())
    helps = "Give similar machines one runner label, or record new baselines."
    said = f"3 baselines not used: of another environment (cores was 8, is 4). {helps} All 14 requirements are met;"
    assert text.startswith(said)


def test_a_broken_run_gives_the_first_reason_and_counts_the_others() -> None:
    text = headline(*EXAMPLES["broken"]())
    assert text.startswith("The measurement cannot be trusted, so nothing is judged. A process of the generator was lost")
    assert text.endswith("There is 1 more reason.")


def test_a_broken_run_without_trust_findings_gives_the_judges_words() -> None:
    assert "The judge's own words." in headline(record(), verdict(Level.BROKEN))


@pytest.mark.parametrize("level", [Level.WARN, Level.INCONCLUSIVE, Level.FAIL])
def test_a_verdict_without_a_row_to_show_gives_the_judges_words(level: Level) -> None:
    assert headline(record(), verdict(level)) == "The judge's own words."


def test_rows_without_any_change_are_not_compared_in_words() -> None:
    text = headline(record(), verdict(Level.PASS, limits=check_requirements(record().plan.phases, record())))
    assert text.endswith("Nothing was compared.")


def test_an_exactly_met_count_is_not_the_tightest_requirement() -> None:
    limits = checked(
        record(), requirement("users_held", Comparator.AT_LEAST, 10_000), requirement("p95", Comparator.BELOW, 0.075)
    )
    text = headline(record(), verdict(Level.PASS, limits=limits))
    assert "the tightest: users held" not in text


def undecided(change: float, mde: float) -> Comparison:
    return dataclasses.replace(
        regression(change), verdict=Change.INCONCLUSIVE, level=Level.INCONCLUSIVE, metric="p95", step="all", mde=mde
    )


def test_an_open_verdict_leads_with_what_could_have_been_missed_and_how_to_see_it() -> None:
    advice = "To detect smaller changes, use longer phases."
    finding = Finding(
        level=Level.INCONCLUSIVE, subject="comparison", facts=Worded(code="x", sentence="2 are open.", advice=advice)
    )
    found = Verdict(findings=(finding,), comparisons=(undecided(0.02, 0.12), undecided(0.01, 0.22)), baselines_used=10)
    text = headline(record(), found).replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("No regression found; could have missed up to 22 %")
    assert text.endswith(advice)
    assert title(found).startswith("no regression found")
    assert "unchanged" not in title(found)
    assert "pass" not in title(found)


def test_a_change_that_hardly_any_size_would_show_is_no_figure_of_five_digits() -> None:
    found = verdict(Level.INCONCLUSIVE, undecided(0.02, 490.0))
    assert title(found) == "no regression found; could have missed more than 200 %"
    assert (figures.detectable_words(2.0), figures.detectable_or_more(2.0)) == ("200 %", "200 % or more")
    assert (figures.detectable_words(3e7), figures.detectable_or_more(3e7)) == ("more than 200 %", "more than 200 %")


def test_a_suspicion_next_to_open_rows_is_what_the_verdict_is_about() -> None:
    suspect = dataclasses.replace(undecided(0.08, 0.12), verdict=Change.SUSPICIOUS)
    text = headline(record(), verdict(Level.INCONCLUSIVE, undecided(0.2, 0.5), suspect))
    assert "looks 8.0" in text
    assert title(verdict(Level.INCONCLUSIVE, undecided(0.2, 0.5), suspect)) == "inconclusive, suspicious, please read"


def of_levels(*levels: Level) -> Verdict:
    return Verdict(
        findings=tuple(Finding(level=level, subject="run", facts=Worded(code="x", sentence="so it is")) for level in levels)
    )


@pytest.mark.parametrize("level", list(Level))
def test_the_title_of_every_level_ends_in_its_action(level: Level) -> None:
    words = "no action needed" if level is Level.PASS else "please read"
    assert title(of_levels(level)) == f"{TITLES[level]}, {words}"


def test_whatever_comes_with_advice_is_to_be_read() -> None:
    assert action(of_levels(Level.NO_BASELINE, Level.WARN)) == "please read"
    assert action(of_levels(Level.NO_BASELINE, Level.PASS)) == "please read"


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_action_needed_never_stands_above_advice(example: str) -> None:
    record, verdict = EXAMPLES[example]()
    steps = [step.advice for step in build(record, verdict).next_steps]
    assert action(verdict) == ("no action needed" if steps == ["Nothing to do."] else "please read")


def test_a_verdict_without_findings_is_to_be_read() -> None:
    assert action(of_levels()) == "please read"


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_headline_is_one_line_of_bearable_length(example: str) -> None:
    text = headline(*EXAMPLES[example]())
    assert "\n" not in text
    assert 20 < len(text) < 450
    assert text.endswith(".")


def test_a_value_of_an_exact_count_has_no_interval() -> None:
    short = dataclasses.replace(
        missed_limit(),
        requirement=requirement("users_held", Comparator.AT_LEAST, 10_000, 8_000),
        estimate=Estimate.exact(7_000, n=1),
        status=RequirementStatus.CRITICAL,
    )
    assert plain(missed(short)) == (
        "Users held in prd_compliance_validation is 7,000, under even the critical level of 8,000 (limit ≥ 10,000)."
    )


def test_baselines_that_exist_and_were_not_used_stand_in_the_first_line_with_reason_and_remedy() -> None:
    record = run()
    said = "5 baselines not used: of another version of the plan (step a is gone; step b is new; digest 1, now 2)"
    detail = "step a is gone; step b is new; digest 1, now 2"
    verdict = judge(record, (), skipped=(UnusedRuns(why=WhyUnused.PLAN, runs=5, detail=detail),))
    assert headline(record, verdict).startswith(f"{said}. Undo what changed in the plan, or record new baselines.")
    assert title(verdict) == "stored baselines were not used, please read"
    assert ".." not in headline(record, verdict)
    assert build(record, verdict).comparison_count == "stored baselines were not used, so nothing was compared"
    assert any("Undo what renamed" in words(finding).advice for finding in verdict.findings)
    quiet = judge(record, (), skipped=(UnusedRuns(why=WhyUnused.PROFILE, runs=5, detail="full"),))
    assert title(quiet) == "no baseline yet, please read"


def test_a_required_baseline_that_is_missing_fails_the_run_and_its_reason_is_the_first_line() -> None:
    record = run()
    unused = UnusedRuns(why=WhyUnused.ENVIRONMENT, runs=2, detail="kernel was 1, is 2")
    verdict = judge(record, (), skipped=(unused,), policy=replace(record.plan.policy, require_baseline=True))
    assert verdict.level is Level.FAIL
    assert "a baseline is required: 2 baselines not used" in words(verdict.findings[0]).sentence
    assert "runner-label" in words(verdict.findings[0]).advice
    assert "baseline" in headline(record, verdict)


def test_a_run_that_the_service_ended_says_so_in_the_headline_and_not_what_followed_from_it() -> None:
    gone = replace(summary(failed=600), service_gone="connection refused")
    made = run(gone)
    found = judge(made, ())
    assert headline(made, found).startswith("The service stopped responding in steady: connection refused")


def test_the_headline_of_an_error_rate_names_the_statuses() -> None:
    found = summary(failed=600)
    whole, *others = found.steps
    rate = Estimate.exact(0.1, n=6000)
    whole = replace(
        whole,
        measurements={**whole.measurements, "error_rate": rate},
        outcomes={"OK": 5400, "STATUS": 600},
        statuses={200: 5400, 503: 600},
    )
    wanted = Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.01)
    (planned,) = run().plan.phases
    made = run(replace(found, steps=(whole, *others)), plan=(replace(planned, requirements=(wanted,)),))
    assert "outside its limit of < 1 %: 600 x 503." in headline(made, judge(made, ())).replace("\N{NO-BREAK SPACE}", " ")
