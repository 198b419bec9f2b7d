"""Builds and services by a repository's own commands: what fails is told with its words, and nothing is left running."""

from __future__ import annotations

import os
import signal
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.gate.programs import service as program
from tests.gate.world import tiny_setup
from velro_gate.errors import BrokenError
from velro_gate.gate.results import Results, make_results
from velro_gate.gate.workshop import Workshop
from velro_gate.model.duet import Side


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return make_results(tmp_path / "out", "run")


def shop(workspace: Path, *, build: str = "", start: str = "", seconds: float = 30.0, **environ: str) -> Workshop:
    return Workshop(
        workspace=workspace, build=build, start=start, health_path=None, seconds=seconds, environ={**os.environ, **environ}
    )


def test_a_build_runs_in_the_folder_of_its_code_and_its_output_is_kept(tmp_path: Path, results: Results) -> None:
    shop(tmp_path, build="echo built in $PWD; touch made").build_in(tmp_path, Side.BASE, results)
    assert (tmp_path / "made").exists()
    assert f"built in {tmp_path}" in (results.folder / "build-base.log").read_text("utf-8")


def test_without_a_build_command_nothing_is_built(tmp_path: Path, results: Results) -> None:
    shop(tmp_path).build_head(results)
    assert not (results.folder / "build-head.log").exists()


@pytest.mark.parametrize("side", Side)
def test_a_build_that_fails_is_told_with_the_end_of_its_output(tmp_path: Path, results: Results, side: Side) -> None:
    build = "for i in $(seq 40); do echo line $i; done; echo cannot find $A_SECRET_TOKEN; exit 7"
    with pytest.raises(BrokenError) as caught:
        shop(tmp_path, build=build, A_SECRET_TOKEN="hunter2hunter2").build_in(tmp_path, side, results)
    error = caught.value
    assert error.what == f"the {side.value} build's build-command ended with exit code 7"
    assert error.exit_code == 4
    assert error.of_base is (side is Side.BASE)
    assert error.why is not None
    assert error.why.endswith("line 40\ncannot find ***")
    assert "line 1\n" not in error.why
    assert "hunter2" not in (results.folder / f"build-{side.value}.log").read_text("utf-8")


def test_a_build_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, results: Results) -> None:
    with pytest.raises(BrokenError, match="took longer than 1 s") as caught:
        shop(tmp_path, build="sleep 600 & echo $!; wait", seconds=1.0).build_in(tmp_path, Side.HEAD, results)
    assert caught.value.why is not None
    assert "build-minutes" in caught.value.hint
    assert not psutil.pid_exists(int(caught.value.why))


def test_a_cancelled_build_leaves_no_process(tmp_path: Path, results: Results) -> None:
    log = results.folder / "build-head.log"

    def cancel() -> None:
        while not (log.exists() and log.read_text("utf-8").count("\n") == 2):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # Whoever runs the tests in the background has interrupts ignored, and so would we.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=cancel, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            shop(tmp_path, build="sleep 600 & echo $!; wait").build_head(results)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not psutil.pid_exists(int(log.read_text("utf-8").splitlines()[-1]))


def test_the_head_is_built_once_and_every_results_folder_gets_its_output(tmp_path: Path, results: Results) -> None:
    once, other = shop(tmp_path, build="echo x >> builds"), make_results(tmp_path / "out", "other")
    once.build_head(results)
    once.build_head(other)
    assert (tmp_path / "builds").read_text("utf-8") == "x\n"
    assert (other.folder / "build-head.log").is_file()


def test_a_served_head_answers_where_the_setup_says_and_is_gone_afterwards(tmp_path: Path, results: Results) -> None:
    serves = shop(tmp_path, start=f"echo $$; {program(tmp_path, 0.0)}")
    with serves.serving(tiny_setup(tmp_path, "http://127.0.0.1/api"), results) as setup:
        url = setup.scenario.target.url
        assert url.endswith("/api")
        deadline = time.monotonic() + 20.0
        while "serving on" not in (results.folder / "head.log").read_text("utf-8"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert urllib.request.urlopen(url, timeout=20.0).status == 200
    pid = int((results.folder / "head.log").read_text("utf-8").splitlines()[1])
    assert not psutil.pid_exists(pid)
