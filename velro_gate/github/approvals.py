"""The approvals of a run, and what its pull request changes: by GitHub's word, not by the run's."""

from __future__ import annotations

from collections.abc import Mapping

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.units import format_count

MOST_FILES = 3_000
"""GitHub lists no more of a pull request's files."""


def is_approved(api: Api, *, run_id: int, environment: str) -> bool:
    """Whether a reviewer has approved this run for an environment. One without required reviewers approves nothing.

    Raises:
        PublishError: the approvals cannot be read.
    """
    found = api.get(f"/actions/runs/{run_id}/approvals")
    if not isinstance(found, list):
        raise PublishError("GitHub's response is not a list", where=f"GET /actions/runs/{run_id}/approvals")
    # GitHub ignores case in these names.
    return any(
        isinstance(one, Mapping) and one.get("state") == "approved" and environment.casefold() in _environments(one)
        for one in found
    )


def changed_files(api: Api, number: int) -> tuple[str, ...]:
    """The files that a pull request changes, by their paths; of one that was moved both.

    Raises:
        PublishError: they cannot be read, or are more than GitHub lists.
    """
    listed = [one for one in api.pages(f"/pulls/{number}/files") if isinstance(one, Mapping)]
    if len(listed) >= MOST_FILES:
        raise PublishError(
            "the pull request changes more files than can be checked",
            where=f"pull request {number}",
            why=f"GitHub lists {format_count(MOST_FILES)} at most",
            hint="A maintainer has to run it from a branch of the repository.",
        )
    names = [one.get(key) for one in listed for key in ("filename", "previous_filename")]
    return tuple(name for name in names if isinstance(name, str) and name)


def _environments(approval: Mapping[str, object]) -> set[str]:
    found = approval.get("environments")
    named = [one.get("name") for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    return {name.casefold() for name in named if isinstance(name, str)}
