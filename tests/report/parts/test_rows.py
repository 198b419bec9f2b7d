"""Rows say what was found, and look it."""

from __future__ import annotations

import dataclasses

import pytest

from tests.report import examples
from tests.report.golden import shown
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Change, Comparison, Level, Verdict
from velro_gate.report.formats import page
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import COLOURS, terminal
from velro_gate.report.parts.rows import GLYPHS, OPEN, comparison_row, worst_comparisons

GREEN = (GLYPHS[Level.PASS], "🟢")


def row(verdict: Change, level: Level = Level.PASS) -> Comparison:
    return Comparison(
        phase="steady",
        step="all",
        metric="p99",
        verdict=verdict,
        primary=False,
        level=level,
        baseline=0.02,
        current=0.021,
        change=0.05,
        change_low=-0.1,
        change_high=0.2,
        k=6,
    )


@pytest.mark.parametrize("verdict", [Change.INCONCLUSIVE, Change.NOT_COMPARED])
def test_what_was_not_found_out_is_not_green_though_it_blocks_nothing(verdict: Change) -> None:
    made = comparison_row(row(verdict))
    assert made.glyph not in GREEN
    assert made.tone == OPEN
    assert COLOURS[made.tone] != COLOURS[Level.PASS.word]


@pytest.mark.parametrize("verdict", [Change.UNCHANGED, Change.IMPROVEMENT])
def test_what_was_shown_to_be_no_worse_is_green(verdict: Change) -> None:
    made = comparison_row(row(verdict))
    assert made.glyph in GREEN
    assert made.tone == Level.PASS.word


@pytest.mark.parametrize("level", [Level.WARN, Level.NO_BASELINE, Level.INCONCLUSIVE])
def test_an_open_row_that_counts_keeps_the_sign_of_its_level(level: Level) -> None:
    assert comparison_row(row(Change.INCONCLUSIVE, level)).glyph == GLYPHS[level]


def with_open_rows() -> tuple[RunRecord, Verdict]:
    record, verdict = examples.EXAMPLES["pass"]()
    return record, dataclasses.replace(verdict, comparisons=(row(Change.INCONCLUSIVE), row(Change.NOT_COMPARED)))


def test_no_report_gives_an_open_row_a_green_sign() -> None:
    record, verdict = with_open_rows()
    comment = markdown(record, verdict).replace("\xa0", " ")
    lines = [line for line in comment.splitlines() if "inconclusive |" in line or "not compared |" in line]
    assert len(lines) == 2
    assert not [line for line in lines if any(sign in line for sign in GREEN)]
    html = page.html(record, verdict)
    assert '<span class="status open">inconclusive</span>' in html
    assert '<span class="status open">not compared</span>' in html
    assert "status pass" not in "".join(part for part in html.split("<tr>") if ">inconclusive<" in part)
    assert "✅" not in shown(terminal(record, verdict))


@pytest.mark.parametrize(
    ("primary", "level", "reported"), [(True, Level.WARN, True), (False, Level.WARN, False), (True, Level.NO_BASELINE, False)]
)
def test_a_primary_figure_that_was_not_compared_is_shown_by_name(primary: bool, level: Level, reported: bool) -> None:
    row = Comparison(
        phase="load",
        step="all",
        metric="p95",
        verdict=Change.NOT_COMPARED,
        primary=primary,
        level=level,
        reasons=(Worded(code="x", sentence="too few"),),
    )
    assert (row in worst_comparisons([row])) is reported
