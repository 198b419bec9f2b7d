"""The process that reads the sources, as a run uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

import psutil
import pytest
import trio

from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnUnit, OwnValue
from velro_gate.model.run import Reading
from velro_gate.model.scenario import Target
from velro_gate.monitor import reader as reading
from velro_gate.monitor.reader import SourceReader, started_reader
from velro_gate.monitor.reader_process import ReadingOrder

pytestmark = pytest.mark.real

NOWHERE = Target(url="http://s.test", watch=(("redis", "redis://:geheim@127.0.0.1:1/0"),))


class Heard:
    """What a reader said, and a way to wait for it."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.notes: list[str] = []
        self._more = trio.Event()

    def emit(self, reading: Reading) -> None:
        self.readings.append(reading)
        self._wake()

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def until(self, wanted: Callable[[], object]) -> None:
        while not wanted():
            await self._more.wait()

    def names(self) -> set[tuple[str, str]]:
        return {(each.source, each.name) for each in self.readings}


def with_reader(order: ReadingOrder, then: Callable[[SourceReader, Heard], Awaitable[None]]) -> Heard:
    """Start a reader and its run, do this meanwhile, and end both."""
    heard = Heard()

    async def main() -> None:
        with trio.fail_after(60.0):
            async with started_reader(order) as reader, trio.open_nursery() as nursery:
                await reader.ready()
                zero = perf_counter()

                async def read() -> None:
                    await reader.read(zero=zero, now=lambda: perf_counter() - zero, emit=heard.emit, note=heard.note)

                nursery.start_soon(read)
                await then(reader, heard)
                nursery.cancel_scope.cancel()

    trio.run(main)
    return heard


def order(target: Target = NOWHERE, *, every: float = 0.05, own: tuple[OwnMetric, ...] = ()) -> ReadingOrder:
    environ = {"VELRO_TEST_HOW_DEEP": "7"}
    return ReadingOrder(target=target, service_is_local=False, every=every, own=own, run=os.getpid(), environ=environ)


def test_readings_and_notes_come_on_the_clock_of_the_run_and_the_process_ends_with_it() -> None:
    pids = []

    async def then(reader: SourceReader, heard: Heard) -> None:
        pids.append(reader.pid)
        await heard.until(lambda: ("runner", "cpu_share") in heard.names() and heard.notes)

    heard = with_reader(order(every=0.5), then)
    at = sorted({round(each.at, 6) for each in heard.readings if each.name == "runner_up"})
    # Of the run's clock; that readings begin on whole beats of it is shown in test_watching.
    assert 0.0 <= at[0] < at[-1] < 60.0
    assert heard.notes == ["redis is not watched: no connection to 127.0.0.1:1"]
    assert ("monitor", "redis_up") in heard.names()
    assert not psutil.pid_exists(pids[0])


def test_it_gives_way_to_the_load_and_shows_no_password() -> None:
    async def then(reader: SourceReader, heard: Heard) -> None:
        process = psutil.Process(reader.pid)
        await heard.until(lambda: heard.readings)
        assert process.nice() == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
        assert not any("geheim" in word or "s.test" in word for word in process.cmdline())
        if os.geteuid() == 0:
            assert "VELRO_TEST_HOW_DEEP" not in process.environ()

    with_reader(order(), then)


def test_one_that_dies_is_a_note_for_each_source_and_shows_in_the_readings() -> None:
    async def then(reader: SourceReader, heard: Heard) -> None:
        await heard.until(lambda: ("monitor", "runner_up") in heard.names())
        os.kill(reader.pid or 0, signal.SIGKILL)
        await heard.until(lambda: "runner is not watched: the process that reads it was killed by SIGKILL" in heard.notes)
        await heard.until(lambda: heard.readings[-1].name == "redis_up")

    heard = with_reader(order(), then)
    assert "redis is not watched: the process that reads it was killed by SIGKILL" in heard.notes
    ups = [each.value for each in heard.readings if each.name == "runner_up"]
    assert (ups[0], ups[-1]) == (1.0, 0.0)


def test_one_that_is_stopped_is_noted_and_heard_again_once_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SILENCE", 1.0)

    async def then(reader: SourceReader, heard: Heard) -> None:
        await heard.until(lambda: heard.readings)
        os.kill(reader.pid or 0, signal.SIGSTOP)
        await heard.until(lambda: "runner is not watched: the process that reads it says nothing" in heard.notes)
        shown = len(heard.readings)
        os.kill(reader.pid or 0, signal.SIGCONT)
        await heard.until(lambda: len(heard.readings) > shown + 10)

    with_reader(order(), then)


def test_one_that_cannot_be_started_is_a_note_for_each_source(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(reading, "_started", refused)

    async def then(reader: SourceReader, heard: Heard) -> None:
        assert reader.pid is None
        await heard.until(lambda: len(heard.readings) == 2)

    heard = with_reader(order(), then)
    assert [note.partition(": ")[2] for note in heard.notes] == ["the process that reads it could not be started"] * 2


def test_a_collector_of_the_users_runs_below_it_with_the_environment_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "deep_in_reader.py").write_text(
        "import os\nclass Queue:\n    def collect(self):\n        return {'depth': float(os.environ['VELRO_TEST_HOW_DEEP'])}\n"
    )
    own = OwnMetric(
        name="depth",
        origin=MetricOrigin.COLLECTOR,
        value=OwnValue.MAX,
        unit=OwnUnit.COUNT,
        what="depth",
        place="deep_in_reader:Queue",
        folders=(str(tmp_path),),
    )
    below = []

    async def then(reader: SourceReader, heard: Heard) -> None:
        await heard.until(lambda: ("own", "depth") in heard.names())
        below.extend(psutil.Process(reader.pid).children())

    heard = with_reader(order(own=(own,)), then)
    assert {each.value for each in heard.readings if each.name == "depth"} == {7.0}
    assert len(below) == 1
    assert not below[0].is_running()


def test_it_ends_when_the_run_is_killed() -> None:
    code = """
import os, sys, trio
from velro_gate.model.scenario import Target
from velro_gate.monitor.reader import started_reader
from velro_gate.monitor.reader_process import ReadingOrder

async def main():
    order = ReadingOrder(target=Target(url="http://s.test"), service_is_local=False, every=1.0)
    async with started_reader(order) as reader:
        await reader.ready()
        print(reader.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        reader = psutil.Process(int(run.stdout.readline()))
        run.kill()
    reader.wait(30.0)
