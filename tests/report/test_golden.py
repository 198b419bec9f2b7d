"""Every example looks, byte for byte, as its golden file; 'python -m tests.report.golden --write' writes them anew."""

from __future__ import annotations

import difflib
import json

import jsonschema
import pytest

from tests.report.examples import EXAMPLES
from tests.report.golden import FOLDER, RENDERERS, cases, golden
from velro_gate import report


@pytest.mark.parametrize(("example", "ending"), cases())
def test_a_renderer_makes_exactly_the_golden_file(example: str, ending: str) -> None:
    expected = golden(example, ending).read_text(encoding="utf-8")
    made = RENDERERS[ending](*EXAMPLES[example]())
    difference = "\n".join(
        list(difflib.unified_diff(expected.splitlines(), made.splitlines(), "golden", "made", lineterm=""))[:40]
    )
    assert made == expected, difference


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{example}.{ending}" for example, ending in cases()}


def test_every_level_of_a_verdict_has_an_example() -> None:
    assert {make()[1].level.word for make in EXAMPLES.values()} == {
        "pass",
        "warn",
        "no-baseline",
        "inconclusive",
        "fail",
        "broken",
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_golden_document_keeps_the_published_schema(example: str) -> None:
    document = json.loads(golden(example, "json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(report.verdict_schema()).validate(document)
