"""One load sent by several real processes: the same requests, one begin, books that balance, and nothing left behind."""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import psutil
import pytest
import trio

from tests.engine.peers import OK, Line, Peer, obedient, serving
from tests.engine.runs import GET, POST, Ran
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.engine.run import Load
from velro_gate.engine.shards import run as shards
from velro_gate.engine.shards.hosts import Patience
from velro_gate.engine.shards.run import run_sharded
from velro_gate.errors import StorageError, UnreachableError, UsageError
from velro_gate.model.run import LoadResult, PhaseRun, Progress
from velro_gate.model.samples import FIRST_CACHE_LAYER, Outcome, Samples
from velro_gate.model.scenario import (
    Arrivals,
    Auth,
    BearerAuth,
    ClosedArrivals,
    NoAuth,
    OpenArrivals,
    Phase,
    Scenario,
    Target,
)

STEPS = (GET, POST)
OPEN, CLOSED = OpenArrivals(rate=200.0), ClosedArrivals(think_time=0.05)


def phase(name: str = "p", *, users: int = 10, ramp: float = 0.2, duration: float = 0.5, arrivals: Arrivals = OPEN) -> Phase:
    return Phase(name=name, users=users, ramp=ramp, duration=duration, arrivals=arrivals)


LONG = {"open": phase(duration=60.0), "closed": phase(duration=60.0, arrivals=CLOSED)}


def plan(url: str, auth: Auth | None = None) -> Scenario:
    return Scenario(name="s", description="", digest="d", target=Target(url=url), auth=auth or NoAuth(), steps=STEPS)


def children() -> list[psutil.Process]:
    """The processes of the shards that run now."""
    return [child for child in psutil.Process().children() if "velro_gate.engine.shards.process" in child.cmdline()]


async def sharded(
    url: str,
    count: int,
    *phases: Phase,
    observe: Callable[[Progress], None] = lambda _: None,
    finished: Callable[[PhaseRun], None] = lambda _: None,
    stop: trio.Event | None = None,
    auth: Auth | None = None,
    secrets: dict[str, str] | None = None,
    scope: trio.CancelScope | None = None,
) -> Ran:
    """Run, and check what must hold of every run."""
    ran = Ran(LoadResult(phases=(), layers=()))

    def see(progress: Progress) -> None:
        ran.seen.append(progress)
        observe(progress)

    def end(run: PhaseRun) -> None:
        ran.finished.append(run)
        finished(run)

    planned = phases or (phase(),)
    load = Load(scenario=plan(url, auth), phases=planned, secrets=secrets or {})
    with scope or trio.CancelScope(deadline=trio.current_time() + 60.0) as limit:
        ran.result = await run_sharded(
            load,
            count,
            origin=trio.current_time(),
            sink=lambda name, samples: ran.parts.append((name, samples)),
            observe=see,
            finished=end,
            stop=stop,
        )
    assert not limit.cancelled_caught
    assert children() == []
    assert tuple(ran.finished) == ran.result.phases
    for asked, carried in zip(planned, ran.result.phases, strict=False):
        # Raises when the books of the measured stretch do not balance.
        summarise(asked, tuple(step.name for step in STEPS), carried, ran.samples(carried.name), [], ran.result.layers)
    return ran


def with_server(main: Callable[[Peer], object], handler: Callable[[Line], object] = obedient) -> None:
    async def whole() -> None:
        async with serving(handler) as peer:  # type: ignore[arg-type]
            await main(peer)  # type: ignore[misc]

    trio.run(whole)


def end_within_5_seconds(scope: trio.CancelScope) -> None:
    """From now on, once."""
    if scope.deadline == float("inf"):
        scope.deadline = trio.current_time() + 5.0


# The same load


def test_the_service_sees_the_same_requests_from_any_number_of_shards() -> None:
    async def asked(peer: Peer, count: int) -> Counter[bytes]:
        before = len(peer.requests)
        ran = await sharded(peer.url, count, phase("a"), phase("b", users=4, arrivals=OpenArrivals(rate=80.0, spacing="even")))
        mine = Counter(peer.requests[before:])
        assert mine.total() == sum(run.delivered_total for run in ran.result.phases) == sum(len(part) for _, part in ran.parts)
        assert all(not run.interrupted and run.service_gone is None and not run.shards_lost for run in ran.result.phases)
        assert [run.users for run in ran.result.phases] == [10, 4]
        return mine

    async def main(peer: Peer) -> None:
        whole = await asked(peer, 1)
        assert {json.loads(body)["me"] for request in whole if (body := request.partition(b"\r\n\r\n")[2])}
        # More of them are tried in one process, which costs less (tests/engine/test_run.py).
        assert await asked(peer, 3) == whole

    with_server(main)


def test_a_closed_loop_walks_the_same_way_whatever_the_number_of_shards() -> None:
    async def walks(peer: Peer, count: int) -> list[list[int]]:
        rows = (await sharded(peer.url, count, phase(users=4, arrivals=CLOSED))).samples()
        return [rows.step[rows.user == user][np.argsort(rows.due[rows.user == user])].tolist() for user in range(4)]

    async def main(peer: Peer) -> None:
        # How far a user gets is a matter of time; where it goes is not.
        for one, other in zip(await walks(peer, 2), await walks(peer, 1), strict=True):
            common = min(len(one), len(other))
            assert common
            assert one[:common] == other[:common]

    with_server(main)


def test_more_shards_than_users_leave_some_of_them_idle() -> None:
    async def main(peer: Peer) -> None:
        ran = await sharded(peer.url, 2, phase(users=1))
        assert ran.run.users == ran.run.connections_opened == 1
        assert ran.run.sent_total == len(peer.requests)

    with_server(main)


def test_one_shard_needs_no_process() -> None:
    async def main(peer: Peer) -> None:
        seen: list[list[psutil.Process]] = []
        await sharded(peer.url, 1, phase(duration=1.0), observe=lambda _: seen.append(children()))
        assert seen == [[]]

    with_server(main)


def test_cache_layers_have_one_numbering_whichever_shard_meets_them_first() -> None:
    async def layered(line: Line) -> None:
        while (request := await line.request()) is not None:
            path = request.split(b" ")[1]
            layer = b"x-%d" % (int(path.rpartition(b"/")[2]) % 3) if path.startswith(b"/get/") else b"posts"
            await line.say(OK.replace(b"\r\n\r\n", b"\r\nX-Cache: HIT\r\nX-Cache-Layer: %s\r\n\r\n" % layer))

    async def main(peer: Peer) -> None:
        ran = await sharded(peer.url, 2)
        rows = ran.samples()
        named = np.array(ran.result.layers)[rows.cache - FIRST_CACHE_LAYER].tolist()
        expected = [f"x-{user % 3}" if step == 0 else "posts" for user, step in zip(rows.user, rows.step, strict=True)]
        assert named == expected
        assert sorted(ran.result.layers) == ["posts", "x-0", "x-1", "x-2"]

    with_server(main, layered)


def test_the_view_and_the_ticks_are_those_of_all_shards() -> None:
    async def main(peer: Peer) -> None:
        ran = await sharded(peer.url, 2, phase(users=11, duration=2.3))
        assert [(seen.users, seen.connected, seen.offered_rate) for seen in ran.seen] == [(11, 11, 200.0)] * 2
        assert [tick.connected for tick in ran.run.ticks] == [11, 11]
        assert ran.run.ticks[-1].sent <= ran.run.sent_total

    with_server(main)


# A shard that is lost


@pytest.mark.parametrize("arrivals", ["open", "closed"])
def test_a_shard_killed_in_the_measured_stretch_ends_the_run_and_what_was_measured_is_kept(arrivals: str) -> None:
    async def main(peer: Peer) -> None:
        scope = trio.CancelScope()

        def kill(progress: Progress) -> None:
            if progress.elapsed > 1.5 and len(children()) == 2:
                children()[1].kill()
                end_within_5_seconds(scope)

        ran = await sharded(peer.url, 2, LONG[arrivals], phase("never"), observe=kill, scope=scope)
        (run,) = ran.result.phases
        assert run.shards_lost == ("shard 2 of 2 was killed by SIGKILL",)
        assert (run.interrupted, ran.result.interrupted, run.service_gone) == (False, False, None)
        kept = ran.samples()
        assert int((kept.user % 2 == 0).sum()) > 50
        # It had handed on what it had measured by then.
        assert int((kept.user % 2 == 1).sum()) > 20
        # What the plan wanted of the lost shard and no sample tells of. What a closed loop would have asked, nobody knows.
        assert sum(run.missed.values()) < (100 if arrivals == "open" else 1)
        assert sum(run.missed.values()) + sum(run.blocked.values()) < sum(run.due.values())

    with_server(main)


def test_when_all_shards_are_lost_the_run_ends_and_says_so() -> None:
    async def main(peer: Peer) -> None:
        scope = trio.CancelScope()

        def kill(_: Progress) -> None:
            for child in children():
                child.kill()
                end_within_5_seconds(scope)

        ran = await sharded(peer.url, 2, LONG["open"], observe=kill, scope=scope)
        assert len(ran.run.shards_lost) == 2
        assert sum(ran.run.missed.values()) < sum(ran.run.due.values())

    with_server(main)


def test_a_shard_lost_between_two_phases_leaves_the_first_one_whole_and_the_second_one_lost() -> None:
    async def main(peer: Peer) -> None:
        ran = await sharded(
            peer.url, 2, phase("a"), phase("b"), phase("c"), finished=lambda run: run.name == "a" and children()[0].kill()
        )
        first, second = ran.result.phases
        assert (first.shards_lost, first.interrupted) == ((), False)
        assert second.shards_lost == ("shard 1 of 2 was killed by SIGKILL",)

    with_server(main)


def test_a_shard_that_stands_still_is_lost_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "HERE", Patience(silent=3))

    async def main(peer: Peer) -> None:
        stopped: list[bool] = []

        def stand_still(_: Progress) -> None:
            if not stopped:
                children()[0].suspend()
                stopped.append(True)

        ran = await sharded(peer.url, 2, LONG["open"], observe=stand_still)
        assert ran.run.shards_lost == ("shard 1 of 2 was silent for 3 s",)

    with_server(main)


# Ends before the plan's


@pytest.mark.parametrize("arrivals", ["open", "closed"])
def test_a_stop_ends_all_shards_soon_and_the_books_balance(arrivals: str) -> None:
    async def main(peer: Peer) -> None:
        stop, scope = trio.Event(), trio.CancelScope()

        def ask(progress: Progress) -> None:
            if progress.elapsed > 1.5 and not stop.is_set():
                stop.set()
                end_within_5_seconds(scope)

        ran = await sharded(peer.url, 2, LONG[arrivals], phase("never"), observe=ask, stop=stop, scope=scope)
        (run,) = ran.result.phases
        assert ran.result.interrupted
        assert (run.interrupted, run.shards_lost, sum(run.missed.values())) == (True, (), 0)
        assert run.sent_total == run.delivered_total == len(peer.requests) == len(ran.samples())

    with_server(main)


def test_a_stop_before_the_first_phase_leaves_none() -> None:
    async def main(peer: Peer) -> None:
        stop = trio.Event()
        stop.set()
        ran = await sharded(peer.url, 2, stop=stop)
        assert (ran.result.phases, ran.result.interrupted, peer.requests) == ((), True, [])

    with_server(main)


def test_a_service_that_goes_away_ends_all_shards_and_the_run() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                async with serving(obedient) as peer:
                    urls.append(peer.url)
                    ready.set()
                    while len(peer.requests) < 30:
                        await trio.sleep(0.01)

            urls: list[str] = []
            ready = trio.Event()
            nursery.start_soon(serve)
            await ready.wait()
            ran = await sharded(urls[0], 2, LONG["open"], phase("never"))
        (run,) = ran.result.phases
        assert run.service_gone is not None
        assert "connection refused" in run.service_gone
        assert (run.interrupted, run.shards_lost) == (False, ())
        assert int((ran.samples().outcome == Outcome.OK).sum()) >= 29

    trio.run(main)


# Errors


def test_a_name_that_leads_nowhere_is_the_same_error_as_in_one_process() -> None:
    with pytest.raises(UnreachableError, match="no-such-host") as caught:
        trio.run(sharded, "http://no-such-host.invalid", 2)
    assert caught.value.where == "http://no-such-host.invalid"
    assert children() == []


def test_an_error_of_a_shard_keeps_its_class_its_place_and_its_hint() -> None:
    said = []
    for count in (1, 2):
        with pytest.raises(UsageError) as caught:
            trio.run(partial(sharded, "http://127.0.0.1:1", count, auth=BearerAuth(variable="NOT_THERE")))
        said.append(caught.value.lines())
    assert said[0] == said[1]
    assert children() == []


def test_a_sink_that_fails_ends_the_shards() -> None:
    def full(name: str, samples: Samples) -> None:
        raise StorageError("the disk is full")

    async def main(peer: Peer) -> None:
        with trio.fail_after(60):
            load = Load(scenario=plan(peer.url), phases=(phase(), phase("never")))
            await run_sharded(load, 2, origin=trio.current_time(), sink=full)

    with pytest.raises(ExceptionGroup) as caught:
        with_server(main)
    assert caught.value.subgroup(StorageError) is not None
    assert children() == []


def test_a_cancelled_run_leaves_no_process_behind() -> None:
    async def main(peer: Peer) -> None:
        with trio.CancelScope() as scope:
            load = Load(scenario=plan(peer.url), phases=(LONG["open"],))
            await run_sharded(load, 2, origin=trio.current_time(), sink=lambda *_: None, observe=lambda _: scope.cancel())
        assert scope.cancelled_caught
        assert children() == []

    with_server(main)


# The processes


def test_a_shard_shows_no_secret_inherits_the_limit_of_open_files_and_hears_no_ctrl_c() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen: list[tuple[Sequence[str], dict[str, str], tuple[int, int]]] = []

    def look(_: Progress) -> None:
        for child in children():
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
            seen.append((child.cmdline(), child.environ(), child.rlimit(resource.RLIMIT_NOFILE)))

    async def main(peer: Peer) -> None:
        auth = BearerAuth(variable="KEY")
        ran = await sharded(peer.url, 2, phase(duration=1.2), observe=look, auth=auth, secrets={"KEY": "hush-hush"})
        assert any(b"hush-hush" in request for request in peer.requests)
        assert (ran.run.shards_lost, ran.run.interrupted) == ((), False)

    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        with_server(main)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(seen) == 2
    assert "hush-hush" not in repr(seen)
    assert {limit for _, _, limit in seen} == {(soft - 1, hard)}


ORPHANS = """
import psutil, sys, trio
from tests.engine.shards.test_run import LONG, Load, children, plan
from velro_gate.engine.shards.hosts import Patience
from velro_gate.engine.shards.run import run_sharded

async def main():
    await run_sharded(
        Load(scenario=plan(sys.argv[1]), phases=(LONG["open"],)), 2, origin=trio.current_time(), sink=lambda *_: None,
        observe=lambda _: print(*(child.pid for child in children()), flush=True),
    )

trio.run(main)
"""


def test_shards_end_when_the_run_that_started_them_dies() -> None:
    async def main(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            command = [sys.executable, "-c", ORPHANS, peer.url]
            process = await nursery.start(_quietly, command)
            said = b""
            while b"\n" not in said:
                said += await process.stdout.receive_some()
            orphans = [psutil.Process(int(pid)) for pid in said.split(b"\n")[0].split()]
            assert len(orphans) == 2
            process.kill()
            for orphan in orphans:
                await trio.to_thread.run_sync(orphan.wait, 20.0)

    with_server(main)


async def _quietly(command: list[str], task_status: trio.TaskStatus[trio.Process]) -> None:
    path = {"PYTHONPATH": ":".join(entry or "." for entry in sys.path)}
    await trio.run_process(command, env=path, stdout=-1, check=False, task_status=task_status)
