"""A Dask cluster in network namespaces, started by Dask's own commands: scheduler and head in one, each worker in its own.

The service is on the bridge between them. Used by ``benchmarks.cluster``.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.namespaces import BRIDGE_HOST, Namespace, Network, inside, network
from benchmarks.processes import FailedError, Started, module, our_environment, started
from velro_gate.cluster.connect import Cluster, client_of, workers_by_client
from velro_gate.cluster.local.process import quiet_environment
from velro_gate.cluster.options import ClusterOptions

WORKER_PORT = 9_000
"""Fixed, so that a worker that its nanny starts again has the address of the one before it: Dask takes it for the same."""

SERVICE_PORT = 8_000
CLOCKS_APART = 3_600.0
"""Seconds between the monotonic clocks of two workers that are next to each other."""

_SCHEDULER_PORT = 8_786
_WAIT, _SETTLED = 20.0, 2.0
_SHARD = "velro_gate.engine.shards.process"


@dataclass(slots=True, kw_only=True)
class Service:
    """The service on the bridge, a process of its own."""

    process: subprocess.Popen[str]
    url: str = f"http://{BRIDGE_HOST}:{SERVICE_PORT}"

    def count(self) -> int:
        """Requests so far."""
        return int(self._ask("count"))

    def take(self) -> Counter[str]:
        """Which came since the last time."""
        return Counter(json.loads(self._ask("take")))

    def _ask(self, order: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@dataclass(slots=True, kw_only=True)
class Worker:
    """One ``dask worker``: a nanny that starts the worker's process again when it ends."""

    namespace: Namespace
    started: Started

    @property
    def address(self) -> str:
        """As Dask and the reports name it."""
        return f"tls://{self.namespace.host}:{WORKER_PORT}"

    def processes(self) -> list[psutil.Process]:
        """All of them, the nanny first."""
        return [self.nanny(), *self.nanny().children(recursive=True)]

    def nanny(self) -> psutil.Process:
        """The one that was started."""
        return psutil.Process(self.started.process.pid)

    def worker(self) -> psutil.Process:
        """The worker's process: the one whose network address the reports name."""
        return max(
            (each for each in self.nanny().children() if "spawn_main" in " ".join(each.cmdline())), key=lambda each: each.pid
        )

    def shards(self) -> list[psutil.Process]:
        """The processes that send a load from there."""
        found = []
        for each in self.processes():
            try:
                # One that stands still sends nothing.
                if _SHARD in each.cmdline() and each.status() != psutil.STATUS_STOPPED:
                    found.append(each)
            except psutil.NoSuchProcess:
                continue
        return found


@dataclass(slots=True, kw_only=True)
class Site:
    """What was started."""

    network: Network
    service: Service
    address: str
    security: Any
    scheduler: Started
    folder: Path
    stack: ExitStack
    workers: list[Worker] = field(default_factory=list)

    def revive(self) -> None:
        """Start all workers again: Dask ends one for good that has lost its scheduler for too long."""
        for index, worker in enumerate(self.workers):
            for each in worker.processes() if worker.started.process.poll() is None else ():
                each.kill()
            self.workers[index] = self.stack.enter_context(dask_worker(self, index))

    @contextmanager
    def joined(self, count: int, *, wait: float = _WAIT) -> Iterator[Cluster]:
        """The cluster of this many workers, as a command would get it."""
        asked = ClusterOptions(address=self.address, workers=count, wait=wait)
        with (
            client_of(self.address, asked, self.security) as client,
            workers_by_client(client, asked, lambda _: None) as cluster,
        ):
            yield cluster

    def settle(self) -> None:
        """Wait until the workers are there and stay there, with new ones if they do not come back."""
        for _ in range(3):
            try:
                with self.wait_for(len(self.workers)):
                    time.sleep(_SETTLED)
                return
            except FailedError:
                self.revive()

    @contextmanager
    def wait_for(self, count: int) -> Iterator[None]:
        """After workers were ended or cut off: exactly this many are there."""
        yield
        asked = ClusterOptions(address=self.address, workers=count, wait=_WAIT)
        with client_of(self.address, asked, self.security) as client:
            until = time.monotonic() + _WAIT
            while len(client.scheduler_info(n_workers=-1)["workers"]) != count:
                if time.monotonic() > until:
                    raise FailedError(f"the cluster has not got back its {count} workers")
                time.sleep(0.1)

    def shards(self) -> list[psutil.Process]:
        """The processes that send a load, on any worker."""
        return [shard for worker in self.workers for shard in worker.shards()]


@contextmanager
def site(count: int, *, spare: int = 0, slow: Sequence[int] = (), keep: bool = True) -> Iterator[Site]:
    """A scheduler, a service and this many workers. This thread is in the head's namespace until the end of the block.

    spare: namespaces without a worker. slow: workers whose link can be slowed down. keep: whether the service remembers what
    came.

    Raises:
        FailedError: something does not start.
    """
    from distributed.security import Security

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velro-cluster-")))
        made = stack.enter_context(network(count + spare, slow=slow))
        service = Service(process=stack.enter_context(_service(made, keep=keep)))
        stack.enter_context(inside(made.head.name))
        temporary = Security.temporary()
        (folder / "node.pem").write_text(str(temporary.tls_ca_file))
        (folder / "node.key").write_text(str(temporary.tls_client_key))
        host, certificate = made.head.host, folder / "node.pem"
        scheduler = stack.enter_context(
            started(module("dask", "scheduler", "--host", host, "--port", _SCHEDULER_PORT, "--no-dashboard", *_tls(folder)))
        )
        address = f"tls://{host}:{_SCHEDULER_PORT}"
        roles = {
            f"tls_{role}_{kind}": str(folder / f"node.{end}")
            for role in ("client", "worker", "scheduler")
            for kind, end in (("cert", "pem"), ("key", "key"))
        }
        security = Security(require_encryption=True, tls_ca_file=str(certificate), **roles)
        running = Site(
            network=made, service=service, address=address, security=security, scheduler=scheduler, folder=folder, stack=stack
        )
        with running.wait_for(count):
            for index in range(count):
                running.workers.append(stack.enter_context(dask_worker(running, index)))
        yield running


@contextmanager
def dask_worker(running: Site, index: int, *options: object, env: dict[str, str] | None = None) -> Iterator[Worker]:
    """A worker in the namespace of that index."""
    there = running.network.others[index]
    ports = ("--host", there.host, "--worker-port", WORKER_PORT, "--nthreads", 1, "--no-dashboard", "--name", f"w{index + 1}")
    command = module(
        "dask", "worker", running.address, *ports, *_tls(running.folder), "--local-directory", running.folder, *options
    )
    environment = (our_environment() if env is None else env) | quiet_environment()
    with started(there.command(command, monotonic_ahead=CLOCKS_APART * index), env=environment) as process:
        yield Worker(namespace=there, started=process)


def _tls(folder: Path) -> tuple[object, ...]:
    pem, key = folder / "node.pem", folder / "node.key"
    return ("--tls-ca-file", pem, "--tls-cert", pem, "--tls-key", key)


@contextmanager
def _service(made: Network, *, keep: bool) -> Iterator[subprocess.Popen[str]]:
    command = module("benchmarks.cluster_service", BRIDGE_HOST, SERVICE_PORT, "keep" if keep else "count")
    with subprocess.Popen(
        ["ip", "netns", "exec", made.bridge, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=our_environment(),
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise FailedError("the service on the bridge did not start")
            yield process
        finally:
            process.kill()
