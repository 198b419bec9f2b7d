"""Which permissions each use of the gate needs, and which of them a job lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.adoption.workflow import Workflow, WorkflowJob, WorkflowStep

_FOR_FORKS = re.compile(r"head\.repo\.full_name\s*!=\s*github\.repository\b")
_ENOUGH = {"read": ("read", "write"), "write": ("write",)}

COMMENT = "the comment on the pull request"
STATUS = "the status that branch protection requires"
BASELINE = "the commit that holds the baseline"
PAGE = "the commit that holds the trend's page"
ALERT = "the issue that holds the alerts"


def missing_permissions(workflow: Workflow) -> Iterator[DoctorFinding]:
    """Rights that a job's token needs for what the gate is asked to do, and does not have."""
    for job in workflow.jobs:
        for step in job.gates:
            needed = dict(_needed(workflow, job, step))
            lacking = {name: wish for name, wish in needed.items() if not _has(job, name, wish[0])}
            if not lacking:
                continue
            declared = job.value.get("permissions")
            line = declared.line if declared is not None else job.value.line_of_key("permissions")
            said = job.permission("contents") is not None
            yield DoctorFinding(
                rule="permission",
                severity=Severity.FAULT if said else Severity.ADVICE,
                where=workflow.at(line),
                what=f"job {job.name} lacks {_named(lacking)}"
                if said
                else f"job {job.name} does not say which permissions it needs",
                why="Without them GitHub refuses " + ", ".join(dict.fromkeys(reason for _, reason in lacking.values())) + ".",
                do="Write under the job's permissions: " + ", ".join(f"{name}: {level}" for name, (level, _) in needed.items()),
            )


def _has(job: WorkflowJob, name: str, level: str) -> bool:
    # A pull request's conversation is an issue's, too: either right lets us comment.
    names = (name, "issues") if name == "pull-requests" else (name,)
    return any(job.permission(each) in _ENOUGH[level] for each in names)


def _named(lacking: dict[str, tuple[str, str]]) -> str:
    return " and ".join(f"{name}: {level}" for name, (level, _) in lacking.items())


def _needed(workflow: Workflow, job: WorkflowJob, step: WorkflowStep) -> Iterator[tuple[str, tuple[str, str]]]:
    """Permission, level and reason, the strongest of each last."""
    mode, events = step.given("mode", "auto"), set(workflow.triggers)
    comments, sets_status = step.given("comment", "true") == "true", step.given("status", "true") == "true"
    store = step.given("baseline-store", "branch")

    def is_for(kind: str, *when: str) -> bool:
        """Whether the gate runs in this mode: as asked for, or on one of these events where the mode follows the event."""
        return mode == kind or (mode == "auto" and bool(events & set(when)))

    gates = is_for("gate", "pull_request", "pull_request_target") and not _FOR_FORKS.search(job.condition)
    confirms = mode == "confirm"
    refreshes, reports = is_for("refresh", "push"), is_for("report", "workflow_run")
    yield "contents", ("read", "the commit and the baselines")
    if refreshes and store in ("branch", "push", "pull-request"):
        yield "contents", ("write", BASELINE)
    if refreshes and step.given("pages", "false") == "true":
        yield "contents", ("write", PAGE)
    if step.given("alerts", "false") == "true" and (refreshes or is_for("selftest", "schedule")):
        yield "issues", ("write", ALERT)
    if comments and (gates or confirms or reports):
        yield "pull-requests", ("write", COMMENT)
    if refreshes and store == "pull-request":
        yield "pull-requests", ("write", "the pull request that brings the baseline")
    if sets_status and (gates or confirms or refreshes or reports or step.given("pull-request")):
        yield "statuses", ("write", STATUS)
    # Whoever measures, forks included, compares with what is stored.
    if reports:
        yield "actions", ("read", "the artifact of the other run")
    elif confirms:
        yield "actions", ("read", "the first job's measurement")
    elif store == "artifact":
        yield "actions", ("read", "the archive that holds the baselines")
