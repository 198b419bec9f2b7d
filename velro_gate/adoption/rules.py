"""What the doctor looks for in workflows. Each rule reads one workflow and reports what it found, with the line.

A rule sees files only. What a branch protection requires and how an environment is protected is set on GitHub's pages; where
that matters the finding says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from velro_gate.adoption.collision_rules import collisions
from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.adoption.permission_rules import missing_permissions
from velro_gate.adoption.tree import YamlNode
from velro_gate.adoption.workflow import Workflow, WorkflowJob, WorkflowStep

_SAME_REPOSITORY = re.compile(
    r"head\.repo\.full_name\s*==\s*github\.repository\b"
    r"|github\.repository\s*==\s*github\.event\.pull_request\.head\.repo\.full_name"
    r"|!\s*github\.event\.pull_request\.head\.repo\.fork\b"
    r"|head\.repo\.fork\s*(==\s*false|!=\s*true)"
)
"""Conditions that let in only branches of the repository itself; anything else is taken to let forks in."""
_OTHER_REPOSITORY = re.compile(r"head\.repo\.full_name\s*!=\s*github\.repository\b")
"""In an expression under ``runs-on`` that sends forks to another runner."""
_SWITCHED_ON = re.compile(r"\bvars\.\w+\s*!=\s*''")
"""A repository variable without which the job does not run: together with an environment it is how ``init`` offers forks."""
_HEAD = re.compile(
    r"pull_request\.head\b|github\.head_ref|workflow_run\.head_|refs/pull/|pull_request\.merge_commit_sha|pull/\$"
)
"""Expressions that name the commit or branch of a pull request."""
_BY_HAND = re.compile(r"\bgit\s+([^\n]*\s)?(fetch|pull|clone|checkout|switch|reset|worktree)\b")
"""Commands of git that can bring another commit into the workspace."""
_HEAD_BY_HAND = re.compile(r"\bgh\s+pr\s+checkout\b")
_PINNED = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A full commit of git, by SHA-1 or SHA-256: shorter names can be made to mean another commit."""
_SUCCESS = re.compile(r"conclusion\s*==\s*'success'|'success'\s*==\s*[\w.]*conclusion")

PRIVILEGED = ("pull_request_target", "workflow_run", "issue_comment")
"""Events whose jobs have the base repository's secrets and a token that can write, whoever caused them."""


def examine_workflows(workflows: Sequence[Workflow]) -> list[DoctorFinding]:
    """Every finding, file by file and in the order of their lines; then what concerns several jobs or files."""
    found = []
    for workflow in workflows:
        here = [finding for rule in RULES for finding in rule(workflow)]
        found += sorted(here, key=lambda finding: int(finding.where.rpartition(":")[2]))
    found += collisions(workflows)
    if not any(workflow.uses_gate for workflow in workflows):
        found.append(
            DoctorFinding(
                rule="no-gate",
                severity=Severity.ADVICE,
                where=".github/workflows",
                what="no workflow uses velro-gate",
                why="Nothing gates pull requests here.",
                do="Run 'velro-gate init', which writes them.",
            )
        )
    return found


def fork_code(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Code of forks on a machine of one's own."""
    if not {"pull_request", "pull_request_target"} & set(workflow.triggers):
        return
    for job in workflow.jobs:
        if not job.may_be_self_hosted or _keeps_forks_away(job):
            continue
        if job.value.get("environment") is not None:
            yield DoctorFinding(
                rule="fork-code",
                severity=Severity.ADVICE,
                where=workflow.at(job.value.line_of_key("environment")),
                what=f"job {job.name} runs code of forks on your own machine once its environment lets it",
                why="An environment without required reviewers lets everybody in, and no file shows whether it has some.",
                do="Check Settings, Environments: it needs required reviewers, who read the commit before they approve it.",
            )
            continue
        yield DoctorFinding(
            rule="fork-code",
            severity=Severity.FAULT,
            where=workflow.at(job.value.line_of_key("runs-on")),
            what=f"job {job.name} runs code of forks on your own machine",
            why="Anybody can open a pull request, and its code could stay on the machine and reach your network.",
            do="Add to the job: if: github.event.pull_request.head.repo.full_name == github.repository",
        )


def _keeps_forks_away(job: WorkflowJob) -> bool:
    if _SAME_REPOSITORY.search(job.condition):
        return True
    if "${{" in job.runs_on and _OTHER_REPOSITORY.search(job.runs_on):
        return True
    return job.value.get("environment") is not None and _SWITCHED_ON.search(job.condition) is not None


def head_code(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Code of a pull request in a job that has the repository's rights."""
    events = [event for event in PRIVILEGED if event in workflow.triggers]
    if not events:
        return
    for job in workflow.jobs:
        for step in job.steps:
            line = _line_of_head(step)
            if line is not None:
                yield DoctorFinding(
                    rule="head-code",
                    severity=Severity.FAULT,
                    where=workflow.at(line),
                    what=f"job {job.name} fetches the code of a pull request under {events[0]}",
                    why="The job has your secrets and a token that can write, and the code is anybody's.",
                    do="Measure under pull_request, and report under workflow_run with your own code, as 'init' does.",
                )


def _line_of_head(step: WorkflowStep) -> int | None:
    for name in ("ref", "repository"):
        given = step.value.get("with", name)
        if step.uses.startswith("actions/checkout@") and given is not None and _HEAD.search(given.text):
            return given.line
    script = step.value.get("run")
    if script is None:
        return None
    variables = step.value.get("env")
    named = [value.text for _, value in variables.items()] if variables is not None else []
    fetches = _BY_HAND.search(script.text) and any(_HEAD.search(text) for text in (script.text, *named))
    return script.line if fetches or _HEAD_BY_HAND.search(script.text) else None


def path_filter(workflow: Workflow) -> Iterator[DoctorFinding]:
    """A filter by paths where a status is required."""
    if not workflow.uses_gate:
        return
    for event in ("pull_request", "pull_request_target", "merge_group"):
        trigger = workflow.triggers.get(event)
        for key in ("paths", "paths-ignore"):
            if trigger is not None and trigger.get(key) is not None:
                yield DoctorFinding(
                    rule="path-filter",
                    severity=Severity.FAULT,
                    where=workflow.at(trigger.line_of_key(key)),
                    what=f"{key} keeps the gate from some pull requests",
                    why="The required status never comes for those, so they can never be merged.",
                    do=f"Remove {key}. To save time on changes of documentation only, choose a shorter profile for them.",
                )


def queueing(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Baselines that quick merges would lose."""
    if "push" not in workflow.triggers:
        return
    for job in workflow.jobs:
        if not job.gates:
            continue
        # Concurrency may be declared for the whole workflow or for a job, and either can drop a run.
        for holder in (workflow.root, job.value):
            group = holder.get("concurrency")
            if group is None:
                continue
            if group.text_at("cancel-in-progress") == "true":
                yield _lost_baselines(
                    workflow, group.line_of_key("cancel-in-progress"), "cancel-in-progress: true stops a measurement"
                )
            elif group.text_at("queue") != "max":
                yield _lost_baselines(workflow, holder.line_of_key("concurrency"), "queue: max is missing")


def _lost_baselines(workflow: Workflow, line: int, what: str) -> DoctorFinding:
    return DoctorFinding(
        rule="queue-max",
        severity=Severity.FAULT,
        where=workflow.at(line),
        what=f"{what}, so merges lose their baselines",
        why="Of several runs that wait in one group GitHub keeps the newest only; the commits between get no baseline.",
        do="Write under concurrency: cancel-in-progress: false and queue: max",
    )


def success_guard(workflow: Workflow) -> Iterator[DoctorFinding]:
    """A reporter that keeps quiet about failures."""
    if "workflow_run" not in workflow.triggers or not workflow.uses_gate:
        return
    for job in workflow.jobs:
        for holder in (job.value, *(step.value for step in job.steps)):
            condition = holder.get("if")
            if condition is not None and _SUCCESS.search(" ".join(condition.text.split())):
                yield DoctorFinding(
                    rule="success-guard",
                    severity=Severity.FAULT,
                    where=workflow.at(holder.line_of_key("if")),
                    what="the report comes only when the gate has passed",
                    why="A failed gate is a failed run: the people concerned would never hear of it.",
                    do="Remove conclusion == 'success' from the condition.",
                )


def pinning(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Actions whose code can change under the same name."""
    if not workflow.uses_gate and not any(job.may_be_self_hosted for job in workflow.jobs):
        return
    for job in workflow.jobs:
        for holder in (job.value, *(step.value for step in job.steps)):
            used = holder.get("uses")
            # An action of this very commit, or of the workflow's own repository: it is pinned by what has been checked out.
            if used is None or used.text.startswith(("./", "$/")):
                continue
            reference = used.text.rpartition("@sha256:" if used.text.startswith("docker://") else "@")[2]
            if not _PINNED.fullmatch(reference):
                yield DoctorFinding(
                    rule="unpinned",
                    severity=Severity.FAULT,
                    where=workflow.at(used.line),
                    what=f"{used.text} is not pinned by commit",
                    why="A tag or a branch can be moved to other code, which then runs on your machine with this job's token.",
                    do="Write the full commit after @, and the version in a comment behind it.",
                )


def credentials(workflow: Workflow) -> Iterator[DoctorFinding]:
    """A token that lies in the workspace."""
    for job in workflow.jobs:
        if not job.may_be_self_hosted:
            continue
        for step in job.steps:
            if step.uses.startswith("actions/checkout@") and step.given("persist-credentials") != "false":
                yield DoctorFinding(
                    rule="persisted-token",
                    severity=Severity.ADVICE,
                    where=workflow.at(step.value.line_of_key("uses")),
                    what=f"job {job.name} leaves its token in the workspace",
                    why="checkout writes it into .git/config, where the service under test and every later step can read it.",
                    do="Add under with: persist-credentials: false. The gate does not need it.",
                )


def time_limit(workflow: Workflow) -> Iterator[DoctorFinding]:
    """A job that can hold the runner for hours."""
    for job in workflow.jobs:
        if job.gates and job.value.get("timeout-minutes") is None:
            yield DoctorFinding(
                rule="no-time-limit",
                severity=Severity.ADVICE,
                where=workflow.at(_line(workflow, job)),
                what=f"job {job.name} has no time limit",
                why="A service that hangs holds the runner for six hours, and every other measurement with it.",
                do="Add to the job: timeout-minutes: 30",
            )


def runner_pool(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Baselines that are kept by the name of a runner."""
    for job in workflow.jobs:
        for step in job.gates:
            if job.may_be_self_hosted and step.given("mode", "auto") != "report" and not step.given("runner-label"):
                yield DoctorFinding(
                    rule="runner-pool",
                    severity=Severity.ADVICE,
                    where=workflow.at(step.value.line_of_key("uses")),
                    what=f"job {job.name} compares with runs of the very same runner only",
                    why="Without a label the runner's own name and kernel count; a runner with another one finds no baseline.",
                    do="Add under with: runner-label: NAME, one name for machines that are alike.",
                )


def _line(workflow: Workflow, job: WorkflowJob) -> int:
    jobs: YamlNode | None = workflow.root.get("jobs")
    return jobs.line_of_key(job.name) if jobs is not None else 1


RULES = (
    fork_code,
    head_code,
    path_filter,
    missing_permissions,
    queueing,
    success_guard,
    pinning,
    credentials,
    time_limit,
    runner_pool,
)
