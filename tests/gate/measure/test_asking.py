"""A dry run shows which of the scenario's own metrics its sources have."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx
import pytest
import trio

from tests.engine.peers import Peer, answering
from tests.engine.runs import with_server
from tests.model.values import step
from velro_gate.gate.measure import asking
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue, SeriesType
from velro_gate.model.readings import PageFamily
from velro_gate.model.scenario import NoAuth, Scenario, Target

PAGE = 'shop_queue{name="mail"} 3\nshop_seconds_bucket{le="+Inf"} 4\n'


def own(name: str, what: str, series: SeriesType = SeriesType.GAUGE) -> OwnMetric:
    return OwnMetric(
        name=name, origin=MetricOrigin.PROMETHEUS, value=OwnValue.MAX, unit=OwnUnit.COUNT, what=what, series=series
    )


def scenario(*metrics: OwnMetric) -> Scenario:
    target = Target(url="http://s.test", metrics_path="/metrics")
    return Scenario(name="s", description="", digest="d", target=target, auth=NoAuth(), steps=(step(),), metrics=metrics)


def said(monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, *metrics: OwnMetric) -> list[str]:
    monkeypatch.setattr(asking, "page_route", lambda target: httpx.MockTransport(lambda request: answer))
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


def of_response(origin: MetricOrigin, what: str, **rest: Any) -> OwnMetric:
    usual: dict[str, Any] = {"name": "m", "value": OwnValue.MEAN, "unit": OwnUnit.COUNT}
    return OwnMetric(origin=origin, what=what, **{**usual, **rest})


@pytest.mark.parametrize(
    ("metric", "values", "sentence"),
    [
        (
            of_response(MetricOrigin.HEADER, "x-tme", steps=("look",)),
            [],
            "Own metric m: not found, no good response of look has the header x-tme.",
        ),
        (
            of_response(MetricOrigin.JSON, "$.usage.tokens"),
            [],
            "Own metric m: not found, no good response of any step has the number or text at $.usage.tokens.",
        ),
        (
            of_response(MetricOrigin.HEADER, "x-time", unit=OwnUnit.TIME, factor=0.001),
            [12.0, 15.0],
            "Own metric m: 12.0 ms to 15.0 ms in 2 responses.",
        ),
        (
            of_response(MetricOrigin.JSON, "$.n", value=OwnValue.RATE, unit=OwnUnit.RATE),
            [3.0],
            "Own metric m: 3 in 1 response.",
        ),
        (
            of_response(MetricOrigin.HEADER, "x-cache", value=OwnValue.SHARE, unit=OwnUnit.SHARE, equals="STALE"),
            [0.0, 1.0, 0.0],
            "Own metric m: 1 of 3 responses has 'STALE'.",
        ),
    ],
    ids=["no header", "no number", "times", "rate", "share"],
)
def test_a_metric_of_responses_shows_what_the_trial_requests_brought(
    metric: OwnMetric, values: list[float], sentence: str
) -> None:
    assert asking._of_responses([metric], {"m": values} if values else {}) == [sentence]


@pytest.mark.real
def test_the_trial_requests_are_looked_at_by_the_engine_itself() -> None:
    body = b'{"n": 7}'
    answer = b"HTTP/1.1 200 OK\r\nX-Time: 12\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    metrics = tuple(
        of_response(origin, what, name=name)
        for name, origin, what in (
            ("time", MetricOrigin.HEADER, "x-time"),
            ("n", MetricOrigin.JSON, "$.n"),
            ("wrong", MetricOrigin.JSON, "$.m"),
        )
    )

    async def main(peer: Peer) -> None:
        plan = dataclasses.replace(scenario(*metrics), target=Target(url=peer.url))
        rows, values = await asking._each_step(plan, {})
        assert [good for *_, good in rows] == [True]
        assert values == {"time": [12.0, 12.0], "n": [7.0, 7.0]}

    with_server(main, answering(answer))


def test_a_family_that_the_page_does_not_show_is_named_with_the_series_that_it_stands_for() -> None:
    named = (
        PageFamily(series="database_pool_size", family="shop_size"),
        PageFamily(series="database_pool_in_use", family="shop_usd"),
    )
    target = Target(url="http://s.test", metrics_path="/metrics", families=named, connections_metric="shop_db")
    assert asking.families_not_shown(target, {"database_pool_size"}) == [
        "Series database_pool_in_use: not shown yet, check shop_usd and its labels.",
        "Series database_connections: not shown yet, check shop_db and its labels.",
    ]
