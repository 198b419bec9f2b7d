"""The project's English: phrases that a reader of the field would stop at, and what to write instead."""

from __future__ import annotations

import io
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

INSTEAD = {
    r"\b(tell|tells|telling|told)\b": "report, show, say, publish",
    r"\bheld against\b|\bholds? [\w' ]{1,40} against\b": "compared with",
    r"\banswered well\b": "succeeded, successful",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bbeside\b": "next to, side by side with, during, together with",
    r"(?<!there )\b(is|are|was|were) none\b": "there is no X, is not an X",
    r"\b(can|could|to) be had\b": "is available",
    r"\bby lot\b": "at random",
    r"\bnought\b": "zero",
    r"\bso (many|much)\b": "N, that many",
    r"\b(went|goes|gone) away\b": "stopped responding",
    r"\bblam(e|es|ed|ing)\b": "is counted as",
    r"\bat hand\b": "available",
    r"\bmade-up\b": "simulated",
    r"\bunless said otherwise\b": "by default",
    r"\bwarden\b": "supervisor",
    r"\bgood answers?\b": "successful responses",
    r"\b(what|why) [\w' ]{1,40}\b(comes?|came) to( what|[.,:;]| so far|$)": "the result of",
    r"\bof no use\b": "has no effect, is not possible",
    r"\bbooks\b": "counts",
    r"\b(own|our|'s) doing\b": "caused by",
    r"\bsurely\b": "certainly",
    r"\bstarted afresh\b|\banew\b": "freshly started, again",
    r"\bamid\b|\bbesides\b": "during, in addition to",
    r"\bstand-in of\b": "stand-in for",
    r"\bspoken to\b": "supported",
}
"""Phrase -> what to write instead. Matched in comments, strings and pages, whatever their case."""


def prose(path: Path) -> list[tuple[int, str]]:
    """What is written for people in a file, with the line of each piece: comments and strings of Python, else everything."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return list(enumerate(text.splitlines(), 1))
    wanted = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    middle = getattr(tokenize, "FSTRING_MIDDLE", None)
    return [
        (token.start[0] + number, line)
        for token in tokens
        if token.type in wanted or token.type == middle
        for number, line in enumerate(token.string.splitlines())
    ]


def files() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "action.yml", ROOT / "Makefile", ROOT / "pyproject.toml"]
    pages += [*ROOT.glob(".github/**/*.yml"), *ROOT.glob("scenarios/*.yaml"), *ROOT.glob("scripts/*")]
    pages += [*ROOT.glob("velro_gate/**/*.py"), *ROOT.glob("velro_gate/**/*.j2"), *ROOT.glob("benchmarks/**/*.py")]
    return [path for path in pages if path.is_file()]


@cache
def all_prose() -> dict[Path, list[tuple[int, str]]]:
    """Of every file. Not when this module is imported, which each process that runs tests does."""
    return {path: prose(path) for path in files()}


@pytest.mark.slow
@pytest.mark.parametrize("phrase", INSTEAD, ids=lambda phrase: re.sub(r"\W+", "-", phrase).strip("-"))
def test_no_text_uses_a_phrase_that_the_field_has_a_plain_word_for(phrase: str) -> None:
    pattern = re.compile(phrase, re.IGNORECASE)
    # Lower-case "none" only: "is None" is code.
    if "none" in phrase:
        pattern = re.compile(phrase)
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.strip()}"
        for path, lines in all_prose().items()
        for line, text in lines
        if pattern.search(text)
    ]
    assert found == [], f"say: {INSTEAD[phrase]}"


_WORD = re.compile(
    r"(?<![^\W_])(afresh|amid|anew|beside|besides|blame[sd]?|mend|mended|mends|nought|surely|tell|telling|tells|told|warden)(?![^\W_])",
    re.IGNORECASE,
)
IN_NAMES = re.compile(rf"(^|_){_WORD.pattern}(_|$)", re.IGNORECASE)
"""The same words where code is named after them, but for the ``tell`` of a file."""


@pytest.mark.slow
def test_nothing_is_named_by_a_word_that_the_field_has_a_plain_word_for() -> None:
    places = [path for folder in ("velro_gate", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(places) > 900
    # Most files have no such word in any role: to split them into tokens takes most of the time.
    suspects = [path for path in places if _WORD.search(path.read_text(encoding="utf-8"))]
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for path in suspects
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.NAME and token.string != "tell" and IN_NAMES.search(token.string)
    ]
    assert found == []
