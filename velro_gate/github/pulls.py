"""Pull requests: finding the one that a commit belongs to, and opening one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.github.refusals import RefusedError

_UNPROCESSABLE = 422
"""What GitHub answers where the proposal exists already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """An open pull request as the API knows it."""

    number: int
    url: str
    head_sha: str
    base_sha: str
    base_branch: str
    author: str = ""
    """Empty where the account has been deleted."""
    head_repository: str = ""
    """Empty where the repository has been deleted."""


def pull_request(api: Api, number: int) -> PullRequest:
    """One pull request by its number.

    Raises:
        PublishError: there is none, or it cannot be read.
    """
    return _read(api.get(f"/pulls/{number}"))


def pull_request_of(api: Api, *, owner: str, branch: str, head_sha: str, base: str) -> PullRequest | None:
    """The open pull request whose head is this commit of this branch; None when there is none (any more).

    The API is asked, because whoever wrote a number into a file may have written any number. base: the branch whose pull
    requests are gated; of several pull requests of one branch the one into it is meant.

    Raises:
        PublishError: the list cannot be read.
    """
    listed = api.pages("/pulls", {"state": "open", "head": f"{owner}:{branch}"})
    found = [one for one in map(_read, listed) if one.head_sha == head_sha]
    return min(found, key=lambda one: (one.base_branch != base, one.number), default=None)


def open_pull_request(api: Api, *, branch: str, base: str, title: str, body: str) -> str:
    """Propose a branch, or find the proposal that was opened meanwhile; its address.

    Raises:
        PublishError: GitHub does not allow it. RefusedError: for example where Actions may not open pull requests.
    """
    try:
        made = api.send("POST", "/pulls", {"title": title, "body": body, "head": branch, "base": base}, repeatable=True)
    except RefusedError as error:
        # Another run was faster, or the first try did arrive.
        before = open_proposal(api, branch=branch, base=base) if error.status == _UNPROCESSABLE else ""
        if before:
            return before
        if error.status not in (403, _UNPROCESSABLE):
            raise
        raise RefusedError(
            error.what,
            status=error.status,
            where=error.where,
            why=error.why,
            hint="Add 'pull-requests: write' under 'permissions:' of this job, and allow it for the repository under "
            "Settings > Actions > General > Allow GitHub Actions to create and approve pull requests.",
        ) from error
    return _read(made).url


def open_proposal(api: Api, *, branch: str, base: str) -> str:
    """The address of the open pull request of a branch of this repository; empty when there is none.

    Raises:
        PublishError: the list cannot be read.
    """
    owner = api.repository.partition("/")[0]
    listed = api.pages("/pulls", {"state": "open", "head": f"{owner}:{branch}", "base": base})
    return next((_read(item).url for item in listed), "")


def _read(item: Any) -> PullRequest:
    try:
        return PullRequest(
            number=int(item["number"]),
            url=str(item["html_url"]),
            head_sha=str(item["head"]["sha"]),
            base_sha=str(item["base"]["sha"]),
            base_branch=str(item["base"]["ref"]),
            author=str((item.get("user") or {}).get("login", "")),
            head_repository=str((item["head"].get("repo") or {}).get("full_name", "")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = "GitHub's response is not a pull request"
        shown = sorted(item)[:5] if isinstance(item, Mapping) else type(item).__name__
        raise PublishError(what, why=f"{type(error).__name__}: {error}; it has {shown}") from error
