"""The pipelines of docs/other-ci.md: each keeps its system's schema, and calls the program by options that it has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from velro_gate.cli.app import app

PAGE = (Path(__file__).resolve().parents[1] / "docs/other-ci.md").read_text(encoding="utf-8")
PIPELINES: dict[str, str] = dict(re.findall(r"^```(?:yaml|groovy) (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gitlab-ci", ("--data-transform", "gitlab-ci")),
        # Its patterns are JavaScript's, of which Python's engine does not know all.
        ("azure-pipelines", ("--data-transform", "azure-pipelines", "--regex-variant", "nonunicode")),
    ],
)
def test_a_pipeline_keeps_the_schema_of_its_system(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    file = tmp_path / f"{name}.yml"
    file.write_text(PIPELINES[name], encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["gitlab-ci", "jenkins", "azure-pipelines"])
def test_a_pipeline_calls_the_program_by_options_that_it_has_and_keeps_its_junit_file(name: str) -> None:
    (line,) = re.findall(r"velro-gate (.+)$", PIPELINES[name], re.MULTILINE)
    command, *words = shlex.split(line)
    known = {option for each in typer.main.get_command(app).commands[command].params for option in each.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("--")} <= known
    assert "velro-results/*/junit.xml" in PIPELINES[name]
