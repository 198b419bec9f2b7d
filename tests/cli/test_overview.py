"""The overall help: quick, complete, and readable wherever it is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.cli.command import ROOT
from velro_gate.cli.app import app
from velro_gate.cli.overview import COMMANDS, OPTIONS, overview, overview_text

# Parts of the standard library that take long to load and serve no page of text.
SLOW = {"concurrent", "ctypes", "decimal", "email", "http", "importlib.metadata", "logging", "shutil", "socket", "subprocess"}


def _modules_loaded_by(*words: str) -> set[str]:
    """Names of the modules in an interpreter that has run these words."""
    code = (
        "import runpy, sys\n"
        "sys.argv = ['velro-gate', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('velro_gate', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        # One that is kept out stands there too, as None.
        "print(*(name for name, module in sys.modules.items() if module), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split())


@pytest.mark.parametrize("words", ["--help", "-h", "--version"])
def test_the_quick_questions_are_answered_with_the_standard_library_alone(words: str) -> None:
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    loaded = _modules_loaded_by(words) - set(plain.stdout.split())
    foreign = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"velro_gate", "__main__"}
    assert not foreign
    assert not SLOW & loaded
    packages = {name.split(".")[1] for name in loaded if name.startswith("velro_gate.")}
    assert packages <= {"cli", "errors", "github", "hardening", "model", "secrecy"}


@pytest.mark.parametrize("words", ["check", "gate", "duet", "report", "baseline", "evaluate"])
def test_the_help_of_a_command_loads_nothing_that_measures_stores_or_judges(words: str) -> None:
    loaded = {name.partition(".")[0] for name in _modules_loaded_by(words, "--help")}
    # pydantic is there because Typer reads values with it.
    assert not {"numpy", "pandas", "scipy", "trio", "httpx", "jinja2", "yaml", "psutil"} & loaded


@pytest.mark.parametrize(
    "words", [("schema",), ("schema", "--of", "verdict"), ("report",), ("baseline", "list", "--baselines")], ids=" ".join
)
def test_what_is_there_already_is_printed_without_the_engine_and_the_statistics(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "verdict.txt").write_text("pass\n", encoding="utf-8")
    loaded = {name.partition(".")[0] for name in _modules_loaded_by(*words, *([] if words[0] == "schema" else [str(tmp_path)]))}
    assert not {"pandas", "scipy", "trio", "httpx", "psutil"} & loaded


def test_the_overview_lists_the_commands_and_options_that_typer_knows() -> None:
    group = typer.main.get_command(app)
    assert sorted(COMMANDS) == sorted(group.commands)
    params = group.get_params(typer.Context(group, **group.context_settings))
    known = [each for param in params for each in param.opts if each.startswith("-")]
    assert sorted(known) == sorted(", ".join(OPTIONS).split(", "))


def test_typers_own_way_to_the_overall_help_prints_the_same_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group = typer.main.get_command(app)
    assert group.get_help(typer.Context(group)) == ""
    assert capsys.readouterr().out == f"{overview()}\n"


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal_and_the_boxes_close(columns: int) -> None:
    lines = overview_text(columns).splitlines()
    assert all(len(line) <= columns for line in lines)
    assert all(len(line) == columns for line in lines if line.startswith(("╭", "│", "╰")))


def test_in_eighty_columns_each_command_takes_one_line() -> None:
    text = overview_text(80)
    assert all(f"│ {name:<22}{summary:<54} │" in text for name, summary in COMMANDS.items())


def test_colours_change_no_letter_of_the_page() -> None:
    coloured = overview_text(80, colour=True)
    assert "\033[1;36mgate" in coloured
    for code in ("\033[1m", "\033[2m", "\033[1;36m", "\033[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == overview_text(80)


def test_an_output_that_knows_no_boxes_gets_plain_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        overview().encode("ascii")


@pytest.mark.parametrize(("variable", "value", "coloured"), [("FORCE_COLOR", "1", True), ("NO_COLOR", "1", False)])
def test_colours_are_forced_and_forbidden_by_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, coloured: bool
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    assert ("\033[" in overview()) is coloured


def test_the_processes_that_send_break_and_respond_import_nothing_that_reads_files_judges_or_reports() -> None:
    modules = "velro_gate.engine.shards.process, velro_gate.engine.faults.process, velro_gate.engine.responder.process"
    # A run starts several of them, and waits for each.
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "trio" in loaded
    assert not {"bokeh", "jinja2", "pandas", "prometheus_client", "pydantic", "rich", "scipy", "typer", "yaml"} & loaded
