"""Which processes an experiment may break: never those of velro-gate, nor on a runner those of another job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from velro_gate.engine.faults.injector import running_injector
from velro_gate.gate.builds.run import supervised
from velro_gate.gate.measure.breakable import TRACKED, processes_of
from velro_gate.monitor import SourceError

pytestmark = pytest.mark.hostile("experiments")


def test_a_port_of_a_fault_proxy_and_a_command_that_fits_the_injector_are_refused() -> None:
    with running_injector() as injector:
        port = injector.open_proxy("redis", "127.0.0.1", 1)
        for of in (f"port:{port}", "command:velro_gate.engine.faults.process", f"pid:{injector.pid}"):
            with pytest.raises(SourceError, match="of velro-gate itself"):
                processes_of(of, {}, injector=injector.pid)


@pytest.mark.parametrize("pid", [os.getpid, os.getppid])
def test_what_the_run_itself_runs_below_is_refused(pid: object) -> None:
    assert callable(pid)
    with pytest.raises(SourceError, match="runs below"):
        processes_of(f"pid:{pid()}", {})


def test_of_a_supervised_service_the_service_is_broken_and_its_supervisor_is_not(tmp_path: Path) -> None:
    line, folder = supervised("sleep 600.125 & wait", tmp_path, grace=1.0, user="")
    with subprocess.Popen(line, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdin is not None
        below: list[psutil.Process] = []
        while len(below) < 2:
            below = psutil.Process(supervisor.pid).children(recursive=True)
        found = processes_of(f"pid:{supervisor.pid}", {TRACKED: "somebody's"})
        assert sorted(found) == sorted(process.pid for process in below)
        supervisor.stdin.close()


@contextlib.contextmanager
def left_alone(**variables: str) -> Iterator[int]:
    """A process that nobody of ours is an ancestor of."""
    line = ["/bin/sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]
    started = subprocess.run(line, capture_output=True, text=True, check=True, env=variables)
    pid = int(started.stdout)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)


def test_on_a_runner_only_the_jobs_own_processes_are_broken() -> None:
    with left_alone(PATH=os.environ["PATH"], RUNNER_TRACKING_ID="github_1") as pid:
        assert processes_of(f"pid:{pid}", {}) == [pid]
        assert processes_of(f"pid:{pid}", {TRACKED: "github_1"}) == [pid]
        with pytest.raises(SourceError, match="has not started"):
            processes_of(f"pid:{pid}", {TRACKED: "github_2"})
