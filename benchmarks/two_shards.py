"""15,000 users at 1,200 requests/s in two shards against nginx: lateness, and no error of our own.

``python -m benchmarks.two_shards``. The shards share two cores with nginx, as they would on a small runner.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.nginx import nginx
from benchmarks.ports import wait_for_ports
from benchmarks.processes import carry_out, module, started
from benchmarks.table import Page, Table, at_most, equal, figures_table, options

LATENESS = 0.005
RAMP = 15.0


def main() -> None:
    """Run the load, print the figures next to their targets."""
    arguments = options(__doc__)
    arguments.add_argument("--users", type=int, default=15_000)
    arguments.add_argument("--rate", type=float, default=1_200.0)
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--shards", type=int, default=2)
    arguments.add_argument("--tls", action="store_true")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    wait_for_ports(wanted.users + 1_000)
    with tempfile.TemporaryDirectory() as folder, nginx() as server:
        url = server.tls_url if wanted.tls else server.url
        load = ["--url", f"{url}/", "--users", wanted.users, "--rate", wanted.rate, "--seconds", wanted.seconds]
        kept = ["--ramp", RAMP, "--shards", wanted.shards, "--keep", Path(folder) / "samples.npz"]
        before = server.counters()
        with started(module("benchmarks.saturate", *load, *kept)) as running:
            said = json.loads(running.require_success(RAMP + wanted.seconds + 90.0))
        counted = server.counters().requests - before.requests - 1
    late = said.get("lateness_0.99")
    figures = [
        at_most("lateness p99", None if late is None else late * 1e3, LATENESS * 1e3, "{:.2f} ms"),
        equal("errors of our own: requests missed", said["missed"], 0),
        equal("requests that failed", said["failed"], 0),
        equal("requests that the server counted, of those sent", counted, said["sent"]),
    ]
    page.show(figures_table(f"{wanted.users:,} users, {wanted.rate:,.0f} requests/s, {wanted.shards} shards", figures))
    shown = ("rate", "response_0.5", "response_0.95", "response_0.99", "cpu_share", "rss_peak", "loop_lag_max", "steal_share")
    page.show(
        Table(
            title="Also measured",
            columns=("figure", "measured"),
            rows=tuple((name, f"{said[name]:,.4g}") for name in shown if said.get(name) is not None),
        )
    )


if __name__ == "__main__":
    carry_out(main)
