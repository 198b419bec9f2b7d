"""action.yml says what the program reads, and every page says what action.yml has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import typer.main
import yaml

from velro_gate.cli.app import app
from velro_gate.hardening import PUSHED, TOKEN, WEBHOOK

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
COMMANDS: Any = typer.main.get_command(app)
INSTALL, GATE = ACTION["runs"]["steps"]


def test_every_variable_that_the_program_reads_comes_from_an_input_and_the_other_way_round() -> None:
    read = (ROOT / "velro_gate/gate/action/inputs.py").read_text(encoding="utf-8")
    names = {f"VELRO_{name.upper().replace('-', '_')}" for name in re.findall(r'\bof\("([a-z-]+)"\)', read)}
    # These are no inputs: where the action lies, its Python, and which job of a matrix this is. Secrets are read elsewhere.
    elsewhere = {"VELRO_ACTION", "VELRO_INSTALLED_PYTHON", "VELRO_JOB_INDEX", TOKEN, *WEBHOOK, *PUSHED}
    passed = set(GATE["env"]) - elsewhere
    # The address of an uploaded report is not known before it is uploaded, which is after this step.
    assert names - {"VELRO_ARTIFACT_URL"} == passed


def test_every_input_and_output_is_described() -> None:
    assert [name for name, each in (ACTION["inputs"] | ACTION["outputs"]).items() if not each["description"].strip()] == []
    assert [name for name, each in ACTION["inputs"].items() if "default" not in each] == []


def test_every_input_reaches_a_step_and_only_by_the_environment() -> None:
    used = set(re.findall(r"inputs\.([a-z-]+)", str(INSTALL["env"]) + str(GATE["env"])))
    assert used == set(ACTION["inputs"])
    assert [step["run"] for step in (INSTALL, GATE) if "${{" in step["run"]] == []


def test_the_outputs_are_those_that_the_page_lists() -> None:
    page = (ROOT / "docs/github.md").read_text(encoding="utf-8")
    listed = re.search(r"\*\*Outputs\*\*[^:]*:(.*?)\.\n", page, re.DOTALL)
    assert listed
    assert set(re.findall(r"`([a-z0-9-]+)`", listed[1])) == set(ACTION["outputs"])


def test_both_steps_become_the_program_that_they_start() -> None:
    assert all(step["run"].strip().splitlines()[-1].startswith("exec ") for step in (INSTALL, GATE))


def test_in_a_container_the_steps_find_the_action_where_the_runner_has_put_it(tmp_path: Path) -> None:
    scripts = tmp_path / "inside" / "scripts"
    scripts.mkdir(parents=True)
    for name in ("install.sh", "run.sh"):
        (scripts / name).write_text('#!/bin/sh\necho "$0 $*"\n', encoding="utf-8")
        (scripts / name).chmod(0o755)
    for step, reported in ((INSTALL, "install.sh auto"), (GATE, "run.sh action")):
        environ = {"PATH": os.environ["PATH"], "VELRO_ACTION": "/on/the/host", "GITHUB_ACTION_PATH": str(tmp_path / "inside")}
        said = subprocess.run(["bash", "-e", "-c", step["run"]], env=environ, capture_output=True, text=True, check=True).stdout
        assert said == f"{scripts}/{reported}\n"


def test_what_can_be_said_of_a_cluster_on_the_command_line_can_be_said_in_a_workflow_and_is_listed_on_both_pages() -> None:
    said = (option for parameter in COMMANDS.commands["gate"].params for option in parameter.opts)
    options = {option.removeprefix("--") for option in said if option.startswith("--cluster")}
    assert {name for name in ACTION["inputs"] if name.startswith("cluster")} == options
    rows = {
        name: set(re.findall(pattern, (ROOT / "docs" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name, pattern in (("github.md", r"^\| `(cluster[a-z-]*)` \|"), ("cluster.md", r"^\| `--(cluster[a-z-]*) "))
    }
    assert set(rows["github.md"]) == set(rows["cluster.md"]) == options


def test_every_input_that_a_page_names_exists() -> None:
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("github.md", "github-setup.md"))
    named = set(re.findall(r"inputs? `([a-z-]+)`", pages))
    assert named
    assert named - set(ACTION["inputs"]) == set()
