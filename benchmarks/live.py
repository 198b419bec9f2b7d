"""What the live page costs the run that it shows: CPU of the run's process, and lateness. ``python -m benchmarks.live``.

The real command sends a constant rate to nginx, the generator on one core, everything else on the other. Three ways alternate
in rounds that read the same from either end (A B C C B A), so that a machine that slows down evenly is no difference:

    without      no live page
    page         ``--live``, and nobody looks
    browser      ``--live``, and a Chromium shows it from the beginning to the end

CPU is that of the measured stretch, of the run's process with its threads, as its record has it; so is lateness. Each figure is
the mean over the rounds of the difference to "without", with Student's 95 % interval.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.nginx import nginx
from benchmarks.peers.rounds import say
from benchmarks.processes import FailedError, Started, carry_out, module, started, two_cores
from benchmarks.table import Page, Table, options
from tests.devtools import Browser
from velro_gate.analysis.statistics.intervals import student
from velro_gate.model.metrics import LATENESS
from velro_gate.store.records import read_record

MOST = 0.01
"""Share of a core that the live page may take."""
MOST_LATE = 0.2e-3
"""Seconds that it may add to the lateness p99: a tenth of what a healthy generator has, and no requirement sees it."""
WAYS = ("without", "page", "browser")
PHASE = "steady"
RAMP = 2.0
_SHOWN = "window.velroCharts && document.getElementById('state').textContent"
_POINTS = "Math.max(...Bokeh.documents[0].roots()[0].renderers.map(one => one.data_source.data.x?.length ?? 0))"
_SCENARIO = """\
name: live
target: {{url: "{url}"}}
steps: [{{name: read, path: /}}, {{name: list, path: /list}}]
requirements: {{error_rate: "< 1 %"}}
profiles:
  p: [{{name: {phase}, users: {users}, ramp: {ramp:g} s, duration: {seconds:g} s, rate: {rate:g}/s}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run. cpu: share of a core; late: p99 in seconds."""

    cpu: float
    late: float


def main() -> None:
    """Run all ways, and print what the page added."""
    arguments = options(__doc__)
    arguments.add_argument("--rounds", type=int, default=5, help="each way runs twice in one")
    arguments.add_argument("--seconds", type=float, default=20.0, help="measured of each run")
    arguments.add_argument("--users", type=int, default=200)
    arguments.add_argument("--rate", type=float, default=500.0, help="requests a second")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    others, _ = two_cores()
    if others is not None:
        # The browser is started from here, and stays where this process is.
        os.sched_setaffinity(0, {others})
    found: dict[str, list[Cost]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="velro-live-") as folder, nginx(core=others) as server:
        scenario = Path(folder) / "live.yaml"
        scenario.write_text(
            _SCENARIO.format(
                url=server.url, phase=PHASE, users=wanted.users, ramp=RAMP, seconds=wanted.seconds, rate=wanted.rate
            ),
            encoding="utf-8",
        )
        for _ in range(wanted.rounds):
            for way, cost in _round(wanted, scenario):
                found[way].append(cost)
    page.show(table(found, f"{wanted.rate:,.0f} requests/s, {wanted.rounds} rounds, {wanted.seconds:g} s a run"))


def table(found: dict[str, list[Cost]], title: str) -> Table:
    """What each way took, and what it added to the way without a page. found: by way, two runs a round, in order."""
    rows = []
    for way in WAYS:
        cpu, late = (np.array([getattr(cost, name) for cost in found[way]]) for name in ("cpu", "late"))
        row = [way, f"{np.median(cpu):.2%}", _ms(float(np.median(late)))]
        if way == WAYS[0]:
            rows.append((*row, "", "", ""))
            continue
        more, later = (added([getattr(one, name) for one in found[way]], _without(found, name)) for name in ("cpu", "late"))
        shown = (f"{more[0]:+.2%} +- {more[1]:.2%}", f"{_ms(later[0])} +- {_ms(later[1])}")
        rows.append((*row, *shown, f"{_word(more, MOST)}, {_word(later, MOST_LATE)}"))
    columns = ("way", "share of a core", "lateness p99", "added", "added", f"below {MOST:.0%}, {_ms(MOST_LATE)}")
    return Table(title=f"live page: {title}", columns=columns, rows=tuple(rows))


def added(costs: Sequence[float], without: Sequence[float]) -> tuple[float, float]:
    """Mean over the rounds of the difference, and half of its 95 % interval; infinite with a single round."""
    differences = (np.array(costs) - np.array(without)).reshape(-1, 2).mean(axis=1)
    if len(differences) < 2:
        return float(differences.mean()), math.inf
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()), student(len(differences) - 1.0) * error


def _without(found: dict[str, list[Cost]], name: str) -> list[float]:
    return [getattr(cost, name) for cost in found[WAYS[0]]]


def _word(found: tuple[float, float], limit: float) -> str:
    difference, reach = found
    if difference - reach >= limit:
        return "MISSED"
    return "reached" if difference + reach < limit else "not shown: more rounds"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


def _round(wanted: argparse.Namespace, scenario: Path) -> Iterator[tuple[str, Cost]]:
    for way in (*WAYS, *reversed(WAYS)):
        cost = _run(way, scenario, wanted.seconds)
        say(f"{way}: {cost.cpu:.2%} of a core, lateness p99 {_ms(cost.late)}")
        yield way, cost


def _run(way: str, scenario: Path, seconds: float) -> Cost:
    """One run of the command; with a browser only if the browser followed it.

    Raises:
        FailedError: it failed, or the browser did not show it.
    """
    _, core = two_cores()
    with tempfile.TemporaryDirectory(prefix="velro-live-run-") as output:
        live = () if way == WAYS[0] else ("--live",)
        command = module("velro_gate", "run", scenario, "--profile", "p", "--output", output, *live)
        with started(command, core=core) as running, contextlib.ExitStack() as stack:
            browser = None
            if way == "browser":
                browser = stack.enter_context(Browser())
                browser.call("Page.navigate", url=_address(running))
                # Its phase began: what is shown came from the run.
                browser.until(f"({_SHOWN}).includes('{PHASE}')")
            running.require_success(seconds + RAMP + 90.0)
            if browser is not None:
                browser.until(f"({_SHOWN}).startsWith('The run is over')")
                points = browser.value(_POINTS)
                if points < seconds / 2.0:
                    raise FailedError(f"the browser has shown {points} of {seconds:g} seconds")
        (record,) = (read_record(file.parent) for file in Path(output).glob("*/record.json"))
    phase = record.phase(PHASE)
    late = None if phase is None else phase.measurement(LATENESS)
    if phase is None or late is None:
        raise FailedError("the run measured nothing")
    return Cost(cpu=phase.health.cpu_share, late=late.value)


def _address(running: Started) -> str:
    deadline = time.monotonic() + 30.0
    while True:
        for line in running.complaints().splitlines():
            if line.startswith("live page: "):
                return line.removeprefix("live page: ").strip()
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise FailedError(f"the run has no live page: {running.complaints()}")
        time.sleep(0.02)


if __name__ == "__main__":
    carry_out(main)
