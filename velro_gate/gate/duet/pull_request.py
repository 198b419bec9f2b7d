"""The duet of a proposed change: what it starts from is fetched, both are built, and measured side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from velro_gate.gate.builds.build import BuildRunner
from velro_gate.gate.builds.merge_base import check_out, merge_base
from velro_gate.gate.builds.no_duet import NoDuetError, no_duet_without_a_base
from velro_gate.gate.duet.pilot import DuetOptions
from velro_gate.gate.duet.run import duet
from velro_gate.gate.measure.effects import Effects
from velro_gate.gate.measure.null_run import Calibration
from velro_gate.gate.measure.results import Results
from velro_gate.gate.measure.setup import Setup
from velro_gate.github.event import Event
from velro_gate.model.duet import DuetRecord, Side
from velro_gate.model.record import Revision, RunRecord
from velro_gate.monitor.checkout import checkout
from velro_gate.store.git import Git


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedChange:
    """A proposed change in a job."""

    event: Event
    scratch: Path
    """A temporary folder, outside the workspace."""
    git: Callable[[Path], Git]
    """Talks to its repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a change starts from, checked out in a folder of its own; or, in reason and advice, why it is not available."""

    sha: str = ""
    branch: str = ""
    folder: Path = Path()
    reason: str = ""
    advice: str = ""


def base_of(change: ProposedChange, workspace: Path) -> Base:
    """Find and check out what a change starts from. Nothing of the change has been run by then, and git may hold a token."""
    event = change.event
    if event.read_only:
        reason = "the reporter, which publishes this job's result, compares it with stored baselines"
        return Base(reason=reason, advice="A maintainer can run the duet from a branch of the repository.")
    here = checkout(workspace)
    if not here.sha:
        return Base(
            reason=f"git knows no commit in the workspace, so what the change starts from is not known: {here.why}",
            advice="Check the code out with actions/checkout before the gate.",
        )
    try:
        history = change.git(change.scratch / "history.git")
        found = merge_base(history, measured=here.sha, head=event.head_sha, base=event.base_sha)
        folder = check_out(change.git(change.scratch / "base" / ".git"), found)
    except NoDuetError as error:
        return Base(reason=error.reason, advice=error.advice)
    return Base(sha=found, branch=event.base_branch, folder=folder)


def measure_change(
    base: Base,
    builder: BuildRunner,
    setup: Setup,
    options: DuetOptions,
    results: Results,
    effects: Effects,
    calibration: Calibration | None,
) -> tuple[RunRecord, DuetRecord]:
    """The head build's record and its pairs with the build that it starts from.

    Raises:
        NoDuetError: the base cannot be found, built or started, or a duet would take too long. BrokenError: the head build
            cannot be built or started.
    """
    if base.reason:
        raise NoDuetError(base.reason, base.advice)
    # The author has to fix the head build in any case, whether or not the base build works.
    builder.build_head(results)
    effects.say(f"comparing with merge base {base.sha[:12]}")
    with no_duet_without_a_base():
        builder.build_in(base.folder, Side.BASE, results)
        known = Revision(sha=base.sha, branch=base.branch, label=base.sha[:12])
        return duet(setup, builder.builds(base.folder, known, effects.revision()), options, results, effects, calibration)
