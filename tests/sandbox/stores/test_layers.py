from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.clock import FakeClock
from velro_gate.sandbox.problem import AwayError
from velro_gate.sandbox.stores.breaker import Breaker, BreakerState
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.layers import Found, Layers
from velro_gate.sandbox.stores.memory import Memory
from velro_gate.sandbox.stores.shared import EmbeddedShared
from velro_gate.sandbox.tally import Tally

MEMORY_TTL = 100.0
SHARED_TTL = 1_000.0


class Bench:
    """Layers before a database that is a dictionary, on a clock that the test moves. queries: the keys it was asked for."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        self.clock = FakeClock()
        self.rows = rows
        self.queries: list[str] = []
        self.tally = Tally()
        self.shared = EmbeddedShared(Memory(1_000, SHARED_TTL, clock=self.clock))
        self.redis, self.database = (self._dependency(name) for name in ("redis", "database"))
        self.memory = Memory(1_000, MEMORY_TTL, clock=self.clock)
        self.layers = Layers(memory=self.memory, shared=self.shared, redis=self.redis, database=self.database, tally=self.tally)

    def _dependency(self, name: str) -> Dependency:
        return Dependency(name, Breaker(failures=2, recovery=10.0, clock=self.clock), faults=(), deadline=5.0)

    async def read(self, key: str) -> Found:
        async def query() -> bytes | None:
            self.queries.append(key)
            await asyncio.sleep(0)
            return self.rows.get(key)

        return await self.layers.read(key, query)


def play(rows: dict[str, bytes], scene: Callable[[Bench], Awaitable[None]]) -> Bench:
    bench = Bench(rows)
    asyncio.run(scene(bench))
    return bench


def test_the_first_read_asks_the_database_and_the_next_finds_it_in_memory() -> None:
    async def scene(bench: Bench) -> None:
        assert await bench.read("a") == Found(b"1", "database")
        assert await bench.read("a") == Found(b"1", "memory")

    bench = play({"a": b"1"}, scene)
    assert bench.queries == ["a"]
    assert bench.tally.hits == {"memory": 1, "database": 1}
    assert bench.tally.misses == {"memory": 1, "redis": 1}


def test_what_has_expired_in_memory_is_found_in_redis_and_lives_in_memory_again() -> None:
    async def scene(bench: Bench) -> None:
        await bench.read("a")
        bench.clock.advance(MEMORY_TTL)
        assert await bench.read("a") == Found(b"1", "redis")
        assert await bench.read("a") == Found(b"1", "memory")

    assert play({"a": b"1"}, scene).queries == ["a"]


def test_what_has_expired_everywhere_is_asked_of_the_database_again() -> None:
    async def scene(bench: Bench) -> None:
        await bench.read("a")
        bench.clock.advance(SHARED_TTL)
        assert await bench.read("a") == Found(b"1", "database")

    assert play({"a": b"1"}, scene).queries == ["a", "a"]


def test_what_does_not_exist_is_never_kept() -> None:
    async def scene(bench: Bench) -> None:
        assert await bench.read("a") == Found(None, "database")
        bench.rows["a"] = b"1"
        assert await bench.read("a") == Found(b"1", "database")

    assert play({}, scene).tally.misses["database"] == 1


def test_what_was_warmed_never_reaches_the_database() -> None:
    async def scene(bench: Bench) -> None:
        await bench.layers.warm([("a", b"1")])
        assert await bench.read("a") == Found(b"1", "redis")
        assert await bench.read("a") == Found(b"1", "memory")
        await bench.layers.flush("memory")
        assert await bench.read("a") == Found(b"1", "redis")

    assert play({}, scene).queries == []


def test_many_who_miss_the_same_key_at_once_cause_one_query() -> None:
    async def scene(bench: Bench) -> None:
        found = await asyncio.gather(*(bench.read("a") for _ in range(50)))
        assert set(found) == {Found(b"1", "database")}

    assert play({"a": b"1"}, scene).queries == ["a"]


def test_one_who_leaves_while_waiting_does_not_take_the_query_away_from_the_others() -> None:
    async def scene(bench: Bench) -> None:
        first, second = asyncio.create_task(bench.read("a")), asyncio.create_task(bench.read("a"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).body == b"1"

    assert play({"a": b"1"}, scene).queries == ["a"]


def test_redis_away_opens_its_breaker_and_reads_fall_through_to_the_database() -> None:
    async def scene(bench: Bench) -> None:
        bench.redis.taken_away = True
        for key in ("a", "b", "c"):
            assert await bench.read(key) == Found(b"1", "database")
        assert bench.redis.breaker.state is BreakerState.OPEN
        assert await bench.read("a") == Found(b"1", "memory")

    play(dict.fromkeys("abc", b"1"), scene)


def test_redis_back_closes_its_breaker_at_the_first_trial() -> None:
    async def scene(bench: Bench) -> None:
        bench.redis.taken_away = True
        await bench.read("a")
        bench.redis.taken_away = False
        assert bench.redis.breaker.state is BreakerState.OPEN
        bench.clock.advance(10.0)
        await bench.read("b")
        assert bench.redis.breaker.state is BreakerState.CLOSED
        await bench.layers.flush("memory")
        assert (await bench.read("b")).layer == "redis"

    play(dict.fromkeys("ab", b"1"), scene)


def test_the_database_away_leaves_what_is_cached_and_refuses_the_rest() -> None:
    async def scene(bench: Bench) -> None:
        await bench.read("a")
        bench.database.taken_away = True
        for _ in range(3):
            with pytest.raises(AwayError):
                await bench.read("b")
        assert bench.database.breaker.state is BreakerState.OPEN
        assert await bench.read("a") == Found(b"1", "memory")
        bench.clock.advance(MEMORY_TTL)
        bench.database.taken_away = True
        assert await bench.read("a") == Found(b"1", "redis")

    assert play(dict.fromkeys("ab", b"1"), scene).queries == ["a"]


def test_all_who_wait_for_a_database_that_is_away_are_refused_and_nobody_hangs() -> None:
    async def scene(bench: Bench) -> None:
        bench.database.taken_away = True
        found = await asyncio.gather(*(bench.read("a") for _ in range(5)), return_exceptions=True)
        assert [type(one) for one in found] == [AwayError] * 5

    play({"a": b"1"}, scene)


def test_a_write_that_redis_missed_is_not_undone_by_what_redis_held_before() -> None:
    async def scene(bench: Bench) -> None:
        await bench.layers.warm([("a", b"old")])
        bench.redis.taken_away = True
        bench.rows["a"] = b"new"
        await bench.layers.write("a", b"new")
        bench.redis.taken_away = False
        bench.clock.advance(MEMORY_TTL)
        assert await bench.read("a") == Found(b"new", "database")
        await bench.layers.flush("memory")
        assert await bench.read("a") == Found(b"new", "redis")

    play({"a": b"old"}, scene)


def test_a_write_is_not_undone_by_a_query_that_began_before_it() -> None:
    async def scene(bench: Bench) -> None:
        reading = asyncio.create_task(bench.read("a"))
        while not bench.queries:
            await asyncio.sleep(0)
        before = bench.rows["a"]
        await bench.layers.write("a", b"new")
        assert (await reading).body == before
        assert await bench.read("a") == Found(b"new", "memory")
        await bench.layers.flush("memory")
        assert await bench.read("a") == Found(b"new", "redis")

    play({"a": b"old"}, scene)


def test_what_is_forgotten_is_asked_of_the_database_although_redis_still_has_it() -> None:
    async def scene(bench: Bench) -> None:
        await bench.layers.warm([("a", b"old")])
        bench.layers.forget("a")
        assert await bench.read("a") == Found(b"new", "database")
        bench.layers.forget("never held")
        await bench.layers.flush("memory")
        assert await bench.read("a") == Found(b"new", "redis")

    play({"a": b"new"}, scene)


def test_flushing_redis_while_it_is_away_is_refused() -> None:
    async def scene(bench: Bench) -> None:
        bench.redis.taken_away = True
        with pytest.raises(AwayError):
            await bench.layers.flush("redis")

    play({}, scene)


ACTIONS = st.sampled_from(["read", "write", "wait", "redis away", "redis back", "flush memory"])


@given(st.lists(st.tuples(ACTIONS, st.sampled_from("ab")), max_size=40))
def test_no_read_is_ever_older_than_the_last_write_of_this_process(actions: list[tuple[str, str]]) -> None:
    async def scene(bench: Bench) -> None:
        for number, (action, key) in enumerate(actions):
            match action:
                case "read":
                    assert (await bench.read(key)).body == bench.rows[key]
                case "write":
                    bench.rows[key] = str(number).encode()
                    await bench.layers.write(key, bench.rows[key])
                case "wait":
                    bench.clock.advance(60.0)
                case "flush memory":
                    await bench.layers.flush("memory")
                case _:
                    bench.redis.taken_away = action == "redis away"

    play({"a": b"a", "b": b"b"}, scene)
