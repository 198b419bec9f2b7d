"""The shipped scenarios are the plan of the PRD: its table, its requirements, its profiles."""

from __future__ import annotations

import json

import pytest

from tests.scenario.files import ROOT, SHIPPED
from velro_gate.model.metrics import LEAKS
from velro_gate.model.scenario import BearerAuth, Comparator, OpenArrivals, Phase, Requirement, Scenario
from velro_gate.scenario import json_schema, load_scenario, profile_digest, required_variables

# name, users, seconds, requests a second, p95 limit in seconds, hit rate: the table of the PRD.
TABLE = [
    ("warm_up_baseline", 500, 120, 100, 0.075, 0.85),
    ("intermediate_scaling", 2_500, 300, 500, 0.075, 0.90),
    ("large_scale_validation", 5_000, 450, 800, 0.075, 0.93),
    ("prd_compliance_validation", 10_000, 600, 1_000, 0.075, 0.95),
    ("stress_test", 15_000, 300, 1_200, 0.100, 0.90),
    ("endurance_test", 8_000, 1_800, 800, 0.075, 0.93),
]


@pytest.fixture(scope="module")
def velro() -> Scenario:
    return load_scenario(SHIPPED, {})


def wanted(phase: Phase, metric: str, step: str = "all") -> Requirement:
    """The one requirement of a phase on a metric."""
    (found,) = [one for one in phase.requirements if (one.metric, one.step) == (metric, step)]
    return found


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_full_profile_is_the_table_of_the_prd(velro: Scenario, row: tuple[str, int, float, float, float, float]) -> None:
    name, users, seconds, rate, p95, hit_rate = row
    (phase,) = [phase for phase in velro.profiles["full"] if phase.name == name]
    assert (phase.users, phase.duration) == (users, seconds)
    assert phase.offered_rate == pytest.approx(1.1 * rate)
    assert wanted(phase, "throughput").target == rate
    assert (wanted(phase, "p95").target, wanted(phase, "p95").comparator) == (p95, Comparator.BELOW)
    assert wanted(phase, "hit_rate").target == hit_rate


def test_the_phases_come_in_the_order_of_the_prd(velro: Scenario) -> None:
    assert [phase.name for phase in velro.profiles["full"]] == [row[0] for row in TABLE]


def test_every_phase_of_every_profile_limits_the_error_rate(velro: Scenario) -> None:
    for phases in velro.profiles.values():
        for phase in phases:
            limit = wanted(phase, "error_rate")
            assert (limit.comparator, limit.target, limit.critical) == (Comparator.BELOW, 0.01, 0.05)


@pytest.mark.parametrize(
    ("metric", "step", "comparator", "target", "critical"),
    [
        ("users_held", "all", ">=", 10_000, 8_000),
        ("sustained_throughput", "all", ">=", 1_000, 800),
        ("p95", "all", "<", 0.075, 0.1),
        ("p95", "authentication_check", "<", 0.05, None),
        ("p95", "authorization_check", "<", 0.075, None),
        ("hit_rate", "authorization_check", ">=", 0.95, 0.90),
        ("database_connections", "all", ">=", 200, None),
        ("error_rate", "all", "<", 0.01, 0.05),
    ],
)
def test_the_prd_requirements_are_checked_on_the_compliance_phase(
    velro: Scenario, metric: str, step: str, comparator: str, target: float, critical: float | None
) -> None:
    (phase,) = [phase for phase in velro.profiles["full"] if phase.name == "prd_compliance_validation"]
    limit = wanted(phase, metric, step)
    assert (limit.comparator.value, limit.target, limit.critical) == (comparator, target, critical)
    assert limit.source == "PRD"
    assert limit.required


def test_the_six_steps_have_the_probabilities_of_the_prd(velro: Scenario) -> None:
    assert {step.name: step.probability for step in velro.steps} == {
        "authentication_check": 1.0,
        "authorization_check": 0.95,
        "generation_list": 0.85,
        "model_access": 0.6,
        "generation_create": 0.25,
        "media_url_access": 0.4,
    }
    assert velro.requests_per_journey == pytest.approx(4.05)


def test_a_generation_is_created_by_a_post_of_json_whose_id_is_captured(velro: Scenario) -> None:
    (create,) = [step for step in velro.steps if step.name == "generation_create"]
    assert (create.method, create.expect_status) == ("POST", frozenset({201}))
    assert create.body is not None
    assert create.body.content_type == "application/json"
    assert set(json.loads(create.body.template)) == {"model", "prompt"}
    assert [(capture.name, capture.path) for capture in create.captures] == [("generation_id", "$.id")]


def test_the_token_comes_from_the_variable_of_the_seed(velro: Scenario) -> None:
    assert velro.auth == BearerAuth(variable="SUPABASE_SERVICE_KEY")
    assert required_variables(velro) == {"SUPABASE_SERVICE_KEY"}


def test_the_quick_profile_keeps_all_six_phases_and_stays_under_two_minutes(velro: Scenario) -> None:
    quick = velro.profiles["quick"]
    assert [phase.name for phase in quick] == [row[0] for row in TABLE]
    assert sum(phase.ramp + phase.duration for phase in quick) < 120.0
    assert all(8.0 <= phase.duration <= 12.0 for phase in quick)


def test_the_quick_profile_scales_rates_and_users_and_nothing_else(velro: Scenario) -> None:
    for short, whole in zip(velro.profiles["quick"], velro.profiles["full"], strict=True):
        # An abbreviated phase shows no leak.
        asked = [each for each in whole.requirements if each.metric not in LEAKS]
        for scaled, original in zip(short.requirements, asked, strict=True):
            if original.metric in ("throughput", "sustained_throughput", "users_held"):
                assert scaled.scaled_from == original.target
                assert scaled.target < original.target
            else:
                assert scaled == original


def test_the_pr_profile_takes_a_few_minutes(velro: Scenario) -> None:
    phases = velro.profiles["pr"]
    assert 2 <= len(phases) <= 3
    assert 60.0 < sum(phase.ramp + phase.duration for phase in phases) < 300.0


def test_no_ramp_connects_more_than_250_users_a_second(velro: Scenario) -> None:
    for phases in velro.profiles.values():
        for phase in phases:
            assert phase.users <= 250 * phase.ramp


def test_every_user_of_the_largest_phase_is_somebody(velro: Scenario) -> None:
    (accounts,) = [feeder for feeder in velro.feeders if feeder.name == "accounts"]
    assert len(set(accounts.rows)) == len(accounts.rows) == 15_000


def test_poisson_chance_alone_misses_no_throughput_requirement(velro: Scenario) -> None:
    """A requirement on n arrivals with mean m has a margin of at least 4 standard deviations where arrivals are random."""
    for phases in velro.profiles.values():
        for phase in phases:
            assert isinstance(phase.arrivals, OpenArrivals)
            if phase.arrivals.spacing == "even":
                continue
            mean = phase.arrivals.rate * phase.duration
            least = wanted_rate(phase) * phase.duration
            assert (mean - least) / mean**0.5 >= 4.0, phase.name


def wanted_rate(phase: Phase) -> float:
    """The highest rate that a phase requires."""
    return max(one.target for one in phase.requirements if one.metric in ("throughput", "sustained_throughput"))


def test_the_demo_has_the_same_journey_and_takes_under_twenty_seconds(velro: Scenario) -> None:
    demo = load_scenario(ROOT / "scenarios" / "demo.yaml", {})
    assert [(step.name, step.method, step.path, step.probability) for step in demo.steps] == [
        (step.name, step.method, step.path, step.probability) for step in velro.steps
    ]
    (phases,) = demo.profiles.values()
    assert sum(phase.ramp + phase.duration for phase in phases) <= 40.0


def test_profiles_have_digests_of_their_own(velro: Scenario) -> None:
    assert len({profile_digest(velro, name) for name in velro.profiles}) == len(velro.profiles) == 3


def test_the_shipped_schema_is_the_one_that_the_reader_exports() -> None:
    shipped = (ROOT / "scenarios" / "velro-prd.schema.json").read_text(encoding="utf-8")
    assert json.loads(shipped) == json_schema()
    assert shipped == json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", ["velro-prd", "demo", "journey-example"])
def test_the_first_line_names_the_schema_next_to_the_file(name: str) -> None:
    path = ROOT / "scenarios" / f"{name}.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./velro-prd.schema.json"
    assert (path.parent / "velro-prd.schema.json").is_file()


def test_the_resilience_scenario_is_valid_and_breaks_something_in_each_profile() -> None:
    scenario = load_scenario(SHIPPED.parent / "velro-resilience.yaml", {})
    assert {"resilience", "quick", "invalidation", "failover", "sandbox"} <= set(scenario.profiles)
    for phases in scenario.profiles.values():
        assert all(each.expected for phase in phases for each in phase.experiments)
        assert any(phase.experiments for phase in phases)
