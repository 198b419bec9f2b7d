"""What every test under act shares: one installation of the action's packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.act.host import Host, first_alone, host


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where the action installs its packages, once for all tests."""
    top = tmp_path_factory.getbasetemp()
    shared = (top if worker_id == "master" else top.parent) / "velro-gate-packages"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture
def here(tmp_path: Path, packages: Path) -> Iterator[Host]:
    with first_alone(packages), host(tmp_path, packages) as made:
        yield made
