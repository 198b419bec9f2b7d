"""A load sent by workers that are threads of this process: what they may repeat, how they are refused, how they are lost."""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.cluster.runs import CALM, assert_same_requests, sent_by, shard_processes
from tests.cluster.values import FACTS, ThreadClient, cluster_of
from tests.engine.peers import Peer
from tests.engine.shards.test_run import LONG, STEPS, phase, sharded, with_server
from velro_gate.analysis.summaries.reduced.phase import summarise_reduced
from velro_gate.analysis.summaries.reduced.tables import Reduced, reduced_together
from velro_gate.cluster import attending, head, host, worker
from velro_gate.cluster.attending import attended
from velro_gate.cluster.channel import Ticket, WorkerChannel
from velro_gate.cluster.connect import Cluster
from velro_gate.errors import BrokenError
from velro_gate.model.run import Progress
from velro_gate.model.scenario import Journey, OpenArrivals


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no silence."""
    monkeypatch.setattr(head, "SILENT_LOOKS", 60)
    monkeypatch.setattr(head, "SILENT", 60.0)
    monkeypatch.setattr(worker, "SILENT", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_task_that_is_run_again_sends_nothing_and_each_is_pinned_to_its_worker() -> None:
    def twice(work: object, ticket: Ticket) -> None:
        work(ticket)  # type: ignore[operator]
        # As by a retry, or on a worker that was restarted under the same address.
        with pytest.raises(BrokenError, match="the head cannot be reached"):
            work(ticket)  # type: ignore[operator]

    async def main(peer: Peer) -> None:
        alone = await sharded(peer.url, 1, CALM)
        whole, before = Counter(peer.requests), len(peer.requests)
        client = ThreadClient(work=twice)
        cluster = cluster_of([FACTS, FACTS], client)
        ran = await sent_by(cluster, peer.url, CALM)
        assert_same_requests(whole, alone, Counter(peer.requests[before:]), ran)
        assert [each.name for each in ran.run.workers] == list(cluster.names)
        for address, (_, options) in zip(cluster.workers, client.asked, strict=True):
            key = options.pop("key")
            assert key.startswith("velro-gate-")
            assert options == {"workers": [address], "allow_other_workers": False, "retries": 0, "pure": False}
        assert shard_processes() == []

    with_server(main)


def test_a_second_connection_with_a_worker_s_ticket_is_closed_while_the_first_one_stands() -> None:
    async def main() -> None:
        client = ThreadClient()
        async with attended(cluster_of([FACTS], client)) as hosts:
            ((ticket, _),) = client.asked
            with trio.fail_after(10):
                await worker.connect_and_host(ticket, None)
            assert not hosts[0].gone.is_set()

    trio.run(main)


def test_a_worker_that_stands_still_is_lost_by_name_and_the_others_end() -> None:
    async def main(peer: Peer) -> None:
        stopped: list[float] = []

        def stand_still(progress: Progress) -> None:
            if progress.elapsed > 1.0 and not stopped:
                # The processes start in the order of the workers' connecting: either will do.
                shard_processes()[0].suspend()
                stopped.append(time.monotonic())

        cluster = cluster_of([FACTS, FACTS])
        ran = await sent_by(cluster, peer.url, LONG["open"], observe=stand_still)
        assert time.monotonic() - stopped[0] < 30.0
        (lost,) = ran.run.shards_lost
        assert lost in [f"{name} was silent for 3 s" for name in cluster.names]
        assert sum(run.sent_total for run in ran.result.phases) > 50
        assert shard_processes() == []

    with_server(main)


@pytest.mark.usefixtures("patient")
def test_a_journey_and_what_it_imports_reach_a_worker_that_has_neither(tmp_path: Path) -> None:
    (tmp_path / "shop_of_the_cluster.py").write_text(
        "from shelf_of_the_cluster import PATH\n\n\n"
        "async def browse(user):\n"
        "    with user.step('get'):\n"
        "        await user.client.get(f'{PATH}/{user.index}')\n"
    )
    (tmp_path / "shelf_of_the_cluster.py").write_text("PATH = '/from-the-shelf'\n")
    journey = Journey(function="shop_of_the_cluster:browse", folders=(str(tmp_path),))

    async def main(peer: Peer) -> None:
        asked = phase(users=2, duration=1.0, arrivals=OpenArrivals(rate=20.0, journeys=True))
        ran = await sent_by(cluster_of([FACTS]), peer.url, asked, journey=journey)
        assert ran.run.shards_lost == ()
        assert {request.split()[1] for request in peer.requests} == {b"/from-the-shelf/0", b"/from-the-shelf/1"}
        assert str(tmp_path) not in sys.path

    with_server(main)


# Refused before the load


async def refusal(cluster: Cluster) -> str:
    with pytest.RaisesGroup(pytest.RaisesExc(BrokenError), flatten_subgroups=True) as raised:
        async with attended(cluster):
            pytest.fail("it was taken")
    (error,) = raised.value.exceptions
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, BrokenError)
    assert shard_processes() == []
    return f"{error.what}; {error.why}"


def test_a_worker_whose_time_of_day_is_wrong_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "time", SimpleNamespace(time=lambda: time.time() + 2.0))
    cluster = cluster_of([FACTS])
    said = trio.run(refusal, cluster)
    assert said.startswith(f"the clock of {cluster.names[0]} is 2.0")
    assert "ahead of this machine's" in said


def test_a_worker_that_is_busy_with_other_work_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "TASK_SECONDS", 0.3)
    cluster = cluster_of([FACTS], ThreadClient(work=lambda _, __: time.sleep(1.0)))
    assert trio.run(refusal, cluster).startswith(f"{cluster.names[0]} did not begin within 0.3 s")


def test_a_worker_whose_task_fails_is_refused_with_the_reason() -> None:
    def fail(_: object, __: object) -> None:
        raise ImportError("no module of that name")

    cluster = cluster_of([FACTS], ThreadClient(work=fail))
    expected = f"{cluster.names[0]} cannot take part in the load; ImportError: no module of that name"
    assert trio.run(refusal, cluster) == expected


def test_a_worker_that_does_not_answer_is_refused_by_name_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "_ASK_AFTER", 0.0)
    client = ThreadClient()
    cluster = cluster_of([FACTS, FACTS], client)
    client.silent = frozenset({cluster.workers[1]})
    client.work = lambda work, ticket: work(ticket) if ticket.index == 0 else time.sleep(0.2)
    assert trio.run(refusal, cluster).startswith(f"{cluster.names[1]} does not answer; OSError: it has closed its connection")


# Slow answers


def host_that_answers_in(*seconds: float, asked: Sequence[float] = ()) -> host.WorkerHost:
    """One whose pings have taken this long, the first ones often enough."""
    channel = WorkerChannel(memory_stream_pair()[0], sends=b"a" * 32, receives=b"b" * 32, hang_up=lambda: None)
    made = host.WorkerHost("worker 1 of 2", channel)
    made.asked.extend(asked)
    for each in [seconds[0]] * host.FIRST_PINGS + list(seconds):
        made.clock.add(0.0, 100.0, each)
    return made


def test_a_worker_too_far_away_for_a_common_start_is_refused_and_one_that_is_near_is_not() -> None:
    host_that_answers_in(0.19).check_round_trip()
    with pytest.raises(BrokenError, match="worker 1 of 2 answers too slowly for a common start") as refused:
        host_that_answers_in(0.3).check_round_trip()
    assert refused.value.why == "the fastest of 12 answers took 300 ms, so its clock is known to 150 ms only"


def test_a_worker_that_connects_over_slow_packets_is_refused_before_its_first_ping_and_no_other_one() -> None:
    channel = WorkerChannel(memory_stream_pair()[0], sends=b"a" * 32, receives=b"b" * 32, hang_up=lambda: None)
    for near in (None, 0.0, 0.19):
        host.WorkerHost("worker 1 of 2", channel, connecting=near).check_round_trip()
    far = host.WorkerHost("worker 1 of 2", channel, connecting=0.6)
    with pytest.raises(BrokenError, match="worker 1 of 2 answers too slowly for a common start") as refused:
        far.check_round_trip()
    assert refused.value.why == (
        "the fastest round trip of its connection's packets took 600 ms, so its clock is known to 300 ms only"
    )
    assert far.lost


def test_the_kernel_shows_how_fast_the_packets_of_a_connection_are() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        took = host.round_trip_of(accepted)
        assert took is not None
        assert 0.0 <= took < 10.0
    with socket.socket() as idle:
        assert not host.round_trip_of(idle)
    with socket.socket(socket.AF_UNIX) as other:
        assert host.round_trip_of(other) is None


NEAR, SLOW, ONCE_FAST = (0.001,), (0.002, *[0.6] * 5), (0.002, 0.6, 0.6, 0.002, 0.6, 0.6)


def given_up(*answers: tuple[float, ...]) -> list[str]:
    """How those end whose pings take this long."""
    hosts = [host_that_answers_in(*each) for each in answers]

    async def main() -> None:
        with trio.move_on_after(1.0):
            await attending._watch_answers(hosts)

    trio.run(main, clock=MockClock(autojump_threshold=0.0))
    assert all(each.lost == bool(each.how) for each in hosts)
    return [each.how for each in hosts]


def test_a_worker_that_begins_to_answer_slowly_is_given_up_while_another_one_does_not() -> None:
    said = "answered slowly: the fastest of 5 answers took 600 ms, and 2.00 ms before the load"
    assert given_up(NEAR, SLOW) == ["", said]
    assert given_up(SLOW, NEAR, ONCE_FAST) == [said, "", ""]


def test_a_worker_that_leaves_pings_unanswered_is_given_up_while_another_one_does_not() -> None:
    long_ago = time.perf_counter() - 60.0

    async def main(*hosts: host.WorkerHost) -> list[str]:
        with trio.move_on_after(1.0):
            await attending._watch_answers(hosts)
        return [each.how for each in hosts]

    def late() -> host.WorkerHost:
        return host_that_answers_in(0.001, asked=(long_ago, long_ago + 1.0))

    def run(*hosts: host.WorkerHost) -> list[str]:
        return trio.run(main, *hosts, clock=MockClock(autojump_threshold=0.0))

    assert run(host_that_answers_in(0.001), late()) == ["", "has not answered for 3 s"]
    assert run(late(), late()) == ["", ""], "it is this machine that does not hear"
    assert run(host_that_answers_in(0.001), late(), late(), late()) == [""] * 4, "their machines are busy"


def test_nobody_is_given_up_where_all_answer_slowly_or_one_answer_of_three_is_fast() -> None:
    assert given_up(SLOW) == [""]
    assert given_up(SLOW, SLOW) == ["", ""]
    assert given_up(NEAR, ONCE_FAST) == ["", ""]


@pytest.mark.usefixtures("patient")
def test_counts_of_reduced_samples_are_those_of_the_requests_that_the_service_has_seen() -> None:
    async def main(peer: Peer) -> None:
        kept: list[Reduced] = []
        ran = await sent_by(
            cluster_of([FACTS, FACTS]),
            peer.url,
            CALM,
            reduce=frozenset({CALM.name}),
            reduced=lambda _, some: kept.append(some),
        )
        assert ran.parts == []
        found = summarise_reduced(CALM, [step.name for step in STEPS], ran.run, reduced_together(kept), (), ())
        assert found.steps[0].counts.sent == sum(ran.run.due.values()) - sum(ran.run.blocked.values())
        assert reduced_together(kept).delivered == ran.run.delivered_total == len(peer.requests)
        assert found.measurement("p95") is not None

    with_server(main)
