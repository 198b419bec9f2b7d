"""The executive summary says in one page whether to ship, and nothing that the run has not shown."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from tests.report.examples import EXAMPLES, SITUATIONS
from tests.report.formats.test_page import Page
from tests.report.hostile import hostile
from velro_gate.report.formats.executive import (
    MOST_FIGURES,
    MOST_TODO,
    executive_html,
    executive_json,
    executive_markdown,
    executive_schema,
    executive_view,
)

VALIDATOR = jsonschema.Draft202012Validator(executive_schema())


@pytest.fixture(params=sorted(EXAMPLES), scope="module")
def example(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_the_page_is_well_formed_needs_nothing_else_and_has_every_part(example: str) -> None:
    text = executive_html(*EXAMPLES[example]())
    page = Page(text)
    assert page.tags.count("h1") == 1
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert re.findall(r"<h2>([^<]+)", text) == ["Key figures", "Trend", "Business impact", "What to do"]
    assert not re.search(r"\b(None|nan|inf|Undefined)\b", " ".join(page.words))
    assert len(text.encode()) < 30_000


def test_the_document_agrees_with_the_page(example: str) -> None:
    made = EXAMPLES[example]()
    document = json.loads(executive_json(*made))
    words = " ".join(" ".join(Page(executive_html(*made)).words).split())
    for said in (*document["trend"], *document["todo"], document["impact_sentence"], document["why_no_score"]):
        assert " ".join(said.split()) in words
    assert document["verdict"] == made[1].level.word


def test_there_are_at_most_eight_figures_and_three_things_to_do(example: str) -> None:
    view = executive_view(*EXAMPLES[example]())
    assert 1 <= len(view.figures) <= MOST_FIGURES
    assert 1 <= len(view.todo) <= MOST_TODO


def test_every_requirement_that_fails_a_run_is_among_the_figures() -> None:
    view = executive_view(*EXAMPLES["fail-both"]())
    assert any(row.status in ("missed", "critical") for row in view.figures)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pass", "Ready for production"),
        ("inconclusive", "Ready with reservations"),
        ("fail-missed", "Not ready for production"),
        ("fail-regression", "Not ready for production"),
        ("broken", "Readiness is not established"),
        ("no-baseline", "Readiness is not established"),
    ],
)
def test_readiness_is_the_first_thing_said(name: str, words: str) -> None:
    text = executive_html(*EXAMPLES[name]())
    assert re.search(r"<h1><span[^>]*>([^<]+)", text).group(1) == words  # type: ignore[union-attr]
    assert executive_markdown(*EXAMPLES[name]()).startswith(f"### Executive summary: {words}\n")


def test_a_pinned_release_that_is_left_behind_is_part_of_the_trend() -> None:
    assert any("v1.4.0" in said for said in executive_view(*EXAMPLES["warn-drift"]()).trend)


def test_a_duet_names_the_base_build_in_its_trend() -> None:
    assert "the base build" in executive_view(*EXAMPLES["duet-fail"]()).trend[0]


def test_without_baselines_there_is_no_trend() -> None:
    assert executive_view(*EXAMPLES["no-baseline-first"]()).trend == [
        "There is no accepted run to compare with, so there is no trend."
    ]


def test_text_from_outside_stays_text() -> None:
    page = Page(executive_html(*hostile().made))
    assert not {"script", "img", "b", "i", "a"} & set(page.tags)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_section_of_the_job_summary_has_no_empty_list_item_and_one_table(name: str) -> None:
    text = executive_markdown(*EXAMPLES[name]())
    assert not re.search(r"^1\.\s*$", text, re.MULTILINE)
    assert text.count("|:--|--:|--:|:--|") == 1


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_document_keeps_the_published_schema(name: str) -> None:
    document = json.loads(executive_json(*EXAMPLES[name]()))
    VALIDATOR.validate(document)


def test_each_thing_to_do_says_what_it_is_about() -> None:
    first = executive_view(*EXAMPLES["fail-both"]()).todo[0]
    assert "p95 of all requests" in first
    assert first.index("p95 of all requests") < first.index("Fix this")
