"""The sticky comment: one a pull request and scenario, found by its marker and its author, changed in place.

Two runs that start at one moment may both find none and create one each. So whoever has created one looks again: the oldest
stays and gets the newer text, the others go. That needs no lock and ends with one comment in whichever order the runs finish.
"""

from __future__ import annotations

from collections.abc import Mapping
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
_GONE = 404


class Outcome(Enum):
    """What became of a comment."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    HEAD_MOVED = "head moved"  # a later push has made this verdict old: its own run will tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The comment as it stands. url: empty when nothing was told. warning: what a person should mend; usually empty."""

    outcome: Outcome
    url: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comment:
    id: int
    url: str
    body: str
    author: str


def tell(api: Api, *, number: int, head_sha: str, marker: str, body: str, author: str = DEFAULT_AUTHOR) -> Told:
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
        return Told(outcome=Outcome.HEAD_MOVED)
    ours = _ours(api, number, marker, author)
    if ours:
        return _settled(api, ours, body)
    created = _created(api, number, marker, author, body)
    if created.author != author:
        return Told(
            outcome=Outcome.CREATED,
            url=created.url,
            warning=f"the token writes as {created.author}, not as {author}: set 'comment-author: {created.author}', "
            "or each run will write a comment of its own",
        )
    others = _ours(api, number, marker, author)
    if len(others) > 1:
        return Told(outcome=Outcome.CREATED, url=_settled(api, others, body).url)
    return Told(outcome=Outcome.CREATED, url=created.url)


def _head(api: Api, number: int) -> str:
    found = api.get(f"/pulls/{number}")
    head = found.get("head") if isinstance(found, Mapping) else None
    return str(head.get("sha", "")) if isinstance(head, Mapping) else ""


def _ours(api: Api, number: int, marker: str, author: str) -> list[_Comment]:
    """Our comments on every page, the oldest first."""
    found = [_read(item) for item in api.pages(f"/issues/{number}/comments")]
    # GitHub may give back a body with other line ends than it was sent.
    ours = [one for one in found if one.author == author and one.body.lstrip().split("\n", 1)[0].rstrip("\r ") == marker]
    return sorted(ours, key=lambda one: one.id)


def _settled(api: Api, ours: list[_Comment], body: str) -> Told:
    """The oldest with the new text, the others gone."""
    first, *others = ours
    same = first.body.replace("\r\n", "\n").strip() == body.strip()
    if not same:
        api.send("PATCH", f"/issues/comments/{first.id}", {"body": body})
    for other in others:
        try:
            api.send("DELETE", f"/issues/comments/{other.id}")
        except RefusedError as error:
            # The run that wrote it has tidied up before us.
            if error.status != _GONE:
                raise
    return Told(outcome=Outcome.UNCHANGED if same else Outcome.UPDATED, url=first.url)


def _created(api: Api, number: int, marker: str, author: str, body: str) -> _Comment:
    """A new comment. After an answer that did not arrive it is looked for before it is written again."""
    for attempt in range(1, _TRIES + 1):
        try:
            return _read(api.send("POST", f"/issues/{number}/comments", {"body": body}, repeatable=False))
        except UncertainError:
            ours = _ours(api, number, marker, author)
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
        raise PublishError("GitHub's answer is no comment", why=f"{type(error).__name__}: {error}") from error
