"""The stand-in keeps the promises of a real Redis: one set of tests for both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis

from tests.sandbox.clock import FakeClock
from tests.servers import Server, free_port, redis_server
from velro_gate.errors import UsageError
from velro_gate.sandbox.stores.memory import Memory
from velro_gate.sandbox.stores.redis_shared import RedisShared
from velro_gate.sandbox.stores.shared import EmbeddedShared, Shared


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["embedded", "redis"])
def url(request: pytest.FixtureRequest, redis: Server) -> str | None:
    return None if request.param == "embedded" else redis.url


@contextlib.asynccontextmanager
async def layer(url: str | None) -> AsyncIterator[Shared]:
    made: Shared = EmbeddedShared(Memory(10_000, 60.0)) if url is None else RedisShared(url, 60.0)
    try:
        yield made
    finally:
        await made.close()


def with_layer(url: str | None, scene: Callable[[Shared], Awaitable[None]]) -> None:
    async def run() -> None:
        async with layer(url) as made:
            await made.flush()
            await scene(made)

    asyncio.run(run())


def test_a_body_comes_back_byte_by_byte(url: str | None) -> None:
    async def scene(made: Shared) -> None:
        assert await made.get("a") is None
        await made.put("a", b"\x00\xff{}")
        assert await made.get("a") == b"\x00\xff{}"
        await made.put("a", b"2")
        assert await made.get("a") == b"2"

    with_layer(url, scene)


def test_filling_keeps_every_entry_and_flushing_forgets_all_of_them(url: str | None) -> None:
    async def scene(made: Shared) -> None:
        await made.fill((str(number), str(number).encode()) for number in range(2_500))
        assert await made.get("0") == b"0"
        assert await made.get("2499") == b"2499"
        await made.flush()
        assert await made.get("0") is None
        assert await made.get("2499") is None

    with_layer(url, scene)


def test_it_answers_a_ping(url: str | None) -> None:
    with_layer(url, lambda made: made.ping())


def test_flushing_leaves_what_others_keep_in_the_same_redis(redis: Server) -> None:
    async def scene(made: Shared) -> None:
        await made.put("a", b"1")
        async with Redis.from_url(redis.url) as others:
            await others.set("theirs", b"kept")
            await made.flush()
            assert await others.get("theirs") == b"kept"

    with_layer(redis.url, scene)


def test_redis_forgets_by_itself_when_the_lifetime_is_over(redis: Server) -> None:
    async def scene(made: Shared) -> None:
        await made.put("a", b"1")
        async with Redis.from_url(redis.url) as others:
            (key,) = [key async for key in others.scan_iter(match="velro-sandbox:*")]
            assert 0 < await others.ttl(key) <= 60

    with_layer(redis.url, scene)


def test_the_stand_in_forgets_when_the_lifetime_is_over() -> None:
    clock = FakeClock()
    made = EmbeddedShared(Memory(10, 60.0, clock=clock))
    asyncio.run(made.put("a", b"1"))
    clock.advance(61.0)
    assert asyncio.run(made.get("a")) is None


def test_a_redis_that_is_not_there_raises_one_of_the_faults_it_names() -> None:
    async def scene() -> None:
        async with layer(f"redis://127.0.0.1:{free_port()}/0") as made:
            for ask in (lambda: made.get("a"), lambda: made.put("a", b""), made.ping):
                with pytest.raises(RedisShared.faults):
                    await ask()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        (
            "unable to perform operation on <TCPTransport closed=True reading=False 0x7f>; the handler is closed",
            ConnectionError,
        ),
        ("a mistake of ours", RuntimeError),
    ],
)
def test_what_uvloop_says_of_a_reset_connection_is_a_fault_of_redis_and_other_errors_stay_what_they_are(
    redis: Server, monkeypatch: pytest.MonkeyPatch, said: str, raised: type[Exception]
) -> None:
    async def fails(_: str) -> None:
        raise RuntimeError(said)

    async def scene() -> None:
        async with layer(redis.url) as made:
            assert isinstance(made, RedisShared)
            monkeypatch.setattr(made._redis, "get", fails)
            for ask in (lambda: made.get("a"), made.ping):
                with pytest.raises(raised, match=said[:10]):
                    await ask()

    asyncio.run(scene())


@pytest.mark.parametrize("url", ["http://:hunter2@cache", "redis://cache:hunter2", "hunter2"])
def test_what_is_no_url_of_a_redis_is_a_usage_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(UsageError, match="it is not the URL of a Redis server") as refused:
        RedisShared(url, 60.0)
    assert "hunter2" not in str(refused.value)
