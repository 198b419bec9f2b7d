from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import pytest
import trio

from velro_gate.monitor.sources.prometheus import (
    DEFAULT_FAMILIES,
    MOST_BYTES,
    PROCESS_FAMILIES,
    Family,
    PrometheusText,
    collect,
)
from velro_gate.monitor.watching import SourceError

pytestmark = pytest.mark.hostile("hostile HTTP servers")

PAGE = """\
# TYPE velro_cache_hits_total counter
velro_cache_hits_total{layer="memory"} 120
velro_cache_hits_total{layer="redis"} 30
velro_cache_misses_total{layer="memory"} 4
velro_db_pool_size 200
velro_db_pool_in_use 17
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.5e+08
process_open_fds 42
unrelated_total 1
"""


def read(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> Mapping[str, float]:
    async def main() -> Mapping[str, float]:
        source = PrometheusText("http://s.test/metrics", route=httpx.MockTransport(answer), **options)
        try:
            return await source.read()
        finally:
            await source.aclose()

    return trio.run(main)


def test_the_velro_families_get_the_names_of_our_readings() -> None:
    assert read(lambda request: httpx.Response(200, text=PAGE)) == {
        "cache_memory_hits_total": 120.0,
        "cache_redis_hits_total": 30.0,
        "cache_memory_misses_total": 4.0,
        "database_pool_size": 200.0,
        "database_pool_in_use": 17.0,
    }


def test_a_remote_service_shows_its_own_cpu_and_memory() -> None:
    values = read(lambda request: httpx.Response(200, text=PAGE), families=PROCESS_FAMILIES)
    assert values == {"cpu_seconds": 12.5, "rss": 1.5e8, "descriptors": 42.0}


@pytest.mark.real
def test_a_real_page_over_a_real_connection_is_read_twice_over_one_connection() -> None:
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        body = PAGE.encode()
        async with stream:
            while await stream.receive_some(65536):
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async def main() -> list[Mapping[str, float]]:
        found = []
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            port = listeners[0].socket.getsockname()[1]
            source = PrometheusText(f"http://localhost:{port}/metrics")
            found = [await source.read(), await source.read()]
            await source.aclose()
            nursery.cancel_scope.cancel()
        return found

    first, second = trio.run(main)
    assert first == second
    assert first["database_pool_size"] == 200.0
    assert connections == 1


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(404), "answers 404"),
        (httpx.Response(302, headers={"location": "http://elsewhere.test"}), "answers 302"),
        (httpx.Response(200, text="<html>hello</html>"), "has none of velro_db_pool_size"),
        (httpx.Response(200, text="velro_db_pool_size many\n"), "line 1"),
    ],
)
def test_what_is_no_metrics_page_is_reported(response: httpx.Response, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(lambda request: response)


def test_a_page_that_does_not_answer_is_reported_without_its_url() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("http://user:secret@s.test")

    with pytest.raises(SourceError, match="ConnectError") as caught:
        read(refuse)
    assert "secret" not in str(caught.value)


def test_lines_that_come_to_the_same_name_are_added_up() -> None:
    text = 'hits_total{layer="a",node="1"} 2\nhits_total{layer="a",node="2"} 3\n'
    assert collect(text, [Family(family="hits_total", name="hits_{layer}_total")]) == {"hits_a_total": 5.0}


def test_a_line_without_the_label_that_the_name_needs_is_left_out() -> None:
    assert collect("velro_cache_hits_total 5\n", DEFAULT_FAMILIES) == {}


def test_a_label_becomes_part_of_a_name_as_it_is_or_not_at_all() -> None:
    page = 'velro_cache_hits_total{layer="L1.app-2"} 5\nvelro_cache_hits_total{layer="k&y <x>"} 3\n'
    assert collect(page, DEFAULT_FAMILIES) == {"cache_L1.app-2_hits_total": 5.0, "cache_unnamed_hits_total": 3.0}


def test_a_label_that_is_no_name_and_a_bound_that_is_no_number_name_nothing() -> None:
    secret = "s" * 25
    assert collect(f'velro_cache_hits_total{{layer="{secret}"}} 5\n', DEFAULT_FAMILIES) == {"cache_unnamed_hits_total": 5.0}
    histogram = Family(family="t_bucket", name="t_le_{le}", bounds=True)
    bounds = ("0.1", "+Inf", "-Inf", "NaN", "abc", "1e308", "0" * 25, "")
    page = "".join(f't_bucket{{le="{bound}"}} 1\n' for bound in bounds)
    assert collect(page, [histogram]) == {"t_le_0.1": 1.0, "t_le_+Inf": 1.0}


def test_a_label_with_another_alphabets_line_break_begins_no_line_of_its_own() -> None:
    page = 'hits{path="/a\u2028velro_db_pool_size 7\x85"} 1\nvelro_db_pool_size 3\n'
    assert collect(page, DEFAULT_FAMILIES) == {"database_pool_size": 3.0}


class Endless(httpx.AsyncByteStream):
    """A body that goes on."""

    def __init__(self, piece: bytes) -> None:
        self.piece, self.sent = piece, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await trio.lowlevel.checkpoint()
            self.sent += len(self.piece)
            yield self.piece


# httpx does not close the generators of a body that is not read to its end; trio does, and says so.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_page_without_end_and_a_page_that_unpacks_to_gigabytes_are_read_in_part_only() -> None:
    body = Endless(b"a 1\n" * 10_000)
    with pytest.raises(SourceError, match="longer than"):
        read(lambda request: httpx.Response(200, stream=body))
    assert body.sent <= MOST_BYTES + len(body.piece)
    bomb = gzip.compress(bytes(50_000_000))

    class Bomb(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield bomb

    with pytest.raises(SourceError, match="longer than"):
        read(lambda request: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Bomb()))
