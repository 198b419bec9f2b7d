"""What a scenario's own metrics take from responses."""

from __future__ import annotations

import gzip

import pytest

from velro_gate.engine.http.parsing.headers import HeaderKinds
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.steps.observed import Observation, observation_of
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue


def metric(origin: MetricOrigin, what: str, **changed: object) -> OwnMetric:
    """A metric of responses, by default the mean of its numbers."""
    given = {"name": "m", "value": OwnValue.MEAN, "unit": OwnUnit.COUNT, **changed}
    return OwnMetric(origin=origin, what=what, **given)  # type: ignore[arg-type]


def answer(headers: str, body: bytes = b"{}") -> Response:
    made = Response(HeaderKinds([b"x-tokens", b"x-cache-layer", b"content-encoding"]), 1 << 20)
    made.start(0.0, wants_body=True)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}"
    made.feed(head.encode() + b"\r\n" + body)
    assert made.complete
    return made


def taken(wanted: OwnMetric, came: Response) -> list[tuple[int, float, float]]:
    found: list[tuple[int, float, float]] = []
    Observation([(3, wanted)])(came, 12.5, lambda *row: found.append(row))
    return found


@pytest.mark.parametrize(
    ("said", "number"),
    [("X-Tokens: 42\r\n", 42.0), ("x-tokens: db;dur=5.25\r\n", 5.25), ("X-Tokens: none\r\n", None), ("X-Other: 1\r\n", None)],
)
def test_the_first_number_of_a_header_counts(said: str, number: float | None) -> None:
    assert taken(metric(MetricOrigin.HEADER, "x-tokens"), answer(said)) == ([] if number is None else [(3, 12.5, number)])


def test_a_value_of_a_json_body_counts_packed_or_not() -> None:
    body = b'{"usage": {"tokens": [7, "12 ms"]}}'
    assert taken(metric(MetricOrigin.JSON, "$.usage.tokens[0]"), answer("", body)) == [(3, 12.5, 7.0)]
    assert taken(metric(MetricOrigin.JSON, "$.usage.tokens[1]"), answer("", body)) == [(3, 12.5, 12.0)]
    packed = answer("Content-Encoding: gzip\r\n", gzip.compress(body))
    assert taken(metric(MetricOrigin.JSON, "$.usage.tokens[0]"), packed) == [(3, 12.5, 7.0)]
    for broken in (answer("", b"{"), answer("", b'{"usage": 1}'), answer("Content-Encoding: gzip\r\n", b"no gzip")):
        assert taken(metric(MetricOrigin.JSON, "$.usage.tokens[0]"), broken) == []


def test_a_share_is_of_responses_with_one_value_and_of_cache_headers_too() -> None:
    wanted = metric(MetricOrigin.HEADER, "x-cache-layer", value=OwnValue.SHARE, unit=OwnUnit.SHARE, equals="redis")
    assert taken(wanted, answer("X-Cache-Layer: Redis\r\n")) == [(3, 12.5, 1.0)]
    assert taken(wanted, answer("X-Cache-Layer: memory\r\n")) == [(3, 12.5, 0.0)]
    flag = metric(MetricOrigin.JSON, "$.ok", value=OwnValue.SHARE, unit=OwnUnit.SHARE, equals="true")
    assert taken(flag, answer("", b'{"ok": true}')) == [(3, 12.5, 1.0)]


def test_only_the_steps_that_a_metric_names_are_looked_at() -> None:
    one = metric(MetricOrigin.HEADER, "x-tokens", steps=("buy",))
    collected = OwnMetric(
        name="c", origin=MetricOrigin.COLLECTOR, what="c", place="a:B", value=OwnValue.MEAN, unit=OwnUnit.COUNT
    )
    assert observation_of("buy", [collected, one]) is not None
    assert observation_of("list", [collected, one]) is None
    body = observation_of("list", [metric(MetricOrigin.JSON, "$.a")])
    assert body is not None
    assert body.wants_body
