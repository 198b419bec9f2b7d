"""A profile is a list of phases, or another profile's phases picked, overridden and scaled with what they require."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario.files import faults, load, shop
from velro_gate.model.scenario import ClosedArrivals, OpenArrivals, Phase

PEAK = {
    "name": "peak",
    "users": 1000,
    "ramp": "20 s",
    "duration": "10 min",
    "rate": "110/s",
    "requirements": {
        "throughput": {"target": ">= 100/s", "critical": "80/s"},
        "users_held": ">= 1000",
        "p95": "< 75 ms",
        "hit_rate": ">= 90 %",
    },
}


def phases(folder: Path, quick: Any, *full: dict[str, Any]) -> tuple[Phase, ...]:
    """The phases of profile 'quick', beside a profile 'full' of one peak phase."""
    data = shop()
    data["profiles"] = {"full": list(full) or [PEAK], "quick": quick}
    return load(data, folder).profiles["quick"]


def target(phase: Phase, metric: str) -> float:
    """The target of the phase's requirement on a metric of all steps."""
    (found,) = [one.target for one in phase.requirements if one.metric == metric and one.step == "all"]
    return found


def test_a_phase_that_says_nothing_about_it_has_a_ramp_of_ten_seconds_and_random_gaps(tmp_path: Path) -> None:
    (phase,) = load(shop(), tmp_path).profiles["full"]
    assert phase == Phase(name="load", users=10, ramp=10.0, duration=10.0, arrivals=OpenArrivals(rate=20.0, spacing="poisson"))


@pytest.mark.parametrize(
    ("pace", "arrivals"),
    [
        ({"rate": "60/min"}, OpenArrivals(rate=1.0)),
        ({"rate": 5, "spacing": "even"}, OpenArrivals(rate=5.0, spacing="even")),
        ({"think_time": "2 s"}, ClosedArrivals(think_time=2.0)),
        ({"think_time": 0, "spacing": "even"}, ClosedArrivals(think_time=0.0, constant=True)),
    ],
)
def test_a_phase_is_an_open_or_a_closed_loop(tmp_path: Path, pace: dict[str, Any], arrivals: object) -> None:
    (phase,) = phases(tmp_path, [{"name": "a", "users": 1, "duration": 1, **pace}])
    assert phase.arrivals == arrivals


def test_from_alone_takes_every_phase_as_it_is(tmp_path: Path) -> None:
    data = shop()
    data["profiles"] = {"full": [PEAK], "same": {"from": "full"}}
    scenario = load(data, tmp_path)
    assert scenario.profiles["same"] == scenario.profiles["full"]


@given(users=st.floats(0.01, 5.0), rate=st.floats(0.01, 5.0), duration=st.floats(0.01, 2.0), ramp=st.floats(0.01, 2.0))
def test_scaling_keeps_every_ratio_between_load_and_requirement(
    tmp_path_factory: pytest.TempPathFactory, users: float, rate: float, duration: float, ramp: float
) -> None:
    factors = {"users": round(users, 3), "rate": round(rate, 3), "duration": round(duration, 3), "ramp": round(ramp, 3)}
    (phase,) = phases(tmp_path_factory.mktemp("s"), {"from": "full", "scale": factors})
    assert phase.users == max(1, round(1000 * factors["users"]))
    assert phase.duration == pytest.approx(600 * factors["duration"])
    assert phase.ramp == pytest.approx(20 * factors["ramp"])
    assert phase.offered_rate == pytest.approx(110 * factors["rate"])
    assert target(phase, "throughput") == pytest.approx(phase.offered_rate / 1.1, rel=1e-4)
    assert target(phase, "users_held") == phase.users
    assert (target(phase, "p95"), target(phase, "hit_rate")) == (0.075, 0.9)


def test_what_was_scaled_says_what_it_was_scaled_from_through_any_number_of_steps(tmp_path: Path) -> None:
    data = shop()
    data["profiles"] = {
        "full": [PEAK],
        "half": {"from": "full", "scale": {"rate": 0.5}},
        "tiny": {"from": "half", "scale": {"rate": "10 %", "users": "5 %"}},
    }
    (phase,) = load(data, tmp_path).profiles["tiny"]
    scaled = {one.metric: (one.target, one.critical, one.scaled_from) for one in phase.requirements}
    assert scaled["throughput"] == (5.0, 4.0, 100.0)
    assert scaled["users_held"] == (50.0, None, 1000.0)
    assert scaled["p95"] == (0.075, None, None)


def test_scaled_figures_stay_between_least_and_most(tmp_path: Path) -> None:
    scale = {
        "duration": {"factor": "1 %", "least": "8 s"},
        "ramp": {"factor": 10, "most": "30 s"},
        "rate": {"factor": 0.01, "least": "11/s"},
        "users": {"factor": 0.001, "least": 20},
    }
    (phase,) = phases(tmp_path, {"from": "full", "scale": scale})
    assert (phase.duration, phase.ramp, phase.offered_rate, phase.users) == (8.0, 30.0, 11.0, 20)
    assert target(phase, "throughput") == pytest.approx(10.0)
    assert target(phase, "users_held") == 20


def test_a_bare_name_picks_a_phase_and_a_mapping_overrides_it(tmp_path: Path) -> None:
    second = {**PEAK, "name": "second"}
    quick = {"from": "full", "phases": ["second", {"name": "peak", "users": 200, "rate": "55/s", "duration": "1 min"}]}
    picked, changed = phases(tmp_path, quick, PEAK, second)
    assert (picked.name, picked.users) == ("second", 1000)
    assert (changed.users, changed.duration, changed.ramp, changed.offered_rate) == (200, 60.0, 20.0, 55.0)
    assert target(changed, "throughput") == 50.0
    assert target(changed, "users_held") == 200


def test_an_override_is_not_scaled_on_top(tmp_path: Path) -> None:
    quick = {"from": "full", "scale": {"users": 0.1, "duration": 0.1}, "phases": [{"name": "peak", "users": 77}]}
    (phase,) = phases(tmp_path, quick)
    assert (phase.users, phase.duration) == (77, 60.0)


def test_an_overridden_requirement_is_taken_as_it_is_written(tmp_path: Path) -> None:
    quick = {"from": "full", "scale": {"rate": 0.5}, "phases": [{"name": "peak", "requirements": {"throughput": ">= 20/s"}}]}
    (phase,) = phases(tmp_path, quick)
    (one,) = [one for one in phase.requirements if one.metric == "throughput"]
    assert (one.target, one.critical, one.scaled_from) == (20.0, None, None)
    assert target(phase, "p95") == 0.075


def test_an_override_may_change_the_spacing_alone(tmp_path: Path) -> None:
    (phase,) = phases(tmp_path, {"from": "full", "phases": [{"name": "peak", "spacing": "even"}]})
    assert phase.arrivals == OpenArrivals(rate=110.0, spacing="even")


def test_a_throughput_cannot_be_carried_into_a_closed_loop_unsaid(tmp_path: Path) -> None:
    data = shop()
    data["profiles"] = {"full": [PEAK], "quick": {"from": "full", "phases": [{"name": "peak", "think_time": 1}]}}
    (fault,) = faults(data, tmp_path)
    assert "cannot be scaled" in fault
    data["profiles"]["quick"]["phases"][0]["requirements"] = {"throughput": ">= 5/s"}
    (phase,) = load(data, tmp_path).profiles["quick"]
    assert phase.arrivals == ClosedArrivals(think_time=1.0)


def test_the_throughput_of_a_closed_loop_scales_with_users_and_pace(tmp_path: Path) -> None:
    closed = {"name": "c", "users": 100, "duration": 10, "think_time": 1, "requirements": {"throughput": ">= 40/s"}}
    quick = {"from": "full", "scale": {"users": 0.5}, "phases": [{"name": "c", "think_time": 2}]}
    (phase,) = phases(tmp_path, quick, closed)
    assert target(phase, "throughput") == 10.0


def test_a_requirement_out_of_reach_of_a_derived_phase_is_a_fault(tmp_path: Path) -> None:
    data = shop()
    changed = {"name": "peak", "rate": "10/s", "requirements": {"throughput": ">= 11/s"}}
    data["profiles"] = {"full": [PEAK], "quick": {"from": "full", "phases": [changed]}}
    (fault,) = faults(data, tmp_path)
    assert "it can never be met" in fault


def test_a_profile_from_a_broken_one_adds_no_faults_of_its_own(tmp_path: Path) -> None:
    data = shop()
    data["profiles"] = {
        "full": [{**PEAK, "duration": "soon"}, {**PEAK, "name": "other"}],
        "quick": {"from": "full", "phases": ["peak", "othr"]},
        "broken": {"from": 5},
        "of_broken": {"from": "broken"},
    }
    reported = faults(data, tmp_path)
    assert len(reported) == 3
    assert any("'soon' is not a duration" in fault for fault in reported)
    assert any("no phase 'othr' (did you mean 'other'?)" in fault for fault in reported)
    assert any("a text is expected, not a number" in fault for fault in reported)


def test_a_time_shorter_than_any_clock_is_refused(tmp_path: Path) -> None:
    data = shop()
    data["profiles"]["full"][0]["ramp"] = "1e-320"
    assert any("1e-320" in fault for fault in faults(data, tmp_path))
    data["profiles"]["full"][0]["ramp"] = 1e-320
    assert any("shorter than a microsecond" in fault or "1e-320" in fault for fault in faults(data, tmp_path))


def test_an_abbreviated_phase_is_not_asked_for_a_leak(tmp_path: Path) -> None:
    full = {**PEAK, "requirements": {"p95": "< 75 ms", "rss_growth_share": "< 1 %/min"}}
    (short,) = phases(tmp_path, {"from": "full", "scale": {"duration": "10 %"}}, full)
    (long,) = phases(tmp_path, {"from": "full", "scale": {"duration": "20 %"}}, full)
    assert [one.metric for one in short.requirements] == ["p95"]
    assert [one.metric for one in long.requirements] == ["p95", "rss_growth_share"]


def test_a_phase_that_is_too_short_to_show_a_leak_may_not_require_one(tmp_path: Path) -> None:
    data = shop()
    data["profiles"] = {"full": [{**PEAK, "duration": "1 min", "requirements": {"rss_growth_share": "< 1 %/min"}}]}
    (fault,) = faults(data, tmp_path)
    assert "phase 'peak' lasts 1 min, and rss_growth_share is measured over 2 min or more" in fault
