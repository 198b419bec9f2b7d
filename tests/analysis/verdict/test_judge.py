"""The verdict: the worst of everything that was found, and never green for want of a look."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.phases import health
from tests.analysis.runs import baselines, planned, run, summary
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.model.record import PhaseSummary, RunRecord
from velro_gate.model.scenario import BlockInconclusive, Comparator, Phase, Policy, Requirement
from velro_gate.model.verdict import Change, Finding, Level, Verdict, worst
from velro_gate.report.sentences.findings import words

CALM = baselines(10, sd=0.01)


def limited(*requirements: Requirement) -> tuple[Phase, ...]:
    return tuple(replace(phase, requirements=requirements) for phase in planned())


UNDER_75_MS = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.075)
UNDER_10_MS = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.010)


def first(verdict: Verdict) -> Finding:
    return verdict.findings[0]


def test_an_unchanged_run_passes_and_says_what_was_shown() -> None:
    verdict = judge(run(), CALM, phases=limited(UNDER_75_MS))
    assert verdict.level is Level.PASS
    sentences = " ".join(words(finding).sentence for finding in verdict.findings)
    assert "the one requirement is met" in sentences
    assert "no regression in any of the 6 comparisons with 10 baselines: a worsening of p95 by" in sentences
    assert verdict.baselines_used == 10


def test_a_slower_step_fails_and_is_the_first_thing_said() -> None:
    verdict = judge(run(summary(steps={"authorize": 1.3})), CALM)
    assert verdict.level is Level.FAIL
    assert verdict.exit_code(block_inconclusive=True) == 1
    assert words(first(verdict)).sentence.startswith("p95 of authorize is 30 % slower than the baseline (+2")
    assert words(first(verdict)).advice


def test_only_improvements_pass_with_the_sentence() -> None:
    verdict = judge(run(summary(times=0.7)), CALM)
    assert verdict.level is Level.PASS
    assert any("30 % faster than the baseline" in words(finding).sentence for finding in verdict.findings)


def test_without_baselines_there_is_one_finding_about_it_and_the_requirements_decide() -> None:
    verdict = judge(run(), (), phases=limited(UNDER_75_MS))
    assert verdict.level is Level.NO_BASELINE
    assert [finding.level for finding in verdict.findings].count(Level.NO_BASELINE) == 1
    assert verdict.exit_code(block_inconclusive=True) == 0
    assert judge(run(), (), phases=limited(UNDER_10_MS)).level is Level.FAIL


def test_skipped_baselines_are_kept_and_reported() -> None:
    unused = UnusedRuns(why=WhyUnused.UNREADABLE, detail="shop/a.json is not used: it is not JSON")
    verdict = judge(run(), (), skipped=(unused,))
    assert verdict.baselines_skipped == (unused,)
    assert "it is not JSON" in words(first(verdict)).sentence


def test_an_interrupted_run_is_broken_however_good_its_figures() -> None:
    verdict = judge(replace(run(), interrupted=True), CALM, phases=limited(UNDER_75_MS))
    assert verdict.level is Level.BROKEN
    assert "interrupted" in words(first(verdict)).sentence


def test_a_planned_phase_that_was_not_reached_breaks_the_run() -> None:
    cut = run(summary(), plan=planned("steady", "storm"))
    verdict = judge(cut, CALM)
    assert verdict.level is Level.BROKEN
    assert "storm" in words(first(verdict)).sentence


def test_other_phases_to_judge_by_do_not_hide_that_the_plan_was_not_carried_out() -> None:
    cut = run(summary(), plan=planned("steady", "storm"))
    assert judge(cut, CALM, phases=planned("steady")).level is Level.BROKEN


def test_a_phase_that_ended_early_is_reported_once() -> None:
    verdict = judge(run(replace(summary(), interrupted=True)), CALM)
    assert verdict.level is Level.BROKEN
    assert sum(finding.level is Level.BROKEN for finding in verdict.findings) == 1


@pytest.mark.parametrize("kind", ["service_gone", "hopeless"])
def test_a_build_that_crashes_or_refuses_everybody_under_load_fails_and_is_reported_once(kind: str) -> None:
    verdict = judge(run(replace(summary(), **{kind: "no answer for 5.00 s"})), CALM)
    assert verdict.level is Level.FAIL
    failed = [words(finding).sentence for finding in verdict.findings if finding.level is Level.FAIL]
    assert len(failed) == 1
    assert "no answer for 5.00 s" in failed[0]
    cut = run(replace(summary(), **{kind: "gone"}), plan=planned("steady", "storm"))
    assert judge(cut, CALM).level is Level.FAIL, "what was not reached for that reason is no doubt in the measurement"


def test_a_record_without_a_phase_is_broken() -> None:
    nothing = RunRecord(
        id="x",
        started_at="2025-01-01T00:00:00Z",
        tool="0",
        plan=replace(run().plan, phases=()),
        environment=run().environment,
        revision=run().revision,
        phases=(),
    )
    assert judge(nothing, ()).level is Level.BROKEN


def test_a_doubtful_measurement_breaks_a_verdict_that_would_have_passed() -> None:
    busy = replace(summary(), health=health(cpu_share=0.97))
    verdict = judge(run(busy), CALM)
    assert verdict.level is Level.BROKEN
    assert verdict.trust


def test_a_caveat_warns() -> None:
    assert judge(run(replace(summary(), health=health(cpu_share=0.8))), CALM).level is Level.WARN


def test_a_missing_requirement_figure_is_never_green() -> None:
    needs = Requirement(metric="database_connections", comparator=Comparator.AT_LEAST, target=200.0)
    assert judge(run(), CALM, phases=limited(needs)).level is Level.BROKEN


def silent(**outcomes: int) -> PhaseSummary:
    """A phase in which 6,000 requests were sent and none was answered well."""
    phase = summary(failed=6_000, without=("p50", "p95", "p99"))
    step = replace(phase.steps[0], outcomes=outcomes, statuses={404: 5_000, 500: 1_000} if "STATUS" in outcomes else {})
    return replace(phase, steps=(step, *phase.steps[1:]))


def test_a_service_that_answers_nothing_well_fails_even_where_nothing_was_required_of_it_and_no_baseline_is_stored() -> None:
    verdict = judge(run(silent(STATUS=6_000)), ())
    assert verdict.level is Level.FAIL
    assert words(first(verdict)).sentence == ("all 6,000 requests in steady failed (5,000 x 404, 1,000 x 500)")
    assert "failed requests" in words(first(verdict)).advice


@pytest.mark.parametrize(("failed", "level"), [(300, Level.NO_BASELINE), (301, Level.FAIL), (3_000, Level.FAIL)])
def test_beyond_five_percent_of_errors_a_phase_fails_without_statistics(failed: int, level: Level) -> None:
    assert judge(run(summary(failed=failed)), ()).level is level


def test_baselines_with_as_many_errors_do_not_excuse_them() -> None:
    verdict = judge(run(summary(failed=600)), baselines(10, sd=0.01, failed=600))
    assert verdict.level is Level.FAIL
    assert words(first(verdict)).sentence.startswith("10.0 % of the requests in steady failed; no run may have more than 5 %")


def test_a_plan_that_says_how_many_errors_it_allows_is_taken_at_its_word() -> None:
    allowed = Requirement(metric="error_rate", comparator=Comparator.BELOW, target=0.2)
    sentences = [words(finding).sentence for finding in judge(run(summary(failed=600)), (), phases=limited(allowed)).findings]
    assert not any("no run may have more" in sentence for sentence in sentences)


def test_a_login_that_fails_for_everyone_is_pointed_at() -> None:
    found = first(judge(run(silent(CAPTURE=5_900, TIMEOUT=100)), ()))
    assert words(found).sentence.endswith("(5,900 x missing capture, 100 x timeout)")
    assert "login step" in words(found).advice


def test_the_requirements_of_an_interrupted_phase_advise_to_run_again_and_nothing_else() -> None:
    verdict = judge(run(replace(summary(), interrupted=True)), (), phases=limited(UNDER_75_MS))
    advice = {words(finding).advice for finding in verdict.findings if finding.level is Level.BROKEN}
    assert advice == {"Run again and let it finish; a partial record is never judged as a whole."}


def test_another_policy_can_judge_the_same_run() -> None:
    slower = run(summary(times=1.2))
    assert judge(slower, CALM).level is Level.FAIL
    assert judge(slower, CALM, policy=Policy(margin=0.5, unchanged_below=0.6)).level is Level.PASS


def test_the_policy_of_the_plan_counts_when_no_other_is_given() -> None:
    lenient = run(summary(times=1.2), policy=Policy(margin=0.5, unchanged_below=0.6))
    assert judge(lenient, CALM).level is Level.PASS


def test_too_much_noise_is_inconclusive_and_blocks_only_where_the_policy_says_so() -> None:
    verdict = judge(run(summary(times=1.02)), baselines(10, sd=0.15))
    assert verdict.level is Level.INCONCLUSIVE
    blocking: Sequence[BlockInconclusive] = ("suspicious", True, False)
    assert [verdict.exit_code(block_inconclusive=wanted) for wanted in blocking] == [0, 3, 0]


def test_several_phases_are_named_in_the_sentences() -> None:
    before = [run(summary("calm"), summary("storm"), number=i) for i in range(10)]
    verdict = judge(run(summary("calm"), summary("storm", steps={"authorize": 1.5})), before)
    assert words(first(verdict)).sentence.startswith("p95 of authorize in storm is 50 % slower")
    assert first(verdict).subject == "storm"


@given(
    st.floats(0.5, 2.0),
    st.integers(0, 12),
    st.booleans(),
    st.floats(0.0, 1.0),
    st.integers(0, 200),
    st.sampled_from([(), (UNDER_75_MS,), (UNDER_10_MS,)]),
)
def test_a_verdict_is_the_worst_of_its_findings_which_come_worst_first(
    times: float, k: int, interrupted: bool, cpu: float, failed: int, requirements: tuple[Requirement, ...]
) -> None:
    held = replace(summary(times=times, failed=failed), health=health(cpu_share=cpu))
    verdict = judge(replace(run(held), interrupted=interrupted), baselines(k), phases=limited(*requirements))
    levels = [finding.level for finding in verdict.findings]
    assert levels == sorted(levels, reverse=True)
    assert verdict.level is levels[0]
    reported = [*(r.level for r in verdict.requirements), *(t.level for t in verdict.trust)]
    assert verdict.level >= worst([*reported, Level.PASS])
    assert verdict.level >= worst([*(c.level for c in verdict.comparisons if c.primary), Level.PASS])
    assert all(
        words(finding).sentence and (words(finding).advice or finding.level is Level.PASS) for finding in verdict.findings
    )


@given(st.lists(st.sampled_from(list(Level)), max_size=6), st.sampled_from(list(Level)))
def test_adding_a_finding_never_improves_a_verdict(levels: list[Level], more: Level) -> None:
    def verdict(of: list[Level]) -> Verdict:
        return Verdict(findings=tuple(Finding(level=level, subject="s", facts=Worded(code="x", sentence="s")) for level in of))

    if levels:
        assert verdict([*levels, more]).level >= verdict(levels).level
    else:
        assert verdict(levels).level is Level.BROKEN


def worse_in_some_way(phase: PhaseSummary) -> dict[str, PhaseSummary]:
    return {
        "slower": summary(times=2.0),
        "failing": summary(failed=600),
        "without p95": summary(without=("p95",)),
        "starved": summary(n=300),
        "gone": replace(phase, service_gone="refused"),
        "doubtful": replace(phase, health=health(cpu_share=0.99)),
    }


@pytest.mark.parametrize("harm", list(worse_in_some_way(summary())))
def test_no_harm_to_a_run_leaves_it_green(harm: str) -> None:
    assert judge(run(worse_in_some_way(summary())[harm]), CALM, phases=limited(UNDER_75_MS)).level >= Level.INCONCLUSIVE


@pytest.mark.slow
def test_a_run_of_six_phases_against_thirty_baselines_is_judged_row_by_row() -> None:
    names = [f"phase{i}" for i in range(6)]
    before = [run(*(summary(name, times=1 + 0.01 * (i % 3)) for name in names), number=i) for i in range(30)]
    verdict = judge(run(*map(summary, names)), before)
    assert verdict.level is Level.PASS
    assert sum(row.primary for row in verdict.comparisons) == 36
    assert {row.verdict for row in verdict.comparisons if row.primary} == {Change.UNCHANGED}
    phases = [phase for phase, _ in itertools.groupby(row.phase for row in verdict.comparisons)]
    assert phases == names
