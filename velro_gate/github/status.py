"""The commit status: what a branch's protection waits for. Set on the head of a pull request, not on its merge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from velro_gate.github.api import Api

LONGEST = 140
"""Characters of a description that GitHub takes."""
DEFAULT_CONTEXT = "velro-gate"


class State(Enum):
    """GitHub's own words. Failure: the change is at fault; error: nothing could be said about it."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One status. description: plain text of any length. target_url: where its link leads; empty for none."""

    state: State
    description: str
    context: str = DEFAULT_CONTEXT
    target_url: str = ""


def set_status(api: Api, sha: str, status: Status) -> None:
    """Set a status on a commit; the newest of a context is the one that counts, so that setting it twice does no harm.

    Raises:
        PublishError: it could not be set.
    """
    body = {"state": status.state.value, "context": status.context, "description": shortened(status.description)}
    if status.target_url:
        body["target_url"] = status.target_url
    api.send("POST", f"/statuses/{sha}", body)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut at a word where it is too long."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    at_word = cut.rsplit(" ", 1)[0]
    return f"{at_word if len(at_word) > longest // 2 else cut}…"
