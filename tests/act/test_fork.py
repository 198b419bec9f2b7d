"""A fork's pull request that a maintainer has approved: its job measures and tells nobody, the reporter judges what it left."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import pytest

from tests.act.host import ACTION, HEAD, Host, pull_request
from tests.github.git_server import git
from velro_gate.adoption import Choices

pytestmark = pytest.mark.hostile("fork reporter")

APPROVED = ("--var", "VELRO_FORK_ENVIRONMENT=forks")
# GitHub gives no secret to the code of a fork.
NO_SECRETS = ("--secret", "SUPABASE_SERVICE_KEY=")
RUN = 5


def archived(here: Host, folder: Path) -> None:
    """Put an uploaded folder where GitHub keeps the archives of a run."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    run = {"id": RUN, "repository_id": 1, "head_repository_id": 2, "head_branch": "feature", "head_sha": HEAD}
    content = base64.b64encode(packed.getvalue()).decode()
    here.api.state.artifacts.append({"id": 3, "name": folder.name, "expired": False, "workflow_run": run, "content": content})


def finished_run(head: str, conclusion: str) -> dict[str, object]:
    """The payload of the event by which the reporter is started."""
    return {
        "action": "completed",
        "workflow_run": {
            "id": RUN,
            "event": "pull_request",
            "head_sha": head,
            "head_branch": "feature",
            "head_repository": {"full_name": "mallory/shop", "owner": {"login": "mallory"}},
            "actor": {"login": "mallory"},
            "conclusion": conclusion,
        },
        "repository": {"full_name": "acme/shop", "default_branch": "main"},
    }


def test_an_approved_fork_is_measured_here_and_judged_again_by_what_the_base_branch_requires(here: Host) -> None:
    choices = Choices(
        action=ACTION,
        url=here.sandbox.url,
        start='echo "key=$KEY_OF_THE_SERVICE" >>"$GITHUB_OUTPUT"',
        variables={"SUPABASE_SERVICE_KEY": "steps.service.outputs.key"},
        bearer="SUPABASE_SERVICE_KEY",
    )
    here.api.state.pulls[0]["head_owner"] = "mallory"
    here.adopt(choices)
    here.scenario(failing=True)
    git("switch", "--quiet", "--create", "mallorys", cwd=here.repository)
    file = here.repository / "velro-scenario.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace('error_rate: "< 1 %"', 'error_rate: "< 90 %"'), encoding="utf-8")
    git("commit", "--quiet", "--all", "--message", "More errors are fine", cwd=here.repository)

    head = here.api.state.pulls[0]["head_sha"] = here.head
    fork = pull_request(head, head_repository="mallory/shop")
    log = here.run("pull_request", "perf-gate", fork, options=(*APPROVED, *NO_SECRETS), KEY_OF_THE_SERVICE=here.sandbox.key)

    assert "this job's token may not write" in log
    assert "exit-code=0" in log, log
    assert here.api.state.calls == []
    assert here.uploads("velro-fork-report") == {"record.json"}

    archived(here, here.folder / "uploads" / "velro-fork-report")
    git("switch", "--quiet", "main", cwd=here.repository)
    measured = here.sandbox.counts()["total"]
    log = here.run("workflow_run", "perf-report-fork", finished_run(head, "success"), options=APPROVED)
    # Whoever finds the archive of a run has still to find the approval of a maintainer.
    assert here.lights == [(head, "error")], log
    assert "no reviewer of the environment forks has approved this run" in here.api.state.comments[0]["body"]
    here.api.state.approvals[str(RUN)] = [("approved", "forks")]
    log = here.run("workflow_run", "perf-report-fork", finished_run(head, "success"), options=APPROVED)

    assert here.lights[1:] == [(head, "failure")], log
    (comment,) = here.api.state.comments
    assert "fail, please read" in comment["body"]
    assert "nobody else measured them" in comment["body"]
    assert f"actions/runs/{RUN}" in comment["body"]
    assert here.sandbox.counts()["total"] == measured


def test_an_approved_fork_that_lacks_a_secret_gets_a_comment_that_says_so(here: Host) -> None:
    here.api.state.pulls[0]["head_owner"] = "mallory"
    head = here.head
    fork = pull_request(head, head_repository="mallory/shop")
    log = here.run("pull_request", "perf-gate", fork, options=(*APPROVED, *NO_SECRETS))
    assert "SUPABASE_SERVICE_KEY" in log
    assert here.sandbox.counts()["total"] == 0
    assert here.uploads("velro-fork-report") == set()

    here.api.state.approvals[str(RUN)] = [("approved", "forks")]
    here.run("workflow_run", "perf-report-fork", finished_run(head, "failure"), options=APPROVED)
    assert here.lights == [(head, "error")]
    (comment,) = here.api.state.comments
    assert "gets no secrets" in comment["body"]
