from __future__ import annotations

import httpx
import pytest
import trio

from tests.servers import Server
from velro_gate.model.readings import WATCHED, PageFamily, declared
from velro_gate.model.run import Reading
from velro_gate.model.scenario import Target
from velro_gate.monitor import DEFAULT_FAMILIES, PROCESS_FAMILIES, SourceError, sources_for, watch
from velro_gate.monitor.sources.prometheus import PrometheusText
from velro_gate.monitor.sources.service import ServiceProcesses


def names(target: Target, *, local: bool) -> list[str]:
    return [type(source).__name__ for source in sources_for(target, service_is_local=local)]


def test_the_runner_is_always_watched_and_nothing_else_that_was_not_named() -> None:
    assert names(Target(url="http://s.test"), local=False) == ["RunnerMonitor"]


def test_a_local_service_is_watched_by_its_processes() -> None:
    assert names(Target(url="http://127.0.0.1:8000"), local=True) == ["RunnerMonitor", "ServiceProcesses"]


def test_everything_that_is_named_is_watched() -> None:
    target = Target(
        url="http://127.0.0.1:8000",
        metrics_path="/metrics",
        watch=(("redis", "redis://r.test"), ("postgres", "postgresql://d.test/x")),
    )
    assert names(target, local=True) == ["RunnerMonitor", "ServiceProcesses", "PrometheusText", "RedisInfo", "PostgresActivity"]


@pytest.mark.parametrize(
    ("url", "port"), [("http://localhost", 80), ("https://localhost", 443), ("http://localhost:8000/api", 8000)]
)
def test_the_service_is_looked_for_on_the_port_of_its_url(url: str, port: int) -> None:
    (service,) = (s for s in sources_for(Target(url=url), service_is_local=True) if isinstance(s, ServiceProcesses))
    assert service._port == port


def test_only_a_remote_service_is_asked_for_its_process() -> None:
    target = Target(url="http://s.test/api/", metrics_path="metrics")

    def page(*, local: bool) -> PrometheusText:
        return next(s for s in sources_for(target, service_is_local=local) if isinstance(s, PrometheusText))

    assert page(local=True)._families == DEFAULT_FAMILIES
    assert page(local=False)._families == DEFAULT_FAMILIES + PROCESS_FAMILIES
    assert page(local=True)._url == "http://s.test/api/metrics"


def test_a_service_behind_a_unix_socket_is_asked_for_its_process_on_the_way_of_the_load() -> None:
    target = Target(url="http://service.test", metrics_path="/metrics", unix_socket="/run/service.sock")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="process_resident_memory_bytes 7"))
    runner, page = sources_for(target, service_is_local=True, route=transport)
    assert isinstance(page, PrometheusText)
    assert trio.run(page.read) == {"rss": 7.0}
    assert runner.name == "runner"


def test_every_reading_of_real_sources_is_declared_in_the_registry(redis_at: Server, postgres_at: Server) -> None:
    """The source 'service' is the Redis server here: any process that listens will do."""
    target = Target(url=redis_at.url.replace("redis:", "http:"), watch=(("redis", redis_at.url), ("postgres", postgres_at.url)))
    readings: list[Reading] = []

    async def main() -> None:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:

                def emit(reading: Reading) -> None:
                    readings.append(reading)
                    seen = {(r.source, r.name) for r in readings}
                    if ("runner", "cpu_share") in seen and {r.source for r in readings} >= {"service", "redis", "database"}:
                        nursery.cancel_scope.cancel()

                await watch(
                    sources_for(target, service_is_local=True), every=0.1, now=trio.current_time, emit=emit, note=pytest.fail
                )

    trio.run(main)
    undeclared = {key for reading in readings if declared(*(key := (reading.source, reading.name))) is None}
    assert undeclared == set()


def test_a_metrics_page_elsewhere_is_read_in_place_of_the_services_own() -> None:
    target = Target(url="http://s.test", metrics_path="/metrics", watch=(("prometheus", "http://e.test:9100/m"),))
    (page,) = (each for each in sources_for(target, service_is_local=True) if isinstance(each, PrometheusText))
    assert page._url == "http://e.test:9100/m"


@pytest.mark.parametrize("key", WATCHED)
def test_each_source_of_the_registry_has_a_module_that_reads_it(key: str) -> None:
    target = Target(url="http://s.test", watch=((key, WATCHED[key].example),))
    assert sources_for(target, service_is_local=False)[-1].name == WATCHED[key].name


@pytest.mark.parametrize(("local", "metric", "complains"), [(True, None, False), (False, None, True), (True, "db", True)])
def test_a_page_of_another_service_is_no_complaint_where_its_processes_are_watched(
    local: bool, metric: str | None, complains: bool
) -> None:
    target = Target(url="http://s.test", metrics_path="/metrics", connections_metric=metric)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="shop_orders_total 7"))
    sources = sources_for(target, service_is_local=local, route=transport)
    (page,) = (each for each in sources if isinstance(each, PrometheusText))
    if not complains:
        assert trio.run(page.read) == {}
        return
    with pytest.raises(SourceError, match="has none of") as caught:
        trio.run(page.read)
    assert caught.value.of == "metrics page"


def test_a_page_is_read_by_the_names_that_the_scenario_gives_and_the_usual_ones_of_the_same_series_are_left_out() -> None:
    named = (
        PageFamily(series="database_pool_in_use", family="shop_connections", labels=(("state", "used"),)),
        PageFamily(series="cache_redis_hits_total", family="shop_hits_total"),
    )
    text = """
shop_connections{state="used",shard="0"} 3
shop_connections{state="used",shard="1"} 4
shop_connections{state="idle",shard="0"} 9
shop_hits_total 12
velro_db_pool_in_use 100
velro_db_pool_size 10
velro_cache_hits_total{layer="redis"} 50
"""
    target = Target(url="http://s.test", metrics_path="/metrics", families=named)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    (page,) = (each for each in sources_for(target, service_is_local=True, route=transport) if isinstance(each, PrometheusText))
    assert trio.run(page.read) == {"database_pool_in_use": 7.0, "database_pool_size": 10.0, "cache_redis_hits_total": 12.0}


def test_a_page_without_any_family_that_the_scenario_names_is_a_complaint() -> None:
    target = Target(
        url="http://s.test", metrics_path="/metrics", families=(PageFamily(series="database_pool_size", family="shop_sise"),)
    )
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text="shop_size 7"))
    sources = sources_for(target, service_is_local=True, route=transport)
    (page,) = (each for each in sources if isinstance(each, PrometheusText))
    with pytest.raises(SourceError, match="shop_sise"):
        trio.run(page.read)
