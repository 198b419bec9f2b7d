"""What the reports say of a duet: builds and pairs, never baselines."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from tests.report.duets import judged
from tests.report.examples import EXAMPLES
from tests.report.golden import shown
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Level, Verdict
from velro_gate.report.formats import table
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.console import terminal
from velro_gate.report.formats.document import verdict_json
from velro_gate.report.formats.page import html

DUETS = [name for name in EXAMPLES if name.startswith("duet")]


@pytest.fixture(params=DUETS, scope="module")
def made(request: pytest.FixtureRequest) -> tuple[RunRecord, Verdict]:
    return EXAMPLES[request.param]()


def test_no_report_of_a_duet_speaks_of_baselines(made: tuple[RunRecord, Verdict]) -> None:
    assert "baseline" not in markdown(*made).lower()
    assert "baseline" not in shown(terminal(*made)).lower()
    assert "baseline" not in re.sub(r"<script>.*?</script>", "", html(*made).split("</style>")[1], flags=re.DOTALL).lower()


def test_the_tables_are_headed_by_the_builds(made: tuple[RunRecord, Verdict]) -> None:
    assert "| Figure | Base build | Head build |" in markdown(*made)
    assert '<th class="n">Base build</th><th class="n">Head build</th>' in html(*made)


def test_the_trust_line_shows_pairs_order_and_control(made: tuple[RunRecord, Verdict]) -> None:
    text = shown(terminal(*made), width=10_000)
    assert " used of 15 s blocks after 4 s of warm-up, order drawn by seed 20241; control endpoint " in text
    assert "base build main b7d2f0c95a1e; " in text


def test_the_method_is_that_of_pairs(made: tuple[RunRecord, Verdict]) -> None:
    assert "an exact test over the signs of the pairs" in markdown(*made)
    assert "restarted for each block" in html(*made)


def test_the_document_holds_how_the_pairs_were_made(made: tuple[RunRecord, Verdict]) -> None:
    document = json.loads(verdict_json(*made))
    assert document["duet"]["seed"] == 20_241
    assert document["duet"]["pairs"] in (10, 16)
    assert {row["pairs"] for row in document["comparisons"]} == {document["duet"]["pairs"]}


def test_the_table_counts_the_pairs_of_each_row(made: tuple[RunRecord, Verdict]) -> None:
    rows = [row for row in csv.DictReader(io.StringIO(table.csv(*made))) if row["comparison"]]
    assert {row["pairs"] for row in rows} <= {"10", "16"}
    assert {row["baselines"] for row in rows} == {"0"}


def test_a_duet_without_a_pair_says_that_nothing_was_compared() -> None:
    run, verdict = judged(pairs=0, interrupted=True)
    assert verdict.level is Level.BROKEN
    assert "side by side: nothing was compared" in markdown(run, verdict)
    assert "0 used" in shown(terminal(run, verdict))
