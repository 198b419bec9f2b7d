"""A service that is started for a run from a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from velro_gate.errors import UsageError
from velro_gate.gate.local.run import StartedService, measure
from velro_gate.gate.measure.effects import World
from velro_gate.gate.measure.setup import RunOptions


def _never() -> NoReturn:
    raise AssertionError("nothing is to be measured")


def test_a_service_that_is_started_cannot_be_elsewhere(tmp_path: Path) -> None:
    wanted = RunOptions(scenario=tmp_path / "s.yaml", url="http://127.0.0.1:1")
    with pytest.raises(UsageError, match="--start-command and --url contradict each other"):
        measure(wanted, tmp_path, World(environ={}, open=_never), service=StartedService(line="serve", folder=tmp_path))
