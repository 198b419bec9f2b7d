"""A build is started, waited for and stopped; every way in which that fails says what to do. All with real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trio

from tests.gate.programs import service as program
from tests.service import service
from velro_gate.errors import BrokenError, UnreachableError, UsageError, VelroError
from velro_gate.gate.builds import run as build_run
from velro_gate.gate.builds.output import BuildOutput
from velro_gate.gate.builds.run import Build, BuildCommand, Builds, RunningBuild, running
from velro_gate.gate.measure.run import run_trio
from velro_gate.model.duet import Side
from velro_gate.model.scenario import Target
from velro_gate.monitor.sources.listeners import listening_pids

pytestmark = pytest.mark.real

TARGET = Target(url="http://127.0.0.1:1/api/", unix_socket="/nowhere")


def command(line: str, folder: Path, *, start: float = 20.0, stop: float = 5.0) -> BuildCommand:
    return BuildCommand(line=line, directory=folder, start_seconds=start, stop_seconds=stop)


def both(build: Build, health_path: str | None = None) -> Builds:
    return Builds(base=build, head=build, health_path=health_path)


def used(builds: Builds, output: BuildOutput, **more: object) -> tuple[Target, list[psutil.Process]]:
    """Start the base build and stop it: where it was, and the processes that listened there."""

    async def use() -> tuple[Target, list[psutil.Process]]:
        async with running(
            builds,
            Side.BASE,
            TARGET,
            output=output,
            environ=os.environ,
            **more,  # type: ignore[arg-type]
        ) as place:
            port = int(place.url.split(":")[2].split("/")[0])
            return place, [psutil.Process(pid) for pid in listening_pids(port)]

    return run_trio(use)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[BuildOutput]:
    made = BuildOutput(tmp_path / "base.log", secrets=["hush-hush"])
    yield made
    made.keep()


def failure(builds: Builds, output: BuildOutput, **more: object) -> VelroError:
    with pytest.raises(VelroError) as caught:
        used(builds, output, **more)
    return caught.value


def test_a_command_serves_on_the_port_that_it_is_given_and_is_gone_afterwards(tmp_path: Path, output: BuildOutput) -> None:
    place, processes = used(both(command(program(tmp_path, 0.0), tmp_path)), output)
    assert place.url.startswith("http://127.0.0.1:")
    assert place.url.endswith("/api")
    assert place.unix_socket is None
    assert processes
    assert not any(process.is_running() for process in processes)


def test_its_output_is_kept_start_after_start(tmp_path: Path, output: BuildOutput) -> None:
    for _ in range(2):
        used(both(command(program(tmp_path, 0.0), tmp_path)), output)
    output.keep()
    text = output.path.read_text("utf-8")
    assert text.count("--- ") == text.count("serving on ") == 2


def test_it_runs_in_its_own_directory(tmp_path: Path, output: BuildOutput) -> None:
    folder = tmp_path / "a build"
    folder.mkdir()
    used(both(command(f"pwd; {program(tmp_path, 0.0)}", folder)), output)
    output.keep()
    assert str(folder) in output.path.read_text("utf-8").splitlines()


def test_a_command_that_ends_is_reported_with_its_code_and_its_last_words(tmp_path: Path, output: BuildOutput) -> None:
    error = failure(both(command("echo cannot import shop with hush-hush; exit 3", tmp_path)), output)
    assert isinstance(error, BrokenError)
    assert error.exit_code == 4
    assert error.what == "the base build's command ended with exit code 3 before it answered /health"
    assert error.why == "cannot import shop with ***"
    assert error.where == str(output.path)


def test_a_running_base_build_that_does_not_respond_leaves_no_base_and_its_own_address_is_named(
    output: BuildOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_run, "_STARTING_SECONDS", 0.0)
    error = failure(both(RunningBuild(url="http://127.0.0.1:1")), output)
    assert "the base build did not respond: " in error.what
    assert "--base-url" in error.hint
    assert isinstance(error, UnreachableError)
    assert error.of_base, "so that the stored baselines are used, as for a command that cannot be started"


def test_a_command_that_is_killed_is_reported(tmp_path: Path, output: BuildOutput) -> None:
    error = failure(both(command(f"kill -{int(signal.SIGSEGV)} $$", tmp_path)), output)
    assert "was killed by signal 11" in error.what
    assert error.why == "it printed nothing"


def test_a_health_check_that_never_comes_ends_at_its_limit_and_nothing_is_left(tmp_path: Path, output: BuildOutput) -> None:
    error = failure(both(command("echo waiting for the database; echo $$; exec sleep 600", tmp_path, start=1.0)), output)
    assert isinstance(error, UnreachableError)
    assert error.exit_code == 4
    assert "the base build did not become healthy in 1 s" in error.what
    assert "PORT" in error.hint
    assert "(--health-path, or" in error.hint
    assert "input health-path" in error.hint
    assert error.why is not None
    assert "waiting for the database" in error.why
    assert not psutil.pid_exists(int(error.why.splitlines()[-1]))


def test_another_health_path_can_be_named(tmp_path: Path, output: BuildOutput) -> None:
    place, _ = used(both(command(program(tmp_path, 0.0), tmp_path), health_path="/ready"), output)
    assert place.health_path == "/ready"


def test_a_port_that_is_taken_is_not_taken_for_the_build(tmp_path: Path, output: BuildOutput) -> None:
    with service() as other:
        taken = int(other.url.rpartition(":")[2])
        error = failure(both(command(program(tmp_path, 0.0), tmp_path)), output, port=lambda: taken)
    assert isinstance(error, BrokenError)
    assert f"port {taken} is taken" in error.what
    assert not output.path.exists()


def test_when_the_first_port_is_taken_another_one_is_tried(tmp_path: Path, output: BuildOutput) -> None:
    from velro_gate.gate.builds.run import free_port

    with service() as other:
        ports = iter([int(other.url.rpartition(":")[2]), free_port()])
        place, _ = used(both(command(program(tmp_path, 0.0), tmp_path)), output, port=lambda: next(ports))
    assert place.url != other.url


def test_a_build_that_is_cancelled_while_it_starts_leaves_nothing(tmp_path: Path, output: BuildOutput) -> None:
    builds = both(command("echo $$; exec sleep 600", tmp_path))

    async def give_up() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    while not output.tail():
                        await trio.sleep(0.01)
                    scope.cancel()

                nursery.start_soon(cancel)
                async with running(builds, Side.BASE, TARGET, output=output, environ=os.environ):
                    raise AssertionError("it never answers")

    trio.run(give_up)
    assert not psutil.pid_exists(int(output.tail()))


def test_a_build_that_runs_already_is_used_where_it_is_and_left_alone(output: BuildOutput) -> None:
    with service() as there:
        place, _ = used(both(RunningBuild(url=there.url)), output)
        again, _ = used(both(RunningBuild(url=there.url)), output)
    assert place.url == again.url == there.url
    assert not output.path.exists()


def test_a_directory_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the base build has no directory to run in"):
        both(command("true", tmp_path / "missing")).check()


def test_only_two_commands_make_blocks_that_start_again(tmp_path: Path) -> None:
    line, there = command("true", tmp_path), RunningBuild(url="http://127.0.0.1:1")
    assert Builds(base=line, head=line).restarted
    assert not Builds(base=line, head=there).restarted


def test_secrets_are_masked_in_the_whole_output(output: BuildOutput) -> None:
    with output.opened("a start") as file:
        file.write(b"the key is hush-hush\n")
    output.keep()
    assert output.path.read_text("utf-8") == "--- a start\nthe key is ***\n"


def test_of_a_long_output_the_end_is_shown(output: BuildOutput) -> None:
    with output.opened("a start") as file:
        file.write(b"".join(b"line %d\n" % i for i in range(10_000)))
    assert output.tail().splitlines() == [f"line {i}" for i in range(9_988, 10_000)]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://127.0.0.1:1/api", "https://127.0.0.1:9/api"),
        ("https://localhost:8443", "https://localhost:9"),
        ("http://shop.example", "http://127.0.0.1:9"),
    ],
)
def test_a_started_build_is_spoken_to_by_the_protocol_of_the_scenario(tmp_path: Path, url: str, place: str) -> None:
    assert both(command("x", tmp_path)).started_at(Target(url=url), 9).url == place
