"""What sending costs, next to the dry run's forecast. ``python -m benchmarks.costs``.

The engine on one core, nginx on the other. From the rates come the three constants of ``velro_gate.engine.machine.forecast``:

    saturated   core-seconds a request when the loop always finds work: a closed loop that never thinks
    waking      what a request that finds the loop asleep costs more, and the share that a loop without load takes: the least
                squares of (s - r c) on 1 and r w (1 - s), which is the forecast's own formula solved for them
    connecting  CPU seconds of a process that connects its users in 2 s and then idles, over that of one with few users
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.nginx import nginx
from benchmarks.peers.rounds import say
from benchmarks.processes import carry_out, module, started, two_cores
from benchmarks.table import Page, Table, options
from velro_gate.engine.machine import forecast

RATES = (200.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0)
USERS = 1_000
SATURATING_USERS = 100
CONNECTED = (500, 5_000)
RAMP = 2.0


def main() -> None:
    """Run every rate, plain and over TLS, and print what they cost."""
    arguments = options(__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0, help="measured of each run")
    arguments.add_argument("--rounds", type=int, default=3)
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    server_core, _ = two_cores()
    with nginx(core=server_core) as server:
        for scheme, url in (("http", server.url), ("https", server.tls_url)):
            shares = {rate: _median(wanted, f"{url}/", USERS, rate, "cpu_share") for rate in RATES}
            saturated = [_run(wanted, f"{url}/", SATURATING_USERS, None) for _ in range(wanted.rounds)]
            per_request = float(np.median([each["cpu_share"] / each["rate"] for each in saturated]))
            page.show(_shares(scheme, shares))
            page.show(_constants(scheme, shares, per_request, _connecting(wanted, f"{url}/")))


def fitted(shares: Mapping[float, float], per_request: float) -> tuple[float, float]:
    """(share of an idle loop, core-seconds of waking) that explain the shares of a core taken at each rate best."""
    rate, share = np.array(list(shares)), np.array(list(shares.values()))
    explains = np.column_stack([np.ones(len(rate)), rate * (1.0 - share)])
    (idle, waking), *_ = np.linalg.lstsq(explains, share - rate * per_request, rcond=None)
    return float(idle), float(waking)


def _shares(scheme: str, shares: Mapping[float, float]) -> Table:
    rows = [(f"{rate:,.0f}", f"{share:.1%}", f"{forecast.cpu_share(rate, scheme):.1%}") for rate, share in shares.items()]
    return Table(title=f"{scheme}: share of a core", columns=("requests/s", "taken", "forecast"), rows=tuple(rows))


def _constants(scheme: str, shares: Mapping[float, float], per_request: float, connecting: float) -> Table:
    idle, waking = fitted(shares, per_request)
    rows = (
        ("SATURATED_COST", f"{per_request * 1e6:.1f} µs", f"{forecast.SATURATED_COST[scheme] * 1e6:.1f} µs"),
        ("WAKING_COST", f"{waking * 1e6:.1f} µs", f"{forecast.WAKING_COST[scheme] * 1e6:.1f} µs"),
        ("IDLE_SHARE", f"{idle:.2%}", f"{forecast.IDLE_SHARE:.2%}"),
        ("HANDSHAKE_COST", f"{connecting * 1e3:.3f} ms", f"{forecast.HANDSHAKE_COST[scheme] * 1e3:.3f} ms"),
    )
    return Table(title=f"{scheme}: constants", columns=("constant", "measured", "in use"), rows=rows)


def _connecting(wanted: argparse.Namespace, url: str) -> float:
    few, many = CONNECTED
    seconds = [[_cpu_seconds(wanted, url, users) for users in CONNECTED] for _ in range(wanted.rounds)]
    return float(np.median([(more - less) / (many - few) for less, more in seconds]))


def _median(wanted: argparse.Namespace, url: str, users: int, rate: float, figure: str) -> float:
    return float(np.median([_run(wanted, url, users, rate)[figure] for _ in range(wanted.rounds)]))


def _cpu_seconds(wanted: argparse.Namespace, url: str, users: int) -> float:
    return float(_run(wanted, url, users, 1.0)["cpu_seconds"])


def _run(wanted: argparse.Namespace, url: str, users: int, rate: float | None) -> dict[str, Any]:
    _, core = two_cores()
    command = module("benchmarks.saturate", *_arguments(url, users, rate, wanted.seconds))
    with started(command, core=core) as running:
        found: dict[str, Any] = json.loads(running.require_success(wanted.seconds + 60.0))
    found["rate"] = found["due"] / (found["measured_until"] - found["measured_from"])
    say(f"{url} {users:,} users, {rate or 'saturated'}: {found['cpu_share']:.1%} of a core, {found['rate']:,.0f} requests/s")
    return found


def _arguments(url: str, users: int, rate: float | None, seconds: float) -> Iterator[object]:
    yield from ("--url", url, "--users", users, "--ramp", RAMP, "--seconds", seconds)
    if rate is not None:
        yield from ("--rate", rate)


if __name__ == "__main__":
    carry_out(main)
