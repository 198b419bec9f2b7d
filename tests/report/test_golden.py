"""Reports look as their golden files, but for the last digits of full precision; 'python -m tests.report.golden --write' writes
them again.

The examples hold every situation that the reports have words for, and each verdict in them is the judge's.
"""

from __future__ import annotations

import csv
import difflib
import io
import json

import jsonschema
import pytest

from tests.report.examples import EXAMPLES, SITUATIONS
from tests.report.golden import COMMENTS, FOLDER, cases, golden, rendered, stable
from velro_gate.model.facts.unused import WhyUnused
from velro_gate.model.verdict import Change, Comparison, Level, RequirementStatus, Trust
from velro_gate.report.formats.schema import verdict_schema
from velro_gate.report.formats.table import COLUMNS
from velro_gate.report.sentences.findings import words
from velro_gate.report.sentences.reasons import row_reason

VALIDATOR = jsonschema.Draft202012Validator(verdict_schema())


@pytest.mark.slow
@pytest.mark.parametrize(("example", "ending"), cases())
def test_a_renderer_makes_exactly_the_golden_file(example: str, ending: str) -> None:
    expected = stable(golden(example, ending).read_text(encoding="utf-8"))
    made = stable(rendered(example, ending))
    difference = "\n".join(
        list(difflib.unified_diff(expected.splitlines(), made.splitlines(), "golden", "made", lineterm=""))[:40]
    )
    assert made == expected, difference


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{example}.{ending}" for example, ending in cases()}


@pytest.mark.parametrize("example", SITUATIONS)
def test_the_judge_gives_every_example_the_level_that_it_is_named_for(example: str) -> None:
    assert example.removeprefix("duet-").startswith(SITUATIONS[example]().verdict.level.word)


def test_every_level_of_a_verdict_has_an_example() -> None:
    assert {make()[1].level for make in EXAMPLES.values()} == set(Level)


def test_every_way_in_which_a_requirement_fares_has_an_example() -> None:
    shown = {(one.status, one.met) for make in EXAMPLES.values() for one in make()[1].requirements}
    assert shown == {
        (RequirementStatus.MET, True),
        (RequirementStatus.MARGINAL, True),
        (RequirementStatus.MARGINAL, False),
        (RequirementStatus.MISSED, False),
        (RequirementStatus.CRITICAL, False),
        (RequirementStatus.NOT_MEASURED, False),
    }


def compared() -> list[Comparison]:
    return [row for make in EXAMPLES.values() for row in make()[1].comparisons]


def test_every_finding_of_a_comparison_has_an_example_with_baselines_and_in_a_duet() -> None:
    assert {row.verdict for row in compared() if not row.pairs} == set(Change)
    assert {row.verdict for row in compared() if row.pairs} == set(Change) - {Change.IMPROVEMENT, Change.NOT_COMPARED}


def test_every_level_that_a_comparison_can_have_has_an_example() -> None:
    assert {row.level for row in compared() if row.primary} == set(Level)
    assert {row.level for row in compared() if not row.primary} == {Level.PASS, Level.WARN}


def test_confirmations_by_runs_and_by_pairs_waivers_and_withheld_improvements_have_an_example() -> None:
    known = [row.confirmation for row in compared() if row.confirmation is not None]
    assert {(one.side_by_side, one.confirmed) for one in known} == {(True, True), (True, False), (False, True), (False, False)}
    looked_at_again = {row.verdict for row in compared() if row.confirmation is not None and row.runs}
    assert looked_at_again == {Change.REGRESSION, Change.SUSPICIOUS, Change.INCONCLUSIVE, Change.UNCHANGED}
    assert any(row.waived for row in compared())
    assert any("not called an improvement" in row_reason(row) for row in compared())


def test_both_weights_of_doubt_explanations_quarantine_drift_and_a_missing_duet_have_an_example() -> None:
    verdicts = [make()[1] for make in EXAMPLES.values()]
    assert {doubt.trust for verdict in verdicts for doubt in verdict.trust} == set(Trust)
    assert any(doubt.code == "no-duet" for verdict in verdicts for doubt in verdict.trust)
    assert any(verdict.explanations for verdict in verdicts)
    assert any(one.why is WhyUnused.QUARANTINED for verdict in verdicts for one in verdict.baselines_skipped)
    reported = [words(finding).sentence for verdict in verdicts for finding in verdict.findings if finding.subject == "main"]
    assert any("main itself became worse" in said for said in reported)
    assert any("pinned release v1.4.0" in said for said in reported)


@pytest.mark.parametrize("example", SITUATIONS)
def test_every_finding_but_that_all_is_well_says_what_to_do(example: str) -> None:
    assert all(words(one).advice for one in SITUATIONS[example]().verdict.findings if one.level > Level.PASS)


@pytest.mark.slow
@pytest.mark.parametrize("example", COMMENTS)
def test_every_document_keeps_the_published_schema(example: str) -> None:
    document = json.loads(rendered(example, "json"))
    VALIDATOR.validate(document)


@pytest.mark.parametrize("example", COMMENTS)
def test_every_row_of_a_table_has_the_documented_columns_and_numbers_where_figures_stand(example: str) -> None:
    head, *lines = csv.reader(io.StringIO(rendered(example, "csv")))
    assert tuple(head) == COLUMNS
    assert lines
    for line in lines:
        assert len(line) == len(COLUMNS)
        row = dict(zip(COLUMNS, line, strict=True))
        for column in (
            "value",
            "low",
            "high",
            "n",
            "target",
            "critical",
            "change",
            "p",
            "p_adjusted",
            "noise",
            "mde",
            "margin",
        ):
            if row[column] not in ("", "not measured"):
                float(row[column])
