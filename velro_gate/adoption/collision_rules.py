"""What several jobs share without meaning to: a status, a comment, the name of an artifact; and what no file can guard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.adoption.workflow import Workflow, WorkflowJob, WorkflowStep

_FOR_FORKS = re.compile(r"head\.repo\.full_name\s*!=\s*github\.repository\b")
_OF_ITS_OWN = re.compile(r"\$\{\{[^}]*\b(matrix\.|strategy\.job-index|artifact-name|github\.job\b)")
_PROPOSED = ("pull_request", "merge_group")
_PLAN = ("scenario", "profile", "phases", "runner-label")
_DEFAULTS = {"profile": "pr"}


@dataclass(frozen=True, slots=True)
class _Gate:
    """One step that judges a proposed change."""

    workflow: Workflow
    job: WorkflowJob
    step: WorkflowStep

    @property
    def line(self) -> int:
        """Where the action is used, in the workflow's file."""
        return self.step.value.line_of_key("uses")

    @property
    def where(self) -> str:
        """File and line for a finding."""
        return self.workflow.at(self.line)

    @property
    def repeated(self) -> bool:
        """Whether the job is a matrix, so that there are several of this step."""
        return self.job.value.get("strategy", "matrix") is not None

    @property
    def context(self) -> str:
        """The name of the commit status that the gate sets."""
        return self.step.given("status-context", "velro-gate")

    @property
    def counted(self) -> bool:
        """Whether its status waits for those that share it."""
        return self.step.given("status-jobs", "1") != "1"

    @property
    def plan(self) -> tuple[str, ...]:
        """What decides the records: two gates with the same plan write the same baselines."""
        return tuple(self.step.given(name, _DEFAULTS.get(name, "")) for name in _PLAN)


def collisions(workflows: Sequence[Workflow]) -> Iterator[DoctorFinding]:
    """Jobs that judge the same commit under one name."""
    gates = [gate for workflow in workflows for gate in _gates(workflow)]
    for number, gate in enumerate(gates):
        before = gates[:number]
        same_plan = next((one for one in before if one.plan == gate.plan), None)
        if (gate.repeated and not any(map(_differs, gate.plan))) or same_plan is not None:
            yield _shared_plan(gate, same_plan)
        same_context = next((one for one in before if one.context == gate.context), None)
        # A gate that counts the jobs of its status shares it on purpose.
        if not gate.counted and ((gate.repeated and not _differs(gate.context)) or same_context is not None):
            yield _shared_status(gate, same_context)
    for workflow in workflows:
        yield from _shared_artifacts(workflow)


def _gates(workflow: Workflow) -> Iterator[_Gate]:
    if not set(_PROPOSED) & set(workflow.triggers):
        return
    for job in workflow.jobs:
        for step in job.gates:
            if step.given("mode", "auto") in ("auto", "gate") and not _FOR_FORKS.search(job.condition):
                yield _Gate(workflow, job, step)


def _differs(text: str) -> bool:
    return _OF_ITS_OWN.search(text) is not None


def _other(other: _Gate | None) -> str:
    return "the jobs of its matrix" if other is None else f"job {other.job.name} ({other.where})"


def _shared_plan(gate: _Gate, other: _Gate | None) -> DoctorFinding:
    return DoctorFinding(
        rule="shared-comment",
        severity=Severity.FAULT,
        where=gate.where,
        what=f"job {gate.job.name} measures the same scenario and profile as {_other(other)}, without a runner label",
        why="Their comments overwrite one another, and their baselines are treated as those of one machine.",
        do="Give each a runner-label of its own, for example: runner-label: ${{ matrix.runner }}",
    )


def _shared_status(gate: _Gate, other: _Gate | None) -> DoctorFinding:
    return DoctorFinding(
        rule="shared-status",
        severity=Severity.ADVICE,
        where=gate.where,
        what=f"job {gate.job.name} shares the status {gate.context} with {_other(other)}",
        why="The status shows the worst of them, but it can be green for as long as one of them has not begun.",
        do="Give each a status-context of its own, and require each in the branch protection; or say in each, by status-jobs, "
        "how many they are.",
    )


def _shared_artifacts(workflow: Workflow) -> Iterator[DoctorFinding]:
    if not workflow.uses_gate:
        return
    for job in workflow.jobs:
        if job.value.get("strategy", "matrix") is None:
            continue
        for step in job.steps:
            if step.uses.startswith("actions/upload-artifact@") and not _differs(step.given("name")):
                yield DoctorFinding(
                    rule="shared-artifact",
                    severity=Severity.FAULT,
                    where=workflow.at(step.value.line_of_key("uses")),
                    what=f"the jobs of the matrix {job.name} upload under one name",
                    why="GitHub accepts an artifact's name once in a run: the second upload fails, and with it the job.",
                    do="Write under with: name: ${{ steps.gate.outputs.artifact-name }}",
                )


def unguarded(workflows: Sequence[Workflow]) -> Iterator[DoctorFinding]:
    """That no file keeps the code of forks from a machine of one's own: a fork's pull request runs its own workflow files."""
    for workflow in workflows:
        for job in workflow.jobs:
            if job.may_be_self_hosted:
                yield DoctorFinding(
                    rule="fork-approval",
                    severity=Severity.ADVICE,
                    where=workflow.at(job.value.line_of_key("runs-on")),
                    what="only settings on GitHub keep the code of forks from your own machine, and no file shows them",
                    why="A pull request from a fork runs the fork's own workflow files, so no 'if:' in yours stops it.",
                    do="In a public repository: Settings, Actions, General: require approval for all external contributors; a "
                    "runner group for chosen workflows; runners that end after each job. Approve nothing unread.",
                )
                return
