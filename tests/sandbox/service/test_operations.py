"""/health, /metrics and /control over real HTTP."""

from __future__ import annotations

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from velro_gate.errors import UsageError
from velro_gate.sandbox.process import RunningSandbox

MODEL = "/api/v1/models/model-3"
MEDIA = "/api/v1/media/media-{}/url"


def figures(client: httpx.Client) -> dict[tuple[str, str], float]:
    """Every sample of /metrics by name and joined label values."""
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (sample.name, "/".join(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_healthy_sandbox_says_ok(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "reasons": [], "dependencies": {"redis": "ok", "database": "ok"}}


def test_redis_away_is_healthy_enough_since_the_database_stands_in(client: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control({"down": ["redis"]})
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "redis" in answer.json()["reasons"][0]


def test_the_database_away_is_unhealthy_with_the_reason(client: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control({"down": ["database"]})
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "database" in answer.json()["reasons"][0]


def wait_until_healthy(client: httpx.Client) -> None:
    """Let the breakers of the sandbox, which recover after 50 ms, try again."""
    deadline = time.monotonic() + 10
    while client.get("/health").json()["status"] != "ok":
        assert time.monotonic() < deadline


def test_the_database_away_leaves_cached_answers_and_refuses_the_rest_with_retry_after(
    client: httpx.Client, sandbox: RunningSandbox
) -> None:
    client.get(MODEL)
    sandbox.control({"down": ["database"]})
    assert client.get(MODEL).status_code == 200
    # Beyond those that were warmed at the start.
    refused = client.get(MEDIA.format(100))
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    written = client.post("/api/v1/generations", json={"model": "model-1", "prompt": "x"})
    assert written.status_code == 503
    sandbox.control({"down": []})
    wait_until_healthy(client)
    assert client.get(MEDIA.format(100)).status_code == 200


def test_redis_away_opens_its_breaker_and_the_database_answers(client: httpx.Client, sandbox: RunningSandbox) -> None:
    openings = figures(client)["velro_breaker_openings_total", "redis"]
    sandbox.control({"down": ["redis"], "flush": ["memory"]})
    for number in range(10):
        answer = client.get(MEDIA.format(number))
        assert (answer.status_code, answer.headers["X-Cache"], answer.headers["X-Cache-Layer"]) == (200, "MISS", "database")
    assert figures(client)["velro_breaker_openings_total", "redis"] > openings
    sandbox.control({"down": []})
    wait_until_healthy(client)
    assert figures(client)["velro_breaker_state", "redis"] == 0


def test_metrics_show_requests_layers_pool_breakers_and_the_process(client: httpx.Client, sandbox: RunningSandbox) -> None:
    client.get(MODEL)
    before = figures(client)
    client.get(MODEL)
    client.get("/api/v1/models/model-99")
    sandbox.control({"flush": ["memory"]})
    client.get(MODEL)
    after = figures(client)

    def grown(name: str, labels: str) -> float:
        return after.get((name, labels), 0.0) - before.get((name, labels), 0.0)

    assert grown("velro_requests_total", "200/model_access") == 2
    assert grown("velro_requests_total", "404/model_access") == 1
    assert grown("velro_cache_hits_total", "memory") == 1
    assert grown("velro_cache_hits_total", "redis") == 1
    assert grown("velro_cache_misses_total", "memory") == 2
    assert grown("velro_cache_misses_total", "redis") == 1
    assert grown("velro_cache_misses_total", "database") == 1
    assert after["velro_db_pool_size", ""] == 200
    assert after["velro_db_pool_in_use", ""] == 0
    assert after["velro_breaker_state", "database"] == 0
    assert after["process_resident_memory_bytes", ""] > 10**7
    assert after["process_cpu_seconds_total", ""] > 0


def test_counts_conserve_every_request_and_leave_out_what_is_about_the_sandbox_itself(
    client: httpx.Client, sandbox: RunningSandbox
) -> None:
    before = sandbox.counts()
    sent = ["/api/v1/auth/me", MODEL, MODEL, "/api/v1/models/model-99", "/nothing", "/health", "/metrics", "/control"]
    for path in sent:
        client.get(path)
    client.delete(MODEL)
    client.get(MODEL, headers={"Authorization": "nonsense"})
    after = sandbox.counts()
    assert after["total"] - before["total"] == 7
    assert after["answered"] - before["answered"] == 7
    grown = {step: count - before["received"].get(step, 0) for step, count in after["received"].items()}
    assert {step: count for step, count in grown.items() if count} == {"authentication_check": 1, "model_access": 4, "other": 2}
    assert sum(after["statuses"].values()) == after["total"] == sum(after["received"].values())


def test_a_failing_share_of_one_fails_every_request_of_that_step_and_no_other(
    client: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.control({"fail": {"model_access": 1}})
    assert {client.get(MODEL).status_code for _ in range(20)} == {500}
    assert client.get("/api/v1/auth/me").status_code == 200
    sandbox.control({"fail": {"model_access": "0 %"}})
    assert client.get(MODEL).status_code == 200


def test_a_failing_share_between_fails_about_that_share(client: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control({"fail": {"model_access": "30 %"}})
    failed = sum(client.get(MODEL).status_code == 500 for _ in range(200))
    assert 30 <= failed <= 90


def test_a_delay_takes_at_least_its_time(client: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control({"slow": {"model_access": {"delay": "120 ms"}}})
    started = time.monotonic()
    client.get(MODEL)
    assert time.monotonic() - started >= 0.118


def test_a_stall_stops_the_whole_process_for_its_time_and_then_it_goes_on(
    client: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.control({"stall": "600 ms"})
    longest, deadline = 0.0, time.monotonic() + 10
    while longest < 0.5:
        started = time.monotonic()
        assert client.get("/health").status_code == 200
        longest = max(longest, time.monotonic() - started)
        assert time.monotonic() < deadline


def test_the_state_shows_what_is_in_force_and_reset_ends_it(client: httpx.Client, sandbox: RunningSandbox) -> None:
    state = sandbox.control({"slow": {"model_access": {"factor": 1.3}}, "fail": {"login": 0.5}, "down": ["redis"]})
    assert state["slow"] == {"model_access": {"factor": 1.3, "instead": None, "busy": 0.0}}
    assert (state["fail"], state["down"], state["work"]) == ({"login": 0.5}, ["redis"], False)
    assert sandbox.state()["down"] == ["redis"]
    ended = sandbox.control({"reset": True})
    assert (ended["slow"], ended["fail"], ended["down"]) == ({}, {}, [])


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"slow": {"modelaccess": {"factor": 2}}}, "did you mean 'model_access'"),
        ({"slow": {"model_access": {"factor": 0}}}, "greater than 0"),
        ({"slow": {"model_access": {"delay": "soon"}}}, "not a duration"),
        ({"slow": {"model_access": {"distribution": "lognormal"}}}, "needs a delay"),
        ({"fail": {"model_access": 1.5}}, "not between 0 and 100"),
        ({"down": ["everything"]}, "'redis' or 'database'"),
        ({"flush": ["database"]}, "'memory' or 'redis'"),
        ({"stall": -1}, "zero or more"),
        ({"stall": "2 h"}, "less than or equal"),
        ({"sloww": {}}, "sloww"),
    ],
)
def test_an_order_that_cannot_be_obeyed_is_refused_with_the_reason(
    sandbox: RunningSandbox, client: httpx.Client, order: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError) as refused:
        sandbox.control(order)
    assert reason in refused.value.what


def test_an_order_that_is_no_json_is_422_and_changes_nothing(client: httpx.Client) -> None:
    before = client.get("/control").json()
    assert client.post("/control", content=b"{").status_code == 422
    assert client.get("/control").json() == before


def test_the_operations_answer_no_other_method(client: httpx.Client) -> None:
    assert [client.delete(path).status_code for path in ("/health", "/metrics", "/control", "/control/counts")] == [404] * 4
