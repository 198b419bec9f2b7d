"""What the live page costs the run that it shows: CPU of the run's process, and lateness. ``python -m benchmarks.live``.

One run of the real command sends a constant rate to nginx, the generator on one core, everything else on the other. Blocks of
5 s alternate within it, with, without, without, with, so that a machine that slows down evenly is no difference:

    with        the run adds a row a second, a Chromium asks for it and draws it
    without     no row is added, and the browser's page is frozen: it asks for nothing and draws nothing

Two measurements, since the second is hidden by noise that the first does not have:

    own         CPU of the page's own work by the clocks of its threads, its rows in the loop included: whatever else the
                machine does, this is all that the page does in the process
    difference  with less without, the mean over groups of four blocks: CPU of the process, CPU of the thread that sends, and
                lateness (p99 of the requests of each block), which also hold what the page's work does to the other threads

Each has Student's 95 % interval; a limit is called reached where the whole interval is below it. Both kinds of blocks have
the shorter turns of threads that a run with ``--live`` sets, so what these cost is in neither figure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks.live_metered import BLOCK, Second, shown
from benchmarks.nginx import nginx
from benchmarks.processes import FailedError, Started, carry_out, module, started, two_cores
from benchmarks.table import Page, Table, options
from tests.devtools import Browser
from velro_gate.analysis.statistics.intervals import student
from velro_gate.model.samples import Samples
from velro_gate.store.records import read_facts
from velro_gate.store.samples import read_samples

MOST = 0.01
"""Share of a core that the live page may take."""
MOST_LATE = 0.2e-3
"""Seconds that it may add to the lateness p99: a tenth of what a healthy generator has, and no requirement sees it."""
PHASE = "steady"
RAMP = 4.0
LEAST = 3
"""States that a block must have: the first and the last block of a measured stretch are cut."""
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
class Block:
    """One block. process, loop, page: shares of a core; late: p99 in seconds; requests: of the page."""

    number: int
    page_there: bool
    process: float
    loop: float
    page: float
    late: float
    requests: int


def main() -> None:
    """Run once, and print what the page took and what it changed."""
    arguments = options(__doc__)
    arguments.add_argument("--seconds", type=float, default=340.0, help="measured")
    arguments.add_argument("--users", type=int, default=200)
    arguments.add_argument("--rate", type=float, default=500.0, help="requests a second")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    others, core = two_cores()
    if others is not None:
        # The browser is started from here, and stays where this process is.
        os.sched_setaffinity(0, {others})
    with tempfile.TemporaryDirectory(prefix="velro-live-") as folder, nginx(core=others) as server:
        work = Path(folder)
        text = _SCENARIO.format(
            url=server.url, phase=PHASE, users=wanted.users, ramp=RAMP, seconds=wanted.seconds, rate=wanted.rate
        )
        (work / "live.yaml").write_text(text, encoding="utf-8")
        points = _run(wanted, work, core)
        (output,) = (file.parent for file in work.glob("out/*/record.json"))
        page.show(
            table(_blocks(work / "clocks.json", output), f"{wanted.rate:,.0f} requests/s for {wanted.seconds:g} s", points)
        )


def _run(wanted: argparse.Namespace, work: Path, core: int | None) -> int:
    """One run of the command, followed by a browser in half of its blocks; the points that the browser has drawn.

    Raises:
        FailedError: it failed, or the browser did not show it.
    """
    command = module(
        "benchmarks.live_metered",
        work / "clocks.json",
        *("run", work / "live.yaml", "--profile", "p", "--output", work / "out", "--live"),
    )
    with started(command, core=core) as running, Browser() as browser:
        browser.call("Page.navigate", url=_address(running))
        browser.until(f"({_SHOWN}).includes('{PHASE}')")
        there = True
        deadline = time.monotonic() + RAMP + wanted.seconds + 90.0
        while running.process.poll() is None and time.monotonic() < deadline:
            now = time.monotonic()
            if shown(now) is not there:
                there = shown(now)
                browser.call("Page.setWebLifecycleState", state="active" if there else "frozen")
            time.sleep(BLOCK - now % BLOCK)
        running.require_success(1.0)
        if not there:
            browser.call("Page.setWebLifecycleState", state="active")
        points = browser.value(_POINTS)
    if points < wanted.seconds / 4.0:
        raise FailedError(f"the browser has shown {points} of {wanted.seconds / 2.0:g} seconds")
    return int(points)


def _address(running: Started) -> str:
    deadline = time.monotonic() + 30.0
    while True:
        for line in running.complaints().splitlines():
            if line.startswith("live page: "):
                return line.removeprefix("live page: ").strip()
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise FailedError(f"the run has no live page: {running.complaints()}")
        time.sleep(0.02)


def _blocks(clocks: Path, output: Path) -> list[Block]:
    seconds = [Second(**one) for one in json.loads(clocks.read_text(encoding="utf-8"))]
    facts = read_facts(output)
    if facts is None:
        raise FailedError("the run kept no facts")
    (phase,) = facts.phases
    # The samples count from the start of the run, the clocks from that of the machine.
    start = float(np.median([one.began for one in seconds])) - phase.started
    return blocks(seconds, read_samples(output / "samples.npz")[PHASE], start)


def blocks(seconds: Sequence[Second], samples: Samples, start: float) -> list[Block]:
    """The measured blocks from their clocks and samples. start: of the run, by the clock of the seconds."""
    found = []
    for number, group in groupby((one for one in seconds if one.measured), key=lambda one: int(one.at // BLOCK)):
        each = list(group)
        if len(each) < LEAST:
            continue
        first, last = each[0], each[-1]
        span = last.at - first.at
        inside = (samples.due + start >= first.at) & (samples.due + start < last.at)
        late = samples.lateness[inside]
        found.append(
            Block(
                number=number,
                page_there=shown(first.at),
                process=(last.process - first.process) / span,
                loop=(last.loop - first.loop) / span,
                page=(last.page - first.page) / span,
                late=float(np.quantile(late, 0.99)) if late.size else math.nan,
                requests=last.requests - first.requests,
            )
        )
    return found


def table(found: Sequence[Block], title: str, points: int) -> Table:
    """What the page took and what it changed, each next to its limit."""
    rows = []
    own = [one.page for one in found if one.page_there]
    idle = [one.page for one in found if not one.page_there]
    rows.append(_row("its own CPU, shown", interval(own), MOST, _share))
    rows.append(_row("its own CPU, frozen", interval(idle), MOST, _share))
    for name, key, limit, words in (
        ("CPU of the process, with less without", "process", MOST, _share),
        ("CPU of the sending thread, with less without", "loop", MOST, _share),
        ("lateness p99, with less without", "late", MOST_LATE, _ms),
    ):
        rows.append(_row(name, interval(differences(found, key)), limit, words))
    without = [one for one in found if not one.page_there]
    process, late = (float(np.median([getattr(one, name) for one in without] or [math.nan])) for name in ("process", "late"))
    notes = (
        f"{len(found)} blocks, {len(differences(found, 'late'))} groups of four. Without the page: process {process:.2%} of a "
        f"core, lateness p99 {_ms(late)}.",
        f"The page asked {sum(one.requests for one in found if one.page_there)} times while it was there, "
        f"{sum(one.requests for one in without)} times while it was frozen, and drew {points} points.",
    )
    return Table(title=f"live page: {title}", columns=("figure", "measured", "limit", ""), rows=tuple(rows), notes=notes)


def differences(found: Sequence[Block], name: str) -> list[float]:
    """With less without, for each group of four blocks that is whole."""
    whole: list[float] = []
    for _, group in groupby(found, key=lambda one: one.number // 4):
        each = list(group)
        if len(each) == 4:
            there, gone = ([getattr(one, name) for one in each if one.page_there is page] for page in (True, False))
            whole.append(sum(there) / 2.0 - sum(gone) / 2.0)
    return whole


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half of its 95 % interval; infinite with fewer than two values."""
    if len(values) < 2:
        return (float(values[0]) if values else math.nan), math.inf
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)), student(len(values) - 1.0) * error


def _row(name: str, found: tuple[float, float], limit: float, words: Callable[[float], str]) -> tuple[str, str, str, str]:
    middle, reach = found
    return name, f"{words(middle)} +- {words(reach)}", words(limit), word(found, limit)


def word(found: tuple[float, float], limit: float) -> str:
    """Where the interval lies."""
    middle, reach = found
    if middle - reach >= limit:
        return "MISSED"
    return "reached" if middle + reach < limit else "not shown: more seconds"


def _share(value: float) -> str:
    return f"{value:.3%}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"


if __name__ == "__main__":
    carry_out(main)
