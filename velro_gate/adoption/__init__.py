"""Bringing velro-gate into a repository (files to begin with) and keeping it right there (what the doctor looks for)."""

from __future__ import annotations

from velro_gate.adoption.choices import Choices
from velro_gate.adoption.collision_rules import unguarded
from velro_gate.adoption.files import ACTIONLINT, render_files
from velro_gate.adoption.findings import DoctorFinding, Severity
from velro_gate.adoption.machine_rules import MachineFacts, examine_machine
from velro_gate.adoption.rules import examine_workflows
from velro_gate.adoption.workflow import Workflow, read_workflows
from velro_gate.adoption.writing import WriteOutcome, Written, ignore_results, write_files

__all__ = [
    "ACTIONLINT",
    "Choices",
    "DoctorFinding",
    "MachineFacts",
    "Severity",
    "Workflow",
    "WriteOutcome",
    "Written",
    "examine_machine",
    "examine_workflows",
    "ignore_results",
    "read_workflows",
    "render_files",
    "unguarded",
    "write_files",
]
