"""Our own engine as a program among its peers: one phase of load against a URL, the figures as one line of JSON.

``python -m benchmarks.saturate --url http://127.0.0.1:8080/ --users 100 --seconds 10``

Without ``--rate`` the users form a closed loop that never thinks: as many requests as the engine and the service manage. It is
the real engine with all its accounting, timeouts and garbage collector settings. ``--keep FILE`` keeps every sample as a real
run does; without it the samples are only counted, which is what generators do that keep histograms.
"""

from __future__ import annotations

import argparse
import collections
import json
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import trio

from benchmarks import plans
from benchmarks.processes import carry_out
from velro_gate.engine.machine.feasibility import descriptors_needed, raise_descriptor_limit
from velro_gate.engine.run import Load, run_load
from velro_gate.gate.measure.setup import Setup
from velro_gate.model.run import LoadResult, Progress
from velro_gate.model.samples import Outcome, Samples
from velro_gate.store.records import SampleWriter, read_samples

RANKS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def main() -> None:
    """Run the phase, print the figures."""
    wanted = _arguments().parse_args()
    parts = urlsplit(wanted.url)
    plan = plans.Wanted(
        users=wanted.users,
        seconds=wanted.seconds,
        ramp=wanted.ramp,
        rate=wanted.rate,
        even=wanted.even,
        path=parts.path or "/",
        timeout=wanted.timeout,
        source_addresses=[address for address in wanted.source_addresses.split(",") if address],
    )
    with tempfile.TemporaryDirectory() as folder:
        setup = plans.setup(Path(folder), f"{parts.scheme}://{parts.netloc}", plan)
    raise_descriptor_limit(descriptors_needed(setup.phases, shards=wanted.shards))
    seen = _Seen()
    if wanted.keep is None:
        result, clock = _run(setup, wanted, seen, seen.count)
    else:
        with SampleWriter(wanted.keep) as writer:
            result, clock = _run(setup, wanted, seen, seen.counting(writer.append))
    print(json.dumps(_figures(result, seen, wanted, clock)))


def _arguments() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", required=True)
    options.add_argument("--users", type=int, default=100)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--ramp", type=float, default=2.0)
    options.add_argument("--rate", type=float, help="requests per second to offer instead (an open loop)")
    options.add_argument("--even", action="store_true", help="at even distances instead of random ones")
    options.add_argument("--timeout", type=float, default=10.0)
    options.add_argument("--shards", type=int, default=1, help="processes")
    options.add_argument("--source-addresses", default="", help="local addresses to connect from, with commas between")
    options.add_argument("--stop-after", type=float, help="seconds after which to end the run, as Ctrl-C would")
    options.add_argument("--keep", type=Path, help="keep every sample in this file, as a real run does")
    return options


class _Seen:
    """What the engine reports while it runs."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.connected_most = 0

    def count(self, _: str, samples: Samples) -> None:
        """Count samples by how they ended."""
        for outcome, number in enumerate(np.bincount(samples.outcome)):
            if number:
                self.outcomes[Outcome(outcome).name.lower()] += int(number)

    def counting(self, sink: Callable[[str, Samples], None]) -> Callable[[str, Samples], None]:
        """Count, then hand on."""

        def take(phase: str, samples: Samples) -> None:
            self.count(phase, samples)
            sink(phase, samples)

        return take

    def observe(self, progress: Progress) -> None:
        """Remember how many users were connected at once."""
        self.connected_most = max(self.connected_most, progress.connected)


def _run(
    setup: Setup, wanted: argparse.Namespace, seen: _Seen, sink: Callable[[str, Samples], None]
) -> tuple[LoadResult, float]:
    """The result, and the start of the run on this machine's monotonic clock."""
    load = Load(scenario=setup.scenario, phases=setup.phases, secrets=setup.secrets)

    async def main() -> tuple[LoadResult, float]:
        stop = trio.Event()
        origin, clock = trio.current_time(), time.monotonic()
        run: Callable[..., Any] = run_load
        if wanted.shards > 1:
            from velro_gate.engine.shards.run import run_sharded

            run = partial(run_sharded, count=wanted.shards)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, stop)
            if wanted.stop_after is not None:
                nursery.start_soon(_stop_later, stop, wanted.stop_after)
            result = await run(load, origin=origin, sink=sink, observe=seen.observe, stop=stop)
            nursery.cancel_scope.cancel()
        return result, clock

    return trio.run(main)


async def _stop_on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for _ in received:
            stop.set()


async def _stop_later(stop: trio.Event, seconds: float) -> None:
    await trio.sleep(seconds)
    stop.set()


def _figures(result: LoadResult, seen: _Seen, wanted: argparse.Namespace, clock: float) -> dict[str, Any]:
    ran = result.phases[0]
    failed = sum(n for name, n in seen.outcomes.items() if name not in ("ok", "cancelled"))
    found: dict[str, Any] = {
        "sent": ran.sent_total,
        "delivered": ran.delivered_total,
        "ok": seen.outcomes["ok"],
        "failed": failed,
        "cancelled": seen.outcomes["cancelled"],
        "outcomes": dict(seen.outcomes),
        "due": sum(ran.due.values()),
        "missed": sum(ran.missed.values()),
        "blocked": sum(ran.blocked.values()),
        "users": ran.users,
        "connected_most": seen.connected_most,
        "reconnects": ran.reconnects,
        "retries": ran.retries,
        "clock": clock,
        "measured_from": ran.measured_from,
        "measured_until": ran.measured_until,
        "interrupted": result.interrupted,
        "service_gone": ran.service_gone,
        "cpu_share": ran.health.cpu_share,
        "cpu_seconds": time.process_time(),
        "rss_peak": ran.health.rss_peak,
        "loop_lag_p99": ran.health.loop_lag_p99,
        "loop_lag_max": ran.health.loop_lag_max,
        "steal_share": ran.health.steal_share,
        "collections": ran.health.gc_full_collections,
        "samples": "counted" if wanted.keep is None else "kept",
    }
    if wanted.keep is not None:
        found |= _percentiles(read_samples(wanted.keep)[plans.PHASE], ran.measured_from, ran.measured_until)
    return found


def _percentiles(samples: Samples, start: float, until: float) -> dict[str, Any]:
    measured = samples.where((samples.due >= start) & (samples.due < until))
    good = measured.where(measured.ok)
    seconds = until - start
    if not len(good) or seconds <= 0.0:
        return {}
    return {
        "rate": len(good) / seconds,
        **{f"response_{rank:g}": float(np.quantile(good.response_time, rank)) for rank in RANKS},
        **{f"service_{rank:g}": float(np.quantile(good.service_time, rank)) for rank in RANKS},
        **{f"lateness_{rank:g}": float(np.quantile(measured.lateness, rank)) for rank in RANKS},
    }


if __name__ == "__main__":
    carry_out(main)
