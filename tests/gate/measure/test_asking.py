"""A dry run shows which of the scenario's own metrics its sources have."""

from __future__ import annotations

import httpx
import pytest
import trio

from tests.model.values import step
from velro_gate.gate.measure import asking
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.scenario import NoAuth, Scenario, Target

PAGE = 'shop_queue{name="mail"} 3\nshop_seconds_bucket{le="+Inf"} 4\n'


def own(name: str, what: str, series: SeriesType = SeriesType.GAUGE) -> OwnMetric:
    return OwnMetric(
        name=name, origin=MetricOrigin.PROMETHEUS, value=OwnValue.MAX, unit=OwnUnit.COUNT, what=what, series=series
    )


def scenario(*metrics: OwnMetric) -> Scenario:
    target = Target(url="http://s.test", metrics_path="/metrics")
    return Scenario(name="s", description="", digest="d", target=target, auth=NoAuth(), steps=(step(),), metrics=metrics)


def of_responses(name: str, origin: MetricOrigin, what: str, *steps: str) -> OwnMetric:
    return OwnMetric(name=name, origin=origin, value=OwnValue.MEAN, unit=OwnUnit.COUNT, what=what, steps=steps)


def said(monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, *metrics: OwnMetric) -> list[str]:
    monkeypatch.setattr(asking, "transport_to", lambda target: httpx.MockTransport(lambda request: answer))
    return trio.run(asking._own_metrics, scenario(*metrics))


def test_a_misspelled_family_is_named_and_one_that_the_page_has_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = own("queue", "shop_queue"), own("time", "shop_seconds", SeriesType.HISTOGRAM), own("wrong", "shop_queu")
    assert said(monkeypatch, httpx.Response(200, text=PAGE), *metrics) == [
        "Own metric queue: shown.",
        "Own metric time: shown.",
        "Own metric wrong: not shown yet, check shop_queu and its labels.",
    ]


def test_a_page_that_cannot_be_read_comes_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = said(monkeypatch, httpx.Response(404), own("queue", "shop_queue"))
    assert first == "Own metrics: metrics page with own metrics answers 404."
    assert second.startswith("Own metric queue: not shown yet")


def test_metrics_of_responses_are_tried_on_the_responses_of_the_steps() -> None:
    metrics = (
        of_responses("tokens", MetricOrigin.JSON, "$.usage.tokens", "list"),
        of_responses("render", MetricOrigin.HEADER, "server-timing"),
        of_responses("wrong", MetricOrigin.HEADER, "server-timin"),
    )
    assert list(asking._own_values(scenario(*metrics, own("queue", "shop_queue")), {"tokens": 2, "render": 1})) == [
        "Own metric tokens: 2 responses of list gave a value.",
        "Own metric render: 1 response gave a value.",
        "Own metric wrong: no response gave a value, check the header server-timin.",
    ]
