"""The headings of the comparisons name what this build was compared with, also where a duet settled only some of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.report.parts.settled import compared_headings


@pytest.mark.parametrize(
    ("in_pairs", "headings"),
    [
        ([False, False], ("Compared with the baselines", "Baseline", "Now")),
        ([True, True], ("Head and base side by side", "Base build", "Head build")),
        ([True, False], ("Compared with the base build and the baselines", "Before", "Now")),
    ],
)
def test_headings_name_the_base_build_where_a_duet_settled_a_row(in_pairs: list[bool], headings: tuple[str, str, str]) -> None:
    _, verdict = EXAMPLES["pass"]()
    rows = tuple(replace(row, pairs=10 * pairs) for row, pairs in zip(verdict.comparisons[:2], in_pairs, strict=True))
    assert compared_headings(replace(verdict, comparisons=rows)) == headings
