"""A limit says comparison, figure and unit; a figure that could mean two things is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenario.files import faults, load, shop
from velro_gate.model.metrics import METRICS, Direction, MetricKind
from velro_gate.model.scenario import Comparator, Requirement
from velro_gate.scenario.limits import parse_limit


def required(folder: Path, own: Any, /, **more: Any) -> dict[tuple[str, str], Requirement]:
    """The requirements of the shop's only phase when it asks for these."""
    data = {**shop(), **more}
    data["profiles"]["full"][0]["requirements"] = own
    (phase,) = load(data, folder).profiles["full"]
    return {(one.step, one.metric): one for one in phase.requirements}


@pytest.mark.parametrize(
    ("metric", "text", "comparator", "value"),
    [
        ("p95", "< 75 ms", "<", 0.075),
        ("p95", "<=1.5s", "<=", 1.5),
        ("throughput", ">= 1,000/s", ">=", 1000.0),
        ("throughput", "> 60/min", ">", 1.0),
        ("throughput", ">= 100", ">=", 100.0),
        ("hit_rate", ">= 95 %", ">=", 0.95),
        ("hit_rate", ">= 0.95", ">=", 0.95),
        ("error_rate", "<= 0", "<=", 0.0),
        ("users_held", ">= 10,000", ">=", 10_000.0),
        ("rss", "< 512 MiB", "<", 512 * 2**20),
        ("rss_growth", "< 60 MiB/h", "<", 2**20),
        ("cpu_per_1000", "< 2 s", "<", 2.0),
    ],
)
def test_each_kind_of_metric_reads_its_own_unit(metric: str, text: str, comparator: str, value: float) -> None:
    assert parse_limit(text, METRICS[metric]) == (Comparator(comparator), pytest.approx(value))


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("p95", "< 75"),
        ("p95", "< 75 %"),
        ("p95", "fast"),
        ("p95", ""),
        ("error_rate", "< 1"),
        ("error_rate", "< 1.0"),
        ("error_rate", "< 5"),
        ("error_rate", "< 101 %"),
        ("users_held", ">= 10.5"),
        ("users_held", ">= 1,00"),
        ("rss", "< 5 apples"),
        ("rss_growth", "< 5 MiB"),
        ("rss_growth", "< 5 MiB/week"),
        ("rss_growth_share", "< 1 %"),
        ("rss_growth_share", "< 1 %/week"),
        ("throughput", ">= 1/week"),
        ("p95", "== 75 ms"),
        ("p95", "< -75 ms"),
    ],
)
def test_a_figure_without_the_unit_of_its_metric_is_refused(metric: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_limit(text, METRICS[metric])


@given(st.sampled_from(sorted(METRICS)), st.sampled_from(["<", "<=", ">", ">="]), st.integers(2, 99))
def test_a_limit_is_read_exactly_when_it_is_on_the_good_side(metric: str, sign: str, figure: int) -> None:
    unit = {
        MetricKind.SECONDS: " ms",
        MetricKind.PER_SECOND: "/s",
        MetricKind.SHARE: " %",
        MetricKind.COUNT: "",
        MetricKind.BYTES: " MiB",
    } | {MetricKind.BYTES_PER_MINUTE: " MiB/min", MetricKind.SHARE_PER_MINUTE: " %/min"}
    definition = METRICS[metric]
    comparator, value = parse_limit(f"{sign} {figure}{unit[definition.kind]}", definition)
    assert comparator is Comparator(sign)
    good = (sign in ("<", "<=")) is (definition.direction is Direction.LOWER)
    try:
        Requirement(metric=metric, comparator=Comparator(sign), target=value)
    except ValueError:
        assert not good
    else:
        assert good


def test_the_short_form_and_the_full_form_mean_the_same(tmp_path: Path) -> None:
    short = required(tmp_path, {"p95": {"target": "< 75 ms", "critical": "100 ms"}, "list.p95": "< 50 ms"})
    full = required(
        tmp_path,
        [
            {"metric": "p95", "target": "< 75 ms", "critical": "< 100 ms"},
            {"metric": "p95", "step": "list", "target": "< 50 ms"},
        ],
    )
    assert short == full


def test_a_requirement_remembers_who_asks_for_it(tmp_path: Path) -> None:
    data = shop()
    data["steps"][0]["limits"] = {"p99": "< 90 ms"}
    found = required(
        tmp_path,
        [{"metric": "p95", "target": "< 75 ms", "source": "PRD"}, {"metric": "p50", "target": "< 75 ms"}],
        steps=data["steps"],
        requirements={"error_rate": "< 1 %"},
    )
    assert {key: one.source for key, one in found.items()} == {
        ("all", "p95"): "PRD",
        ("all", "p50"): "phase",
        ("list", "p99"): "step",
        ("all", "error_rate"): "scenario",
    }


def test_a_phase_replaces_what_the_top_of_the_file_and_a_step_say(tmp_path: Path) -> None:
    data = shop()
    data["steps"][0]["limits"] = {"p95": "< 90 ms"}
    found = required(
        tmp_path,
        {"error_rate": "< 2 %", "list.p95": "< 10 ms"},
        steps=data["steps"],
        requirements={"error_rate": "< 1 %", "p99": "< 1 s"},
    )
    assert found["all", "error_rate"].target == 0.02
    assert found["list", "p95"].target == 0.01
    assert found["all", "p99"].target == 1.0
    assert len(found) == 3


def test_a_requirement_may_only_warn(tmp_path: Path) -> None:
    found = required(tmp_path, {"rss": {"target": "< 1 GiB", "required": False}})
    assert not found["all", "rss"].required


def test_a_critical_level_may_equal_the_target(tmp_path: Path) -> None:
    found = required(tmp_path, {"p95": {"target": "< 75 ms", "critical": "75 ms"}})
    assert found["all", "p95"].critical == found["all", "p95"].target


@pytest.mark.parametrize(
    ("requirements", "says"),
    [
        ({"p95": {"target": "< 75 ms", "critical": "> 100 ms"}}, "looks the other way"),
        ({"hit_rate": "> 100 %"}, "can never be met"),
        ({"error_rate": "< 0 %"}, "can never be met"),
        ({"p95": {"critical": "1 s"}}, "the key 'target' is missing"),
        ({"p95": "< 75 ms", "list.peak_throughput": ">= 1/s"}, "a figure of a whole phase"),
        ([{"target": "< 75 ms"}], "the key 'metric' is missing"),
    ],
)
def test_a_requirement_that_makes_no_sense_is_refused(tmp_path: Path, requirements: Any, says: str) -> None:
    data = shop()
    data["profiles"]["full"][0]["requirements"] = requirements
    (fault,) = faults(data, tmp_path)
    assert says in fault


def test_achieved_share_needs_an_offered_rate(tmp_path: Path) -> None:
    data = shop()
    data["profiles"]["full"][0] = {
        "name": "load",
        "users": 5,
        "duration": 5,
        "think_time": 1,
        "requirements": {"achieved_share": ">= 90 %"},
    }
    (fault,) = faults(data, tmp_path)
    assert "achieved_share has no meaning" in fault


@pytest.mark.parametrize("metric", ["capacity", "capacity_users"])
def test_what_only_a_search_finds_can_be_neither_required_nor_compared_by_a_scenario(metric: str, tmp_path: Path) -> None:
    data = shop()
    data["profiles"]["full"][0]["requirements"] = {metric: ">= 100"}
    data["policy"] = {"primary": [metric]}
    said = faults(data, tmp_path)
    assert len(said) == 2
    assert all(f"{metric} is not measured by a run" in one and "velro-gate capacity" in one for one in said)
