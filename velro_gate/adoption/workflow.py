"""Workflow files as the doctor sees them: triggers, jobs, steps, what a job may do and where it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.adoption.tree import YamlNode
from velro_gate.bounded import read_written
from velro_gate.units import format_count

MOST_BYTES = 1 << 20
"""GitHub takes no workflow file of half this size."""

# In our own repository the action is the folder itself.
_GATE = re.compile(r"(\./|\$/)|.*\bvelro-gate(/[^@]*)?@.*")
_HOSTED = re.compile(r"(ubuntu|windows|macos|xcode)-.+")


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step of a job."""

    value: YamlNode

    @property
    def uses(self) -> str:
        """The action that it uses; empty for a step that runs a script."""
        return self.value.text_at("uses")

    @property
    def is_gate(self) -> bool:
        """Whether it uses velro-gate."""
        return _GATE.fullmatch(self.uses) is not None

    def given(self, name: str, default: str = "") -> str:
        """An input of the action."""
        return self.value.text_at("with", name) or default


@dataclass(frozen=True, slots=True)
class WorkflowJob:
    """One job."""

    name: str
    value: YamlNode
    inherited: YamlNode | None
    """The permissions at the top of its workflow."""

    @property
    def steps(self) -> list[WorkflowStep]:
        """Its steps, in order."""
        found = self.value.get("steps")
        return [WorkflowStep(each) for each in found.entries()] if found is not None else []

    @property
    def gates(self) -> list[WorkflowStep]:
        """Its steps that use velro-gate."""
        return [step for step in self.steps if step.is_gate]

    @property
    def condition(self) -> str:
        """Its ``if``, on one line."""
        return " ".join(self.value.text_at("if").split())

    @property
    def runs_on(self) -> str:
        """Where it runs, as words: the labels, or the expression that chooses them."""
        found = self.value.get("runs-on")
        if found is None:
            return ""
        labels = found.get("labels") or found
        return " ".join(entry.text for entry in labels.entries())

    @property
    def may_be_self_hosted(self) -> bool:
        """Whether it can land on a machine that is not GitHub's: by its label, or by a label that GitHub does not have."""
        if "${{" in self.runs_on:
            matrix = self.value.get("strategy", "matrix") if "matrix." in self.runs_on else None
            return "self-hosted" in self.runs_on or (matrix is not None and "self-hosted" in matrix.words())
        labels = self.runs_on.split()
        return "self-hosted" in labels or any(not _HOSTED.fullmatch(label) for label in labels)

    def permission(self, name: str) -> str | None:
        """read, write or none of one permission; None where nobody says and the repository's setting decides."""
        declared = self.value.get("permissions") or self.inherited
        if declared is None:
            return None
        if declared.text:
            return declared.text.removesuffix("-all")
        # Where some permissions are named, GitHub withdraws all others.
        return declared.text_at(name) or "none"


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow file."""

    path: str
    """Its path as it is shown."""
    root: YamlNode

    @property
    def triggers(self) -> Mapping[str, YamlNode]:
        """What starts it, by event."""
        on = self.root.get("on")
        if on is None:
            return {}
        return dict(on.items()) or {entry.text: entry for entry in on.entries()}

    @property
    def jobs(self) -> list[WorkflowJob]:
        """Its jobs, in the order of the file."""
        found = self.root.get("jobs")
        permissions = self.root.get("permissions")
        return [WorkflowJob(name, value, permissions) for name, value in found.items()] if found is not None else []

    @property
    def uses_gate(self) -> bool:
        """Whether any of its jobs uses velro-gate."""
        return any(job.gates for job in self.jobs)

    def at(self, line: int) -> str:
        """A place in this file."""
        return f"{self.path}:{line}"


def read_workflows(root: Path) -> tuple[list[Workflow], list[DoctorFinding]]:
    """The workflows of a repository, and a finding for each file that is not a workflow."""
    workflows, findings = [], []
    for file in _files(root):
        shown = file.relative_to(root).as_posix()
        try:
            if file.stat().st_size > MOST_BYTES:
                findings.append(_unreadable(shown, f"it is larger than {format_count(MOST_BYTES)} bytes"))
                continue
            node = yaml.compose(read_written(file), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError) as error:
            findings.append(_unreadable(shown, str(error)))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{shown}:{mark.line + 1}" if mark is not None else shown
            findings.append(_unreadable(where, getattr(error, "problem", None) or "it is not YAML"))
        except (ValueError, OverflowError, RecursionError):
            # What the YAML library does not catch itself: escapes beyond Unicode, endless digits, thousands of brackets.
            findings.append(_unreadable(shown, "it is nested too deeply, or an escape in it stands for no character"))
        else:
            if isinstance(node, yaml.MappingNode):
                workflows.append(Workflow(shown, YamlNode(node)))
            else:
                findings.append(_unreadable(shown, "it holds no mapping"))
    return workflows, findings


def _files(root: Path) -> Iterator[Path]:
    folder = root / ".github" / "workflows"
    if folder.is_dir():
        yield from sorted(file for file in folder.iterdir() if file.suffix in (".yml", ".yaml") and file.is_file())


def _unreadable(where: str, why: str) -> DoctorFinding:
    return DoctorFinding(
        rule="unreadable",
        severity=Severity.FAULT,
        where=where,
        what="a workflow file cannot be read",
        why=why,
        do="Fix the file; until then GitHub runs nothing in it.",
    )
