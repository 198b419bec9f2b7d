"""``init`` and ``doctor`` as people meet them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from velro_gate.cli import entry

pytestmark = pytest.mark.real

ACTION = f"acme/velro-gate@{'1' * 40}"


@pytest.fixture(autouse=True)
def signals_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in the test's own process, whose signals are not its to set."""
    monkeypatch.setattr(entry, "end_by_sigterm_as_by_ctrl_c", lambda: None)


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        entry.main([str(each) for each in arguments])
    code = left.value.code
    assert isinstance(code, int)
    return code


def test_init_writes_everything_and_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("init", tmp_path, "--no-questions", "--action", ACTION) == 0
    said = capsys.readouterr().out
    assert said.count("written ") == 9
    assert "velro-gate run --dry-run velro-scenario.yaml" in said
    assert len(list((tmp_path / ".github/workflows").iterdir())) == 5


def test_a_second_init_changes_nothing_and_keeps_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION)
    (tmp_path / "velro-scenario.yaml").write_text("name: mine\n", encoding="utf-8")
    (tmp_path / ".github/workflows/perf-gate.yml").write_text("mine\n", encoding="utf-8")
    capsys.readouterr()
    assert exit_code("init", tmp_path, "--no-questions", "--action", ACTION) == 0
    said = capsys.readouterr().out
    assert said.count("unchanged ") == 7
    assert said.count("kept ") == 2


def test_overwrite_spares_what_is_the_users_own_work(tmp_path: Path) -> None:
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION)
    scenario, workflow = tmp_path / "velro-scenario.yaml", tmp_path / ".github/workflows/perf-gate.yml"
    linter = tmp_path / ".github/actionlint.yaml"
    for file in (scenario, workflow, linter):
        file.write_text("mine\n", encoding="utf-8")
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION, "--overwrite")
    assert scenario.read_text(encoding="utf-8") == linter.read_text(encoding="utf-8") == "mine\n"
    assert workflow.read_text(encoding="utf-8") != "mine\n"


def test_without_a_terminal_questions_are_refused_and_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert exit_code("init", tmp_path) == 2
    assert "--no-questions" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Terminal(io.StringIO):
    """Somebody who answers at a terminal."""

    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_asks_for_what_was_not_given_and_takes_its_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ("trunk", "", "make serve", "http://127.0.0.1:8000", "", "", "")
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
    assert exit_code("init", tmp_path, "--action", ACTION) == 0
    said = capsys.readouterr()
    assert "Branch whose commits become baselines [main]" in said.err
    assert "owner/repository@commit" not in said.err
    baseline = (tmp_path / ".github/workflows/perf-baseline.yml").read_text(encoding="utf-8")
    assert "branches: [trunk]" in baseline
    assert "run: make serve" in baseline
    assert "runs-on: [self-hosted, linux, perf]" in baseline


def test_at_a_terminal_it_asks_before_it_overwrites_and_no_means_no(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION)
    workflow = tmp_path / ".github/workflows/perf-gate.yml"
    workflow.write_text("mine\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", Terminal("\n" * 7 + "n\n"))
    assert exit_code("init", tmp_path, "--action", ACTION) == 0
    assert "perf-gate.yml is there and differs. Overwrite it?" in capsys.readouterr().err
    assert workflow.read_text(encoding="utf-8") == "mine\n"


def test_the_doctor_ends_with_0_where_nothing_has_to_be_fixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION)
    capsys.readouterr()
    assert exit_code("doctor", tmp_path, "--no-machine") == 0
    said = capsys.readouterr().out
    assert "(fork-approval)" in said
    assert said.endswith("Faults: 0. Advice: 1.\n")


def test_a_fault_is_reported_with_place_reason_and_cure_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code("init", tmp_path, "--no-questions", "--action", ACTION)
    workflow = tmp_path / ".github/workflows/perf-baseline.yml"
    workflow.write_text(workflow.read_text(encoding="utf-8").replace("  queue: max\n", ""), encoding="utf-8")
    capsys.readouterr()
    assert exit_code("doctor", tmp_path, "--no-machine") == 1
    said = capsys.readouterr().out
    assert said.startswith("fault: queue: max is missing")
    assert "where: .github/workflows/perf-baseline.yml:12  (queue-max)" in said
    assert "do:    " in said
    assert exit_code("doctor", tmp_path, "--no-machine", "--format", "json") == 1
    finding, unguarded = json.loads(capsys.readouterr().out)
    assert (finding["rule"], unguarded["rule"]) == ("queue-max", "fork-approval")


def test_the_doctor_also_looks_at_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code("doctor", tmp_path, "--users", 2_000_000, "--format", "json")
    assert "ports" in {finding["rule"] for finding in json.loads(capsys.readouterr().out)}
