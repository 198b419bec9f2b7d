"""Waivers, scenario and baselines are as they were before code of the change ran, or there is no verdict."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from velro_gate.errors import BrokenError
from velro_gate.gate.action.unchanged import Unchanged

pytestmark = pytest.mark.hostile("statuses and comments")

CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda here: (here / "waivers.yaml").write_text("- {}"),
    "removed": lambda here: (here / "waivers.yaml").unlink(),
    "put there": lambda here: (here / "scenario.yaml").write_text("name: other"),
    "a baseline more": lambda here: (here / "baselines/shop/new.json").write_text("{}"),
    "a baseline less": lambda here: (here / "baselines/shop/old.json").unlink(),
    "a baseline as a link": lambda here: (here / "baselines/shop/link.json").symlink_to("old.json"),
    "a baseline as a pipe": lambda here: os.mkfifo(here / "baselines/shop/pipe.json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_since_is_refused(change: str, tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text("[]")
    (tmp_path / "baselines/shop").mkdir(parents=True)
    (tmp_path / "baselines/shop/old.json").write_text("{}")
    found = Unchanged()
    for name in ("waivers.yaml", "scenario.yaml", "baselines"):
        found.note(tmp_path / name)
    found.require()
    CHANGES[change](tmp_path)
    for name in ("waivers.yaml", "scenario.yaml"):
        found.note(tmp_path / name)
    with pytest.raises(BrokenError, match="was changed while the job ran"):
        found.require()


def test_baselines_that_are_fetched_again_are_known_again(tmp_path: Path) -> None:
    found = Unchanged()
    found.note(tmp_path / "baselines")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines/new.json").write_text("{}")
    found.note(tmp_path / "baselines", again=True)
    found.require()
