"""The comment: what a reviewer reads first comes first, it always fits, and nothing from outside does anything in it."""

from __future__ import annotations

import dataclasses
import re
from functools import cache

import pytest
from markdown_it import MarkdownIt

from tests.report.examples import EXAMPLES
from tests.report.hostile import NAME, SENTENCE, crowded, hostile
from tests.report.records import record
from velro_gate.model.facts.doubts import Worded
from velro_gate.model.verdict import Change, Finding, Level, Verdict
from velro_gate.report.formats.comment import DETAILS, LIMIT, markdown, marker_of

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
ORDER = (
    "### ",
    "#### Requirements",
    "#### Compared with the baselines",
    "#### Trust",
    "#### What to do next",
    "<details><summary>All phases",
)


@pytest.fixture(params=sorted(EXAMPLES), scope="module")
def comment(request: pytest.FixtureRequest) -> str:
    return markdown(*EXAMPLES[request.param]())


@pytest.mark.slow
def test_the_first_line_is_the_hidden_marker_of_scenario_and_profile(comment: str) -> None:
    assert re.fullmatch(r"<!-- velro-gate:velro-prd/(full|pr) -->", comment.splitlines()[0])


def test_the_marker_can_be_asked_for_by_itself() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert markdown(run, verdict).startswith(marker_of(run.plan) + "\n")


def test_the_parts_come_in_the_order_of_their_importance(comment: str) -> None:
    # A duet is told apart from a comparison with main.
    next_to = comment.replace("#### Head and base side by side", "#### Compared with the baselines")
    places = [next_to.index(part) for part in ORDER]
    assert places == sorted(places)


def test_the_title_says_whether_anyone_has_to_read_on(comment: str) -> None:
    assert re.search(r"(please read|no action needed|could have missed up to \d+\s%)$", comment.splitlines()[1])


@pytest.mark.slow
def test_everything_is_rendered_as_the_tables_and_lists_it_is_meant_to_be(comment: str) -> None:
    rendered = GITHUB.render(comment)
    assert rendered.count("<table") == comment.count("\n|:--|")  # every delimiter row made a table
    assert not re.search(r"<p>[^<]*\|[^<]*\|", rendered)  # no row fell out of its table
    assert rendered.count("<details") == rendered.count("</details>")


def test_every_table_row_has_the_cells_of_its_header(comment: str) -> None:
    width = 0
    for line in comment.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        width = width or cells
        assert cells == width, line


def test_no_figure_is_empty(comment: str) -> None:
    rows = [line for line in comment.splitlines() if line.startswith("|") and not line.startswith("| **")]
    assert not [line for line in rows if re.search(r"\|\s*\|", line)]
    assert "None" not in comment
    assert "nan" not in comment


def test_no_more_than_one_empty_line_separates_two_parts(comment: str) -> None:
    assert "\n\n\n" not in comment


def test_what_was_not_measured_says_so() -> None:
    text = markdown(*EXAMPLES["broken"]())
    row = next(line for line in text.splitlines() if line.startswith("| database connections"))
    assert row.count("not\u00a0measured") == 2


def test_a_run_without_baseline_says_so_and_shows_no_comparison_rows() -> None:
    text = markdown(*EXAMPLES["no-baseline-first"]())
    assert "#### Compared with the baselines: no baseline yet, so nothing was compared" in text
    section = text[text.index("#### Compared") : text.index("#### Trust")]
    assert "|" not in section


def test_an_unchanged_run_counts_its_rows_instead_of_listing_them() -> None:
    text = markdown(*EXAMPLES["pass"]())
    section = text[text.index("#### Compared") : text.index("#### Trust")]
    assert "16 of 16 compared rows unchanged" in section
    assert "|" not in section


def test_only_rows_that_changed_are_shown_open() -> None:
    run, verdict = EXAMPLES["fail-regression"]()
    text = markdown(run, verdict)
    section = text[text.index("#### Compared") : text.index("#### Trust")]
    assert section.count("regression") == sum(row.verdict is Change.REGRESSION for row in verdict.comparisons)
    assert "unchanged |" not in section


def test_a_scaled_profile_says_once_that_it_does_not_prove_the_prd() -> None:
    text = markdown(*EXAMPLES["no-baseline"]())
    assert text.count("this run does not prove the PRD") == 1
    assert "users held: 1,000 instead of 10,000" in text


def test_an_unscaled_profile_does_not_mention_scaling(comment: str) -> None:
    assert ("does not prove" in comment) is ("velro-prd/pr" in comment.splitlines()[0])


def test_links_are_shown_and_a_strange_address_loses_its_link() -> None:
    text = markdown(*EXAMPLES["pass"](), links={"Report": "https://ci.example/1", "Bad": "javascript:alert(1)"})
    assert "[Report](<https://ci.example/1>) · Bad" in text
    assert "javascript" not in text


def test_without_links_there_is_no_line_for_them(comment: str) -> None:
    assert "](" not in comment


def test_the_same_input_gives_the_same_comment() -> None:
    assert markdown(*EXAMPLES["pass"]()) == markdown(*EXAMPLES["pass"]())


# The one truncation rule.


@cache
def cut(count: int) -> str:
    return markdown(*crowded(count).made)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 50, 300, 2_000])
def test_a_comment_never_exceeds_its_limit(count: int) -> None:
    text = cut(count)
    assert len(text) <= LIMIT
    assert text.startswith("<!-- velro-gate:")
    assert "### ❌ velro-gate: fail, please read" in text


@pytest.mark.slow
@pytest.mark.parametrize("length", [1_000, 20_000])
def test_not_even_endless_sentences_make_it_too_long(length: int) -> None:
    assert len(markdown(*crowded(40, "x" * length).made)) <= LIMIT


def test_details_are_dropped_before_any_requirement() -> None:
    text = cut(300)
    assert sum(line.startswith("| p95 of `a_rather") and "missed" in line for line in text.splitlines()) == 300
    assert "Some details are left out here" in text


def test_the_last_details_are_dropped_first() -> None:
    titles = {
        "steps": "Every step",
        "answers": "Status codes",
        "comparisons": "comparison rows",
        "method": "How this was measured",
    }
    kept = set(DETAILS) & {key for key, title in titles.items() if f"{title}" in cut(200)}
    assert kept
    assert "steps" not in kept
    order = [key for key in DETAILS if key in titles]
    assert [key for key in order if key in kept] == order[: len(kept)]


@pytest.mark.slow
def test_rows_that_had_to_go_are_counted() -> None:
    text = cut(2_000)
    shown = sum(line.startswith("| p95 of `a_rather") and "missed" in line for line in text.splitlines())
    assert shown > 0
    assert f"{2_000 - shown} more requirements: see report.csv in the results." in text


def test_a_comment_that_fits_drops_nothing(comment: str) -> None:
    assert "left out" not in comment
    assert all(f"<summary>{title}" in comment for title in ("All phases", "All findings", "How this was measured"))


# Text from outside.


def test_no_text_from_outside_becomes_markup_a_link_or_a_mention() -> None:
    text = markdown(*hostile().made)
    rendered = GITHUB.render(text)
    assert "<script" not in rendered
    assert "<img" not in rendered
    assert "<a " not in rendered
    assert not re.search(r"@(everyone|team|me)\b", re.sub(r"`[^`]*`", "", text))  # GitHub mentions nobody from a code span
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_hostile_names_do_not_break_the_tables_and_the_marker_stays_one_comment() -> None:
    text = markdown(*hostile().made)
    rendered = GITHUB.render(text)
    assert rendered.count("<table") == text.count("\n|:--|")
    assert text.splitlines()[0] == "<!-- velro-gate:x-b/team -->"


def test_hostile_text_is_still_shown() -> None:
    rendered = GITHUB.render(markdown(*hostile().made))
    assert "&lt;script&gt;" in rendered
    assert NAME.split("|")[0] in rendered
    assert SENTENCE[:9] in rendered.replace("\u200b", "")


def test_a_verdict_without_findings_is_broken_and_says_so() -> None:
    text = markdown(record(), Verdict(findings=()))
    assert "broken measurement, please read" in text
    assert "Nothing was found out about this run." in text


def test_a_plan_without_requirements_says_so() -> None:
    verdict = Verdict(findings=(Finding(level=Level.PASS, subject="run", facts=Worded(code="x", sentence="Fine.")),))
    assert "#### Requirements: the plan has none" in markdown(record(), verdict)


def test_the_same_advice_is_given_once() -> None:
    finding = Finding(level=Level.WARN, subject="a", facts=Worded(code="x", sentence="One.", advice="Do it."))
    verdict = Verdict(
        findings=(finding, dataclasses.replace(finding, facts=Worded(code="x", sentence="Two.", advice="Do it."))),
        requirements=EXAMPLES["pass"]()[1].requirements,
    )
    section = markdown(record(), verdict).split("#### What to do next")[1].split("<details>")[0]
    assert section.count("Do it.") == 1
    assert "One." in section
    assert "Two." in section
