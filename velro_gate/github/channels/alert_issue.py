"""The alert issue of a plan: found by its marker and its author, opened once, changed in place, closed when all is well.

As with the comment, two jobs that open one at the same moment look again: the oldest stays, the others are closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.github.refusals import UncertainError

LABEL = "velro-gate"
LONGEST = 65_536
"""Characters that GitHub takes."""
_TRIES = 3
"""Attempts to create an issue; before each further one it is looked for, since the response alone may have been lost."""


class IssueOutcome(Enum):
    """What became of the issue."""

    OPENED = "opened"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    CLOSED = "closed"
    NONE = "none"  # no issue is open, and none is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueResult:
    """The issue as it is now."""

    outcome: IssueOutcome
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issue:
    number: int
    url: str
    title: str
    body: str
    author: str


def raise_alert(api: Api, *, marker: str, title: str, body: str, author: str) -> IssueResult:
    """Open the issue, or bring the open one up to date.

    Args:
        marker: the first line of ``body``, by which it is found again.
        author: the login whose issues are ours; others may quote the marker.

    Raises:
        PublishError: it could not be read or written. ValueError: the body does not begin with its marker, or is too long.
    """
    if not body.startswith(f"{marker}\n") or len(body) > LONGEST:
        raise ValueError("an alert begins with its marker and is no longer than GitHub takes")
    found = _ours(api, marker, author)
    if found:
        return _kept(api, found, title, body)
    created = _created(api, marker, title, body, author)
    others = _ours(api, marker, author)
    if len(others) > 1:
        _kept(api, others, title, body)
        created = others[0]
    return IssueResult(outcome=IssueOutcome.OPENED, url=created.url)


def resolve_alert(api: Api, *, marker: str, body: str, author: str) -> IssueResult:
    """Close the issue if it is open. body: its last text.

    Raises:
        PublishError: it could not be read or written.
    """
    found = _ours(api, marker, author)
    for one in found:
        _close(api, one, "completed", body)
    if not found:
        return IssueResult(outcome=IssueOutcome.NONE)
    return IssueResult(outcome=IssueOutcome.CLOSED, url=found[0].url)


def _ours(api: Api, marker: str, author: str) -> list[_Issue]:
    """The open ones, the oldest first."""
    listed = api.pages("/issues", {"state": "open", "labels": LABEL, "direction": "asc"})
    # GitHub lists pull requests as issues, too.
    found = [_read(item) for item in listed if not (isinstance(item, dict) and "pull_request" in item)]
    ours = [one for one in found if one.author == author and one.body.lstrip().split("\n", 1)[0].rstrip("\r ") == marker]
    return sorted(ours, key=lambda one: one.number)


def _kept(api: Api, found: list[_Issue], title: str, body: str) -> IssueResult:
    first, *others = found
    same = first.title == title and first.body.replace("\r\n", "\n").strip() == body.strip()
    if not same:
        api.send("PATCH", f"/issues/{first.number}", {"title": title, "body": body})
    for other in others:
        _close(api, other, "not_planned", other.body)
    return IssueResult(outcome=IssueOutcome.UNCHANGED if same else IssueOutcome.UPDATED, url=first.url)


def _close(api: Api, one: _Issue, reason: str, body: str) -> None:
    api.send("PATCH", f"/issues/{one.number}", {"state": "closed", "state_reason": reason, "body": body})


def _created(api: Api, marker: str, title: str, body: str, author: str) -> _Issue:
    """A new issue. After a response that did not arrive it is looked for before it is written again."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _read(api.send("POST", "/issues", {"title": title, "body": body, "labels": [LABEL]}, repeatable=False))
        except UncertainError:
            found = _ours(api, marker, author)
            if found:
                return found[0]
            if attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def _read(item: Any) -> _Issue:
    try:
        user = item["user"]
        return _Issue(
            number=int(item["number"]),
            url=str(item["html_url"]),
            title=str(item["title"]),
            body=str(item.get("body") or ""),
            author=str(user["login"]) if user else "",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PublishError("GitHub's response is not an issue", why=f"{type(error).__name__}: {error}") from error
