"""``velro-gate report``: which words are the run, and which are formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from velro_gate.cli.commands.reading import separated
from velro_gate.errors import UsageError

RUN = Path("velro-results/x")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((None, "json", []), (None, "json")),
        ((RUN, "json", []), (RUN, "json")),
        ((RUN, "json", ["html", "csv"]), (RUN, "json html csv")),
        ((Path("html"), "json", ["csv"]), (None, "json html csv")),
        ((Path("html"), None, []), (Path("html"), None)),
    ],
)
def test_formats_may_be_separated_by_blanks(
    words: tuple[Path | None, str | None, list[str]], found: tuple[Path | None, str | None]
) -> None:
    assert separated(*words) == found


def test_a_folder_that_is_called_like_a_format_is_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("html").mkdir()
    assert separated(Path("html"), "json", []) == (Path("html"), "json")


def test_two_runs_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="one run to report"):
        separated(RUN, None, ["other"])
