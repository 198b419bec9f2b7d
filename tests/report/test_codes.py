"""Every kind of finding has a stable code, a sentence and a row on the page of codes; analysis holds no sentence of its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest

from velro_gate.model.facts import findings as finding_facts
from velro_gate.model.facts import reasons
from velro_gate.model.facts.doubts import StoredInstead, Worded
from velro_gate.model.facts.findings import FindingFacts, RequirementNotMet, RowDecided
from velro_gate.report.sentences import findings as findings_words
from velro_gate.report.sentences import reasons as reasons_words

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")


def kinds(union: Any) -> set[type]:
    """The classes of a union, however nested."""
    if get_origin(union) in (Union, UnionType):
        return {kind for part in get_args(union) for kind in kinds(part)}
    return {union}


def codes_of(kind: type) -> set[str]:
    """The codes that findings of a kind can have."""
    if kind is RowDecided:
        return set(finding_facts._DECIDED.values())
    if kind is RequirementNotMet:
        return set(finding_facts._REQUIREMENT.values()) - {"requirement-met"}
    # The first of these comes in words, the second has the code of its reason.
    return set() if kind in (Worded, StoredInstead) else {_code(kind)}


def _code(kind: Any) -> str:
    fields = getattr(kind, "__dataclass_fields__", {})
    known = fields["code"].default if "code" in fields and isinstance(fields["code"].default, str) else kind.code
    assert isinstance(known, str)
    return known


@pytest.mark.parametrize(
    ("union", "sentences"),
    [(FindingFacts, findings_words.SENTENCES), (reasons.Reason, reasons_words.SENTENCES)],
    ids=["findings", "reasons"],
)
def test_every_kind_has_a_sentence_and_no_sentence_is_left_over(union: Any, sentences: dict[type, Any]) -> None:
    assert set(sentences) == kinds(union)


def test_the_page_lists_exactly_the_codes_there_are() -> None:
    known = {code for kind in kinds(FindingFacts) | kinds(reasons.Reason) for code in codes_of(kind)}
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))
    assert listed - GATE == known


GATE = frozenset({"no-duet", "duet-failed", "measured-by-others", "commit-not-seen"})
"""Codes of what the gate says about its own steps, in its own words."""


def test_no_two_kinds_share_a_code() -> None:
    for union in (FindingFacts, reasons.Reason):
        codes = [code for kind in kinds(union) for code in codes_of(kind)]
        assert len(codes) == len(set(codes))


NOT_DATA_YET = {
    "duet/explanation.py": 2,
    "rows/companions.py": 1,
    "stored/explanation.py": 13,
    "summaries/quantiles.py": 1,
    "verdict/waivers.py": 1,
}
"""How many sentences of analysis are not data yet, by module; it only shrinks."""

WORDS = 4
"""A string of more words than this is a sentence."""


def sentences_of(path: Path) -> list[str]:
    """The sentences in a module: long strings that are no docstring, no message of an error, no reason of an assertion."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed: set[int] = set()
    for node in ast.walk(tree):
        # Docstrings and those under a constant stand alone; errors and assertions are for programmers.
        if isinstance(node, ast.Expr | ast.Raise | ast.Assert) or (isinstance(node, ast.Call) and _is_error(node)):
            passed |= {id(each) for each in ast.walk(node)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in passed]
    inside = {id(part) for node in found if isinstance(node, ast.JoinedStr) for part in node.values}
    return [text for node in found if id(node) not in inside and len((text := _text(node)).split()) > WORDS]


def _is_error(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id.endswith("Error")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


ANALYSIS = ROOT / "velro_gate" / "analysis"


def test_analysis_holds_no_sentence_but_those_that_are_not_data_yet() -> None:
    found = {str(path.relative_to(ANALYSIS)): sentences_of(path) for path in ANALYSIS.rglob("*.py")}
    assert {name: len(said) for name, said in found.items() if said} == NOT_DATA_YET
