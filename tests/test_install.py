"""scripts/install.sh: what is missing is one annotation, what is there is taken, and nothing is written beside the code."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.hostile("runner")

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "scripts/run.sh"


def install(
    *arguments: str, action: Path = ROOT, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    ours = ("RUNNER_TEMP", "VELRO_PYTHON", "VELRO_ENVIRONMENT_DIRECTORY", "GITHUB_OUTPUT")
    environ = {name: value for name, value in os.environ.items() if name not in ours} | variables
    command = [action / "scripts/install.sh", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


# httpx with what it needs: '--version' imports nothing of the list.
FEW = frozenset({"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "sniffio", "typing-extensions"})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action with a short list of packages. Most time of an installation goes into compiling the long one, which is what
    the tests under act install.
    """
    action = tmp_path_factory.mktemp("action")
    for name in ("velro_gate", "scenarios", "scripts", "requirements"):
        shutil.copytree(ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__"))
    lock = action / "requirements/run.txt"
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8"))
    lock.write_text("\n".join(entry for entry in entries if entry.split("==")[0] in FEW) + "\n", encoding="utf-8")
    return action


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


def test_a_runner_with_old_pythons_only_is_shown_what_it_needs(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        program(tmp_path / "bin" / name, 'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    message = the_annotation(install(RUNNER_TEMP=str(tmp_path), PATH=f"{tmp_path}/bin:{os.environ['PATH']}"))
    assert "the newest on this runner's PATH is Python 3.9.2" in message


def test_outside_of_a_job_the_missing_folder_is_named() -> None:
    assert "RUNNER_TEMP is not set" in the_annotation(install(VELRO_PYTHON=sys.executable))


def test_an_unknown_list_is_refused(tmp_path: Path) -> None:
    assert "choose run, sandbox or cluster" in the_annotation(install("everything", RUNNER_TEMP=str(tmp_path)))


@pytest.mark.parametrize(
    ("mode", "event", "minutes", "cluster", "wanted"),
    [
        ("auto", "schedule", "10", "", "sandbox"),
        ("selftest", "workflow_dispatch", "10", "head:8786", "sandbox"),
        ("auto", "schedule", "0", "", "run"),
        ("gate", "schedule", "10", "head:8786", "cluster"),
        ("auto", "pull_request", "10", "", "run"),
    ],
)
def test_only_a_selftest_gets_the_embedded_service_and_only_a_cluster_gets_dask(
    tmp_path: Path, registry_free: dict[str, str], unable: Path, mode: str, event: str, minutes: str, cluster: str, wanted: str
) -> None:
    job = {"VELRO_MODE": mode, "GITHUB_EVENT_NAME": event, "VELRO_SELFTEST_MINUTES": minutes, "VELRO_CLUSTER": cluster}
    message = the_annotation(
        install("auto", cwd=tmp_path, RUNNER_TEMP=str(tmp_path), VELRO_PYTHON=str(unable), **job, **registry_free)
    )
    assert f"requirements/{wanted}.txt could not be installed" in message


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


@pytest.fixture
def unable(tmp_path: Path) -> Path:
    """A Python that makes no environments, so that an installation without uv and a registry fails at once."""
    itself = f'*realpath*) echo "$0"; echo {platform.python_version()}; exit ;;'
    script = f'case "$*" in {itself} *"-m venv"*) exit 1 ;; esac\nexec {sys.executable} "$@"'
    return program(tmp_path / "unable/python", script)


def found(name: str) -> str:
    """A program beside this Python, or on the PATH."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path, f"{name} is missing: it comes with requirements/dev.txt"
    return path


# Named as a module of Python's own, it is imported by whatever looks into the current folder first.
SHADOW = "raise SystemExit('a module of the workspace was imported')\n"
SHADOWED = ("pip.py", "venv.py", "ensurepip.py", "logging.py", "shutil.py", "compileall.py", "uv.py", "sitecustomize.py")


def misleading(workspace: Path) -> dict[str, str]:
    """What an earlier step, or the runner's user, may have set: modules of the workspace, and packages elsewhere."""
    return {"PYTHONPATH": str(workspace), "UV_COMPILE_BYTECODE": "1", "PIP_USER": "1"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A pull request's folder that would spoil the installation if anything in it counted."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in SHADOWED:
        (folder / name).write_text(SHADOW, encoding="utf-8")
    settings = "required-version = '==0.0.1'\n"
    (folder / "uv.toml").write_text(settings, encoding="utf-8")
    (folder / "pyproject.toml").write_text(f"[tool.uv]\n{settings}", encoding="utf-8")
    return folder


def test_uv_installs_where_it_is_there_even_for_a_python_that_cannot_make_environments(
    tmp_path: Path, workspace: Path, small: Path
) -> None:
    bare = f'case "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"'
    program(tmp_path / "bin/python3.13", bare)
    program(tmp_path / "bin/uv", f'echo "$*" >>{tmp_path}/uv-was-told\nexec {found("uv")} "$@"')
    variables = {"RUNNER_TEMP": str(tmp_path / "temp"), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", **misleading(workspace)}

    first = install(action=small, cwd=workspace, **variables)

    assert first.returncode == 0, first.stdout + first.stderr
    python = first.stdout.splitlines()[-1]
    assert Path(python).is_relative_to(tmp_path / "temp")
    made, filled = (tmp_path / "uv-was-told").read_text("utf-8").splitlines()
    assert made.startswith("venv ")
    assert filled.startswith("pip install ")
    assert "--require-hashes --only-binary :all:" in filled
    # uv's environments hold no pip: this one was not made by the other way.
    assert subprocess.run([python, "-I", "-c", "import pip"], check=False, capture_output=True).returncode == 1
    said = subprocess.run([python, "-I", "-B", "-m", "velro_gate", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip()
    assert sorted(path.name for path in workspace.iterdir()) == sorted([*SHADOWED, "uv.toml", "pyproject.toml"])
    again = install(action=small, cwd=workspace, **variables)
    assert "are in place" in again.stdout
    assert len((tmp_path / "uv-was-told").read_text("utf-8").splitlines()) == 2


def test_an_environment_that_a_cleaner_has_gone_through_is_made_again_and_older_ones_are_removed(
    tmp_path: Path, registry_free: dict[str, str], unable: Path, small: Path
) -> None:
    program(tmp_path / "bin/uv", f'exec {found("uv")} "$@"')
    place = tmp_path / "kept"
    variables = {
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "VELRO_ENVIRONMENT_DIRECTORY": str(place),
        "VELRO_PYTHON": str(unable),
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
    }
    days = 24 * 3600.0
    folders = {
        "velro-gate-run-0123456789abcdef": 31 * days,  # of another version, and unused
        "velro-gate-run-0123456789abcdea": 29 * days,  # of another version, in use
        "velro-gate-run-0123456789abcdef.AbC123": 2 * days,  # of an installation that was killed
        "velro-gate-run-0123456789abcdea.AbC123": 0.0,  # of one that is under way
        "velro-gate-own-files": 99 * days,  # nobody's of ours
    }
    for name, age in folders.items():
        (place / name).mkdir(parents=True)
        os.utime(place / name, (time.time() - age,) * 2)

    first = install(action=small, **variables)

    assert first.returncode == 0, first.stdout + first.stderr
    python = Path(first.stdout.splitlines()[-1])
    left = {path.name for path in place.iterdir()} - {python.parents[1].name}
    assert left == {"velro-gate-run-0123456789abcdea", "velro-gate-run-0123456789abcdea.AbC123", "velro-gate-own-files"}
    assert runs(python)
    (package,) = python.parents[1].glob("lib/python*/site-packages/velro_gate")
    without = {**variables, **registry_free}
    # Each is noticed; where nothing can be installed, what there was stays.
    for spoilt in (package / "units.py", package.parent / "httpx/_client.py", python):
        aside = spoilt.rename(tmp_path / "aside")
        assert noticed(install(action=small, **without).stdout), spoilt
        aside.rename(spoilt)
    code = (package / "units.py").read_text("utf-8")
    (package / "units.py").write_text("raise SystemExit('cut short')\n", encoding="utf-8")
    assert noticed(install(action=small, **without).stdout)
    (package / "units.py").write_text(code, encoding="utf-8")
    assert "are in place" in install(action=small, **without).stdout
    # "No module named velro_gate"
    shutil.rmtree(package)
    assert not runs(python)
    assert noticed(install(action=small, **variables).stdout)
    assert runs(python)


def noticed(said: str) -> bool:
    return "are missing or changed, so it is made again" in said


def runs(python: Path) -> bool:
    command = [python, "-I", "-B", "-m", "velro_gate", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_where_uv_finds_no_registry_pip_is_asked_imports_nothing_of_the_workspace_and_leaves_nothing_behind(
    tmp_path: Path, workspace: Path, registry_free: dict[str, str]
) -> None:
    program(tmp_path / "bin/uv", f'echo "$1" >>{tmp_path}/uv-was-told\nexec {found("uv")} "$@"')
    place = tmp_path / "temp"
    variables = {"RUNNER_TEMP": str(place), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", **misleading(workspace)}
    result = install(cwd=workspace, VELRO_PYTHON=sys.executable, **variables, **registry_free)
    message = the_annotation(result)
    assert "PIP_INDEX_URL" in message
    assert "UV_DEFAULT_INDEX" in message
    assert (tmp_path / "uv-was-told").read_text("utf-8").split() == ["venv", "pip"]
    # pip's own words, after uv's.
    assert "No matching distribution found" in result.stderr
    assert "was imported" not in result.stdout + result.stderr
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
