"""scripts/install.sh: what is missing is one annotation, what is there is taken, and nothing is written beside the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSTALL, RUN = ROOT / "scripts/install.sh", ROOT / "scripts/run.sh"


def install(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("RUNNER_TEMP", "VELRO_PYTHON", "VELRO_ENVIRONMENT_DIRECTORY", "GITHUB_OUTPUT")
    environ = {name: value for name, value in os.environ.items() if name not in ours} | variables
    return subprocess.run([INSTALL, *arguments], env=environ, capture_output=True, text=True, check=False)


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def the_annotation(result: subprocess.CompletedProcess[str]) -> str:
    """The one workflow command that was printed."""
    assert result.returncode == 2
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("::")]
    head, _, message = line.removeprefix("::").partition("::")
    assert head == "error title=velro-gate cannot be installed"
    return message


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    old = program(tmp_path / "python-of-old", 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    message = the_annotation(install(RUNNER_TEMP=str(tmp_path), VELRO_PYTHON=str(old)))
    assert str(old) in message
    assert "Python 3.9.2" in message
    assert "3.11 or newer" in message


def test_a_runner_with_old_pythons_only_is_told_what_it_needs(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        program(tmp_path / "bin" / name, 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    message = the_annotation(install(RUNNER_TEMP=str(tmp_path), PATH=f"{tmp_path}/bin:{os.environ['PATH']}"))
    assert "the newest on this runner's PATH is Python 3.9.2" in message


def test_outside_of_a_job_the_missing_folder_is_named() -> None:
    assert "RUNNER_TEMP is not set" in the_annotation(install(VELRO_PYTHON=sys.executable))


def test_an_unknown_list_is_refused(tmp_path: Path) -> None:
    assert "choose run or sandbox" in the_annotation(install("everything", RUNNER_TEMP=str(tmp_path)))


def test_a_message_cannot_end_its_own_command(tmp_path: Path) -> None:
    message = the_annotation(install("a%0A::error::b\nc", RUNNER_TEMP=str(tmp_path)))
    assert "a%250A::error::b%0Ac" in message


@pytest.fixture
def registry_free(tmp_path: Path) -> dict[str, str]:
    """No registry can be reached, whatever the machine is set to."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(nothing),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
    }


def test_packages_that_cannot_be_had_leave_nothing_behind(tmp_path: Path, registry_free: dict[str, str]) -> None:
    place = tmp_path / "temp"
    result = install(RUNNER_TEMP=str(place), VELRO_PYTHON=sys.executable, **registry_free)
    assert "PIP_INDEX_URL" in the_annotation(result)
    assert list(place.iterdir()) == []


def test_the_program_is_the_very_process_that_was_started(tmp_path: Path) -> None:
    python = program(tmp_path / "python", 'echo "$$ $*"')
    process = subprocess.Popen(
        [RUN, "action"], env={**os.environ, "VELRO_INSTALLED_PYTHON": str(python)}, stdout=subprocess.PIPE, text=True
    )
    said, _ = process.communicate(timeout=30)
    assert said == f"{process.pid} -I -B -m velro_gate action\n"


def test_without_an_installation_the_missing_step_is_named() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "VELRO_INSTALLED_PYTHON"}
    result = subprocess.run([RUN, "action"], env=environ, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "run scripts/install.sh first" in result.stderr
