"""Builds and services as another user: what they can read, where they may write, and that nothing of them is left."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from velro_gate.engine.faults.injector import running_injector
from velro_gate.errors import BrokenError, UsageError
from velro_gate.gate.builds import supervisor
from velro_gate.gate.builds.build import BuildRunner
from velro_gate.gate.builds.run import BuildCommand
from velro_gate.gate.builds.service_user import ServiceUser, service_user
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.model.duet import Side
from velro_gate.model.record import Revision

pytestmark = pytest.mark.hostile("tokens and canaries")

NOBODY = "nobody"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return make_results(tmp_path / "out", "run")


@pytest.fixture
def nobody() -> Iterator[ServiceUser]:
    with service_user(NOBODY) as user:
        yield user


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout as actions/checkout leaves it, with the token in git's configuration."""
    folder = tmp_path / "workspace"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git/config").write_text("extraheader = AUTHORIZATION: basic canary\n", encoding="utf-8")
    (folder / "code.txt").write_text("code\n", encoding="utf-8")
    return folder


def shop(workspace: Path, user: ServiceUser, build: str) -> BuildRunner:
    return BuildRunner(
        workspace=workspace,
        build=build,
        start="exec sleep 600",
        health_path=None,
        seconds=60.0,
        environ={**os.environ, "SERVICE_KEY": "it's a $ecret\nof two lines"},
        scratch=workspace.parent / "scratch",
        user=user,
    )


def printed(results: Results, side: Side = Side.HEAD) -> list[str]:
    return (results.folder / f"build-{side.value}.log").read_text("utf-8").splitlines()[1:]


def test_a_build_runs_as_that_user_in_a_copy_with_its_variables_and_folders_of_its_own(
    workspace: Path, results: Results, nobody: ServiceUser
) -> None:
    build = (
        'id -un; pwd; cat code.txt; echo more >> code.txt; ls -A; echo "$VELRO_BUILD_DIRECTORY $HOME $GITHUB_WORKSPACE"\n'
        'touch "$HOME/x" "$TMPDIR/x" "$VELRO_BUILD_DIRECTORY/x"; printf %s "$SERVICE_KEY" | wc -c; echo logged >>/dev/stderr'
    )
    shop(workspace, nobody, build).build_head(results)
    place = nobody.place
    assert printed(results) == [
        NOBODY,
        str(place / "head"),
        "code",
        "code.txt",
        f"{place}/build-head {place}/home {place}/head",
        str(len("it's a $ecret\nof two lines")),
        "logged",
    ]
    assert (workspace / "code.txt").read_text("utf-8") == "code\n"


def test_that_user_reads_no_process_of_the_gate_no_file_of_the_runner_and_no_token_of_the_checkout(
    workspace: Path, results: Results, nobody: ServiceUser
) -> None:
    commands = workspace.parent / "commands"
    commands.mkdir(mode=0o700)
    (commands / "GITHUB_ENV").write_text("KEPT=1\n", encoding="utf-8")
    gate = os.getpid()
    forbidden = [f"/proc/{gate}/environ", f"/proc/{gate}/mem", f"/proc/{gate}/maps", f"{commands}/GITHUB_ENV"]
    build = "\n".join(
        [
            *(f"if cat {shlex.quote(path)} >/dev/null 2>&1; then echo read {shlex.quote(path)}; fi" for path in forbidden),
            f"if ls /proc/{gate}/fd >/dev/null 2>&1; then echo descriptors; fi",
            f"if (echo KIT_EVIL=1 >> {commands}/GITHUB_ENV) 2>/dev/null; then echo written; fi",
            f"if kill -0 {gate} 2>/dev/null; then echo signalled; fi",
            "grep -r canary . || true",
            # The supervisor has the variables, and may not be read or ended either.
            "if cat /proc/$PPID/environ >/dev/null 2>&1; then echo its supervisor; fi",
            "if kill -0 $PPID 2>/dev/null; then echo its supervisor signalled; fi",
            "echo done",
        ]
    )
    shop(workspace, nobody, build).build_head(results)
    assert printed(results) == ["done"]
    assert (commands / "GITHUB_ENV").read_text("utf-8") == "KEPT=1\n"


def test_what_a_build_leaves_behind_in_a_session_of_its_own_and_deaf_to_sigterm_is_ended(
    workspace: Path, results: Results, nobody: ServiceUser
) -> None:
    stubborn = "trap '' TERM; sleep 600 & wait; sleep 600"
    build = f"setsid sh -c {shlex.quote(f'echo $$ > stubborn; {stubborn}')} & while [ ! -s stubborn ]; do :; done; cat stubborn"
    shop(workspace, nobody, build).build_head(results)
    assert not psutil.pid_exists(int(printed(results)[0]))


def test_a_supervisor_that_may_not_signal_the_command_has_it_ended_by_that_user(tmp_path: Path, nobody: ServiceUser) -> None:
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is missing: it comes with util-linux"
    # Root without the right to signal others, as a runner's user is that switches by sudo.
    line = [setpriv, "--bounding-set", "-kill", sys.executable, "-I", "-S", supervisor.__file__]
    command = "trap '' TERM; setsid sh -c \"trap '' TERM; sleep 600 & wait; sleep 600\" & sleep 600 & echo $$; wait; sleep 600"
    read, write = os.pipe()
    process = subprocess.Popen(
        [*line, "0.2", command, NOBODY, str(nobody.place / "home")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=write,
    )
    os.close(write)
    with process, os.fdopen(read) as log:
        pid = int(log.readline())
        assert psutil.Process(pid).username() == NOBODY
        below = psutil.Process(process.pid).children(recursive=True)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    assert [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []


def test_its_folder_is_gone_afterwards_even_where_a_cache_in_it_is_read_only(workspace: Path, results: Results) -> None:
    with service_user(NOBODY) as user:
        shop(workspace, user, 'mkdir -p "$HOME/cache/a"; touch "$HOME/cache/a/x"; chmod -R a-w "$HOME/cache"').build_head(
            results
        )
        assert user.place.exists()
    assert not user.place.exists()


def test_a_second_process_of_the_job_serves_what_the_first_has_built(
    workspace: Path, results: Results, nobody: ServiceUser
) -> None:
    first = shop(workspace, nobody, "touch built")
    first.build_head(results)
    later = shop(workspace, nobody, "exit 1")
    later.built = first.built
    later.build_head(results)
    head = later.builds(workspace, Revision(), Revision()).head
    assert isinstance(head, BuildCommand)
    assert (head.directory, head.user) == (nobody.place / "head", NOBODY)
    with pytest.raises(BrokenError, match="exit code 1"):
        shop(workspace, nobody, "exit 1").build_head(results)


def test_code_that_cannot_be_copied_is_reported_in_words(tmp_path: Path, results: Results, nobody: ServiceUser) -> None:
    with pytest.raises(BrokenError, match="cannot be copied for the user nobody"):
        shop(tmp_path / "missing", nobody, "true").build_head(results)


@pytest.mark.parametrize(
    ("name", "what"),
    [("no-such-user", "there is no user no-such-user on this machine"), ("root", "the user root offers no protection")],
)
def test_a_user_that_cannot_be_meant_is_refused(name: str, what: str) -> None:
    with pytest.raises(UsageError) as caught, service_user(name):
        pass
    assert caught.value.what == what
    assert caught.value.exit_code == 2
    assert "nobody" in caught.value.hint


def test_where_this_user_may_not_switch_the_refusal_says_how_to_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo = tmp_path / "bin/sudo"
    sudo.parent.mkdir()
    sudo.write_text('#!/bin/sh\necho "$*" >' + f"{tmp_path}/asked" + "\necho sudo: a password is required >&2\nexit 1\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sudo.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    with pytest.raises(UsageError) as caught, service_user(NOBODY):
        pass
    assert caught.value.why == "sudo: a password is required"
    assert "#1001 ALL=(nobody) NOPASSWD: ALL" in caught.value.hint
    assert (tmp_path / "asked").read_text("utf-8").startswith(f"-n -u {NOBODY} -- ")


def test_commands_of_experiments_run_as_that_user_in_the_copy_and_signal_nothing_of_the_gate(
    workspace: Path, results: Results, nobody: ServiceUser
) -> None:
    runner = shop(workspace, nobody, "")
    runner.build_head(results)
    user = runner.other_user(nobody.code(Side.HEAD))
    assert user is not None
    line = f'id -un; pwd; printf %s "$SERVICE_KEY" | wc -c; kill -0 {os.getpid()} 2>/dev/null && echo signalled; exit 3'
    with running_injector() as injector:
        said = injector.begin(
            "a",
            {
                "kind": "command",
                "run": line,
                "undo": "",
                "environ": {**runner.environ, **user.environ},
                "folder": str(user.folder),
                "user": {"line": list(user.line), "rights": dict(user.rights)},
            },
        )
    secret = len("it's a $ecret\nof two lines")
    assert said == f"a command ended with exit code 3: {NOBODY}\n{nobody.code(Side.HEAD)}\n{secret}"
