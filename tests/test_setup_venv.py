"""scripts/setup-venv.sh: says in one line what is missing, and leaves alone what is current."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "setup-venv.sh"


def set_up(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "VENV")} | variables
    return subprocess.run([SCRIPT, *arguments], env=environ, capture_output=True, text=True, check=False)


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_unknown_list_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    result = set_up("everything", VENV=str(tmp_path / "venv"))
    assert result.returncode == 2
    assert result.stderr == "setup: error: there is no list 'everything'; choose run, sandbox or dev\n"


@pytest.mark.parametrize("script", ["exit 1", "echo 'Python 3.8.18'; exit 1", "exit 127"])
def test_an_interpreter_that_fails_or_is_too_old_is_refused_in_one_line(tmp_path: Path, script: str) -> None:
    python = program(tmp_path, "python-of-old", script)
    result = set_up("run", VENV=str(tmp_path / "venv"), PYTHON=str(python))
    assert result.returncode == 2
    assert result.stderr == f"setup: error: PYTHON={python} does not run or is older than 3.11\n"
    assert not (tmp_path / "venv").exists()


def test_shims_that_are_on_the_path_but_fail_count_as_no_python(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11"):
        program(tmp_path, name, "exit 127")
    program(tmp_path, "python3", 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    result = set_up("run", VENV=str(tmp_path / "venv"), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 2
    assert result.stderr == "setup: error: Python 3.11 or newer is needed, found Python 3.9.2; install it or set PYTHON\n"


def test_packages_that_cannot_be_installed_leave_no_environment_that_looks_finished(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    # Where uv fails at once, pip is asked.
    program(tmp_path, "uv", "exit 1")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_OFFLINE": "1"}
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = set_up("run", VENV=str(venv), PYTHON=sys.executable, UV_NO_CACHE="1", PIP_NO_CACHE_DIR="1", **offline, PATH=path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "setup: error: the packages could not be installed; the lines above say why"
    assert "No matching distribution found" in result.stderr
    assert list(venv.glob(".stamp-*")) == []
