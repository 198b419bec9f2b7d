"""A cluster in network namespaces: the same requests, faults, and how many users can be held. See ``benchmarks.cluster``."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import psutil
import trio

from benchmarks.cluster_faults import joins_late, repeated
from benchmarks.cluster_load import against, send
from benchmarks.cluster_local import MOST_SKEW, reached
from benchmarks.cluster_site import CLOCKS_APART, Site, site
from benchmarks.namespaces import BRIDGE_HOST, forbidden, inside
from benchmarks.nginx import nginx
from benchmarks.table import Page, Table
from velro_gate.model.run import Progress, seconds_apart
from velro_gate.model.samples import Samples
from velro_gate.model.scenario import OpenArrivals, Phase

EXACT = Phase(name="p", users=50, ramp=0.5, duration=4.0, arrivals=OpenArrivals(rate=300.0))
_SPARE_DESCRIPTORS = 1_500
_JOIN, _EACH = 1_000.0, 400.0
"""Users that join each second, and seconds between two requests of one: that few, since what is asked is whether they are held,
and workers, service and scheduler share this machine.
"""


def possible(page: Page) -> bool:
    """Whether namespaces can be made here; says why not."""
    why = forbidden()
    if why is not None:
        page.say(f"NOT MEASURED: the cluster in network namespaces, which are not permitted here ({why}). Run it as root.")
    return why is None


def show_apart(page: Page, counts: Sequence[int]) -> None:
    """Exactness."""
    if possible(page):
        page.show(exactness(counts))


def show_late(page: Page) -> None:
    """Workers that join late."""
    if not possible(page):
        return
    with site(2, spare=1) as running:
        together, apart = joins_late(running, partial(against, running.service.url))
        page.say(f"A worker that joins while it is waited for takes part: {reached(together)}.")
        page.say(f"A worker that joins during a load is left alone, and the load goes on: {reached(apart)}.")


def show_repetition(page: Page, tries: int) -> None:
    """Whether Dask repeats a task."""
    if possible(page):
        with site(2) as running:
            page.show(repetition(running, tries))


def exactness(counts: Sequence[int]) -> Table:
    """Requests of clusters of several sizes in namespaces, compared with those of one process."""
    rows = []
    with site(max(counts)) as running:
        whole = trio.run(send, running.service.url, EXACT, None)
        expected = running.service.take()
        rows.append(("one process", f"{whole.samples:,}", "", "", "", ""))
        for count in counts:
            with running.joined(count) as cluster:
                sent = trio.run(send, running.service.url, EXACT, cluster)
            seen: Counter[str] = running.service.take()
            differ = (seen - expected).total() + (expected - seen).total()
            (run,) = sent.result.phases
            known = max((each.uncertainty for each in run.workers), default=0.0)
            skew = seconds_apart(run.workers) if run.workers else float("nan")
            rows.append(
                (
                    f"{count} workers",
                    f"{sent.samples:,}",
                    f"{differ:,}",
                    f"{skew * 1e3:.2f} ms",
                    f"{known * 1e3:.3f} ms",
                    reached(differ == 0 and skew <= MOST_SKEW),
                )
            )
    return Table(
        title=f"Workers in namespaces of their own, their monotonic clocks {CLOCKS_APART:,.0f} s apart (target: 0 differences; "
        "skew at most 25 ms)",
        columns=("sent by", "samples", "differences", "start skew", "known to", ""),
        rows=tuple(rows),
    )


def repetition(running: Site, tries: int) -> Table:
    """Whether Dask repeats the task of a worker that was killed, and whether anything was sent twice."""
    found = [repeated(running) for _ in range(tries)]
    more = sum(each for _, each in found)
    return Table(
        title="A worker that is killed and comes back at the same address while the head still wants its task",
        columns=("tries", "Dask gave the task to the new process", "shards it started and requests it sent (target: 0)", ""),
        rows=((f"{tries}", f"{sum(again for again, _ in found)}", f"{more}", reached(more == 0)),),
    )


def held(page: Page, users: int, seconds: float) -> None:
    """As many connected users as that, each worker with its own ports, against nginx on the bridge."""
    each = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_DESCRIPTORS
    workers = -(-users // each)
    phase = Phase(name="p", users=users, ramp=users / _JOIN, duration=seconds, arrivals=OpenArrivals(rate=users / _EACH))
    before = psutil.virtual_memory().available
    least: list[int] = []
    seen: list[int] = []
    with ExitStack() as stack:
        running = stack.enter_context(site(workers))
        with inside(running.network.bridge):
            server = stack.enter_context(nginx(workers=workers, host=BRIDGE_HOST))

        def observe(progress: Progress) -> None:
            least.append(psutil.virtual_memory().available)
            seen.append(progress.connected)

        with running.joined(workers, wait=180.0) as cluster:
            sent = trio.run(send, server.url, phase, cluster, observe)
    (run,) = sent.result.phases
    whole = Samples.concatenate(sent.parts)
    measured = whole.due >= run.measured_from
    late = np.quantile((whole.sent - whole.due)[measured], 0.99)
    rows = (
        ("workers, each in a namespace of its own", f"{workers}"),
        ("users held", f"{max(seen):,} of {users:,}: {reached(max(seen) == users and not run.shards_lost)}"),
        ("lost", "; ".join(run.shards_lost) or "none"),
        ("requests, failed, missed", f"{len(whole):,}, {int((whole.outcome != 0).sum()):,}, {sum(run.missed.values()):,}"),
        ("lateness p99", f"{late * 1e3:.2f} ms"),
        ("start skew", f"{seconds_apart(run.workers) * 1e3:.2f} ms" if run.workers else "not measured"),
        ("memory of everything, kernel and service included", f"{(before - min(least)) / 1e9:.1f} GB"),
    )
    page.show(Table(title=f"{users:,} users held over namespaces", columns=("figure", "measured"), rows=rows))
