"""What a refusal of the API means, in words: each names the permission, the limit or the setting that is in the way."""

from __future__ import annotations

import re
from collections.abc import Mapping

from velro_gate.errors import PublishError

_NEEDS: tuple[tuple[str, str, str], ...] = (
    # (method, path, the line that a workflow has to hold)
    ("GET", r"/issues/\d+/comments", "pull-requests: read"),
    ("GET", r"/issues$", "issues: read"),
    ("*", r"/issues(/\d+)?$", "issues: write"),
    ("*", r"/issues/", "pull-requests: write"),
    ("GET", r"/commits/[^/]+/statuses", "statuses: read"),
    ("*", r"/statuses/", "statuses: write"),
    ("GET", r"/pulls", "pull-requests: read"),
    ("*", r"/pulls", "pull-requests: write"),
    ("*", r"/actions/", "actions: read"),
    ("GET", r"/contents/", "contents: read"),
)


class RefusedError(PublishError):
    """GitHub said no, and would say no again. status: the HTTP status."""

    def __init__(
        self, what: str, *, status: int, where: str | None = None, why: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what, where=where, why=why, hint=hint)
        self.status = status


class UncertainError(PublishError):
    """Nobody knows whether GitHub did what it was asked to: look before asking again."""

    default_hint = "Look at the pull request; then publish again with 'velro-gate publish'."


def permission(method: str, path: str) -> str:
    """The line under ``permissions:`` that a request needs; empty where any token will do."""
    for verb, pattern, line in _NEEDS:
        if verb in ("*", method) and re.search(pattern, path):
            return line
    return ""


def refusal(method: str, path: str, status: int, headers: Mapping[str, str], message: str) -> RefusedError:
    """The error for a response that is final. message: GitHub's own words, which may be empty."""
    where = f"{method} {path}"
    why = f"{status}: {message}" if message else f"GitHub answered {status}"
    match status:
        case 301 | 302 | 307 | 308:
            what, hint = "the repository has moved", "Push or run the workflow again: then GitHub uses its new name."
        case 401:
            what, hint = (
                "GitHub does not accept the token",
                "Pass 'token: ${{ github.token }}', or renew the secret that holds your own token.",
            )
        case 403 if "is locked" in message.lower():
            what, hint = "the conversation of the pull request is locked", "Unlock it there, then publish again."
        case 403:
            what, hint = "GitHub does not allow this job to do that", _missing(method, path, headers)
        case 404:
            what = "GitHub does not find it, or does not show it to this token"
            hint = f"Check that it still exists. {_missing(method, path, headers)}"
        case 409:
            what, hint = "GitHub sees a conflict with another change", "Publish again with 'velro-gate publish'."
        case 410:
            what, hint = "it is gone from GitHub", "Nothing can be published there any more."
        case 422:
            what, hint = "GitHub cannot use what it was sent", "If the pull request is locked, unlock it; else report this."
        case _:
            what, hint = "GitHub refuses", PublishError.default_hint
    return RefusedError(what, status=status, where=where, why=why, hint=hint)


def _missing(method: str, path: str, headers: Mapping[str, str]) -> str:
    """Which line is missing. GitHub names it itself in a header: ``issues=write; pull_requests=write`` are alternatives."""
    accepted = headers.get("x-accepted-github-permissions", "")
    offered = [part.strip().replace("_", "-").replace("=", ": ") for part in accepted.split(";")[:1] if "=" in part]
    line = permission(method, path) or (offered[0] if offered else "")
    if not line:
        return "The token may not see this repository: check its access."
    return (
        f"Add '{line}' under 'permissions:' of this job. Where a fork or Dependabot caused the run no line helps: "
        "its token stays read-only, and the reporter publishes instead (docs/github.md)."
    )
