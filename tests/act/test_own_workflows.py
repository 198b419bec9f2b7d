"""This repository's own workflows, which gate the embedded service: act plans each of them, and carries the gate out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.act.host import ROOT, Host, pull_request, runnable
from tests.github.git_server import git
from velro_gate.gate.builds.run import free_port

PLANNED = {
    "pull_request": {("test", "ci.yml"), ("gate", "perf-gate.yml"), ("confirm", "perf-gate.yml"), ("fork", "perf-gate.yml")},
    "merge_group": {("gate", "perf-gate.yml"), ("confirm", "perf-gate.yml"), ("fork", "perf-gate.yml")},
    "push": {("test", "ci.yml"), ("baseline", "perf-baseline.yml")},
    "workflow_dispatch": {("run", "perf-dispatch.yml")},
    "schedule": {("selftest", "perf-nightly.yml"), ("resilience", "perf-nightly.yml")},
    "workflow_run": {("report", "perf-report-fork.yml")},
}


@pytest.fixture
def own(here: Host) -> Host:
    """A checkout of this repository in place of the shop."""
    shutil.rmtree(here.repository)
    for name in ("velro_gate", "scenarios", "scripts", "requirements", ".github"):
        shutil.copytree(ROOT / name, here.repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "action.yml", here.repository)
    git("init", "--quiet", "--initial-branch=main", cwd=here.repository)
    git("remote", "add", "origin", "https://github.com/acme/shop.git", cwd=here.repository)
    return here


def committed(own: Host, *inputs: str, port: int = 8400) -> None:
    """The workflows as act takes them. inputs: of the steps that measure. port: of the service that they start."""
    for path in (own.repository / ".github/workflows").iterdir():
        text = runnable(path.read_text(encoding="utf-8"), inputs)
        path.write_text(
            text.replace("serve-sandbox.sh", f"serve-sandbox.sh {port}").replace(":8400", f":{port}"), encoding="utf-8"
        )
    git("add", "--all", cwd=own.repository)
    git("commit", "--quiet", "--message", "All of it", cwd=own.repository)
    own.api.state.pulls[0]["head_sha"] = own.head


@contextmanager
def ended_afterwards(port: int) -> Iterator[None]:
    """End the service of a job: GitHub's runner does that itself, and act does not."""
    try:
        yield
    finally:
        words = ["sandbox", "--port", str(port)]
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [])[-3:] == words:
                process.terminate()
                process.wait(timeout=30.0)


def test_each_event_plans_the_jobs_that_this_repository_has_for_it(own: Host) -> None:
    committed(own)
    for event, jobs in PLANNED.items():
        # No dry run: on the host act carries the steps of one out. The second --workflows stands over the first.
        log = own.run(event, "ci", {}, options=["--workflows", ".github/workflows", "--list"])
        rows = [line.split() for line in log.splitlines() if re.match(r"\d+ ", line)]
        assert {(row[1], next(word for word in row if word.endswith(".yml"))) for row in rows} == jobs, log


def test_the_gate_of_this_repository_starts_the_service_measures_it_and_shows(own: Host) -> None:
    port = free_port()
    committed(
        own,
        "profile: quick",
        "phases: warm_up_baseline",
        "calibration: false",
        f"environment-directory: {own.packages}",
        port=port,
    )
    with ended_afterwards(port):
        log = own.run("pull_request", "perf-gate", pull_request(own.head), VELRO_ENVIRONMENT_DIRECTORY=str(own.packages))
    assert f"The sandbox answers at http://127.0.0.1:{port}" in log
    assert own.lights == [(own.head, "pending"), (own.head, "success")], log
    (comment,) = own.api.state.comments
    assert "velro-prd" in comment["body"]
    assert {"verdict.json", "report.html", "record.json"} <= own.uploads("velro-reports")
