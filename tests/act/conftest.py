"""What every test under act shares: one installation of the action's packages, and one job at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.act.host import Host, alone, host


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where the action installs its packages, once for all tests."""
    top = tmp_path_factory.getbasetemp()
    shared = (top if worker_id == "master" else top.parent) / "velro-gate-packages"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture
def here(tmp_path: Path, packages: Path) -> Iterator[Host]:
    # One at a time: two loads at once would disturb each other, and the first installs for all.
    with alone(packages / "lock"), host(tmp_path, packages) as made:
        yield made
