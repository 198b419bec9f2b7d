"""What a job has measured cannot be changed by what it has measured: the service lies in the same folder, as the same user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.action.test_action import PULL_REQUEST, variables
from tests.cli.command import Ended, velro_gate
from tests.cli.hostile import echoing
from tests.gate.jobs import World, world

pytestmark = pytest.mark.hostile("statuses and comments")

SCENARIO = """\
name: tiny
target: {url: "${env.VELRO_API_URL}"}
steps: [{name: look, path: /look}]
requirements: {p95: {target: "< 1 us", critical: 2 us}}
profiles:
  pr: [{name: short, users: 60, ramp: 0.5 s, duration: 2 s, rate: 40/s}]
"""
RECORD = """\
import pathlib, re, time
while True:
    for record in pathlib.Path("velro-results").glob("*/record.json"):
        text = record.read_text()
        record.write_text(re.sub(r'"(target|critical)": [0-9.e-]+', r'"\\1": 1000.0', text))
        raise SystemExit
    time.sleep(0.01)
"""
WAIVERS = "open('velro-waivers.yaml', 'w').write('[]')"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def job(here: World, folder: Path, code: str) -> Ended:
    """A job whose service runs this code beside itself."""
    env = variables(here, "pull_request", PULL_REQUEST, "")
    Path(env["VELRO_SCENARIO"]).write_text(SCENARIO, encoding="utf-8")
    changes = folder / "changes.py"
    changes.write_text(code, encoding="utf-8")
    start = f"{sys.executable} -I -S {changes} & {echoing(folder, ['nothing'])}"
    return velro_gate("action", cwd=here.folder, env={**env, "VELRO_URL": "", "VELRO_START_COMMAND": start})


def test_a_service_that_rewrites_the_record_of_its_run_gets_no_verdict(here: World, tmp_path: Path) -> None:
    ended = job(here, tmp_path, RECORD)
    assert ended.code == 4, ended.err
    assert "record.json is not what was measured" in ended.err
    assert here.api.state.statuses[-1]["state"] == "error"


def test_a_service_that_agrees_on_its_own_regression_gets_no_verdict(here: World, tmp_path: Path) -> None:
    ended = job(here, tmp_path, WAIVERS)
    assert ended.code == 4, ended.err
    assert "velro-waivers.yaml was changed while the job ran" in ended.err
    assert here.api.state.statuses[-1]["state"] == "error"
