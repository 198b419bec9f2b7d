"""How large the HTML pages are, how long a browser takes to open them, and what axe finds. ``python -m benchmarks.pages``.

Runs are simulated from a seed and kept by the program's own store: every sample of an hour's full run, and of the same plan at
a tenth of load and time. The pages are made from what was kept, and opened from files in a real Chromium without a network.

    opening     from the navigation to the first chart being on the screen, usable, the verdict above it; by this process's
                clock, the median of several, each in a browser that has just started: one that has shown a page keeps its
                compiled script and takes half as long. Charts further down are drawn as they come near, which this does
                not count. The pages take turns, in the other order every second round
    again       the same page once more in the same browser
    whole       from that navigation to every chart being drawn, the page scrolled through as fast as it goes
    axe         faults by impact, light and dark, at 1,280 and 375 px, every chart drawn and every list open; and in a page with
                faults made on purpose, each of which it has to find. axe-core comes from npm into a temporary folder
    Lighthouse  with --lighthouse, likewise from npm: its scores of performance, accessibility and best practices, on a desk and
                on a phone as it simulates them, and what it finds wrong

``--reports`` measures HTML reports of real runs as well, such as those of ``velro-gate demo``.
"""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.table import NOT_MEASURED, Page, Table, at_most, figures_table, options
from tests.analysis.phases import run_of, samples
from tests.browser import browser
from tests.devtools import Browser
from tests.report import duets
from tests.report.examples import SITUATIONS, STEP
from tests.report.records import STEPS, accepted, measured, record
from velro_gate.analysis.verdict.judge import judge
from velro_gate.analysis.verdict.judge_duet import judge_duet_record
from velro_gate.gate.judge.chart_data import chart_data
from velro_gate.gate.judge.trend import main_trend
from velro_gate.model.charts.timeline import ChartData
from velro_gate.model.record import RunRecord
from velro_gate.model.run import Reading, RunFacts
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Outcome
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.formats.executive import executive_html
from velro_gate.report.formats.page import html
from velro_gate.report.printed.trend_page import trend_html
from velro_gate.store.baselines import Baselines, add_baseline
from velro_gate.store.records import SampleWriter, write_record

LARGEST = 2.5
"""Megabytes that a page may have."""
LONGEST = 1.0
"""Seconds that it may take to open."""
CATEGORIES = ("performance", "accessibility", "best-practices")
SIZES = ((1280, False), (1280, True), (375, False), (375, True))
RULES = ("html-has-lang", "image-alt", "button-name", "select-name", "color-contrast", "role-img-alt")
"""What axe has to find in a page that was made faulty."""
FAULTS = (
    ('<html lang="en">', "<html>"),
    ('role="img" aria-label="', 'role="img" data-label="'),
    ("</main>", '<img src="data:,"><button></button><select></select><p style="color:#bbb;background:#fff">pale</p></main>'),
)
READY = (
    "document.readyState === 'complete' && (!document.querySelector('figure[data-chart]') || "
    "document.documentElement.dataset.charts === 'ready')"
)


def main() -> None:
    """Make the pages, then measure each."""
    arguments = options(__doc__)
    arguments.add_argument("--rounds", type=int, default=5, help="times that each page is opened")
    arguments.add_argument("--into", type=Path, help="keep the pages and their pictures in this folder")
    arguments.add_argument("--no-axe", action="store_true", help="leave axe out, which needs npm and a network")
    arguments.add_argument("--lighthouse", action="store_true", help="run Lighthouse as well: half a minute a page")
    arguments.add_argument("--reports", type=Path, nargs="*", default=[], help="HTML files that are measured as well")
    wanted = arguments.parse_args()
    page = Page(markdown=wanted.markdown)
    with tempfile.TemporaryDirectory(prefix="velro-pages-") as folder:
        into = wanted.into or Path(folder) / "pages"
        files = pages(into, Path(folder)) | {file.stem: Path(shutil.copy(file, into)) for file in wanted.reports}
        page.show(openings(files, wanted.rounds))
        with Browser() as real:
            if wanted.into:
                pictures(real, files, into)
            if not wanted.no_axe:
                script = from_npm("axe-core", Path(folder)) / "axe-core/axe.min.js"
                page.show(axe(real, files, script))
                page.show(axe_finds(real, files["failed"], script))
        if wanted.lighthouse:
            page.show(lighthouse(files, into, from_npm("lighthouse", Path(folder))))


def pages(into: Path, work: Path) -> dict[str, Path]:
    """Every page by its name. work: for the kept runs."""
    into.mkdir(parents=True, exist_ok=True)
    made = dict(_pages(work))
    for name, text in made.items():
        (into / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: into / f"{name}.html" for name in made}


def _pages(work: Path) -> Iterator[tuple[str, str]]:
    for name, profile in (("hour", "full"), ("quick", "quick")):
        run = measured(record(profile=profile, error_rate=0.002), 2)
        before = accepted(20, run)
        folder = work / name
        folder.mkdir()
        keep(folder, run)
        yield name, html(run, judge(run, before), chart_data(folder, run, Baselines(accepted=tuple(before))))
    failed = SITUATIONS["fail-both"]()
    yield "failed", html(failed.run, failed.verdict, ChartData(history=failed.baselines))
    yield "executive", executive_html(failed.run, failed.verdict)
    pairs = duets.kept(pairs=10, sd=0.012, slower={STEP: 1.2})
    run = duets.record(pairs)
    yield "duet", html(run, judge_duet_record(run, pairs), ChartData(pairs=pairs.duet.pairs))
    root = work / "baselines"
    for one in accepted(30, record()):
        add_baseline(root, one)
    yield "trend", trend_html(main_trend(root, (), ALL_STEPS, None))


def keep(folder: Path, run: RunRecord) -> None:
    """Keep every sample of a run, drawn to fit its record, and readings once a second."""
    random, start, phases = np.random.default_rng(7), 1.0, []
    names = list(STEPS)
    shares = np.array([STEPS[name][0] for name in names])
    medians = np.array([STEPS[name][1] for name in names])
    with SampleWriter(folder / "samples.npz") as writer:
        for one in run.phases:
            begin, seconds = start + one.ramp, one.measured_seconds
            count = int((one.offered_rate or 100.0) * (one.ramp / 2.0 + seconds))
            due = np.sort(random.uniform(start, begin + seconds, count))
            step = random.choice(len(names), count, p=shares / shares.sum())
            bad = random.random(count) < 0.002
            rows = samples(
                due,
                medians[step] * np.exp(0.45 * random.normal(size=count)),
                step=step,
                cache=np.where(random.random(count) < 0.95, FIRST_CACHE_LAYER, CACHE_MISS),
                outcome=np.where(bad, Outcome.STATUS, Outcome.OK),
                status=np.where(bad, 503, 200),
            )
            writer.append(one.name, rows)
            ran = run_of(rows, begin=begin, seconds=seconds)
            phases.append(dataclasses.replace(ran, name=one.name, started=start, users=one.users))
            start = begin + seconds + 1.0
    write_record(folder, run, RunFacts(phases=tuple(phases), readings=tuple(_readings(start)), layers=("memory",)))


def _readings(seconds: float) -> Iterator[Reading]:
    watched = {
        ("service", "cpu_seconds"): lambda at: 1.4 * at,
        ("service", "rss"): lambda at: 4e8 + 3e7 * np.sin(at / 37.0),
        ("service", "database_pool_size"): lambda _: 240.0,
        ("service", "database_pool_in_use"): lambda at: 120.0 + 60.0 * np.sin(at / 53.0),
        ("runner", "cpu_share"): lambda at: 0.4 + 0.2 * np.sin(at / 41.0),
    }
    for at in range(int(seconds)):
        for (source, name), value in watched.items():
            yield Reading(at=float(at), source=source, name=name, value=float(value(at)))


def openings(files: dict[str, Path], rounds: int) -> Table:
    """Sizes, and times to open."""
    figures = [at_most(f"{name}: MB", file.stat().st_size / 1e6, LARGEST) for name, file in files.items()]
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in files}
    for number in range(rounds):
        for name in (*files,) if number % 2 == 0 else (*reversed(files),):
            times[name].append(opened(files[name]))
    notes = []
    for name, found in times.items():
        first, again, whole = np.median(found, axis=0)
        each = np.array(found)[:, 0]
        figures.append(at_most(f"{name}: s to open", float(first), LONGEST))
        notes.append(f"{name} {each.min():.2f} to {each.max():.2f} s, again {again:.2f} s, every chart drawn {whole:.2f} s")
    return figures_table("Pages", figures, (f"Least and most: {'; '.join(notes)}.",))


def opened(file: Path) -> tuple[float, float, float]:
    """Seconds until the first chart is drawn, in a browser that has just started and again; and then until every chart is."""
    with Browser() as real:
        first, began = _first_chart(real, file), time.monotonic()
        again = _first_chart(real, file)
        complete(real)
        return first, again, time.monotonic() - began


def _first_chart(real: Browser, file: Path) -> float:
    real.call("Page.navigate", url="about:blank")
    began = time.monotonic()
    real.open(file, width=1280)
    real.until(READY)
    return time.monotonic() - began


def complete(real: Browser) -> None:
    """Have every chart drawn and every list open, as for a reader who has gone through the page; then return to its top."""
    real.until(READY)
    for number in range(real.value("document.querySelectorAll('figure[data-chart]').length")):
        figure = f"document.querySelector('figure[data-chart=\"{number}\"]')"
        real.value(f"{figure}.scrollIntoView()")
        real.until(f"{figure}.querySelector('.canvas').childElementCount > 0")
    real.value("document.querySelectorAll('details').forEach(one => one.open = true); scrollTo(0, 0)")
    # What was drawn last is on the screen after two frames.
    for _ in range(2):
        real.until("true")


def pictures(real: Browser, files: dict[str, Path], into: Path) -> None:
    """A picture of each page at each size."""
    for name, file in files.items():
        for width, dark in SIZES:
            real.open(file, width=width, dark=dark)
            complete(real)
            real.screenshot(into / f"{name}-{width}-{'dark' if dark else 'light'}.png", whole=True)


def from_npm(package: str, work: Path) -> Path:
    """The modules of a package, installed into a folder."""
    place = work / f"npm-{package}"
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), package]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
    return place / "node_modules"


def axe(real: Browser, files: dict[str, Path], script: Path) -> Table:
    """What axe finds in each page, as often as it is found."""
    rows = []
    for name, file in files.items():
        for width, dark in SIZES:
            passed, found = _violations(real, file, script, width=width, dark=dark)
            shown = "; ".join(f"{impact}: {rule} x {count} {example}" for impact, rule, count, example in found)
            rows.append((name, str(width), "dark" if dark else "light", str(passed), shown or "nothing"))
    return Table(title="axe", columns=("page", "px", "", "rules kept", "found"), rows=tuple(rows))


def axe_finds(real: Browser, file: Path, script: Path) -> Table:
    """Whether axe finds each fault of a page that was made faulty: else its silence about the others says nothing."""
    text = file.read_text(encoding="utf-8")
    for good, bad in FAULTS:
        if good not in text:
            raise ValueError(f"the page has no {good!r} that could be made faulty")
        text = text.replace(good, bad)
    faulty = file.with_name("faulty.html")
    faulty.write_text(text, encoding="utf-8")
    _, found = _violations(real, faulty, script, width=1280, dark=False)
    known = {rule: count for _, rule, count, _ in found}
    rows = [(rule, str(known.get(rule, 0)), "found" if rule in known else "NOT found") for rule in RULES]
    return Table(title="axe on a page with faults", columns=("fault", "times", ""), rows=tuple(rows))


def _violations(
    real: Browser, file: Path, script: Path, *, width: int, dark: bool
) -> tuple[int, list[tuple[str, str, int, str]]]:
    """How many rules a page keeps; and of each that it breaks its impact, its name, how often, an example."""
    real.open(file, width=width, dark=dark)
    complete(real)
    real.value(f"{script.read_text(encoding='utf-8')};0")
    passed, found = json.loads(
        real.value(
            "axe.run().then(all => JSON.stringify([all.passes.length, all.violations.map(one => "
            "[one.impact, one.id, one.nodes.length, one.nodes[0].html.slice(0, 90)])]))"
        )
    )
    return passed, [(impact, rule, count, example) for impact, rule, count, example in found]


def lighthouse(files: dict[str, Path], into: Path, modules: Path) -> Table:
    """Lighthouse's scores of each page, served on loopback."""
    handler, rows = functools.partial(_Silent, directory=str(into)), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, file in files.items():
            for device in ("desktop", "phone"):
                url = f"http://127.0.0.1:{server.server_port}/{file.name}"
                rows.append((name, device, *_scores(url, device, modules)))
        server.shutdown()
    return Table(title="Lighthouse, of 100", columns=("page", "", *CATEGORIES, "found"), rows=tuple(rows))


def _scores(url: str, device: str, modules: Path) -> tuple[str, ...]:
    """The score of each category, and what keeps accessibility and best practices from being whole."""
    command = [
        str(shutil.which("node")),
        str(modules / "lighthouse/cli/index.js"),
        url,
        "--output=json",
        "--quiet",
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-path={browser()}",
        "--chrome-flags=--headless --no-sandbox --disable-gpu",
        *(("--preset=desktop",) if device == "desktop" else ()),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    scores = [report["categories"][one]["score"] for one in CATEGORIES]
    wrong = [
        one["id"]
        for category in CATEGORIES[1:]
        for one in report["categories"][category]["auditRefs"]
        if (report["audits"][one["id"]]["score"] or 0.0) < 1.0 and report["audits"][one["id"]]["scoreDisplayMode"] == "binary"
    ]
    # No score is not a score of zero.
    return *(NOT_MEASURED if score is None else f"{100.0 * score:.0f}" for score in scores), ", ".join(wrong) or "nothing"


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    main()
