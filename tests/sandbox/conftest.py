"""One bare sandbox for all tests over HTTP that leave it as they found it, since starting one takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import Settings

SECRET = "a secret of the tests, at least thirty-two bytes long"
USERS = 60


@pytest.fixture(scope="package")
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(
        Settings(work=False, users=USERS, secret=SECRET, breaker_failures=3, breaker_recovery=0.05)
    ) as started:
        yield started


@pytest.fixture(scope="package")
def connected(sandbox: RunningSandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.key}", "X-User-Id": "user-7"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as opened:
        yield opened


@pytest.fixture
def client(sandbox: RunningSandbox, connected: httpx.Client) -> Iterator[httpx.Client]:
    """Acts as user-7 with the service key; afterwards every experiment is undone."""
    yield connected
    sandbox.control({"reset": True})
