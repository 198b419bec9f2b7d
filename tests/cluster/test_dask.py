"""The same with a real scheduler and real workers of Dask, over TLS: one cluster for all tests of this file, in their order."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.runs import CALM, assert_same_requests, sent_by, shard_processes
from tests.engine.peers import Peer
from tests.engine.shards.test_run import LONG, sharded, with_server
from velro_gate.cluster import facts
from velro_gate.cluster.connect import client_of, workers_by_client
from velro_gate.cluster.local.cluster import LocalCluster, local_cluster, more_workers
from velro_gate.cluster.options import ClusterOptions
from velro_gate.errors import BrokenError
from velro_gate.model.run import Progress
from velro_gate.model.scenario import BearerAuth

_PIECE = 1 << 20
SECRET = "a-secret-that-no-scheduler-sees"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    with local_cluster(3, each=3) as made:
        yield made


@pytest.fixture(scope="module")
def client(local: LocalCluster) -> Iterator[object]:
    with client_of(local.address, options(local, 3), local.security) as made:
        yield made


def options(local: LocalCluster, workers: int, wait: float = 10.0) -> ClusterOptions:
    return ClusterOptions(address=local.address, workers=workers, wait=wait)


def ignore(_: str) -> None:
    """Nobody is told."""


def in_memory(pid: int, needle: bytes) -> bool:
    """Whether a process has these bytes anywhere."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if " rw" in line and last < 2**63:
                # In pieces that overlap: a large one would hold the interpreter's lock for long.
                for place in range(first, last, _PIECE):
                    memory.seek(place)
                    try:
                        if needle in memory.read(min(_PIECE + len(needle), last - place)):
                            return True
                    except OSError:
                        continue
    return False


@contextmanager
def joined_by(client: object, workers: int) -> Iterator[None]:
    """So many workers are there."""
    client.wait_for_workers(workers, timeout=30)  # type: ignore[attr-defined]
    yield


def test_three_workers_send_what_one_machine_sends_and_the_scheduler_never_sees_a_secret(
    local: LocalCluster, client: object
) -> None:
    async def main(peer: Peer) -> None:
        auth, secrets = BearerAuth(variable="TOKEN"), {"TOKEN": SECRET}
        alone = await sharded(peer.url, 1, CALM, auth=auth, secrets=secrets)
        whole, before = Counter(peer.requests), len(peer.requests)
        assert SECRET.encode() in peer.requests[0]
        seen: list[bool] = []
        looks: list[threading.Thread] = []

        def look(_: Progress) -> None:
            if not looks:
                looks.append(threading.Thread(target=lambda: seen.append(in_memory(local.scheduler.pid, SECRET.encode()))))
                looks[0].start()

        with workers_by_client(client, options(local, 3), ignore) as cluster:
            ran = await sent_by(cluster, peer.url, CALM, auth=auth, secrets=secrets, observe=look)
            # The workers are ours meanwhile.
            with (
                pytest.raises(BrokenError, match="the cluster has 0 of 1 workers that are free") as refused,
                workers_by_client(client, options(local, 1, wait=0.0), ignore),
            ):
                pass
            assert "used by another run" in str(refused.value.why)
        assert_same_requests(whole, alone, Counter(peer.requests[before:]), ran)
        looks[0].join()
        assert seen == [False]
        assert not any(SECRET.encode() in path.read_bytes() for path in Path(local.folder).rglob("*") if path.is_file())
        assert ran.run.users == 20
        assert [each.name for each in ran.run.workers] == list(cluster.names)
        assert all(each.uncertainty > 0.0 for each in ran.run.workers)

    with_server(main)


def test_too_few_workers_and_workers_of_another_version_are_refused(
    local: LocalCluster, client: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(BrokenError, match="the cluster has 3 of 4 workers"),
        workers_by_client(client, options(local, 4, 0.0), ignore),
    ):
        pass
    monkeypatch.setattr(facts.velro_gate, "__version__", "99.0")
    with (
        pytest.raises(BrokenError, match=r"worker 1 of 3 \(tls.* cannot take part") as refused,
        workers_by_client(client, options(local, 3), ignore),
    ):
        pass
    assert re.search(r"velro-gate \S+ there, 99\.0 here", str(refused.value.why))


def test_a_worker_that_is_killed_breaks_the_run_by_name_and_what_was_measured_is_kept(
    local: LocalCluster, client: object
) -> None:
    async def main(peer: Peer) -> None:
        with (
            more_workers(local, [9]) as process,
            joined_by(client, 4),
            workers_by_client(client, options(local, 2), ignore) as cluster,
        ):
            # In the order of their names the one that has just joined is the second.
            killed: list[float] = []

            def kill(progress: Progress) -> None:
                if progress.elapsed > 1.0 and not killed:
                    process.kill()
                    killed.append(time.monotonic())

            ran = await sent_by(cluster, peer.url, LONG["open"], observe=kill)
        assert time.monotonic() - killed[0] < 30.0
        expected = f"{cluster.names[1]} closed its connection: its process ended, or was killed"
        assert ran.run.shards_lost == (expected,)
        # What the lost one had measured is kept as well: its users are those with an odd index.
        assert set(ran.samples().user % 2) == {0, 1}
        assert shard_processes() == []

    with_server(main)


def test_a_scheduler_that_is_killed_breaks_the_run_and_is_named(local: LocalCluster, client: object) -> None:
    """The last one: nothing works without it."""

    async def main(peer: Peer) -> None:
        killed: list[float] = []

        def kill(progress: Progress) -> None:
            if progress.elapsed > 1.0 and not killed:
                local.scheduler.send_signal(signal.SIGKILL)
                killed.append(time.monotonic())

        with workers_by_client(client, options(local, 2), ignore) as cluster:
            ran = await sent_by(cluster, peer.url, LONG["open"], observe=kill)
        assert time.monotonic() - killed[0] < 30.0
        expected = f"{cluster.names[0]} was given up: the cluster's scheduler at {local.address} was lost"
        assert expected in ran.run.shards_lost
        assert len(ran.samples()) > 50
        assert shard_processes() == []

    with_server(main)
