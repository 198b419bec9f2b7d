"""Nothing of a command is left, however it, its children or its master end. All with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from velro_gate.gate.builds import supervisor

pytestmark = pytest.mark.hostile("runner")

HANGS = "trap '' TERM; echo $$; while :; do sleep 60 & wait; done"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path / "log")
    yield made
    made.end()


class Started:
    """A warden, as its master sees it. What the command prints is read from the log, which is a pipe here."""

    def __init__(self, log: Path) -> None:
        os.mkfifo(log)
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, command: str, *, grace: float = 0.2) -> Started:
        # Opened for both, so that neither end waits for the other one.
        self._pipe = os.open(self._log, os.O_RDWR)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, str(grace), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._pipe,
            start_new_session=True,
        )
        return self

    def printed(self) -> psutil.Process:
        """The process whose id the command prints next."""
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(self._pipe, 1)
        return psutil.Process(int(text))

    def let_go(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(20)

    def said(self) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                assert stream is not None
                stream.close()
            os.close(self._pipe)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_when_its_master_lets_go_the_command_ends(started: Started) -> None:
    command = started.run("echo $$; exec sleep 600").printed()
    started.let_go()
    started.wait()
    assert gone(command)


def test_a_command_that_ignores_sigterm_is_killed_after_the_grace_with_its_children(started: Started) -> None:
    command = started.run(HANGS).printed()
    children = command.children(recursive=True)
    started.let_go()
    started.wait()
    assert all(gone(each) for each in (command, *children))


def test_a_child_that_left_the_group_ends_as_well(started: Started) -> None:
    shell = "setsid sh -c 'echo $$; exec sleep 600' & echo $$; wait"
    first = started.run(shell).printed()
    second = started.printed()
    started.let_go()
    started.wait()
    assert gone(first)
    assert gone(second)


def test_what_a_command_leaves_behind_when_it_ends_goes_with_it(started: Started) -> None:
    left = started.run("sleep 600 & echo $!").printed()
    started.wait()
    assert gone(left)
    assert json.loads(started.said()) == {"ended": 0}


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("kill -KILL $$", -9), ("no-such-program", 127)])
def test_a_command_that_ends_by_itself_is_reported_with_its_code(started: Started, command: str, code: int) -> None:
    started.run(command).wait()
    assert json.loads(started.said()) == {"ended": code}


def test_sigterm_to_the_supervisor_ends_the_command(started: Started) -> None:
    command = started.run("echo $$; exec sleep 600").printed()
    assert started.process is not None
    started.process.send_signal(signal.SIGTERM)
    started.wait()
    assert gone(command)


def test_a_master_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """The master is a process of its own here, since it has to die."""
    program = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-I', '-S', {supervisor.__file__!r}, '0.2', 'echo $$ >&2; exec sleep 600'],\n"
        "    stdin=subprocess.PIPE, stdout=sys.stdout, stderr=sys.stdout, start_new_session=True)\n"
        "print(p.pid, flush=True); p.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        processes = [psutil.Process(int(master.stdout.readline())) for _ in range(2)]
        master.kill()
        # Warden and command hold the pipe, so its end is theirs.
        assert master.stdout.read() == ""
    psutil.wait_procs(processes, timeout=10)
    assert all(gone(each) for each in processes)
