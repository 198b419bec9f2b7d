"""The terminal: everything fits, words instead of signs, colour only as a help."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from tests.report.examples import EXAMPLES
from tests.report.golden import shown
from tests.report.hostile import crowded, hostile
from velro_gate.report.formats.console import terminal
from velro_gate.report.parts.wording import headline


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(example: str, width: int) -> None:
    text = shown(terminal(*EXAMPLES[example]()), width=width)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_verdict_the_sentence_and_the_advice_are_all_there(example: str) -> None:
    text = shown(terminal(*EXAMPLES[example]()), width=10_000)
    first, second, *_ = text.splitlines()
    assert first.startswith("velro-gate: ")
    assert second == headline(*EXAMPLES[example]())
    duet = example.startswith("duet") or example == "fail-confirmed-beside"
    compared = "Head and base side by side: " if duet else "Compared with the baselines: "
    assert all(part in text for part in ("Requirements: ", compared, "Trust: ", "What to do next", "run 2026"))


@pytest.mark.parametrize("width", [60, 80])
def test_in_a_narrow_terminal_every_row_keeps_its_name_and_its_status(width: int) -> None:
    table = shown(terminal(*EXAMPLES["fail-both"]()), width=width).split("Requirements: ")[1].split("Compared")[0]
    heads = next(line for line in table.splitlines() if "Requirement" in line)
    assert heads.startswith("Requirement ")
    for row in (line for line in table.splitlines() if re.search(r"\b(met|missed|critical)\b", line) and "  " in line[:2]):
        assert len(row[:12].split()) >= 1, row


@pytest.mark.real
@pytest.mark.parametrize("example", EXAMPLES)
def test_no_emoji_is_printed(example: str) -> None:
    assert not re.search(r"[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f]", shown(terminal(*EXAMPLES[example]())))


def test_levels_are_coloured_where_there_is_colour() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    console.print(terminal(*EXAMPLES["fail-both"]()))
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[31mcritical" in console.file.getvalue()


def test_markup_and_terminal_sequences_from_outside_are_plain_text() -> None:
    text = shown(terminal(*hostile().made))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_long_tables_are_cut_and_the_rest_is_counted() -> None:
    text = shown(terminal(*crowded(40).made))
    assert "and 65 more rows" in text
