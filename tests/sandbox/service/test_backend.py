from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.sandbox.clock import FakeClock
from tests.servers import Server, redis_server
from velro_gate.sandbox.catalogue import MODELS
from velro_gate.sandbox.service.backend import Backend, open_backend
from velro_gate.sandbox.service.endpoints import warm_entries
from velro_gate.sandbox.settings import Settings

PEOPLE = 50
SETTINGS = Settings(work=False, users=PEOPLE, pool_size=2, memory_ttl=100.0, shared_ttl=1_000.0)
READS = (
    "/authorization/check?resource=generation&id=resource-{}",
    "/generations?limit=20",
    "/models/model-3",
    "/media/media-{}/url",
)


async def read(client: httpx.AsyncClient, path: str, user: str) -> httpx.Response:
    answer = await client.get(f"/api/v1{path}", headers={"X-User-Id": user})
    assert answer.status_code == 200
    return answer


def connect(backend: Backend) -> httpx.AsyncClient:
    """A client without a socket in between."""
    headers = {"Authorization": f"Bearer {backend.key}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(backend.application),
        base_url="http://sandbox",
        headers=headers,  # type: ignore[arg-type]
    )


def test_users_of_any_generator_hit_the_cache_from_their_first_request_on_but_for_one_person_in_fifty() -> None:
    async def scene() -> list[str]:
        async with open_backend(SETTINGS) as backend, connect(backend) as client:
            people = [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))) for number in range(200)]
            answers = [await read(client, path.format(i % PEOPLE), one) for i, one in enumerate(people) for path in READS]
            return [answer.headers["X-Cache"] for answer in answers]

    counted = Counter(asyncio.run(scene()))
    assert counted["MISS"] <= 0.05 * counted["HIT"]


def test_what_is_warmed_is_what_the_database_would_answer() -> None:
    async def scene() -> None:
        async with open_backend(SETTINGS) as backend, connect(backend) as client:
            for path in READS:
                warmed = [(await read(client, path.format(n), f"user-{n}")).content for n in range(PEOPLE)]
                for layer in ("memory", "redis"):
                    await client.post("/control", json={"flush": [layer]})
                asked = [await read(client, path.format(n), f"user-{n}") for n in range(PEOPLE)]
                assert [answer.content for answer in asked] == warmed
                assert asked[0].headers["X-Cache-Layer"] == "database"

    asyncio.run(scene())


def test_every_person_has_an_entry_of_each_kind_and_no_key_comes_twice() -> None:
    keys = [key for key, _ in warm_entries(PEOPLE)]
    assert len(keys) == len(set(keys)) == 3 * (PEOPLE - PEOPLE // 50) + len(MODELS)


def test_of_one_user_in_fifty_nothing_is_held_yet_so_that_misses_reach_the_database() -> None:
    held = {key for key, _ in warm_entries(200)}
    assert {f"access:{n}" for n in range(200)} - held == {"access:49", "access:99", "access:149", "access:199"}


def test_layers_expire_one_after_the_other() -> None:
    async def scene() -> list[str]:
        clock = FakeClock()
        async with open_backend(SETTINGS, clock=clock) as backend, connect(backend) as client:
            found = []
            for wait in (0.0, 100.0, 0.0, 1_000.0, 0.0):
                clock.advance(wait)
                found.append((await read(client, "/models/model-3", "user-1")).headers["X-Cache-Layer"])
            return found

    assert asyncio.run(scene()) == ["redis", "redis", "memory", "database", "memory"]


def test_a_breaker_that_has_opened_tries_again_after_its_recovery_time() -> None:
    async def scene() -> list[tuple[int, str]]:
        clock = FakeClock()
        seen = []
        async with open_backend(SETTINGS, clock=clock) as backend, connect(backend) as client:

            async def look() -> None:
                answer = await client.get("/api/v1/generations?limit=3")
                state: Any = (await client.get("/control")).json()
                seen.append((answer.status_code, state["breakers"]["database"]))

            await client.post("/control", json={"down": ["database"]})
            for _ in range(SETTINGS.breaker_failures):
                await look()
            await client.post("/control", json={"down": []})
            await look()
            clock.advance(SETTINGS.breaker_recovery)
            await look()
        return seen

    seen = asyncio.run(scene())
    assert seen == [(503, "closed")] * 4 + [(503, "open")] * 2 + [(200, "closed")]


@pytest.mark.parametrize("count", [1, 40])
def test_writes_at_the_same_time_are_all_kept(count: int) -> None:
    async def scene() -> Any:
        async with open_backend(SETTINGS) as backend, connect(backend) as client:
            body = json.dumps({"model": "model-1", "prompt": "x"})
            answers = await asyncio.gather(*(client.post("/api/v1/generations", content=body) for _ in range(count)))
            assert {answer.status_code for answer in answers} == {201}
            listed = (await client.get("/api/v1/generations?limit=100")).json()
            cached = await client.get("/api/v1/generations")
            assert cached.headers["X-Cache"] == "HIT"
            assert (cached.json()["total"], cached.json()["items"]) == (listed["total"], listed["items"][:20])
            return len({answer.json()["id"] for answer in answers}), listed["total"]

    assert asyncio.run(scene()) == (count, count)


def test_wrong_versions_keep_stale_cards_lose_writes_storm_and_never_open_their_breakers() -> None:
    async def scene() -> None:
        async with open_backend(SETTINGS) as backend, connect(backend) as client:
            database = backend.dependencies["database"]

            async def rename(name: str) -> Any:
                answer = await client.put("/api/v1/models/model-3", json={"name": name})
                assert answer.status_code == 200
                return (await client.get("/api/v1/models/model-3")).json()

            async def create() -> httpx.Response:
                return await client.post("/api/v1/generations", json={"model": "model-1", "prompt": "x"})

            assert await rename("first") == {"id": "model-3", "name": "first", "version": 2}
            await client.post("/control", json={"wrong": ["cache_not_invalidated", "writes_lost", "breaker_never_opens"]})
            assert (await rename("second"))["name"] == "first"
            await client.post("/api/v1/cache/invalidate", json={"tag": "model"})
            assert (await client.get("/api/v1/models/model-3")).json()["version"] == 2
            await client.post("/control", json={"down": ["database"]})
            lost = [await create() for _ in range(2 * SETTINGS.breaker_failures)]
            assert {answer.status_code for answer in lost} == {201}
            assert database.breaker.opened == 0
            await client.post("/control", json={"reset": True})
            sought = f"/api/v1/authorization/check?resource=generation&id={lost[0].json()['id']}"
            assert (await client.get(sought)).status_code == 404
            for invalid in ({"key": "model:3"}, {"tag": "model"}, {"all": True}):
                assert (await client.post("/api/v1/cache/invalidate", json=invalid)).status_code == 200
                assert (await client.get("/api/v1/models/model-3")).json()["name"] == "second"
            assert (await client.post("/api/v1/cache/invalidate", json={"tag": "nothing"})).status_code == 422

    asyncio.run(scene())


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.mark.parametrize(
    ("invalid", "cold"),
    [
        ({"key": "model:1"}, {"model-1"}),
        ({"tag": "model"}, {"model-1", "model-11", "model-12"}),
        ({"all": True}, {"model-1", "model-11", "model-12", "media-1"}),
    ],
)
def test_one_key_a_tag_or_everything_is_asked_of_the_database_again(
    invalid: dict[str, object], cold: set[str], redis: Server
) -> None:
    paths = {name: f"/models/{name}" for name in ("model-1", "model-11", "model-12")} | {"media-1": "/media/media-1/url"}

    async def scene() -> tuple[set[str], int]:
        async with open_backend(replace(SETTINGS, redis_url=redis.url)) as backend, connect(backend) as client:
            for path in paths.values():
                await read(client, path, "user-1")
            assert (await client.post("/api/v1/cache/invalidate", json=invalid)).status_code == 200
            found = {name: (await read(client, path, "user-1")).headers["X-Cache"] for name, path in paths.items()}
            again = [(await read(client, path, "user-1")).headers["X-Cache"] for path in paths.values()]
            return {name for name, cache in found.items() if cache == "MISS"}, again.count("HIT")

    assert asyncio.run(scene()) == (cold, len(paths))
