"""The compliance score: monotone, weighted, and absent where the run proves nothing."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.report.records import PRD, measured, record
from velro_gate.analysis.compliance.assess import assess
from velro_gate.analysis.compliance.score import points, requirement_scores, score_of
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.requirements import judged
from velro_gate.model.compliance.assessment import CheckState, Compliance, Readiness, Reservation, Unscored
from velro_gate.model.compliance.rules import ComplianceRules, NamedWeight, ScoreBand
from velro_gate.model.record import Estimate, ResourceSummary, RunRecord
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.model.verdict import Level, RequirementResult, Verdict

ONLY = record(phases=(PRD,)).phases[0]


def assessed(run: RunRecord) -> Compliance:
    return assess(run, judge(run, ()))


def reported(run: RunRecord, level: Level) -> Verdict:
    """The verdict of a run, as if its only finding were of this level."""
    verdict = judge(run, ())
    return dataclasses.replace(verdict, findings=(dataclasses.replace(verdict.findings[0], level=level),))


def hot(run: RunRecord) -> RunRecord:
    """The run on a runner without any CPU left."""
    full = ResourceSummary(source="runner", name="cpu_share", least=1.0, median=1.0, most=1.0, n=60)
    return dataclasses.replace(
        run, phases=tuple(dataclasses.replace(one, resources=(full, *one.resources[1:])) for one in run.phases)
    )


def under(run: RunRecord, rules: ComplianceRules) -> RunRecord:
    return dataclasses.replace(run, plan=dataclasses.replace(run.plan, compliance=rules))


def result(value: float, *, target: float = 0.075, critical: float | None = 0.1, required: bool = True) -> RequirementResult:
    wanted = Requirement(metric="p95", comparator=Comparator.BELOW, target=target, critical=critical, required=required)
    return judged(PRD, wanted, Estimate.exact(value, n=9_000), ONLY)


VALUES = st.floats(0.001, 0.3)
WANTED = st.tuples(VALUES, VALUES, st.floats(0.02, 0.1), st.sampled_from([None, 1.0, 1.2, 2.0]), st.booleans())


@given(st.lists(WANTED, min_size=1, max_size=6), st.data())
def test_a_better_figure_never_lowers_the_score(
    cases: list[tuple[float, float, float, float | None, bool]], data: st.DataObject
) -> None:
    rules = ComplianceRules(weights=data.draw(st.sampled_from([(), (NamedWeight(step="all", metric="p95", weight=3.0),)])))
    made = [
        [
            result(value, target=target, critical=None if way is None else target * way, required=required)
            for value in (min(one, other), max(one, other))
        ]
        for one, other, target, way, required in cases
    ]
    changed = data.draw(st.lists(st.booleans(), min_size=len(made), max_size=len(made)))
    worse = score_of(requirement_scores([pair[1] for pair in made], rules))
    mixed = score_of(
        requirement_scores([pair[0] if better else pair[1] for pair, better in zip(made, changed, strict=True)], rules)
    )
    assert worse is not None
    assert mixed is not None
    assert mixed >= worse
    assert 0.0 <= worse <= 1.0


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_the_score_is_100_percent_exactly_when_every_requirement_is_met(values: list[float]) -> None:
    rows = requirement_scores([result(value) for value in values], ComplianceRules())
    assert (score_of(rows) == 1.0) is all(value < 0.075 for value in values)


def test_what_is_just_missed_earns_half_and_what_is_critical_nothing() -> None:
    assert [points(result(value)) for value in (0.0749, 0.075, 0.0875, 0.1, 0.2)] == pytest.approx([1.0, 0.5, 0.25, 0.0, 0.0])
    assert points(result(0.0751, critical=None)) == 0.0


def test_a_critical_level_doubles_the_weight_a_warning_halves_it_and_a_scenario_may_name_its_own() -> None:
    results = [result(0.05), result(0.05, critical=None), result(0.05, critical=None, required=False)]
    assert [row.weight for row in requirement_scores(results, ComplianceRules())] == [2.0, 1.0, 0.5]
    own = ComplianceRules(weights=(NamedWeight(step="all", metric="p95", weight=7.0),))
    assert [row.weight for row in requirement_scores(results, own)] == [7.0, 7.0, 7.0]


def test_a_run_that_meets_everything_is_excellent_and_ready() -> None:
    run = measured(record(), 2)
    found = assess(run, reported(run, Level.PASS))
    assert (found.score, found.band, found.readiness, found.reservations) == (1.0, "excellent", Readiness.READY, ())
    assert all(row.gap is None for row in found.rows)


@pytest.mark.parametrize("unmarked", [0, 1])
def test_a_plan_that_states_no_prd_requirement_has_no_score_and_is_not_ready(unmarked: int) -> None:
    run = measured(record(), 2)
    own = [
        dataclasses.replace(
            phase,
            requirements=tuple(dataclasses.replace(one, source="team" if unmarked else "") for one in phase.requirements),
        )
        for phase in run.plan.phases
    ]
    found = assessed(dataclasses.replace(run, plan=dataclasses.replace(run.plan, phases=tuple(own))))
    assert (found.score, found.unscored, found.readiness) == (None, Unscored.NO_PRD, Readiness.UNKNOWN)
    assert found.phases == (), "the PRD's classes say nothing of another service"
    assert CheckState.DONE not in {check.state for check in (*found.checklist, *found.criteria)}


def without_runner(run: RunRecord) -> RunRecord:
    return dataclasses.replace(run, phases=tuple(dataclasses.replace(one, resources=()) for one in run.phases))


@pytest.mark.parametrize(
    ("run", "held_back"),
    [
        (without_runner(measured(record(), 2)), Reservation.OPEN),
        (under(measured(record(), 2), ComplianceRules(checklist=("The runbook is up to date",))), Reservation.OPEN),
        (hot(measured(record(), 2)), Reservation.FAILED),
    ],
)
def test_an_item_that_failed_or_is_open_is_a_reservation(run: RunRecord, held_back: Reservation) -> None:
    found = assess(run, reported(run, Level.PASS))
    assert (found.score, found.readiness, found.reservations) == (1.0, Readiness.RESERVATIONS, (held_back,))


@pytest.mark.parametrize("level", [Level.WARN, Level.NO_BASELINE, Level.INCONCLUSIVE])
def test_only_a_passed_run_is_ready_without_reservations(level: Level) -> None:
    run = measured(record(), 2)
    assert assess(run, reported(run, level)).reservations == (Reservation.VERDICT,)


def test_a_missed_requirement_lowers_the_score_and_shows_its_gap() -> None:
    found = assessed(record(load=2.3))
    assert found.score is not None
    assert found.score < 0.95
    assert found.readiness is Readiness.NOT_READY
    missed = [row for row in found.rows if not row.result.met]
    assert missed
    assert all(row.gap is not None and row.gap > 0.0 for row in missed)


def test_the_score_of_a_broken_run_does_not_exist() -> None:
    found = assessed(record(connections=None))
    assert (found.score, found.band, found.unscored) == (None, None, Unscored.BROKEN)
    assert found.readiness is Readiness.UNKNOWN


def test_a_scaled_plan_has_no_score() -> None:
    assert assessed(record(profile="quick")).unscored is Unscored.SCALED


def test_a_plan_without_every_prd_requirement_has_no_score_and_names_them() -> None:
    run = measured(record(), 2)
    wanted = Requirement(metric="users_held", comparator=Comparator.AT_LEAST, target=20_000.0, source="PRD")
    run = dataclasses.replace(run, plan=dataclasses.replace(run.plan, unproven=(wanted,)))
    found = assessed(run)
    assert (found.score, found.unscored, found.unproven) == (None, Unscored.UNPROVEN, (wanted,))
    assert found.readiness is Readiness.UNKNOWN


def test_a_failed_run_of_a_smaller_plan_is_not_ready_all_the_same() -> None:
    assert assessed(record(profile="quick", load=2.3)).readiness is Readiness.NOT_READY


@pytest.mark.parametrize(
    ("score", "band"),
    [(1.0, "excellent"), (0.95, "excellent"), (0.949, "good"), (0.85, "good"), (0.70, "acceptable"), (0.699, "needs work")],
)
def test_bands_are_those_of_the_prd(score: float, band: str) -> None:
    assert ComplianceRules().band(score) == band


def test_a_scenario_may_name_its_own_bands() -> None:
    rules = ComplianceRules(bands=(ScoreBand(name="ship", least=1.0), ScoreBand(name="look", least=0.5)))
    assert assessed(under(measured(record(), 2), rules)).band == "ship"


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4))
def test_bands_out_of_order_are_refused(levels: list[float]) -> None:
    assume(sorted(levels, reverse=True) != levels or len(set(levels)) < len(levels))
    with pytest.raises(ValueError, match="bands go"):
        ComplianceRules(bands=tuple(ScoreBand(name=str(index), least=level) for index, level in enumerate(levels)))
