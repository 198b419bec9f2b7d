"""The duet of a proposed change: what it starts from is fetched, both are built, and measured side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from velro_gate.gate.duet import duet
from velro_gate.gate.effects import Effects
from velro_gate.gate.merge_base import check_out, merge_base
from velro_gate.gate.no_duet import NoDuetError, no_duet_without_a_base
from velro_gate.gate.null_run import Calibration
from velro_gate.gate.pilot import Wishes
from velro_gate.gate.results import Results
from velro_gate.gate.setup import Setup
from velro_gate.gate.workshop import Workshop
from velro_gate.github.event import Event
from velro_gate.model.duet import DuetRecord, Side
from velro_gate.model.record import Revision, RunRecord
from velro_gate.monitor.checkout import checkout
from velro_gate.store.git import Git


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A proposed change in a job. scratch: a temporary folder, outside the workspace. git: talks to its repository."""

    event: Event
    scratch: Path
    git: Callable[[Path], Git]


def measure_change(
    change: Change,
    workshop: Workshop,
    setup: Setup,
    wishes: Wishes,
    results: Results,
    effects: Effects,
    calibration: Calibration | None,
) -> tuple[RunRecord, DuetRecord]:
    """The head build's record and its pairs with the build that it starts from.

    Raises:
        NoDuetError: the base cannot be found, built or started, or a duet would take too long. BrokenError: the head build
            cannot be built or started.
    """
    event = change.event
    if event.read_only:
        raise NoDuetError(
            "the reporter, which tells this job's result, holds it against stored baselines",
            "A maintainer can run the duet from a branch of the repository.",
        )
    # Before the build, which may commit something of its own.
    here = checkout(workshop.workspace)
    # What is wrong with the head build is its author's to mend, whatever becomes of the base build.
    workshop.build_head(results)
    if not here.sha:
        raise NoDuetError(
            f"git knows no commit in the workspace, so what the change starts from is not known: {here.why}",
            "Check the code out with actions/checkout before the gate.",
        )
    found = merge_base(change.git(change.scratch / "history.git"), measured=here.sha, head=event.head_sha, base=event.base_sha)
    effects.say(f"the change is held against {found[:12]}, from which it starts")
    base = check_out(change.git(change.scratch / "base" / ".git"), found)
    with no_duet_without_a_base():
        workshop.build_in(base, Side.BASE, results)
        known = Revision(sha=found, branch=event.base_branch, label=found[:12])
        return duet(setup, workshop.builds(base, known, effects.revision()), wishes, results, effects, calibration)
