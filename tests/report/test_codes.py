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
from velro_gate.model.facts.bottlenecks import BottleneckFacts
from velro_gate.model.facts.doubts import StoredInstead, Worded
from velro_gate.model.facts.experiments import EXPECTATION_CODES, ExpectationNotMet
from velro_gate.model.facts.explanations import Companion, Origin
from velro_gate.model.facts.findings import BaselineRequired, FindingFacts, RequirementNotMet, RowDecided
from velro_gate.model.facts.unused import UnusedRuns, WhyUnused
from velro_gate.report.sentences import bottlenecks as bottlenecks_words
from velro_gate.report.sentences import explanations as explanation_words
from velro_gate.report.sentences import findings as findings_words
from velro_gate.report.sentences import reasons as reasons_words
from velro_gate.report.sentences.baselines import baseline_required, unused_words

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
    if kind is ExpectationNotMet:
        return set(EXPECTATION_CODES.values())
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
    [
        (FindingFacts, findings_words.SENTENCES),
        (reasons.Reason, reasons_words.SENTENCES),
        (BottleneckFacts, bottlenecks_words.SENTENCES),
    ],
    ids=["findings", "reasons", "bottlenecks"],
)
def test_every_kind_has_a_sentence_and_no_sentence_is_left_over(union: Any, sentences: dict[type, Any]) -> None:
    assert set(sentences) == kinds(union)


def test_the_page_lists_exactly_the_codes_there_are() -> None:
    known = {code for kind in kinds(FindingFacts) | kinds(reasons.Reason) | kinds(BottleneckFacts) for code in codes_of(kind)}
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))
    assert listed - GATE == known


GATE = frozenset({"no-duet", "duet-failed", "measured-by-others", "commit-not-seen"})
"""Codes of what the gate says about its own steps, in its own words."""


def test_no_two_kinds_share_a_code() -> None:
    for union in (FindingFacts, reasons.Reason, BottleneckFacts):
        codes = [code for kind in kinds(union) for code in codes_of(kind)]
        assert len(codes) == len(set(codes))


SENTENCE = re.compile(r"[A-Za-z][\w',;:.)]* +[(\w'-]*[A-Za-z][\w',;:.)]* +[(\w'-]*[A-Za-z]")
"""Three words, or what stands for them, in a row."""


def sentences_of(path: Path) -> list[str]:
    """The sentences in a module: texts of three words or more, but for docstrings and messages about programming faults."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed: set[int] = set()
    for node in ast.walk(tree):
        # Docstrings and those under a constant stand alone; errors and assertions are for programmers.
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            passed |= {id(each) for each in ast.walk(node)}
        elif isinstance(node, ast.Assert) and node.msg is not None:
            passed |= {id(each) for each in ast.walk(node.msg)}
        elif isinstance(node, ast.Call) and _is_error(node):
            passed |= {id(each) for each in ast.walk(node)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in passed]
    inside = {id(part) for node in found if isinstance(node, ast.JoinedStr) for part in node.values}
    return [text for node in found if id(node) not in inside and SENTENCE.search(text := _text(node))]


def _is_error(call: ast.Call) -> bool:
    """Whether it makes an exception, or refuses what is not a finite number under the name that it is given."""
    return isinstance(call.func, ast.Name) and (call.func.id.endswith("Error") or call.func.id == "finite")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


ANALYSIS = ROOT / "velro_gate" / "analysis"


@pytest.mark.parametrize("path", sorted(ANALYSIS.rglob("*.py")), ids=lambda path: str(path.relative_to(ANALYSIS)))
def test_no_module_of_analysis_holds_a_sentence(path: Path) -> None:
    assert sentences_of(path) == []


def test_a_sentence_in_any_place_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '''"""A docstring is not one."""
LIMIT = 3
"""Nor is the text under a constant."""
def words(n):
    log(f"only {n} of them", "a key")
    assert n, "no programmer reads this"
    if n > LIMIT:
        raise ValueError(f"{n} is too many")
    return "looks worse than main"
'''
    )
    assert sorted(sentences_of(module)) == ["looks worse than main", "only x of them"]


EXPLAINED = [(Origin, explanation_words.ORIGINS), (Companion, explanation_words.COMPANIONS)]


@pytest.mark.parametrize(("union", "sentences"), EXPLAINED, ids=["origins", "companions"])
def test_every_part_of_an_explanation_has_a_code_and_words(union: Any, sentences: dict[type, Any]) -> None:
    assert set(sentences) == kinds(union)
    codes = [kind.code for kind in kinds(union)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("why", WhyUnused)
def test_every_reason_why_stored_runs_are_not_used_has_words_and_a_remedy(why: WhyUnused) -> None:
    unused = UnusedRuns(why=why, runs=2, detail="a.json is not used: it is not JSON" if why is WhyUnused.UNREADABLE else "")
    assert "not used: " in unused_words(unused)
    assert "baseline calibrate" in baseline_required(BaselineRequired(skipped=(unused,))).advice
