"""Every broken file is refused with exactly the faults that its own head lists, each at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from velro_gate.errors import ScenarioError
from velro_gate.scenario import load_scenario

pytestmark = pytest.mark.hostile("small inputs")

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))
MARK = "#! "
"""Begins a line at the head of a broken file that says one expected fault."""


def listed(path: Path) -> list[str]:
    """The faults that the head of a file announces."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]


def found(path: Path) -> list[str]:
    """The faults that the reader finds, with paths relative to the folder of broken files."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, {})
    return [str(fault).replace(f"{FOLDER}/", "") for fault in caught.value.faults]


def test_there_are_at_least_forty_broken_files() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_faults_are_exactly_those_that_the_file_announces(path: Path) -> None:
    assert listed(path)
    assert found(path) == listed(path)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_fault_points_into_a_file_that_exists(path: Path) -> None:
    for fault in found(path):
        place, _, line = fault.split(": ")[0].rpartition(":")
        assert (FOLDER / place).is_file()
        assert 1 <= int(line) <= len((FOLDER / place).read_text(encoding="utf-8").splitlines()) + 1


@pytest.mark.parametrize("name", ["literal-token", "literal-password"])
def test_a_refused_secret_is_not_repeated_in_the_message(name: str) -> None:
    reported = "\n".join(found(FOLDER / f"{name}.yaml"))
    assert "eyJ" not in reported
    assert "hunter2" not in reported
    assert "correct horse" not in reported


def test_a_broken_scenario_ends_with_exit_code_two_and_advice() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(FOLDER / "many-faults-at-once.yaml", {})
    assert caught.value.exit_code == 2
    lines = caught.value.lines()
    assert lines[0].endswith("has 5 faults")
    assert lines[-1].startswith("do: ")
    assert len(lines) == 7
