"""The interactive charts in a real Chromium: an hour's run, opened from a file, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devtools import Browser
from tests.report.charts.series import timeline
from tests.report.examples import SITUATIONS
from tests.report.hostile import hostile
from tests.report.records import accepted, measured, record
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.charts.timeline import ChartData
from velro_gate.report.formats.page import html

READY = "document.documentElement.dataset.charts === 'ready'"
LIMIT = 2_500_000
"""Bytes that a page may have."""

PLOTS = "Bokeh.documents[Bokeh.documents.length - 1].roots()"
RANGES = f"{PLOTS}.filter(one => one.x_scale.type !== 'LogScale').map(one => [one.x_range.start, one.x_range.end])"
DRAWN = """(() => {
  const own = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const painted = canvas => {
    Object.assign(own.canvas, {width: canvas.width, height: canvas.height});
    own.drawImage(canvas, 0, 0);
    return own.getImageData(0, 0, canvas.width, canvas.height).data.some(value => value);
  };
  const seek = root => [...root.querySelectorAll("*")].some(one => one.tagName === "CANVAS" && painted(one)
    || one.shadowRoot && seek(one.shadowRoot));
  return [...document.querySelectorAll("figure[data-chart]")].map(figure => seek(figure.querySelector(".canvas")));
})()"""
"""Of each chart, whether something is drawn."""
INSIDE = """(() => {
  const found = [], seek = root => { for (const one of root.querySelectorAll("*")) {
    if (one.classList.contains("bk-Tooltip")) found.push(one);
    if (one.shadowRoot) seek(one.shadowRoot);
  } };
  seek(document);
  return found.map(one => (one.shadowRoot ?? one).textContent).join(" | ");
})()"""
"""What the boxes next to the pointer say."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as made:
        yield made


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of an hour, with everything that it can have."""
    run = measured(record(error_rate=0.002), 2)
    before = accepted(4, run)
    page = html(run, judge(run, before), ChartData(timeline=timeline(run), history=before))
    file = tmp_path_factory.mktemp("pages") / "hour.html"
    file.write_text(page, encoding="utf-8")
    return file


def place(browser: Browser, chart: int, share: float = 0.5) -> tuple[float, float]:
    """A place inside of a chart, scrolled into view."""
    found = browser.value(
        f"(() => {{ const one = document.querySelector('figure[data-chart=\"{chart}\"] .canvas');"
        " one.scrollIntoView({block: 'center'});"
        " const box = one.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; })()"
    )
    left, top, width, height = found
    return left + 60.0 + (width - 70.0) * share, top + height / 2.0


@pytest.mark.slow
def test_the_page_of_an_hour_is_small_opens_offline_and_says_nothing(browser: Browser, hour: Path) -> None:
    assert hour.stat().st_size < LIMIT
    for width, dark in ((1280, False), (375, True)):
        browser.open(hour, width=width, dark=dark)
        browser.until(READY)
        assert [one for one in browser.requests if not one.startswith(("file:", "data:", "blob:"))] == []
        assert browser.console == []
        assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        # Verdict and first chart on one screen.
        assert browser.value("document.querySelector('figure[data-chart]').getBoundingClientRect().top") < 800
        assert browser.value("getComputedStyle(document.querySelector('.pictures')).display") == "none"


@pytest.mark.slow
def test_the_first_chart_is_drawn_when_the_page_is_opened_and_the_others_as_they_come_near(
    browser: Browser, hour: Path
) -> None:
    browser.open(hour, width=1280)
    browser.until(READY)
    first, *others = browser.value(DRAWN)
    assert first
    assert not all(others)
    # It can be used at once, and a step can be chosen of a chart that is not there yet.
    x, y = place(browser, 0)
    browser.pointer("mouseMoved", x, y)
    browser.pointer("mouseMoved", x + 3, y)
    browser.until(f"{INSIDE}.includes('successful: ')")
    last = "[...document.querySelectorAll('figure[data-chart]:has(select)')].pop()"
    assert browser.value(f"{last}.querySelector('.line-key')") is None
    browser.value(f"(() => {{ const choice = {last}.querySelector('select'); choice.selectedIndex = 1; choice.focus(); }})()")
    browser.until(f"{last}.querySelector('.line-key')")
    chosen = browser.value(f"Number({last}.dataset.chart)")
    wanted = f"JSON.parse(document.getElementById('chart-data').textContent).charts[{chosen}].views[1].lines[0].y"
    given = f"{PLOTS}.flatMap(plot => plot.renderers).map(one => JSON.stringify([...(one.data_source.data.y ?? [])]))"
    assert browser.value(f"{given}.includes(JSON.stringify({wanted}))")
    browser.until(f"{DRAWN}[{chosen}]")
    assert browser.console == []


@pytest.mark.slow
def test_charts_answer_to_pointer_buttons_and_choices(browser: Browser, hour: Path) -> None:
    browser.open(hour, width=1280)
    browser.until(READY)
    x, y = place(browser, 0)
    browser.pointer("mouseMoved", x, y)
    browser.pointer("mouseMoved", x + 3, y)
    browser.until(f"{INSIDE}.includes('successful: ')")
    browser.until(f"{RANGES}.length >= 2")
    whole = browser.value(RANGES)
    assert whole.count(whole[0]) == len(whole)

    browser.value("document.querySelector('[data-move=in]').click()")
    browser.until(f"{RANGES}.every(([start, end]) => end - start < {(whole[0][1] - whole[0][0]) * 0.6})")
    browser.value("document.querySelector('[data-move=whole]').click()")
    browser.until(f"JSON.stringify({RANGES}[0]) === JSON.stringify({whole[0]})")

    start, end = place(browser, 1, 0.3), place(browser, 1, 0.6)
    browser.pointer("mouseMoved", *start)
    browser.pointer("mousePressed", *start)
    for step in (0.3, 0.6, 1.0):
        browser.pointer("mouseMoved", start[0] + (end[0] - start[0]) * step, start[1], pressed=True)
    browser.pointer("mouseReleased", *end)
    browser.until(f"{RANGES}.every(([start, end]) => end - start < {(whole[0][1] - whole[0][0]) * 0.6})")

    chosen = "document.querySelector('figure[data-chart=\"1\"] select')"
    before = browser.value(f"{PLOTS}[1].renderers.filter(one => one.visible).map(one => one.data_source.data.y?.[3])")
    browser.value(f"(() => {{ {chosen}.value = '2'; {chosen}.dispatchEvent(new Event('change')); }})()")
    after = browser.value(f"{PLOTS}[1].renderers.filter(one => one.visible).map(one => one.data_source.data.y?.[3])")
    assert before != after

    key = "document.querySelector('figure[data-chart=\"1\"] .line-key')"
    browser.value(f"{key}.click()")
    assert browser.value(f"{key}.getAttribute('aria-pressed')") == "false"
    browser.value("document.querySelector('figure[data-chart=\"0\"]').scrollIntoView()")
    for chart in range(browser.value("document.querySelectorAll('figure[data-chart]').length")):
        place(browser, chart)
        browser.until(f"document.querySelector('figure[data-chart=\"{chart}\"] .canvas').childElementCount > 0")
    assert browser.console == []


@pytest.mark.slow
def test_hostile_names_are_shown_as_text_and_run_nothing(browser: Browser, tmp_path: Path) -> None:
    example = hostile()
    file = tmp_path / "hostile.html"
    file.write_text(html(example.run, example.verdict, ChartData(timeline=timeline(example.run))), encoding="utf-8")
    browser.open(file, width=1280)
    browser.until(READY)
    x, y = place(browser, 0)
    browser.pointer("mouseMoved", x, y)
    browser.pointer("mouseMoved", x + 3, y)
    browser.until(f"{INSIDE}.includes('<script>alert(1)</script>')")
    assert browser.value("document.querySelectorAll('script').length") == 3
    assert browser.console == []


@pytest.mark.slow
def test_without_scripts_and_on_paper_the_pictures_stand_in_their_place(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "plain.html"
    file.write_text(html(*SITUATIONS["pass"]().made), encoding="utf-8")
    shown = "['.pictures', '.interactive'].map(one => getComputedStyle(document.querySelector(one)).display)"
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(file, width=375)
    assert browser.value(shown) == ["block", "none"]
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(file, width=1280)
    browser.until(READY)
    assert browser.value(shown) == ["none", "block"]
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value(shown) == ["block", "none"]
    browser.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.slow
def test_paper_shows_every_chart_as_it_is_chosen(browser: Browser, hour: Path) -> None:
    browser.open(hour, width=718, dark=True)
    browser.until(READY)
    last = "[...document.querySelectorAll('figure[data-chart]:has(select)')].pop()"
    browser.value(f"{last}.querySelector('select').selectedIndex = 1")
    browser.call("Page.printToPDF", printBackground=True)
    drawn = "[...document.querySelectorAll('.paper figure')]"
    assert browser.value(f"{drawn}.length") + 4 == browser.value("document.querySelectorAll('figure[data-chart]').length")
    assert browser.value(f"{drawn}.every(one => /^M[\\d.]/.test(one.querySelector('path:not(.grid)').getAttribute('d')))")
    assert browser.value(
        f"{drawn}.pop().querySelector('.name').textContent === {last}.querySelector('select').selectedOptions[0].text"
    )
    shown = "['.paper', '.pictures', '.interactive'].map(one => getComputedStyle(document.querySelector(one)).display)"
    assert browser.value(shown) == ["none", "none", "block"]
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.value(shown) == ["block", "block", "none"]
    browser.call("Emulation.setEmulatedMedia", media="")
    assert browser.console == []
