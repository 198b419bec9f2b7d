"""The HTML pages in a real Chromium, on a phone and on a desk."""

from __future__ import annotations

import re

import pytest

from tests.browser import Opened, opened
from tests.report.examples import EXAMPLES
from tests.report.records import measured, record
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.charts.trend import Mark, TrendEvent, TrendGroup, TrendPoint, TrendSeries
from velro_gate.report.formats.executive import executive_html
from velro_gate.report.formats.page import html
from velro_gate.report.printed.trend_page import trend_html

PHONE, DESK = 375, 1280


@pytest.fixture(scope="module")
def pages() -> Opened:
    full = measured(record(), 2)
    # With pictures: the interactive charts have tests of their own (tests/report/charts).
    made = {name: pictures(html(*EXAMPLES[name]())) for name in ("fail-both", "broken", "duet-fail", "warn-waived")}
    made |= {f"executive {name}": executive_html(*EXAMPLES[name]()) for name in ("fail-both", "pass")}
    return opened({"all phases": pictures(html(full, judge(full, ()))), "trend": trend_html(groups()), **made}, (PHONE, DESK))


def pictures(page: str) -> str:
    """A page as one sees it without scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def groups() -> tuple[TrendGroup, ...]:
    points = tuple(
        TrendPoint(
            run=f"run-{number}",
            started_at=f"2026-11-{number + 1:02}T12:00:00Z",
            revision="4c1d9e07a2b8",
            value=0.06 if number < 12 else 0.07,
            quarantined="too slow" if number == 15 else "",
            marks=(Mark(event=TrendEvent.WORSE, change=0.17),) if number == 12 else (),
        )
        for number in range(20)
    )
    series = tuple(
        TrendSeries(phase=phase, step="all", metric=metric, points=points)
        for metric in ("p95", "hit_rate")
        for phase in ("warm_up_baseline", "prd_compliance_validation", "stress_test")
    )
    return (TrendGroup(scenario="velro-prd", profile="full", runner="perf-runner-1", environment="0" * 12, series=series),)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_overflows_the_page_is_cut_or_too_small_to_read(pages: Opened, width: int) -> None:
    assert {one.page: one.wrong for one in pages.layouts if one.width == width and one.wrong} == {}


def test_charts_fill_a_phone_and_stand_side_by_side_on_a_desk(pages: Opened) -> None:
    narrowest = {one.width: one.narrowest for one in pages.layouts if one.page == "all phases"}
    assert narrowest[PHONE] is not None
    assert narrowest[PHONE] > 260.0
    assert narrowest[DESK] is not None
    assert narrowest[DESK] < 260.0


def test_the_console_stays_empty(pages: Opened) -> None:
    assert pages.console == ()


def test_the_browser_finds_a_page_that_is_too_wide_and_a_drawing_that_is_wrong() -> None:
    broken = '<p style="width:2000px">wide</p><svg viewBox="0 0 9 9"><path d="M0 nan"/></svg>'
    found = opened({"broken": f"<!doctype html><body>{broken}</body>"}, (PHONE,))
    assert any("px wide" in said for said in found.layouts[0].wrong)
    assert any("attribute d" in line for line in found.console)
