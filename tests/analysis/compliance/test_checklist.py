"""Checklists, classes and impact come from the run; what was not measured stays open."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.records import PRD, measured, record
from velro_gate.analysis.compliance.assess import assess
from velro_gate.analysis.compliance.impact import slower_share
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.compliance.assessment import CheckCode, CheckState, Compliance
from velro_gate.model.compliance.rules import ClassLimits, ComplianceRules
from velro_gate.model.facts.bottlenecks import Bottleneck, BottleneckFacts, NoisyNeighbour, PoolExhausted
from velro_gate.model.record import Estimate, PhaseSummary, ResourceSummary, RunRecord
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.sentences.compliance import check_reason, impact_words

GIB = 2.0**30


def watched(run: RunRecord, *, cpu: float = 0.4, memory: float = 8.0) -> RunRecord:
    """The run with readings of the runner in each phase."""
    readings = (
        ResourceSummary(source="runner", name="cpu_share", least=cpu, median=cpu, most=cpu, n=60),
        ResourceSummary(source="runner", name="memory_available", least=memory * GIB, median=memory * GIB, most=9 * GIB, n=60),
    )
    kept = tuple(one for one in run.phases[0].resources if one.source != "runner")
    return dataclasses.replace(run, phases=tuple(dataclasses.replace(one, resources=(*kept, *readings)) for one in run.phases))


def figures_changed(run: RunRecord, phase: str, **values: float | None) -> RunRecord:
    """The run with other figures of all steps in one phase; None: not measured."""

    def changed(one: PhaseSummary) -> PhaseSummary:
        if one.name != phase:
            return one
        steps = []
        for step in one.steps:
            found = dict(step.measurements)
            for name, value in values.items() if step.step == ALL_STEPS else ():
                found.pop(name, None)
                if value is not None:
                    found[name] = Estimate.exact(value, n=9_000)
            steps.append(dataclasses.replace(step, measurements=found))
        return dataclasses.replace(one, steps=tuple(steps))

    return dataclasses.replace(run, phases=tuple(map(changed, run.phases)))


def assessed(run: RunRecord) -> Compliance:
    return assess(run, judge(run, ()))


def states(found: Compliance) -> dict[CheckCode, CheckState]:
    return {check.code: check.state for check in (*found.checklist, *found.criteria) if check.code is not CheckCode.REQUIREMENT}


GOOD = watched(measured(record(), 2))


def test_a_run_that_measured_everything_and_met_it_ticks_what_it_measured() -> None:
    found = assessed(GOOD)
    assert states(found) == {
        CheckCode.PHASES_MET: CheckState.DONE,
        CheckCode.SCORE: CheckState.DONE,
        CheckCode.NOTHING_CRITICAL: CheckState.DONE,
        CheckCode.ERROR_RATE: CheckState.DONE,
        CheckCode.RESOURCES: CheckState.DONE,
        CheckCode.CACHE: CheckState.DONE,
        CheckCode.CONNECTIONS: CheckState.DONE,
        CheckCode.STABLE: CheckState.DONE,
    }
    requirements = [check for check in found.criteria if check.code is CheckCode.REQUIREMENT]
    assert len(requirements) == 7
    assert {check.state for check in requirements} == {CheckState.DONE}


@pytest.mark.parametrize(
    ("run", "open_code"),
    [
        (figures_changed(GOOD, PRD, error_rate=None), CheckCode.ERROR_RATE),
        (
            dataclasses.replace(GOOD, phases=tuple(dataclasses.replace(one, resources=()) for one in GOOD.phases)),
            CheckCode.RESOURCES,
        ),
        (dataclasses.replace(GOOD, phases=GOOD.phases[:2]), CheckCode.PHASES_MET),
        (dataclasses.replace(GOOD, phases=GOOD.phases[:2]), CheckCode.STABLE),
    ],
)
def test_what_was_not_measured_is_open(run: RunRecord, open_code: CheckCode) -> None:
    assert states(assessed(run))[open_code] is CheckState.OPEN


def test_what_is_out_of_its_limit_has_failed_and_names_the_phase() -> None:
    found = {check.code: check for check in assessed(watched(GOOD, cpu=0.97)).checklist}
    assert found[CheckCode.RESOURCES].state is CheckState.FAILED
    assert found[CheckCode.RESOURCES].against == tuple(phase.name for phase in GOOD.phases)
    short = {check.code: check for check in assessed(watched(GOOD, memory=0.2)).checklist}
    assert short[CheckCode.RESOURCES].state is CheckState.FAILED


def held_back(facts: BottleneckFacts) -> RunRecord:
    """The good run with one bottleneck in its first phase."""
    one = Bottleneck(start=4.0, end=7.0, strength=0.9, series=(), facts=facts)
    return dataclasses.replace(GOOD, phases=(dataclasses.replace(GOOD.phases[0], bottlenecks=(one,)), *GOOD.phases[1:]))


def test_a_bottleneck_of_the_service_fails_the_item_and_one_of_the_runner_leaves_it_open() -> None:
    pool, neighbour = PoolExhausted(size=20.0, share=0.9, waiting=12.0), NoisyNeighbour(process="python3", share=0.5)
    assert states(assessed(held_back(pool)))[CheckCode.NOTHING_CRITICAL] is CheckState.FAILED
    found = {check.code: check for check in assessed(held_back(neighbour)).checklist}[CheckCode.NOTHING_CRITICAL]
    assert found.state is CheckState.OPEN
    assert check_reason(found) == f"the runner, not the service, was the limit in {GOOD.phases[0].name}"


@pytest.mark.parametrize("run", [record(connections=None), watched(record(profile="quick"))])
def test_nothing_is_ticked_in_a_broken_run_or_one_that_does_not_prove_the_prd(run: RunRecord) -> None:
    found = assessed(run)
    assert CheckState.DONE not in {check.state for check in (*found.checklist, *found.criteria)}


def test_items_of_the_teams_own_are_open_and_last() -> None:
    rules = ComplianceRules(checklist=("The runbook is up to date",))
    found = assessed(dataclasses.replace(GOOD, plan=dataclasses.replace(GOOD.plan, compliance=rules)))
    assert (found.checklist[-1].code, found.checklist[-1].state) == (CheckCode.OWN, CheckState.OPEN)


@pytest.mark.parametrize(
    ("p95", "throughput", "hit_rate", "name"),
    [
        (0.049, 1_200.0, 0.95, "excellent"),
        (0.050, 1_200.0, 0.95, "good"),
        (0.049, 1_000.0, 0.95, "good"),
        (0.049, 1_200.0, 0.90, "good"),
        (0.099, 800.0, 0.85, "acceptable"),
        (0.100, 1_200.0, 0.95, "needs work"),
        (0.049, 799.0, 0.95, "needs work"),
        (0.049, 1_200.0, 0.84, "needs work"),
    ],
)
def test_a_phase_has_the_class_of_its_worst_figure(p95: float, throughput: float, hit_rate: float, name: str) -> None:
    run = figures_changed(GOOD, PRD, p95=p95, throughput=throughput, hit_rate=hit_rate)
    (found,) = [phase for phase in assessed(run).phases if phase.phase == PRD]
    assert found.name == name
    assert found.whole


def test_the_throughput_of_a_phase_that_offers_less_than_the_table_asks_for_has_no_class() -> None:
    (warm_up, *_) = assessed(GOOD).phases
    assert [figure.name is None for figure in warm_up.figures] == [False, True, False]
    assert not warm_up.whole


def test_a_figure_that_was_not_measured_has_no_class() -> None:
    (found,) = [phase for phase in assessed(figures_changed(GOOD, PRD, hit_rate=None)).phases if phase.phase == PRD]
    assert found.figures[2].name is None
    assert found.name is not None


def test_a_scenario_without_prd_requirements_has_the_classes_that_it_names_itself() -> None:
    own = [dataclasses.replace(one, requirements=()) for one in GOOD.plan.phases]
    rules = ComplianceRules(classes=(ClassLimits(name="swift", p95=9.0, throughput=1.0, hit_rate=0.0),))
    plan = dataclasses.replace(GOOD.plan, phases=tuple(own), compliance=rules)
    assert {phase.name for phase in assessed(dataclasses.replace(GOOD, plan=plan)).phases} == {"swift"}


def test_the_impact_follows_the_stated_formula() -> None:
    impact = assessed(GOOD).impact
    assert impact is not None
    assert (impact.phase, impact.users, impact.rate, impact.limit) == (PRD, 10_000.0, 1_000.0, 0.075)
    affected = impact.failed + (1.0 - impact.failed) * impact.slow
    assert impact.requests_per_hour == pytest.approx(3_600_000.0 * affected)
    assert impact.users_per_minute == pytest.approx(10_000.0 * (1.0 - (1.0 - affected) ** 6.0))


def test_an_impact_that_is_only_bounded_is_called_a_bound() -> None:
    impact = assessed(figures_changed(GOOD, PRD, p50=0.001, p90=0.002, p95=0.003, p99=0.004, p999=0.005)).impact
    assert impact is not None
    assert impact.slow_low == 0.0
    assert "at most about" in impact_words(impact)
    assert "at most" not in impact_words(dataclasses.replace(impact, slow_low=0.01))


def test_a_smaller_plan_is_put_to_the_prds_load() -> None:
    impact = assessed(watched(record(profile="quick"))).impact
    assert impact is not None
    assert (impact.users, impact.rate) == (10_000.0, 1_000.0)


@given(st.floats(0.0001, 10.0))
def test_the_share_of_slow_responses_lies_between_the_ranks_around_the_limit(limit: float) -> None:
    phase = GOOD.phases[3]
    low, share, high = slower_share(phase, limit)
    assert 0.0 <= low <= share <= high <= 1.0
    p95 = phase.measurement("p95")
    assert p95 is not None
    assert (high <= 0.05 + 1e-12) if limit >= p95.value else (low >= 0.05 - 1e-12)


def test_without_classes_of_its_own_no_hit_rate_is_wanted_of_a_service_that_is_not_the_prds() -> None:
    stated = [dataclasses.replace(phase, requirements=()) for phase in GOOD.plan.phases]
    run = dataclasses.replace(GOOD, plan=dataclasses.replace(GOOD.plan, phases=tuple(stated), unproven=()))
    run = figures_changed(run, PRD, hit_rate=0.4)
    cache = next(check for check in assessed(run).checklist if check.code is CheckCode.CACHE)
    assert cache.state is CheckState.OPEN
    assert check_reason(cache) == "this scenario has no classes"
