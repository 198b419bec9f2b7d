"""Whatever a journey's code does to its process, the run ends, and says so: no end without a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.engine.journeys.test_api import LIST
from tests.engine.peers import Peer, serving
from tests.engine.runs import phase
from velro_gate.engine.run import Load
from velro_gate.engine.shards import run as shards
from velro_gate.errors import JourneyError
from velro_gate.model.run import LoadResult
from velro_gate.model.scenario import Journey, NoAuth, OpenArrivals, Scenario, Target
from velro_gate.scenario.journeys.lookup import journey_from
from velro_gate.scenario.syntax.faults import Faults

pytestmark = pytest.mark.hostile("journeys")

SOURCE = """
import os, sys, threading, time
from pathlib import Path
import trio


async def ask(user):
    with user.step("list"):
        await user.client.get("/")


async def exits(user):
    await ask(user)
    sys.exit(0)


async def exits_in_a_task(user):
    async def inner():
        sys.exit(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inner)


async def vanishes(user):
    await ask(user)
    os._exit(0)


async def goes_on(user):
    while True:
        try:
            await trio.sleep_forever()
        except BaseException:
            await trio.lowlevel.cancel_shielded_checkpoint()


async def threads(user):
    await ask(user)
    print("said by a journey")
    threading.Thread(target=time.sleep, args=(3600,)).start()


async def leaves_a_process(user):
    if os.fork() == 0:
        # Out of every group and session of the run.
        os.setsid()
        Path(__file__).with_name(f"{os.getpid()}.pid").touch()
        time.sleep(3600)
    await ask(user)


async def breaks_the_loop(user):
    async def system():
        raise KeyError("no task of yours")

    await ask(user)
    trio.lowlevel.spawn_system_task(system)
    await trio.sleep(1)


async def takes_all_descriptors(user):
    held = []
    try:
        while True:
            held.append(open(os.devnull))
    except OSError:
        pass
    await ask(user)
    await trio.sleep(0.2)
"""


def made_by(name: str, folder: Path) -> LoadResult:
    module = f"apart_{folder.name}"
    (folder / f"{module}.py").write_text(SOURCE, encoding="utf-8")
    journey = Journey(function=f"{module}:{name}", folders=(str(folder),))
    planned = phase(users=2, ramp=0.1, duration=1.0, arrivals=OpenArrivals(rate=10.0, journeys=True))

    async def going(peer: Peer) -> LoadResult:
        scenario = Scenario(
            name="s", description="", digest="d", target=Target(url=peer.url), auth=NoAuth(), steps=(LIST,), journey=journey
        )
        return await shards.run_sharded(
            Load(scenario=scenario, phases=(planned,)), 1, origin=trio.current_time(), sink=lambda _, __: None
        )

    async def main() -> LoadResult:
        async with serving() as peer:
            with trio.fail_after(120):
                return await going(peer)

    return trio.run(main)


@pytest.mark.parametrize("name", ["exits", "exits_in_a_task"])
def test_a_journey_that_exits_is_at_fault(name: str, tmp_path: Path) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(JourneyError, match="raised SystemExit"), flatten_subgroups=True):
        made_by(name, tmp_path)


@pytest.mark.parametrize(("name", "how"), [("vanishes", "exit code 0"), ("breaks_the_loop", "exit code 1")])
def test_a_journey_that_ends_its_process_breaks_the_run(name: str, how: str, tmp_path: Path) -> None:
    (ran,) = made_by(name, tmp_path).phases
    assert [how in each and "the journeys' process" in each for each in ran.shards_lost] == [True]


def test_a_journey_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_OVERTIME", 1)
    (ran,) = made_by("goes_on", tmp_path).phases
    assert ran.shards_lost == ("the journeys' process did not end with the phase",)


def test_threads_that_never_end_hold_up_nothing_and_what_is_printed_stays_off_the_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (ran,) = made_by("threads", tmp_path).phases
    assert (ran.shards_lost, ran.sent_total > 0) == ((), True)
    out, error = capfd.readouterr()
    assert "said by a journey" not in out
    assert "said by a journey" in error


def test_a_journey_that_takes_all_descriptors_is_seen(tmp_path: Path) -> None:
    (ran,) = made_by("takes_all_descriptors", tmp_path).phases
    lacks = ran.health.descriptors_free == 0 or sum(ran.missed.values()) > 0
    assert lacks or ran.shards_lost == ("the journeys' process ran out of file descriptors",)


def test_a_process_that_a_journey_leaves_behind_does_not_outlive_the_run(tmp_path: Path) -> None:
    (ran,) = made_by("leaves_a_process", tmp_path).phases
    assert ran.sent_total > 0
    left = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert left
    assert [pid for pid in left if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os\nos._exit(0)", "ended the process (exit code 0)"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("raise BaseException('no')", "BaseException: no"),
        ("raise type('Mute', (Exception,), {'__str__': lambda _: 1 / 0})", "Mute: it cannot be shown"),
    ],
)
def test_a_module_whose_import_ends_the_process_is_a_fault(source: str, says: str, tmp_path: Path) -> None:
    name = f"ends_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(f"{source}\n\nasync def go(user): ...\n", encoding="utf-8")
    faults = Faults("scenario.yaml")
    assert journey_from(f"{name}:go", tmp_path, faults, 3) is None
    assert [says in str(fault) for fault in faults.all()] == [True]


def test_what_a_module_prints_and_starts_on_import_does_no_harm(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = f"chatty_{tmp_path.name}"
    starts = "import threading, time\nprint('hello')\nthreading.Thread(target=time.sleep, args=(3600,)).start()\n"
    (tmp_path / f"{name}.py").write_text(f"{starts}async def go(user): ...\n", encoding="utf-8")
    faults = Faults("scenario.yaml")
    assert journey_from(f"{name}:go", tmp_path, faults, 3) is not None
    assert capfd.readouterr().out == ""


def test_a_process_that_an_import_leaves_behind_is_ended(tmp_path: Path) -> None:
    name = f"forks_{tmp_path.name}"
    forks = "import os, time\nfrom pathlib import Path\nif (child := os.fork()) == 0:\n    os.setsid()\n    time.sleep(3600)\n"
    forks += "Path(__file__).with_suffix('.pid').write_text(str(child))\n"
    (tmp_path / f"{name}.py").write_text(f"{forks}async def go(user): ...\n", encoding="utf-8")
    assert journey_from(f"{name}:go", tmp_path, Faults("scenario.yaml"), 3) is not None
    assert not Path("/proc", (tmp_path / f"{name}.pid").read_text(encoding="utf-8")).exists()
