"""The sticky comment: one a pull request and scenario, found by its marker and its author, changed in place.

Two runs that start at one moment may both find none and create one each. So whoever has created one looks again: the oldest
stays and gets the newer text, the others go. That needs no lock and ends with one comment in whichever order the runs finish.

A scenario that was renamed, or cannot be read any more, has another marker or none. Its comment must not go on showing the
verdict of an older commit: a comment says in its last line which head it is about. One that is about another head than ours
is taken over where we have none of our own, and else marked as outdated until its own job has renewed it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.github.refusals import RefusedError, UncertainError

DEFAULT_AUTHOR = "github-actions[bot]"
LONGEST = 65_536
"""Characters that GitHub takes."""
_TRIES = 3
"""Attempts to create a comment; before each further one it is looked for, since the response alone may have been lost."""
_GONE = 404
_MARKER = re.compile(r"<!-- velro-gate:[A-Za-z0-9._/-]+ -->")
_HEAD = re.compile(r"<!-- velro-gate-head:([0-9a-f]{40,64}) -->")
OUTDATED = (
    "### ⏳ velro-gate: outdated, please read\n\n"
    "What stood here was about an older commit. Since then no job has reported under this name: it has not finished yet, or "
    "its scenario, profile or runner label was renamed or cannot be read.\n"
)


class CommentOutcome(Enum):
    """What became of a comment."""

    CREATED = "created"
    UPDATED = "updated"  # or taken over from a renamed scenario
    UNCHANGED = "unchanged"
    HEAD_MOVED = "head moved"  # a later push has outdated this verdict: that push's own run reports


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentResult:
    """The comment as it is now."""

    outcome: CommentOutcome
    url: str = ""
    """Empty if nothing was published."""
    warning: str = ""
    """What a person should fix; usually empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comment:
    id: int
    url: str
    body: str
    author: str

    @property
    def marker(self) -> str:
        """Its first line where that is a marker of ours, else nothing. GitHub may give other line ends than it was sent."""
        first = self.body.lstrip().split("\n", 1)[0].rstrip("\r ")
        return first if _MARKER.fullmatch(first) else ""

    @property
    def head(self) -> str:
        """The commit that it is about; empty where it does not say."""
        found = _HEAD.fullmatch(self.body.rstrip().rsplit("\n", 1)[-1])
        return found[1] if found else ""


def about_head(body: str, head_sha: str) -> str:
    """A comment's text with the line that says which commit it is about."""
    return f"{body.rstrip()}\n\n<!-- velro-gate-head:{head_sha} -->\n"


def upsert_comment(
    api: Api, *, number: int, head_sha: str, marker: str, body: str, author: str = DEFAULT_AUTHOR
) -> CommentResult:
    """Create the comment of a pull request, or update it.

    Args:
        head_sha: the commit that was measured; when the pull request has another head by now nothing is written.
        marker: the first line of ``body``, by which it is found again.
        author: the login whose comments are ours; others may quote the marker.

    Raises:
        PublishError: it could not be read or written. ValueError: the body does not begin with its marker, or is too long.
    """
    if not body.startswith(f"{marker}\n") or len(body) > LONGEST:
        raise ValueError("a sticky comment begins with its marker and is no longer than GitHub takes")
    if _head(api, number) != head_sha:
        return CommentResult(outcome=CommentOutcome.HEAD_MOVED)
    every = _ours(api, number, author)
    ours = [one for one in every if one.marker == marker]
    stale = [one for one in every if one.marker != marker and one.head not in ("", head_sha)]
    # Of a renamed scenario the comment is taken over. Its job may be there still and write at this moment: then we look again.
    settled = _settled(api, ours or stale[:1], body) if ours or stale else None
    _mark_outdated(api, stale if ours else stale[1:])
    if settled is not None and (ours or _marked(api, number, marker, author)):
        return settled
    return _new(api, number, marker, author, body)


def _new(api: Api, number: int, marker: str, author: str, body: str) -> CommentResult:
    created = _created(api, number, marker, author, body)
    if created.author != author:
        return CommentResult(
            outcome=CommentOutcome.CREATED,
            url=created.url,
            warning=f"the token writes as {created.author}, not as {author}: set 'comment-author: {created.author}', "
            "or each run will write a comment of its own",
        )
    others = _marked(api, number, marker, author)
    if len(others) > 1:
        return CommentResult(outcome=CommentOutcome.CREATED, url=_settled(api, others, body).url)
    return CommentResult(outcome=CommentOutcome.CREATED, url=created.url)


def _head(api: Api, number: int) -> str:
    found = api.get(f"/pulls/{number}")
    head = found.get("head") if isinstance(found, Mapping) else None
    return str(head.get("sha", "")) if isinstance(head, Mapping) else ""


def _ours(api: Api, number: int, author: str) -> list[_Comment]:
    """All comments of ours on every page, the oldest first."""
    found = [_read(item) for item in api.pages(f"/issues/{number}/comments")]
    return sorted((one for one in found if one.author == author and one.marker), key=lambda one: one.id)


def _marked(api: Api, number: int, marker: str, author: str) -> list[_Comment]:
    return [one for one in _ours(api, number, author) if one.marker == marker]


def _mark_outdated(api: Api, stale: Sequence[_Comment]) -> None:
    for one in stale:
        body = about_head(f"{one.marker}\n{OUTDATED}", one.head)
        if one.body.replace("\r\n", "\n").strip() != body.strip():
            _unless_gone(api, "PATCH", one.id, {"body": body})


def _unless_gone(api: Api, method: str, number: int, body: Mapping[str, str] | None = None) -> None:
    """Another run may have tidied up before us."""
    try:
        api.send(method, f"/issues/comments/{number}", body)
    except RefusedError as error:
        if error.status != _GONE:
            raise


def _settled(api: Api, ours: list[_Comment], body: str) -> CommentResult:
    """The oldest with the new text, the others gone."""
    first, *others = ours
    same = first.body.replace("\r\n", "\n").strip() == body.strip()
    if not same:
        api.send("PATCH", f"/issues/comments/{first.id}", {"body": body})
    for other in others:
        _unless_gone(api, "DELETE", other.id)
    return CommentResult(outcome=CommentOutcome.UNCHANGED if same else CommentOutcome.UPDATED, url=first.url)


def _created(api: Api, number: int, marker: str, author: str, body: str) -> _Comment:
    """A new comment. After a response that did not arrive it is looked for before it is written again."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _read(api.send("POST", f"/issues/{number}/comments", {"body": body}, repeatable=False))
        except UncertainError:
            ours = _marked(api, number, marker, author)
            if ours:
                return ours[-1]
            if attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def _read(item: Any) -> _Comment:
    try:
        user = item["user"]
        # The account of an author that was deleted is null.
        author = str(user["login"]) if user else ""
        return _Comment(id=int(item["id"]), url=str(item["html_url"]), body=str(item.get("body") or ""), author=author)
    except (KeyError, TypeError, ValueError) as error:
        raise PublishError("GitHub's response is not a comment", why=f"{type(error).__name__}: {error}") from error
