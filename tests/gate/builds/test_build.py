"""Builds and services by a repository's own commands: what fails is told with its words, and nothing is left running."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.gate.programs import service as program
from tests.gate.world import tiny_setup
from velro_gate.errors import BrokenError
from velro_gate.gate.builds.build import BuildRunner
from velro_gate.gate.builds.output import MOST_BYTES, BuildOutput
from velro_gate.gate.builds.run import running
from velro_gate.gate.measure.results import Results, make_results
from velro_gate.gate.measure.run import run_trio
from velro_gate.model.duet import Side
from velro_gate.model.record import Revision
from velro_gate.model.scenario import Target

pytestmark = pytest.mark.hostile("runner")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return make_results(tmp_path / "out", "run")


def shop(workspace: Path, *, build: str = "", start: str = "", seconds: float = 30.0, **environ: str) -> BuildRunner:
    return BuildRunner(
        workspace=workspace, build=build, start=start, health_path=None, seconds=seconds, environ={**os.environ, **environ}
    )


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=20.0).status == 200)
    except urllib.error.URLError:
        return False


def test_a_build_runs_in_the_folder_of_its_code_and_its_output_is_kept(tmp_path: Path, results: Results) -> None:
    shop(tmp_path, build="echo built in $PWD; touch made").build_in(tmp_path, Side.BASE, results)
    assert (tmp_path / "made").exists()
    assert f"built in {tmp_path}" in (results.folder / "build-base.log").read_text("utf-8")


def test_without_a_build_command_nothing_is_built(tmp_path: Path, results: Results) -> None:
    shop(tmp_path).build_head(results)
    assert not (results.folder / "build-head.log").exists()


def test_of_a_service_that_logs_without_end_the_last_megabytes_are_kept(tmp_path: Path, results: Results) -> None:
    shop(tmp_path, build=f"head -c {MOST_BYTES + 1_000} /dev/zero | tr '\\0' x; echo; echo last").build_in(
        tmp_path, Side.HEAD, results
    )
    kept = (results.folder / "build-head.log").read_text("utf-8")
    assert len(kept) < MOST_BYTES + 100
    assert kept.startswith("--- 1,")
    assert "bytes before this are not kept" in kept
    assert kept.endswith("x\nlast\n")


def test_a_command_that_empties_its_own_log_is_reported_with_what_is_left(tmp_path: Path, results: Results) -> None:
    with pytest.raises(BrokenError) as caught:
        shop(tmp_path, build="seq 1000; echo last >/dev/stderr; exit 7").build_in(tmp_path, Side.HEAD, results)
    assert caught.value.why == "last"


@pytest.mark.parametrize("side", Side)
def test_a_build_that_fails_is_reported_with_the_end_of_its_output(tmp_path: Path, results: Results, side: Side) -> None:
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
    # The log gets its text, masked, when the build is over.
    pid = tmp_path / "pid"

    def cancel() -> None:
        while not (pid.exists() and pid.read_text("utf-8").endswith("\n")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # Whoever runs the tests in the background has interrupts ignored, and so would we.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=cancel, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            shop(tmp_path, build="sleep 600 & echo $! > pid; wait").build_head(results)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not psutil.pid_exists(int(pid.read_text("utf-8")))


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
        while not answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    pid = int((results.folder / "head.log").read_text("utf-8").splitlines()[1])
    assert not psutil.pid_exists(pid)


def test_a_block_ends_with_its_first_line_that_fails_as_on_github(tmp_path: Path, results: Results) -> None:
    for build in ("false\ntouch built", "false | cat\ntouch built"):
        with pytest.raises(BrokenError, match="build-command ended with exit code 1"):
            shop(tmp_path, build=build).build_in(tmp_path, Side.HEAD, results)
    assert not (tmp_path / "built").exists()


def test_each_build_has_a_folder_for_itself_and_a_place_that_both_write_to_is_noticed(tmp_path: Path, results: Results) -> None:
    served = tmp_path / "served"
    program(tmp_path, 0.0)

    def block(build: str, start: str, side: Side) -> str:
        """What becomes of a block of one side, after both builds."""
        made = shop(tmp_path / "head", build=build, start=start)
        made.scratch = tmp_path / "scratch"
        for each in (Side.HEAD, Side.BASE):
            (tmp_path / each.value).mkdir(exist_ok=True)
            made.build_in(tmp_path / each.value, each, results)
        builds = made.builds(tmp_path / "base", Revision(), Revision())

        async def use() -> str:
            output = BuildOutput(tmp_path / "log")
            try:
                async with running(builds, side, Target(url="http://127.0.0.1:1"), output=output, environ=os.environ):
                    return "served"
            except BrokenError as error:
                return error.what if error.of_base else "the head's own fault"

        return run_trio(use)

    python = f"exec {sys.executable} -I -S"
    shared = block(f"cp ../service.py {served}.py", f"{python} {served}.py 0", Side.HEAD)
    assert shared == f"the head build runs {served}.py, which the other build has written"
    own = block('cp ../service.py "$VELRO_BUILD_DIRECTORY"', f'{python} "$VELRO_BUILD_DIRECTORY/service.py" 0', Side.HEAD)
    assert own == "served"
    # The workspace is the head's: what lies there is no base build.
    next_to = block("cp ../service.py here.py", f"{python} {tmp_path}/head/here.py 0", Side.BASE)
    assert "which the other build has written" in next_to
