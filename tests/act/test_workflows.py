"""The workflows that ``init`` writes, run for real: from the event to what stands on the pull request and in the baselines."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import psutil

from tests.act.host import BASE, Host, finished, gating, interrupt, pull_request


def test_a_pull_request_goes_from_pending_to_failure_and_its_next_push_changes_the_same_comment(here: Host) -> None:
    here.scenario(failing=True)
    first = here.head
    log = here.run("pull_request", "perf-gate", pull_request(first))
    assert "mode gate" in log
    assert here.lights == [(first, "pending"), (first, "failure")], log
    (comment,) = here.api.state.comments
    assert "fail, please read" in comment["body"]
    assert {"verdict.json", "report.html", "record.json"} <= here.uploads("velro-reports"), log

    here.scenario()
    second = here.head
    log = here.run("pull_request", "perf-gate", pull_request(second))
    assert here.lights[2:] == [(second, "pending"), (second, "success")], log
    (same,) = here.api.state.comments
    assert same["id"] == comment["id"]
    assert same["edits"] == 1
    assert "no baseline yet" in same["body"]


def test_two_merges_at_once_both_store_their_baseline(here: Host) -> None:
    def payload() -> dict[str, object]:
        repository = {"full_name": "acme/shop", "default_branch": "main"}
        return {"ref": "refs/heads/main", "after": here.head, "repository": repository}

    measuring = threading.Event()
    here.api.before = lambda method, path: measuring.set() if "/statuses/" in path else None
    both = [here.start("push", "perf-baseline", payload())]
    # By then the first job has its own copy of the workspace, so the next merge is another commit, as it would be.
    assert measuring.wait(timeout=100.0)
    here.scenario()
    both.append(here.start("push", "perf-baseline", payload()))
    logs = [finished(one) for one in both]
    assert all("baseline stored" in log for log in logs), "\n".join(
        line for log in logs for line in log.splitlines() if "  | " in line
    )
    assert len(here.baselines) == 2
    assert int(_commits(here)) == 2


def _commits(here: Host) -> str:
    from tests.github.git_server import git

    return git("rev-list", "--count", "velro-baselines", cwd=here.bare)


def test_a_dispatch_leaves_full_reports_and_the_status_of_the_pull_request_it_names(here: Host) -> None:
    here.api.state.pull(8, here.head)
    inputs = {"scenario": "velro-scenario.yaml", "profile": "pr", "phases": "steady", "url": "", "pull-request": "8"}
    payload = {"inputs": inputs, "repository": {"full_name": "acme/shop", "default_branch": "main"}, "ref": "refs/heads/main"}
    log = here.run("workflow_dispatch", "perf-dispatch", payload)
    assert "mode dispatch" in log
    assert here.lights == [(here.head, "pending"), (here.head, "success")], log
    assert here.api.state.comments == []
    assert {"report.html", "report.csv", "samples.npz", "verdict.md"} <= here.uploads("velro-reports")


def test_a_fork_runs_nothing_here_and_the_second_workflow_says_so(here: Host) -> None:
    head = here.head
    log = here.run("pull_request", "perf-gate", pull_request(head, head_repository="mallory/shop"))
    assert "mode gate" not in log
    assert here.lights == []
    assert here.sandbox.counts()["total"] == 0

    here.api.state.pulls[0]["head_owner"] = "mallory"
    finished_run = {
        "id": 5,
        "event": "pull_request",
        "head_sha": head,
        "head_branch": "feature",
        "head_repository": {"full_name": "mallory/shop", "owner": {"login": "mallory"}},
        "actor": {"login": "mallory"},
        "conclusion": "skipped",
    }
    payload = {
        "action": "completed",
        "workflow_run": finished_run,
        "repository": {"full_name": "acme/shop", "default_branch": "main"},
    }
    log = here.run("workflow_run", "perf-report-fork", payload)
    assert "mode report" in log, log
    assert here.lights[-1] == (head, "error"), log
    (comment,) = here.api.state.comments
    assert "A maintainer can run it from a branch" in comment["body"]
    assert here.sandbox.counts()["total"] == 0


def test_a_cancelled_job_ends_with_the_status_error_and_leaves_no_process(here: Host) -> None:
    here.scenario(seconds=60)
    pending = threading.Event()
    here.api.before = lambda method, path: pending.set() if method == "POST" and "/statuses/" in path else None
    head = here.head
    act = here.start("pull_request", "perf-gate", pull_request(head))
    assert pending.wait(timeout=100.0)
    measuring = gating(act)
    while here.sandbox.counts()["total"] == 0:
        assert act.poll() is None
    # exec all the way: what the runner interrupts is Python itself.
    parent = measuring.parent()
    assert parent is not None
    assert parent.pid == act.pid
    ours = [measuring, *measuring.children(recursive=True)]
    interrupt(measuring)
    _, alive = psutil.wait_procs(ours, timeout=30.0)
    assert alive == []
    log = finished(act)
    assert here.lights == [(head, "pending"), (head, "error")], log
    assert "exit-code=130" in log
    assert BASE not in [sha for sha, _ in here.lights]


def test_a_python_that_is_too_old_is_one_line(here: Host, tmp_path: Path) -> None:
    old = tmp_path / "python-of-old"
    old.write_text("#!/bin/sh\necho Python 3.9.2\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    workflow = here.repository / ".github/workflows/perf-gate.yml"
    text = workflow.read_text(encoding="utf-8")
    workflow.write_text(
        text.replace("environment-directory:", f"python: {old}\n          environment-directory:"), encoding="utf-8"
    )
    log = here.run("pull_request", "perf-gate", pull_request(here.head))
    assert log.count("3.11 or newer") == 1 or log.count("older than 3.11") == 1, log
    assert here.lights == []
    shutil.rmtree(tmp_path / "uploads", ignore_errors=True)
