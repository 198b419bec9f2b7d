"""One real Redis and one real PostgreSQL for all tests of the monitor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Server, postgres_server, redis_server


@pytest.fixture(scope="session")
def redis_at() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_at() -> Iterator[Server]:
    with postgres_server(max_connections=60) as server:
        yield server
