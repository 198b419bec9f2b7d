"""What a change is compared with: the commit where it left the base branch, found and checked out by git.

Both happen in private repositories of the job's temporary folder. The workspace may be shallow, and is not touched: no fetch
into it, no worktree that it would have to register.
"""

from __future__ import annotations

from pathlib import Path

from velro_gate.gate.builds.no_duet import NoDuetError
from velro_gate.store.git import Git, GitError

COMMITS_ONLY = "--filter=tree:0"


def merge_base(history: Git, *, measured: str, head: str, base: str) -> str:
    """The commit that ``measured`` is to be compared with; never the base branch's tip of today.

    GitHub checks out the merge of a pull request with its base branch. That merge holds everything the branch had by then, so
    it is compared with its first parent; any other commit with the newest that it has in common with the base branch.

    Args:
        history: a private repository, still to be made. It gets all commits of both, without any file.
        measured: the commit that is checked out in the workspace.
        head: the proposed commit, which is ``measured`` itself or its second parent.
        base: a commit of the base branch; empty where the event names none.

    Raises:
        NoDuetError: there is none, or the history cannot be fetched.
    """
    try:
        history.prepare()
        # By name: only a configured remote can leave files out.
        history.run("remote", "add", "origin", history.url)
        wanted = dict.fromkeys(filter(None, (measured, base)))
        history.run("fetch", "--quiet", "--no-tags", COMMITS_ONLY, "origin", *wanted)
        _, *parents = history.text("rev-list", "--parents", "--max-count=1", measured).split()
    except GitError as error:
        raise _not_fetched("the history", error) from error
    if measured != head and len(parents) == 2 and parents[1] == head:
        return parents[0]
    if not base:
        raise NoDuetError("the event names no base commit", "Run the gate for pull requests or in a merge queue.")
    try:
        return history.text("merge-base", measured, base)
    except GitError as error:
        if error.said:
            raise _not_fetched("the history", error) from error
        raise NoDuetError(
            f"{measured[:12]} and the base branch have no commit in common",
            "Rebase the change on the base branch.",
        ) from error


def check_out(source: Git, commit: str) -> Path:
    """Check one commit out, alone, into the folder above ``source.folder``, which is its ``.git``; that folder.

    Raises:
        NoDuetError: it cannot be fetched or written.
    """
    place = source.folder.parent
    try:
        source.run("init", "--quiet", str(place), inside=False)
        source.run("config", "core.worktree", str(place))
        source.run("fetch", "--quiet", "--no-tags", "--depth=1", source.url, commit)
        source.run("checkout", "--quiet", "--detach", commit)
    except GitError as error:
        raise _not_fetched(f"the base commit {commit[:12]}", error) from error
    return place


def _not_fetched(what: str, error: GitError) -> NoDuetError:
    said = error.said.splitlines()
    return NoDuetError(
        f"{what} cannot be fetched: {said[-1] if said else error}",
        "Give the job 'contents: read', and check that the runner can reach the repository.",
    )
