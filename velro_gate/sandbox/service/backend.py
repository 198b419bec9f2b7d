"""Puts the parts of one sandbox together and takes them apart again."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from velro_gate.errors import UsageError
from velro_gate.sandbox.problem import AwayError
from velro_gate.sandbox.service.endpoints import Endpoints, warm_entries
from velro_gate.sandbox.service.experiments import Experiments
from velro_gate.sandbox.service.metrics import ServiceMetrics
from velro_gate.sandbox.service.operations import Operations
from velro_gate.sandbox.service.tokens import Verifier, issue_key
from velro_gate.sandbox.service.web import Application
from velro_gate.sandbox.service.work import QUERY, Work, Workers
from velro_gate.sandbox.settings import Settings
from velro_gate.sandbox.stores.breaker import Breaker
from velro_gate.sandbox.stores.database import Database
from velro_gate.sandbox.stores.dependency import Dependency
from velro_gate.sandbox.stores.layers import Layers
from velro_gate.sandbox.stores.memory import Memory
from velro_gate.sandbox.stores.shared import EmbeddedShared, Shared
from velro_gate.sandbox.stores.sqlite import SqliteDatabase
from velro_gate.sandbox.tally import DATABASE, REDIS, Tally

REDIS_DEADLINE = 0.5
"""Seconds after which Redis counts as away for a request: the breaker opens on these."""
FILL_DEADLINE = 30.0
"""Seconds: of one question to a dependency, and of filling the caches."""

SHARED_ENTRIES = 400_000
"""Entries of the embedded stand-in for Redis, which evicts beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One sandbox, ready to serve."""

    application: Application
    key: str
    """The service key."""
    database: Database
    dependencies: dict[str, Dependency]


@asynccontextmanager
async def open_backend(settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Backend]:
    """A backend with its database filled and its caches warm; everything is given back at the end.

    Raises:
        UsageError: the Redis or the database that was named cannot be used.
    """
    secret = settings.secret or secrets.token_urlsafe(32)
    workers = Workers(settings.workers) if settings.workers else None
    work = Work(seed=settings.seed, on=settings.work, slow=settings.slow, workers=workers)
    tally = Tally()
    async with AsyncExitStack() as stack:
        database = _database(settings, work)
        stack.push_async_callback(database.close)
        await database.open()
        shared = _shared(settings, clock)
        stack.push_async_callback(shared.close)
        dependencies = _dependencies(settings, shared, database, clock)
        memory = Memory(settings.memory_entries, settings.memory_ttl, clock=clock, seed=settings.seed)
        layers = Layers(memory=memory, shared=shared, redis=dependencies[REDIS], database=dependencies[DATABASE], tally=tally)
        await _warm(layers, shared, settings)
        experiments = Experiments(
            work=work, layers=layers, dependencies=dependencies, tally=tally, seed=settings.seed, wrong=settings.wrong
        )
        operations = Operations(
            dependencies=dependencies,
            shared=shared,
            database=database,
            metrics=ServiceMetrics(tally, database, dependencies),
            experiments=experiments,
            tally=tally,
            control=settings.control,
        )
        endpoints = Endpoints(
            layers=layers,
            database=database,
            dependency=dependencies[DATABASE],
            secret=secret,
            users=settings.users,
            loses_writes=lambda: experiments.loses_writes,
        )
        application = Application(
            endpoints=endpoints,
            verifier=Verifier(secret, remembered=settings.token_ttl),
            work=work,
            experiments=experiments,
            tally=tally,
            operations=operations,
        )
        yield Backend(application=application, key=issue_key(secret), database=database, dependencies=dependencies)


def _database(settings: Settings, work: Work) -> Database:
    if settings.database_url:
        # Clients of real servers take longer to import than the rest of the sandbox, and most sandboxes have none.
        from velro_gate.sandbox.stores.postgres import PostgresDatabase

        return PostgresDatabase(
            settings.database_url,
            users=settings.users,
            pool_size=settings.pool_size,
            query_seconds=settings.database_deadline,
        )
    return SqliteDatabase(users=settings.users, pool_size=settings.pool_size, query_time=partial(work.spend, QUERY))


def _shared(settings: Settings, clock: Callable[[], float]) -> Shared:
    if settings.redis_url:
        from velro_gate.sandbox.stores.redis_shared import RedisShared

        return RedisShared(settings.redis_url, settings.shared_ttl)
    return EmbeddedShared(Memory(SHARED_ENTRIES, settings.shared_ttl, clock=clock, seed=settings.seed))


def _dependencies(settings: Settings, shared: Shared, database: Database, clock: Callable[[], float]) -> dict[str, Dependency]:
    def breaker() -> Breaker:
        """Each dependency has one of its own: one that is away must not cut off another."""
        return Breaker(failures=settings.breaker_failures, recovery=settings.breaker_recovery, clock=clock)

    return {
        REDIS: Dependency(REDIS, breaker(), faults=shared.faults, deadline=REDIS_DEADLINE),
        DATABASE: Dependency(DATABASE, breaker(), faults=database.faults, deadline=settings.database_deadline),
    }


async def _warm(layers: Layers, shared: Shared, settings: Settings) -> None:
    # What an earlier sandbox left in a real Redis belongs to another catalogue. A long deadline: this is not one question.
    filling = Dependency(
        REDIS, Breaker(failures=1, recovery=1.0, clock=time.monotonic), faults=shared.faults, deadline=FILL_DEADLINE
    )
    try:
        await filling.ask(shared.flush)
        await filling.ask(lambda: layers.warm(warm_entries(settings.users)))
    except AwayError as away:
        raise UsageError(
            "the sandbox's Redis cannot be used", where="REDIS_URL", why=str(away), hint="Start it, or unset REDIS_URL."
        ) from away
