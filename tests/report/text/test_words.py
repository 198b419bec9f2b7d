"""Names in a row read as a sentence does."""

from __future__ import annotations

import pytest

from velro_gate.report.text.words import joined


@pytest.mark.parametrize(
    ("names", "said"), [(["p50"], "p50"), (["p50", "p90"], "p50 and p90"), (["p50", "p90", "p95"], "p50, p90 and p95")]
)
def test_names_are_joined_by_commas_and_the_last_by_and(names: list[str], said: str) -> None:
    assert joined(names) == said
