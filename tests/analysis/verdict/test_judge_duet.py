"""A whole duet in one verdict: pairs, the head build's requirements, trust, waivers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.analysis.duets import block, duet, noisy, of_phases, pair
from tests.analysis.phases import health
from tests.analysis.runs import planned, run, summary
from velro_gate.analysis.duet.pooled import pool_blocks
from velro_gate.analysis.summaries.control import control_summary
from velro_gate.analysis.verdict.judge_duet import block_doubts, head_phases, judge_duet_record
from velro_gate.model.duet import Duet, DuetRecord
from velro_gate.model.record import GeneratorNoise, RunRecord
from velro_gate.model.scenario import Comparator, Policy, Requirement
from velro_gate.model.verdict import Change, Level, Verdict
from velro_gate.model.waiver import Waiver
from velro_gate.report.sentences.findings import words

TIGHT = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.010)
LOOSE = Requirement(metric="p95", comparator=Comparator.BELOW, target=0.100)


def judged(
    held: Duet,
    *,
    wanted: Requirement | None = None,
    waivers: tuple[Waiver, ...] | None = None,
    noise: GeneratorNoise | None = None,
    interrupted: bool = False,
) -> Verdict:
    return judge_duet_record(record(held, wanted, noise, interrupted=interrupted), kept(held), waivers=waivers)


def kept(held: Duet) -> DuetRecord:
    return DuetRecord(duet=held, warm_up=4.0, block_seconds=60.0, restarted=True)


def record(
    held: Duet, wanted: Requirement | None = None, noise: GeneratorNoise | None = None, *, interrupted: bool = False
) -> RunRecord:
    plan = tuple(replace(phase, requirements=() if wanted is None else (wanted,)) for phase in planned("steady"))
    made = run(plan=plan)
    return replace(made, phases=head_phases(held), generator_noise=noise, interrupted=interrupted)


def test_an_unchanged_build_that_meets_its_requirements_passes() -> None:
    verdict = judged(noisy(), wanted=LOOSE)
    assert verdict.level is Level.PASS
    assert [result.met for result in verdict.requirements] == [True]
    assert verdict.duet is not None
    assert (verdict.duet.pairs, verdict.duet.left_out, verdict.duet.alpha) == (10, 0, 0.004)


def test_a_missed_requirement_of_the_head_build_fails_an_unchanged_build() -> None:
    verdict = judged(noisy(), wanted=TIGHT)
    assert verdict.level is Level.FAIL
    assert not any(row.verdict is Change.REGRESSION for row in verdict.comparisons)


def test_the_base_build_has_no_requirements_to_meet() -> None:
    assert judged(of_phases([summary(times=3.0)] * 10, [summary(times=0.8)] * 10), wanted=TIGHT).level is Level.PASS


def test_a_regression_fails_though_every_requirement_is_met() -> None:
    verdict = judged(noisy(factor=1.2), wanted=LOOSE, waivers=())
    assert verdict.level is Level.FAIL
    assert "agree on it in velro-waivers.yaml: - {phase:" in words(verdict.findings[0]).advice


def test_a_row_of_waivers_is_proposed_only_where_there_is_a_file_of_them() -> None:
    verdict = judged(noisy(factor=1.2), wanted=LOOSE)
    assert verdict.level is Level.FAIL
    assert "agree on it in a file of waivers (velro-waivers.yaml)" in words(verdict.findings[0]).advice
    assert not any("- {phase:" in words(finding).advice for finding in verdict.findings)


def test_a_waived_regression_warns() -> None:
    waivers = tuple(
        Waiver(
            phase="steady", step=step, metric=metric, ceiling=0.5, expires=date(2030, 1, 1), issue="#7", reason="a new check"
        )
        for step, metric in (("all", "p50"), ("all", "p95"), ("login", "p95"), ("authorize", "p95"))
    )
    assert judged(noisy(factor=1.2), waivers=waivers).level is Level.WARN


def test_an_interrupted_duet_is_broken_whatever_its_pairs_say() -> None:
    verdict = judged(noisy(factor=1.5), interrupted=True)
    assert verdict.level is Level.BROKEN
    assert "the duet was interrupted" in {words(finding).sentence for finding in verdict.findings}


def test_a_duet_without_a_pair_is_broken_and_asks_for_no_requirement() -> None:
    verdict = judged(duet(), wanted=LOOSE, interrupted=True)
    assert (verdict.level, verdict.requirements) == (Level.BROKEN, ())


@pytest.mark.parametrize(("side", "level"), [("base", Level.BROKEN), ("head", Level.FAIL)])
def test_a_build_that_goes_away_under_the_load_decides_by_its_side(side: str, level: Level) -> None:
    gone = block(replace(summary(), service_gone="connection refused"))
    good = block()
    one = pair(gone, good) if side == "base" else pair(good, gone)
    verdict = judged(duet(one), wanted=LOOSE)
    assert verdict.level is level
    assert f"the {side} build stopped responding in 1 of 1 blocks: connection refused" in {
        words(f).sentence for f in verdict.findings
    }


def test_noise_of_the_generator_breaks_the_duet_where_it_can_have_missed_the_limit() -> None:
    noise = GeneratorNoise(p50=0.002, p95=0.05, p99=0.06, lateness_p99=0.001, rate=100.0, users=50, seconds=5.0, requests=5000)
    assert judged(noisy(), wanted=TIGHT, noise=noise).level is Level.BROKEN
    assert judged(noisy(), wanted=LOOSE, noise=noise).level is Level.WARN


def test_another_policy_can_be_judged_by() -> None:
    held = noisy(factor=1.2)
    made = record(held)
    lenient = judge_duet_record(made, kept(held), policy=Policy(margin=0.3, unchanged_below=0.4))
    assert (judge_duet_record(made, kept(held)).level, lenient.level) == (Level.FAIL, Level.PASS)


def test_a_block_is_doubted_for_the_generators_faults_and_never_for_the_builds() -> None:
    plan = planned("steady")
    busy = replace(summary(), health=replace(health(), cpu_share=0.95))
    assert [doubt.code for doubt in block_doubts(plan, [busy])] == ["generator-cpu"]
    assert block_doubts(plan, [replace(summary(), service_gone="refused")]) == ()


def test_few_answers_are_a_matter_of_all_blocks_together() -> None:
    (plan,) = (replace(phase, requirements=(LOOSE,)) for phase in planned("steady"))
    few = summary(n=250)  # 12.5 beyond p95 in a block, 125 in ten
    assert block_doubts([plan], [few]) == ()
    assert judged(of_phases([few] * 10, [few] * 10), wanted=LOOSE).trust == ()


# All blocks together


def test_counts_are_added_and_figures_are_the_middle_of_the_blocks() -> None:
    whole = pool_blocks([summary(times=t) for t in (1.0, 1.1, 1.2)])
    p95 = whole.measurement("p95")
    assert whole.steps[0].counts.due == 18_000
    assert p95 is not None
    assert (p95.value, p95.n, p95.blocks) == (pytest.approx(0.012 * 1.1), 18_000, 3)
    assert p95.low == pytest.approx(0.012 * 0.99)
    assert p95.high == pytest.approx(0.012 * 1.2 * 1.01)


def test_with_ten_blocks_the_interval_is_that_of_the_signed_ranks() -> None:
    """Recipe: of the 55 means of two, 8 lie outside on either side (Hollander, Wolfe and Chicken 2014, table A.4: n = 10)."""
    times = [1.0 + 0.01 * i * i for i in range(10)]
    p95 = pool_blocks([summary(times=t) for t in times]).measurement("p95")
    walsh = sorted((a + b) / 2 for i, a in enumerate(times) for b in times[i:])
    assert p95 is not None
    assert (p95.low / 0.012, p95.high / 0.012) == (pytest.approx(walsh[8]), pytest.approx(walsh[-9]))


def test_of_what_must_hold_all_the_time_the_worst_block_counts() -> None:
    blocks = [summary(changed={"users_held": held, "lateness_p99": late}) for held, late in ((50.0, 0.001), (42.0, 0.003))]
    whole = pool_blocks(blocks)
    held, late = whole.measurement("users_held"), whole.measurement("lateness_p99")
    assert held is not None
    assert late is not None
    assert (held.value, late.value) == (42.0, 0.003)
    assert pool_blocks([summary(), replace(summary(), health=replace(health(), cpu_share=0.8))]).health.cpu_share == 0.8


def test_one_block_keeps_its_own_interval() -> None:
    alone, block_alone = pool_blocks([summary()]).measurement("p95"), summary().measurement("p95")
    assert alone is not None
    assert block_alone is not None
    assert (alone.low, alone.value, alone.high) == (block_alone.low, block_alone.value, block_alone.high)


# The control endpoint


def test_the_control_is_known_by_the_median_of_its_answers() -> None:
    found = control_summary([0.001 * i for i in range(1, 102)], failed=2)
    p50 = found.measurements["p50"]
    assert p50.value == pytest.approx(0.051)
    assert p50.low < 0.051 < p50.high
    assert (found.counts.ok, found.counts.failed) == (101, 2)


def test_a_control_without_an_answer_has_no_figure() -> None:
    assert control_summary([]).measurements == {}
