from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from urllib.parse import quote

import pytest
import redis
import trio

from tests.servers import Server, redis_server
from velro_gate.monitor.sources.redis_info import RedisInfo, parse_info
from velro_gate.monitor.watching import SourceError

pytestmark = pytest.mark.hostile("hostile HTTP servers")


def read_once(url: str) -> Mapping[str, float]:
    async def main() -> Mapping[str, float]:
        source = RedisInfo(url)
        try:
            with trio.fail_after(20):
                return await source.read()
        finally:
            await source.aclose()

    return trio.run(main)


def test_a_real_redis_counts_hits_and_misses_as_we_make_them(redis_at: Server) -> None:
    with redis.Redis.from_url(redis_at.url) as client:
        before = read_once(redis_at.url)
        client.set("velro-test", "1")
        for key in ("velro-test", "velro-test", "velro-absent"):
            client.get(key)
        after = read_once(redis_at.url)
    assert after["hits_total"] - before["hits_total"] == 2
    assert after["misses_total"] - before["misses_total"] == 1
    assert after["commands_total"] > before["commands_total"]
    assert after["memory"] > 0
    assert after["clients"] >= 2
    assert after["cpu_seconds"] > 0


def test_one_connection_serves_every_reading(redis_at: Server) -> None:
    async def main() -> list[float]:
        source = RedisInfo(redis_at.url)
        counts = [(await source.read())["clients"] for _ in range(5)]
        await source.aclose()
        return counts

    assert len(set(trio.run(main))) == 1


def test_a_limit_of_memory_is_read_and_no_limit_is_absent(redis_at: Server) -> None:
    assert "memory_limit" not in read_once(redis_at.url)
    with redis_server("--maxmemory", "8mb") as limited:
        assert read_once(limited.url)["memory_limit"] == 8 * 2**20


def test_a_password_with_odd_characters_opens_a_guarded_redis() -> None:
    password = "p@ss:w/rd %"
    with redis_server("--requirepass", password) as guarded:
        assert read_once(f"redis://:{quote(password, safe='')}@127.0.0.1:{guarded.port}/0")["clients"] >= 1
        with pytest.raises(SourceError, match="NOAUTH"):
            read_once(guarded.url)
        with pytest.raises(SourceError, match="WRONGPASS") as caught:
            read_once(f"redis://:{quote('wrong-secret')}@127.0.0.1:{guarded.port}/0")
        assert "wrong-secret" not in str(caught.value)


def test_a_redis_that_is_restarted_is_read_again() -> None:
    async def main() -> tuple[type[BaseException] | None, float]:
        with redis_server() as first:
            source = RedisInfo(first.url)
            await source.read()
        failure: type[BaseException] | None = None
        try:
            await source.read()
        except SourceError as error:
            failure = type(error)
        with redis_server() as second:
            source._url = second.url  # the same server come back would keep its port; a test cannot promise that
            values = await source.read()
            await source.aclose()
        return failure, values["clients"]

    assert trio.run(main) == (SourceError, 1.0)


def test_no_server_is_a_source_error() -> None:
    with pytest.raises(SourceError, match=r"no connection to 127\.0\.0\.1:1"):
        read_once("redis://127.0.0.1:1/0")


@pytest.mark.parametrize(("where", "guard"), [("", ()), (":s%20ecret@", ("s ecret",)), ("?password=s%20ecret", ("s ecret",))])
def test_a_redis_behind_a_unix_socket_is_read(where: str, guard: tuple[str, ...]) -> None:
    options = ("--requirepass", *guard) if guard else ()
    with redis_server("--unixsocket", "redis.sock", *options) as server:
        user, query = (where, "") if where.endswith("@") else ("", where)
        assert read_once(f"unix://{user}{server.directory}/redis.sock{query}")["clients"] >= 1


def test_a_socket_that_is_not_there_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="no connection to /nowhere/redis"):
        read_once("unix:///nowhere/redis.sock")


def test_a_url_without_a_host_means_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        asked.append((host, port))
        raise OSError

    monkeypatch.setattr(trio, "open_tcp_stream", open_stream)
    for url in ("redis://", "redis:///2", "redis://:7000"):
        with pytest.raises(SourceError, match="no connection to localhost"):
            read_once(url)
    assert asked == [("localhost", 6379), ("localhost", 6379), ("localhost", 7000)]


@pytest.mark.parametrize("url", ["http://a.test", "unix://"])
def test_a_url_of_another_form_is_a_source_error(url: str) -> None:
    with pytest.raises(SourceError, match="form"):
        read_once(url)


@contextlib.asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[str]:
    """A peer that reads a request and answers with these parts, each sent on its own; then it closes."""

    async def handle(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.receive_some(1024)
            for part in parts:
                await stream.send_all(part)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"redis://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def read_peer(*parts: bytes) -> Mapping[str, float] | str:
    """What a peer with this answer comes to: the values, or the error's text."""

    async def main() -> Mapping[str, float] | str:
        result: Mapping[str, float] | str = ""
        async with answering(*parts) as url:
            source = RedisInfo(url)
            try:
                result = await source.read()
            except SourceError as error:
                result = str(error)
            await source.aclose()
        return result

    return trio.run(main)


def test_an_answer_in_many_pieces_is_put_together() -> None:
    answer = b"$36\r\nkeyspace_hits:7\r\nkeyspace_misses:3\r\n\r\n"
    assert read_peer(*(answer[i : i + 1] for i in range(len(answer)))) == {"hits_total": 7.0, "misses_total": 3.0}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer like a Redis"),
        (b"$-1\r\n", "does not answer like a Redis"),
        (b"", "closed the connection"),
        (b"$10\r\nabc", "closed the connection"),
        (b"x" * (2 << 20), "does not answer like a Redis"),
        (b"-ERR unknown command with a secret\r\n", "refuses INFO: ERR"),
    ],
)
def test_what_is_no_redis_is_reported_and_does_no_harm(answer: bytes, said: str) -> None:
    result = read_peer(answer)
    assert isinstance(result, str)
    assert said in result
    assert "secret" not in result


def test_a_reading_that_was_cut_short_does_not_spoil_the_next_one(redis_at: Server) -> None:
    async def main() -> float:
        source = RedisInfo(redis_at.url)
        await source.read()
        with trio.CancelScope() as scope:
            scope.cancel()
            await source.read()
        values = await source.read()
        await source.aclose()
        return values["clients"]

    assert trio.run(main) >= 1.0


def test_lines_that_are_no_numbers_are_left_out() -> None:
    assert parse_info("# Stats\r\nkeyspace_hits:many\r\nused_memory:12\r\nnonsense\r\n") == {"memory": 12.0}


def test_cpu_is_the_sum_of_user_and_system_and_absent_when_one_is() -> None:
    assert parse_info("used_cpu_user:1.5\r\nused_cpu_sys:0.25\r\n") == {"cpu_seconds": 1.75}
    assert parse_info("used_cpu_user:1.5\r\n") == {}


def test_figures_that_are_none_are_left_out() -> None:
    assert parse_info("used_memory:nan\r\nconnected_clients:inf\r\nkeyspace_hits:1e999\r\nblocked_clients:3\r\n") == {
        "clients_blocked": 3.0
    }
