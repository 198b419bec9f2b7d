"""``metrics:`` of a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import faults, load, schema, shop
from velro_gate.model.metric.definition import Direction
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.scenario import Scenario


def with_metrics(folder: Path, **metrics: Any) -> Scenario:
    return load({**shop(), "metrics": metrics}, folder, {"PAGE": "http://other.test/metrics"})


def one(folder: Path, spec: dict[str, Any]) -> OwnMetric:
    (made,) = with_metrics(folder, m=spec).metrics
    return made


@pytest.mark.parametrize(
    ("spec", "value", "unit", "series"),
    [
        ({"prometheus": "queue"}, OwnValue.MEAN, OwnUnit.COUNT, SeriesType.GAUGE),
        ({"prometheus": "jobs_total"}, OwnValue.RATE, OwnUnit.RATE, SeriesType.COUNTER),
        ({"prometheus": "latency", "type": "histogram", "unit": "time"}, OwnValue.P95, OwnUnit.TIME, SeriesType.HISTOGRAM),
        ({"header": "X-Tokens"}, OwnValue.MEAN, OwnUnit.COUNT, SeriesType.GAUGE),
        ({"json": "$.a[0]", "equals": True}, OwnValue.SHARE, OwnUnit.SHARE, SeriesType.GAUGE),
        ({"collector": "a.b:C"}, OwnValue.MEAN, OwnUnit.COUNT, SeriesType.GAUGE),
        ({"steps": ["list", "show"]}, OwnValue.P95, OwnUnit.TIME, SeriesType.GAUGE),
    ],
)
def test_what_is_left_out_follows_from_where_the_values_come_from(
    tmp_path: Path, spec: dict[str, Any], value: OwnValue, unit: OwnUnit, series: SeriesType
) -> None:
    made = one(tmp_path, spec)
    assert (made.value, made.unit, made.series, made.better) == (value, unit, series, Direction.LOWER)


def test_every_key_is_taken_over(tmp_path: Path) -> None:
    page = {"prometheus": "a", "labels": {"x": "1"}, "page": "${env.PAGE}", "value": "max", "unit": "bytes", "better": "higher"}
    made = one(tmp_path, page)
    assert (made.origin, made.what, made.place, made.labels) == (
        MetricOrigin.PROMETHEUS,
        "a",
        "http://other.test/metrics",
        (("x", "1"),),
    )
    assert made.metric == "own:m:bytes:higher"
    shown = one(tmp_path, {"header": "X-Tokens", "step": "show", "equals": 5, "factor": 0.5})
    assert (shown.what, shown.steps, shown.equals, shown.factor) == ("x-tokens", ("show",), "5", 0.5)
    collected = one(tmp_path, {"collector": "a:C", "series": "depth"})
    assert (collected.what, collected.place, str(tmp_path) in collected.folders) == ("depth", "a:C", True)


def test_a_metric_of_the_scenario_can_be_required_and_be_primary(tmp_path: Path) -> None:
    data = {**shop(), "metrics": {"queue": {"prometheus": "q"}}, "policy": {"primary": ["p95", "own.queue"]}}
    data["requirements"] = {"own.queue": "<= 10"}
    scenario = load(data, tmp_path)
    (phase,) = scenario.profiles["full"]
    schema().validate(data)
    in_full = {**data, "requirements": [{"metric": "own.queue", "target": "<= 10"}]}
    assert load(in_full, tmp_path).profiles == scenario.profiles
    schema().validate(in_full)
    assert any("unknown metric 'queu'" in fault for fault in faults({**data, "requirements": {"own.queu": "<= 1"}}, tmp_path))
    assert [(each.metric, each.target) for each in phase.requirements] == [("own:queue:count:lower", 10.0)]
    assert scenario.policy.primary == (("all", "p95"), ("all", "own:queue:count:lower"))


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("m", {}, "a metric needs exactly one of"),
        ("m", {"prometheus": "a", "steps": ["list", "show"]}, "2 are given"),
        ("m", {"steps": ["list", "shw"]}, "did you mean 'show'"),
        ("m", {"header": "X-A", "step": "shw"}, "did you mean 'show'"),
        ("m", {"json": "usage"}, "is not a JSON path"),
        ("m", {"collector": "nothing"}, "does not name a collector"),
        ("m", {"prometheus": "a", "value": "rate"}, "a gauge has no 'rate'"),
        ("m", {"prometheus": "a_total", "value": "mean"}, "a counter has no 'mean'"),
        ("m", {"prometheus": "a", "type": "histogram", "value": "max"}, "a histogram has no 'max'"),
        ("m", {"steps": ["list", "show"], "value": "sum"}, "made of a counter"),
        ("m", {"header": "X-A", "value": "share"}, "name the value under 'equals'"),
        ("m", {"steps": ["list", "show"], "labels": {"a": "b"}}, "'labels' belongs to a metric of prometheus"),
        ("m", {"prometheus": "a", "page": "ftp://x"}, "does not start with http://"),
        ("p95", {"prometheus": "a"}, "there is a metric 'p95' already"),
        ("Queue", {"prometheus": "a"}, "needs another name"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, name: str, spec: dict[str, Any], said: str) -> None:
    found = faults({**shop(), "metrics": {name: spec}}, tmp_path)
    assert any(said in fault for fault in found), found


@pytest.mark.real
def test_a_metric_of_responses_is_refused_for_journeys_in_python(tmp_path: Path) -> None:
    (tmp_path / "own_journey.py").write_text("async def browse(client, user):\n    await client.get('/')\n")
    data = {**shop(), "journey": "own_journey:browse", "metrics": {"m": {"header": "X-A"}}}
    data["steps"] = [{"name": "list"}]
    assert any("which a journey written in Python does itself" in fault for fault in faults(data, tmp_path))
