"""The same load by other generators and by ours, in turn, against the same server. ``python -m benchmarks.peers``.

nginx has the first core, the generator the second. Nothing is installed: a tool that is not there is named with the package
that brings it, and left out. Rounds go A B C A B C, so that a change of the machine's mood meets all.

    saturated  as many requests as the generator manages: plain, TLS, and with a header that differs in every response
    steady     CPU and memory at 10,000 users and 1,000 requests/s, plain and TLS
    delays     the percentiles that each tool reports, against a server that logs its own
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.nginx import UNIQUE, Nginx, nginx
from benchmarks.peers.reports import RANKS, UnreadableError
from benchmarks.peers.rounds import Outcome, measure, say
from benchmarks.peers.tables import Errors, Rounds, cost_figures, delay_rows, ratio_figure, throughput_rows, throughput_table
from benchmarks.peers.tools import OURS, TOOLS, Job, Tool, find_tools
from benchmarks.processes import FailedError, carry_out, started, two_cores
from benchmarks.table import Figure, Page, Table, figures_table, options
from benchmarks.truth import Delays, truth

PARTS = ("saturated", "steady", "delays")
VARIANTS = ("plain", "tls", "unique")
RATIOS = {
    ("plain", 100): {"wrk": 0.45, "k6": 3.0, "locust": 5.0},
    ("plain", 8_000): {"wrk": 0.6, "k6": 5.0, "locust": 6.0},
    ("tls", 100): {"k6": 1.5},
}
STEADY_CPU, STEADY_MEMORY = 0.30, {"plain": 200e6, "tls": 450e6}
DELAYS = ("constant:0.02", "lognormal:0.02,0.6,0.3")
DELAY_RATE = 1_000.0
DELAY_USERS = {"wrk": round(DELAY_RATE * 0.02), "hey": 200}
"""wrk offers no rate, so it gets as many connections as make the rate at 20 ms."""
_DELAY_USERS, _DELAY_RAMP = 500, 6.0
_DELAYS_NOTE = (
    f"{OURS} counts from the due time, the others from sending. wrk offers no rate: it has as many connections as make it at "
    "the median delay."
)


def main() -> None:
    """Run the parts that were asked for, print a table after each."""
    wanted = _arguments().parse_args()
    binaries, missing = find_tools(wanted.tools, wanted.bin)
    page = Page(markdown=wanted.markdown)
    for sentence in missing:
        page.say(sentence)
    tools = [tool for tool in TOOLS if tool.name in binaries]
    bench = _Bench(wanted, tools, binaries)
    with nginx(core=bench.server_core) as server:
        if "saturated" in wanted.only:
            for table in bench.saturated(server):
                page.show(table)
        if "steady" in wanted.only:
            for table in bench.steady(server):
                page.show(table)
    if "delays" in wanted.only:
        page.show(bench.delays())
    if bench.figures:
        page.show(figures_table("Figures with targets (medians over the rounds)", bench.figures))


def _arguments() -> argparse.ArgumentParser:
    found = options(__doc__)
    found.add_argument("--bin", type=Path, action="append", default=[], help="a further folder in which tools lie")
    found.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    found.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    found.add_argument("--tools", nargs="+", choices=[tool.name for tool in TOOLS], default=[tool.name for tool in TOOLS])
    found.add_argument("--users", type=int, nargs="+", default=[100, 1_000, 8_000], help="of the saturated runs")
    found.add_argument("--steady-users", type=int, default=10_000)
    found.add_argument("--steady-rate", type=float, default=1_000.0)
    found.add_argument("--seconds", type=float, default=8.0, help="of each run that are counted")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--samples", choices=("kept", "counted"), default="kept", help="what ours does with its samples")
    return found


class _Bench:
    """What the parts share: the options, the tools that are there, the figures so far."""

    def __init__(self, wanted: argparse.Namespace, tools: Sequence[Tool], binaries: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._tools = tools
        self._binaries = binaries
        self.server_core, self._core = two_cores()
        self.figures: list[Figure] = []

    def saturated(self, server: Nginx) -> Iterator[Table]:
        """A table for each variant."""
        wanted = self._wanted
        titles = {
            "plain": "Saturated, plain HTTP",
            "tls": "Saturated, TLS",
            "unique": "Saturated, plain HTTP, a header of another value in each response",
        }
        for variant in wanted.variants:
            url = {"plain": f"{server.url}/", "tls": f"{server.tls_url}/", "unique": server.url + UNIQUE}[variant]
            rows, notes = [], [self._samples_note]
            for users in wanted.users:
                job = Job(url=url, users=users, seconds=wanted.seconds, keep=wanted.samples == "kept")
                rounds, left_out = self._rounds(job, server, f"{variant}, {users} users")
                rows += throughput_rows(f"{users:,} users", rounds)
                notes += left_out
                for peer, limit in RATIOS.get((variant, users), {}).items():
                    name = f"saturated, {variant}, {users:,} users: throughput"
                    self.figures.append(ratio_figure(name, rounds, peer, limit))
            yield throughput_table(titles[variant], rows, notes)

    def steady(self, server: Nginx) -> Iterator[Table]:
        """CPU and memory at a given rate, plain and over TLS."""
        wanted = self._wanted
        for variant, url in (("plain", server.url), ("tls", server.tls_url)):
            if variant not in wanted.variants:
                continue
            job = Job(url=f"{url}/", users=wanted.steady_users, rate=wanted.steady_rate, seconds=wanted.seconds)
            what = f"{job.users:,} users at {job.rate:,.0f} requests/s, {variant}"
            rounds, notes = self._rounds(job, server, what)
            yield throughput_table(f"Steady: {what}", throughput_rows(variant, rounds), notes)
            ours = rounds.get(OURS, ())
            self.figures += cost_figures(what, ours, cpu=STEADY_CPU, memory=STEADY_MEMORY[variant])

    def delays(self) -> Table:
        """What each tool says the delays were, minus what they were."""
        rows, notes = [], [_DELAYS_NOTE]
        for delay in DELAYS:
            found: dict[str, list[Errors]] = {tool.name: [] for tool in self._tools}
            for number in range(self._wanted.rounds):
                for tool in self._tools:
                    say(f"delays {delay}: round {number + 1}, {tool.name}")
                    try:
                        found[tool.name].append(self._delayed(tool, delay, number))
                    except (FailedError, UnreadableError) as error:
                        notes.append(f"{tool.name}, {delay}: {error}")
            rows += delay_rows(delay, found)
        columns = ("delay (s)", "tool", *(f"p{rank * 100:g}: said minus true" for rank in RANKS))
        return Table(
            title=f"Percentiles that the tools report at {DELAY_RATE:,.0f} requests/s, minus the server's own",
            columns=columns,
            rows=tuple(rows),
            notes=tuple(dict.fromkeys(notes)),
        )

    @property
    def _samples_note(self) -> str:
        done = (
            "keeps every sample in a file, as a real run does" if self._wanted.samples == "kept" else "counts its samples only"
        )
        return (
            f"requests/s by the server's own counter; {OURS} {done}. Median (least to most) over {self._wanted.rounds} rounds."
        )

    def _rounds(self, job: Job, server: Nginx, what: str) -> tuple[Rounds, list[str]]:
        """Every tool in every round, in turn; and why a tool is left out."""
        able = [tool for tool in self._tools if not tool.lacks(job)]
        outcomes: dict[str, list[Outcome]] = {tool.name: [] for tool in able}
        for number in range(self._wanted.rounds):
            for tool in able:
                found = measure(tool, self._binaries[tool.name], job, server, core=self._core)
                rate = "no figure" if found.rate is None else f"{found.rate:,.0f} requests/s"
                say(f"{what}: round {number + 1}, {tool.name}: {rate} {found.fault}".rstrip())
                outcomes[tool.name].append(found)
        return outcomes, [
            f"{tool.name} is left out at {job.users:,} users: it {why}." for tool in self._tools if (why := tool.lacks(job))
        ]

    def _delayed(self, tool: Tool, delay: str, number: int) -> Errors:
        """One tool against a fresh server of known truth."""
        users = DELAY_USERS.get(tool.name, _DELAY_USERS)
        rate = None if tool.name == "wrk" else DELAY_RATE
        seconds = self._wanted.seconds
        with (
            tempfile.TemporaryDirectory(prefix="velro-peer-") as place,
            truth(Delays.parse(delay), seed=number + 1, core=self.server_core) as server,
        ):
            folder = Path(place)
            job = Job(url=f"{server.url}/", users=users, rate=rate, seconds=seconds)
            command = tool.plan(self._binaries[tool.name], job, folder)
            with started(command, core=self._core, env=tool.environment, where=folder) as running:
                time.sleep(_DELAY_RAMP + seconds)
                running.process.send_signal(tool.end_signal)
                running.wait(60.0)
                report = tool.read(running.output(), folder)
            log = server.finish()
        if not report.percentiles:
            raise UnreadableError("it reported no percentiles")
        return {rank: said - float(np.nanquantile(log.service_time, rank)) for rank, said in report.percentiles.items()}


if __name__ == "__main__":
    carry_out(main)
