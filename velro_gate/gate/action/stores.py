"""The places where baselines are kept: brought before a run, and given one more after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from velro_gate.errors import BrokenError, GateFailedError, PublishError
from velro_gate.gate.action.store_kind import StoreKind
from velro_gate.gate.judge.calibrate import accept
from velro_gate.github.api import Api
from velro_gate.github.artifacts import download_archive, every_file_in, latest_artifact
from velro_gate.github.pulls import open_proposal, open_pull_request
from velro_gate.model.further import Further
from velro_gate.model.record import RunRecord
from velro_gate.store.baselines import prune_baselines
from velro_gate.store.branch import Branch, Pause, pull, push
from velro_gate.store.files import write_whole
from velro_gate.store.git import Git

ARTIFACT = "velro-baselines"
PROPOSAL = "velro-gate/baselines"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A stored run."""

    where: str
    """Where it is kept, as a person would look for it."""
    tries: int = 1
    """How many pushes it took."""
    notes: tuple[str, ...] = ()
    """Anything else to report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """How a run becomes a baseline."""

    keep: int
    """How many of each plan and environment stay."""
    accept_change: bool = False
    waivers: Path | None = None
    further: Further | None = None
    """The runs that confirm it."""

    def add(self, record: RunRecord, folder: Path) -> str:
        """Store the run in a folder of baselines, take the oldest away, and say in a line what was done.

        Raises:
            BrokenError: it cannot be trusted. GateFailedError: it is a regression. BaselineError: it is there already.
        """
        accept(record, folder, accept_change=self.accept_change, waivers=self.waivers, further=self.further)
        removed = prune_baselines(folder, self.keep)
        pruned = f", {len(removed)} old removed" if removed else ""
        return f"Baseline of {record.revision.sha[:12] or record.id}: {record.plan.scenario}, {record.plan.profile}{pruned}"


class Store(Protocol):
    """A place where baselines are kept."""

    def bring(self, folder: Path) -> tuple[str, ...]:
        """Fetch all baselines into a folder; a sentence for each file that is not a baseline.

        Raises:
            BrokenError: they cannot be read, so that no change could be seen.
        """

    def keep(self, record: RunRecord, acceptance: Acceptance) -> StoredRun:
        """Store one more.

        Raises:
            PublishError: it could not be written. Whatever ``Acceptance.add`` raises: then it is there as quarantined at most.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStore:
    """No baselines: requirements only."""

    def bring(self, folder: Path) -> tuple[str, ...]:
        """Nothing."""
        del folder
        return ()

    def keep(self, record: RunRecord, acceptance: Acceptance) -> StoredRun:
        """Nowhere: to ask for it is a contradiction."""
        del record, acceptance
        raise PublishError("no baseline is stored", why="baseline-store is 'none'", hint="Choose a store, such as branch.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchStore:
    """A branch, whether one of its own or the default one."""

    git: Git
    branch: Branch
    pause: Pause
    skip_ci: bool = True
    refused: bool = True
    """Whether refused runs are pushed, as quarantined."""

    def bring(self, folder: Path) -> tuple[str, ...]:
        """From the branch's tip."""
        return pull(self.git, self.branch, folder, self.pause).skipped

    def keep(self, record: RunRecord, acceptance: Acceptance) -> StoredRun:
        """As one commit on the tip; accepted again on each try, compared with what is there by then.

        A run that is not accepted is pushed as quarantined, for all to see, before it is refused here.
        """
        mark = " [skip ci]" if self.skip_ci else ""
        refusal: BrokenError | GateFailedError | None = None

        def change(folder: Path) -> str:
            """Add the record to the baselines that exist by now; a refusal is kept for the verdict unless refused runs are
            stored, too.
            """
            nonlocal refusal
            try:
                line, refusal = acceptance.add(record, folder), None
            except (BrokenError, GateFailedError) as error:
                if not self.refused:
                    raise
                line, refusal = f"Quarantined: {record.revision.sha[:12] or record.id}", error
            return f"{line}{mark}\n\nRun: {record.id}\n"

        done = push(self.git, self.branch, change, self.pause)
        if refusal is not None:
            raise refusal
        return StoredRun(where=f"{self.branch.name}@{done.commit}", tries=done.tries, notes=done.skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalStore:
    """Proposed by a pull request: for those whose default branch takes no pushes and whose people want to see each baseline.

    Baselines count once they are merged. Until then further ones join the open proposal.
    """

    git: Git
    api: Api
    base: str
    path: str
    pause: Pause

    def bring(self, folder: Path) -> tuple[str, ...]:
        """From the default branch."""
        return pull(self.git, Branch(name=self.base, path=self.path), folder, self.pause).skipped

    def keep(self, record: RunRecord, acceptance: Acceptance) -> StoredRun:
        """On the proposal's branch; without a mark that skips CI there, or required checks would never come.

        A run that is refused is not proposed: nobody is asked to merge what is not used.
        """
        pending = open_proposal(self.api, branch=PROPOSAL, base=self.base)
        branch = Branch(name=PROPOSAL, path=self.path, start=self.base, from_start=not pending)
        kept = BranchStore(git=self.git, branch=branch, pause=self.pause, skip_ci=False, refused=False).keep(record, acceptance)
        title = "New performance baselines [skip ci]"
        body = f"Accepted runs of `{self.base}`. Later runs are compared with them once this is merged."
        url = pending or open_pull_request(self.api, branch=PROPOSAL, base=self.base, title=title, body=body)
        return replace(kept, notes=(*kept.notes, f"proposed by {url}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStore:
    """Archives of finished runs on the default branch. The workflow uploads ``folder``; of two at once the later one wins."""

    api: Api
    branch: str
    folder: Path
    say: Callable[[str], None]

    def bring(self, folder: Path) -> tuple[str, ...]:
        """From the newest archive that has not expired."""
        try:
            newest = latest_artifact(self.api, name=ARTIFACT, branch=self.branch)
            files = {} if newest is None else every_file_in(download_archive(self.api, newest), ".json")
        except PublishError as error:
            raise BrokenError("the baselines cannot be fetched", where=error.where, why=error.why, hint=error.hint) from error
        for name, content in files.items():
            write_whole(folder / name, content.decode("utf-8", "replace"))
        if newest is None:
            self.say(f"no archive {ARTIFACT!r} of {self.branch} yet, or it has expired")
        return ()

    def keep(self, record: RunRecord, acceptance: Acceptance) -> StoredRun:
        """In the folder that the workflow's next step uploads."""
        self.bring(self.folder)
        acceptance.add(record, self.folder)
        return StoredRun(where=str(self.folder), notes=(f"upload {self.folder} as the artifact {ARTIFACT!r}",))


def store_for(
    kind: StoreKind,
    *,
    git: Git,
    api: Api,
    pause: Pause,
    branch: str,
    path: str,
    default_branch: str,
    say: Callable[[str], None],
) -> Store:
    """The store that the inputs ask for.

    Raises:
        BrokenError: it needs the default branch, and the event does not name it.
    """
    if kind in (StoreKind.PUSH, StoreKind.PULL_REQUEST, StoreKind.ARTIFACT) and not default_branch:
        raise BrokenError("the repository's default branch is not known", why="the event's payload does not name it")
    match kind:
        case StoreKind.NONE:
            return NoStore()
        case StoreKind.BRANCH:
            return BranchStore(git=git, branch=Branch(name=branch, path=path), pause=pause)
        case StoreKind.PUSH:
            return BranchStore(git=git, branch=Branch(name=default_branch, path=path), pause=pause)
        case StoreKind.PULL_REQUEST:
            return ProposalStore(git=git, api=api, base=default_branch, path=path, pause=pause)
        case StoreKind.ARTIFACT:
            return ArtifactStore(api=api, branch=default_branch, folder=Path(path), say=say)
