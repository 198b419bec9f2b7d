"""Waivers held against the scenario before a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gate.world import tiny_setup
from velro_gate.errors import ScenarioError
from velro_gate.gate.judge.check_waivers import check_waivers
from velro_gate.model.scenario import Scenario

ROW = "- {{phase: {phase}, step: all, metric: p95, ceiling: 30 %, expires: 2030-12-31, issue: '#7', reason: agreed}}\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A profile with the phase short, and another with the phase stress."""
    known = tiny_setup(tmp_path, "http://127.0.0.1:9").scenario
    (short,) = known.profiles["pr"]
    return replace(known, profiles={**known.profiles, "full": (replace(short, name="stress"),)})


def written(folder: Path, *phases: str) -> Path:
    path = folder / "velro-waivers.yaml"
    path.write_text("".join(ROW.format(phase=phase) for phase in phases), encoding="utf-8")
    return path


def test_waivers_of_any_profiles_phases_and_no_file_at_all_are_fine(tmp_path: Path, scenario: Scenario) -> None:
    check_waivers(written(tmp_path, "short", "stress"), scenario)
    check_waivers(tmp_path / "none.yaml", scenario)


def test_a_phase_that_no_profile_has_is_refused_with_its_row_and_the_name_that_was_meant(
    tmp_path: Path, scenario: Scenario
) -> None:
    with pytest.raises(ScenarioError) as raised:
        check_waivers(written(tmp_path, "short", "stres"), scenario)
    (fault,) = raised.value.faults
    assert "row 2" in str(fault)
    assert "has no phase 'stres'" in str(fault)
    assert "did you mean 'stress'?" in str(fault)
