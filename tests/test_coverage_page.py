"""docs/prd-coverage.md names only what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/prd-coverage.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)


def test_every_module_and_every_test_on_the_page_is_there() -> None:
    assert len(ROWS) > 40
    for _, built, tests, _ in ROWS:
        for path in re.findall(r"`(tests/[\w/.]+)`", tests):
            assert (ROOT / path).exists(), path
        for path in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py)?)`", built):
            is_a_metric = re.search(rf"(metrics?|series|profile) [^|]*`{path}`", built)
            assert is_a_metric or (ROOT / "velro_gate" / path).exists() or (ROOT / path).exists(), path


def test_what_is_not_open_has_a_test_or_says_where_to_look() -> None:
    for asked, built, tests, see in ROWS[1:]:
        assert "**open**" in built or tests.strip() or see.strip() or set(asked) <= {"-"}, asked
