"""What follows a verdict: the summary file, and that nothing that fails there is more than a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.cli.commands.afterwards import afterwards, nothing
from velro_gate.errors import UsageError
from velro_gate.gate.local.gitlab_note import TOKEN

RECORD, VERDICT = EXAMPLES["fail-both"]()


def test_the_summary_is_appended_without_the_marker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n", encoding="utf-8")
    afterwards(summary=file)(RECORD, VERDICT)
    text = file.read_text("utf-8")
    assert text.startswith("before\n### ")
    assert "### Executive summary: " in text
    assert "<!--" not in text
    assert capsys.readouterr().out == ""


def test_a_run_that_nobody_has_judged_has_no_summary(tmp_path: Path) -> None:
    afterwards(summary=tmp_path / "summary.md")(RECORD, None)
    assert not (tmp_path / "summary.md").exists()


def test_a_place_where_nothing_can_be_written_is_refused_before_the_load(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none" / "summary.md"):
        with pytest.raises(UsageError, match="cannot be written there"):
            afterwards(summary=place)


def test_a_summary_that_cannot_be_written_after_all_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    then = afterwards(summary=folder / "summary.md")
    folder.rmdir()
    then(RECORD, VERDICT)
    assert "not published: the summary was not written" in capsys.readouterr().err


def test_a_push_that_nobody_takes_is_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("velro_gate.gate.judge.push.deliver", lambda *_, **__: "ConnectError")
    afterwards("http://127.0.0.1:1", "http://127.0.0.1:1/api/v1/write")(RECORD, VERDICT)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("not pushed: ") == 2


def test_a_note_without_a_merge_request_is_refused_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI_MERGE_REQUEST_IID", raising=False)
    with pytest.raises(UsageError, match="no merge request") as caught:
        afterwards(gitlab_note=True)
    assert TOKEN in "\n".join(caught.value.lines())


def test_without_options_nothing_is_done() -> None:
    assert afterwards() is nothing
