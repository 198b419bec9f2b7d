"""The target's variables are read from the given environment, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import faults, load, shop
from velro_gate.errors import MissingVariableError
from velro_gate.model.readings import PageFamily
from velro_gate.model.scenario import Target


def target(folder: Path, given: dict[str, Any], environ: dict[str, str]) -> Target:
    """The resolved target of the shop."""
    return load({**shop(), "target": given}, folder, environ).target


def test_a_variable_that_is_set_wins_over_the_default(tmp_path: Path) -> None:
    given = {"url": "${env.VELRO_API_URL:-http://127.0.0.1:8400}"}
    assert target(tmp_path, given, {}).url == "http://127.0.0.1:8400"
    assert target(tmp_path, given, {"VELRO_API_URL": ""}).url == "http://127.0.0.1:8400"
    assert target(tmp_path, given, {"VELRO_API_URL": "https://api.example/"}).url == "https://api.example"


def test_redis_and_postgresql_are_watched_when_their_variables_are_set(tmp_path: Path) -> None:
    given = {"url": "http://localhost"}
    assert target(tmp_path, given, {}).watch == ()
    environ = {"REDIS_URL": "redis://cache:6379/0", "DATABASE_URL": "postgresql://velro:secret@db/velro"}
    found = target(tmp_path, given, environ)
    both = (("redis", environ["REDIS_URL"]), ("postgres", environ["DATABASE_URL"]))
    assert found.watch == both
    assert target(tmp_path, {**given, "redis_url": None}, environ).watch == both[1:]
    assert target(tmp_path, {**given, "watch": {"redis": None}}, environ).watch == both[1:]
    assert target(tmp_path, {**given, "database_url": "postgres://b"}, {}).watch == (("postgres", "postgres://b"),)


def test_the_keys_under_watch_mean_what_the_older_keys_of_the_target_mean(tmp_path: Path) -> None:
    environ = {"REDIS_URL": "redis://default"}
    older = {"url": "http://h", "redis_url": "redis://${env.CACHE:-cache}", "database_url": "postgresql://d/x"}
    newer = {"url": "http://h", "watch": {"postgres": "postgresql://d/x", "redis": "redis://${env.CACHE:-cache}"}}
    assert target(tmp_path, older, environ) == target(tmp_path, newer, environ)


def test_a_metrics_page_elsewhere_stands_in_for_the_path_on_the_service(tmp_path: Path) -> None:
    found = target(tmp_path, {"url": "http://h", "watch": {"prometheus": "http://exporter:9100/metrics"}}, {})
    assert (found.metrics_path, found.watch) == (None, (("prometheus", "http://exporter:9100/metrics"),))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"watch": {"reddis": "redis://h"}}, "did you mean 'redis'"),
        (
            {"watch": {"redis": "redis://h"}, "redis_url": "redis://h"},
            "Redis is named twice, by 'watch.redis' and by 'redis_url'",
        ),
        ({"watch": {"prometheus": "http://h/metrics"}, "metrics": "/metrics"}, "by 'watch.prometheus' and by 'metrics'"),
        ({"watch": {"postgres": "mysql://h"}}, "target.watch.postgres does not start with postgres://"),
    ],
)
def test_what_is_wrong_under_watch_is_reported(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    (fault,) = faults({**shop(), "target": {"url": "http://h", **given}}, tmp_path)
    assert says in fault


def test_families_say_what_series_are_called_on_the_metrics_page(tmp_path: Path) -> None:
    given = {
        "database_pool_in_use": {"family": "shop_pool", "labels": {"state": "used", "a": "1"}},
        "cache_redis_hits_total": "shop_hits_total",
    }
    assert target(tmp_path, {"url": "http://h", "families": given}, {}).families == (
        PageFamily(series="database_pool_in_use", family="shop_pool", labels=(("a", "1"), ("state", "used"))),
        PageFamily(series="cache_redis_hits_total", family="shop_hits_total"),
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"families": {"database_pool_sise": "x"}}, "did you mean 'database_pool_size'"),
        ({"families": {"rss": "x"}}, "no metrics page shows a series 'rss'"),
        ({"families": {"database_pool_size": "not a family"}}, "'not a family' is not a name"),
        ({"families": {"database_pool_size": "x"}, "metrics": None}, "'families' belong to a metrics page"),
        ({"families": {"database_connections": "x"}, "connections_metric": "y"}, "named twice"),
    ],
)
def test_what_is_wrong_with_families_is_reported(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    (fault,) = faults({**shop(), "target": {"url": "http://h", **given}}, tmp_path)
    assert says in fault


@pytest.mark.parametrize("url", ["postgresql+asyncpg://velro@db/velro", "postgres+psycopg://velro@db/velro"])
def test_a_database_url_may_name_the_services_own_driver(tmp_path: Path, url: str) -> None:
    assert target(tmp_path, {"url": "http://localhost"}, {"DATABASE_URL": url}).watch == (("postgres", url),)


def test_a_text_may_hold_several_variables(tmp_path: Path) -> None:
    given = {"url": "${env.SCHEME:-https}://${env.HOST}:${env.PORT}"}
    assert target(tmp_path, given, {"HOST": "api", "PORT": "81"}).url == "https://api:81"


def test_without_a_target_the_url_comes_from_velro_api_url(tmp_path: Path) -> None:
    data = shop()
    del data["target"]
    assert load(data, tmp_path, {"VELRO_API_URL": "http://here:1"}).target.url == "http://here:1"


def test_every_missing_variable_is_named_with_what_needs_it(tmp_path: Path) -> None:
    given = {"url": "http://${env.HOST}:${env.PORT}", "redis_url": "redis://${env.HOST}"}
    with pytest.raises(MissingVariableError) as caught:
        target(tmp_path, given, {})
    assert caught.value.exit_code == 2
    assert "HOST (needed by target.url, target.redis_url)" in caught.value.what
    assert "PORT (needed by target.url)" in caught.value.what
    assert "export HOST=...; export PORT=..." in caught.value.hint


def test_faults_of_the_file_come_before_missing_variables(tmp_path: Path) -> None:
    data = {**shop(), "target": {"url": "${env.NOWHERE}"}, "colour": "red"}
    (fault,) = faults(data, tmp_path)
    assert "unknown key 'colour'" in fault


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"VELRO_API_URL": "api.example"}, "does not start with http://"),
        ({"VELRO_API_URL": "ftp://api.example"}, "does not start with http://"),
        ({"VELRO_API_URL": "http://"}, "names no host"),
        ({"VELRO_API_URL": "http://api:99999"}, "is not a URL"),
        ({"VELRO_API_URL": "http://api:0"}, "has port 0"),
        ({"VELRO_API_URL": "http://[::1"}, "is not a URL"),
        ({"VELRO_API_URL": "http://api/v1?x=1"}, "more than scheme, host, port and path"),
        ({"VELRO_API_URL": "http://api/#top"}, "more than scheme, host, port and path"),
        ({"VELRO_API_URL": "http://api/a b"}, "must be percent-encoded"),
    ],
)
def test_a_bad_url_from_the_environment_is_reported_with_its_variable_and_without_its_value(
    tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    (fault,) = faults({**shop(), "target": {"url": "${env.VELRO_API_URL}"}}, tmp_path, environ)
    assert says in fault
    assert "from ${env.VELRO_API_URL}" in fault
    assert environ["VELRO_API_URL"] not in fault.replace("http://", "")


def test_a_password_in_a_bad_database_url_is_not_reported(tmp_path: Path) -> None:
    (fault,) = faults(shop(), tmp_path, {"DATABASE_URL": "mysql://velro:hunter2@db"})
    assert "hunter2" not in fault
    assert "schemes: postgres, postgresql" in fault


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "unix://:secret@/run/redis.sock?db=0", "redis://", "redis:///1"])
def test_redis_may_be_named_by_its_socket_or_without_a_host(tmp_path: Path, url: str) -> None:
    assert target(tmp_path, {"url": "http://localhost"}, {"REDIS_URL": url}).watch == (("redis", url),)


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://run/redis.sock"])
def test_a_unix_url_that_names_no_socket_is_a_fault(tmp_path: Path, url: str) -> None:
    (fault,) = faults(shop(), tmp_path, {"REDIS_URL": url})
    assert "names no socket" in fault


def test_a_service_without_metrics_says_null(tmp_path: Path) -> None:
    found = target(tmp_path, {"url": "http://h", "metrics": None, "health": "/ready", "verify_tls": False}, {})
    assert (found.metrics_path, found.health_path, found.verify) == (None, "/ready", False)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://api/v1", "http://api/v1"),
        ("https://api:8443/v1/", "https://api:8443/v1"),
        ("http://[::1]:80/", "http://[::1]:80"),
    ],
)
def test_the_base_url_may_have_a_path(tmp_path: Path, given: str, url: str) -> None:
    assert target(tmp_path, {"url": given}, {}).url == url


def test_every_way_to_the_service_reaches_the_engine(tmp_path: Path) -> None:
    found = target(
        tmp_path,
        {
            "url": "http://127.0.0.1",
            "source_addresses": ["127.0.0.2", "${env.SECOND:-127.0.0.3}"],
            "follow_redirects": 3,
            "compression": "gzip",
        },
        {},
    )
    assert found.source_addresses == ("127.0.0.2", "127.0.0.3")
    assert (found.follow_redirects, found.compression) == (3, "gzip")
    socket = target(tmp_path, {"url": "http://service", "unix_socket": "run/service.sock"}, {})
    assert socket.unix_socket == str(tmp_path / "run" / "service.sock")


def test_a_path_that_no_socket_can_have_is_reported(tmp_path: Path) -> None:
    (fault,) = faults({**shop(), "target": {"url": "http://service", "unix_socket": "x" * 108}}, tmp_path)
    assert "longer than the 107 bytes" in fault


def test_sources_of_the_other_family_than_the_url_are_reported(tmp_path: Path) -> None:
    (fault,) = faults({**shop(), "target": {"url": "http://[::1]", "source_addresses": ["127.0.0.2"]}}, tmp_path)
    assert "target.url is an IPv6 address, and none of the source addresses is" in fault


def test_files_are_looked_at_although_the_url_is_missing(tmp_path: Path) -> None:
    (fault,) = faults({**shop(), "target": {"url": "${env.NOWHERE}", "ca_file": "none.pem"}}, tmp_path)
    assert "there is no file none.pem" in fault


def test_replicas_have_urls_of_their_own_the_first_of_which_is_the_targets(tmp_path: Path) -> None:
    target = load(shop() | {"target": {"urls": ["http://a:1/v1/", "http://${env.OTHER:-b}:2/v1"]}}, tmp_path).target
    assert target.urls == ("http://a:1/v1", "http://b:2/v1")
    assert target.url == target.urls[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"urls": ["http://a", "http://a"]}, "a replica is given twice"),
        ({"urls": ["http://a"]}, "one URL makes no replicas"),
        ({"urls": ["http://a", "https://b"]}, "replicas differ in scheme or path"),
        ({"urls": ["http://a", "nowhere"]}, "target.urls does not start with http://"),
        ({"urls": ["http://a", "http://b"], "url": "http://c"}, "'url' and 'urls' exclude each other"),
    ],
)
def test_replicas_that_cannot_be_are_faults(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    assert any(says in fault for fault in faults(shop() | {"target": given}, tmp_path))
