"""The commit status: what a branch's protection waits for. Set on the head of a pull request, not on its merge.

Several jobs may share one status: two scenarios, profiles or runners, each with a verdict of its own. GitHub shows the newest
status of a context only, so that the last writer would win. Therefore each status carries, in the fragment of its link, which
part it is and the result of that part itself; a part that passes reads the others first and shows the worst of all. After it
has written it looks again: of two that finish at one moment at least one sees both. A part that does not pass needs no look.
A job that has not begun has written nothing; that it is missing shows only where somebody says how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import quote, unquote

from velro_gate.errors import PublishError
from velro_gate.github.api import Api
from velro_gate.secrecy import outgoing

LONGEST = 140
"""Characters of a description that GitHub takes."""
DEFAULT_CONTEXT = "velro-gate"
_GATE, _REPORT = "velro-gate", "velro-gate-report"
_LOOKS = 5
"""Looks at what other jobs have set: each may change the status between a look and a write."""


class CommitState(Enum):
    """GitHub's own words."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    """The change is at fault."""
    ERROR = "error"
    """Nothing could be said about the change."""


_WORST_FIRST = (CommitState.FAILURE, CommitState.ERROR, CommitState.PENDING, CommitState.SUCCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Whose verdict a status shows."""

    key: str = ""
    """Scenario, profile and label of the runner."""
    run: int = 0
    """Id of the run."""
    leg: str = ""
    """Which of the run's jobs it is."""
    reported: bool = False
    """Whether it is set by the reporter for forks, which measures nothing itself."""

    def replaces(self, other: Part) -> bool:
        """Whether this part's verdict is the newer word on the same thing; two jobs of one run never replace one another."""
        same_job = self.run != other.run or self.leg == other.leg
        return self.key == other.key and self.reported == other.reported and same_job


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStatus:
    """One status."""

    state: CommitState
    description: str
    """Plain text of any length."""
    context: str = DEFAULT_CONTEXT
    target_url: str = ""
    """Where its link leads; empty for none."""
    part: Part = field(default_factory=Part)
    jobs: int = 1
    """How many parts share it; with fewer than that it is not green."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A status as GitHub has it."""

    own: CommitState
    """The state of its own part, whatever was shown."""
    part: Part | None
    """Whose verdict it shows; None where that is not known."""
    description: str
    url: str


def set_status(api: Api, sha: str, status: CommitStatus) -> CommitState:
    """Set a status on a commit; what is shown then, which is the worst of all parts of its context.

    Raises:
        PublishError: it could not be set, or the other parts could not be read, so that a success was not set.
    """
    if status.state is not CommitState.SUCCESS:
        _write(api, sha, status, status)
        return status.state
    shown = None
    for _ in range(_LOOKS):
        worst = _worst(status, known_statuses(api, sha, status.context))
        if shown is not None and worst.state is shown:
            return shown
        _write(api, sha, status, worst)
        shown = worst.state
    raise PublishError("the status changes again and again", where=f"commit {sha[:12]}", why="other jobs set it all the time")


def known_statuses(api: Api, sha: str, context: str) -> tuple[Known, ...]:
    """The newest status of each part in a context.

    Raises:
        PublishError: they cannot be read.
    """
    found: list[Known] = []
    # GitHub lists the newest first.
    for item in api.pages(f"/commits/{sha}/statuses"):
        one = _read(item, context)
        if one is not None and not any(_is_newer(seen.part, one.part) for seen in found):
            found.append(one)
    return tuple(found)


def _is_newer(newer: Part | None, older: Part | None) -> bool:
    return newer == older if newer is None or older is None else newer.replaces(older)


def _worst(status: CommitStatus, known: Sequence[Known]) -> CommitStatus:
    """What has to be shown where this part passes. A report on somebody else's figures is not part of a measurement."""
    others = [
        one
        for one in known
        if one.part is not None and not status.part.replaces(one.part) and not (one.part.reported and not status.part.reported)
    ]
    worst = min(others, key=lambda one: _WORST_FIRST.index(one.own), default=None)
    # That all known parts passed is not enough: jobs that have not begun are not known yet, so the workflow names their number.
    if worst is None or worst.own is CommitState.SUCCESS:
        there = 1 + sum(1 for one in others if one.part is not None and one.part.reported == status.part.reported)
        if there >= status.jobs:
            return status
        waits = f"{there} of {status.jobs} jobs that share this status have passed, and the others have not begun"
        return CommitStatus(state=CommitState.PENDING, description=waits, context=status.context, target_url=status.target_url)
    name = worst.part.key if worst.part else ""
    return CommitStatus(
        state=worst.own, description=f"{name}: {worst.description}", context=status.context, target_url=worst.url
    )


def _write(api: Api, sha: str, status: CommitStatus, shown: CommitStatus) -> None:
    body = {"state": shown.state.value, "context": status.context, "description": shortened(outgoing(shown.description))}
    if shown.target_url:
        body["target_url"] = f"{shown.target_url.partition('#')[0]}#{_fragment(status)}"
    api.send("POST", f"/statuses/{sha}", body)


def _fragment(status: CommitStatus) -> str:
    part = status.part
    kind = _REPORT if part.reported else _GATE
    return ":".join((kind, status.state.value, str(part.run), quote(part.leg, safe=""), quote(part.key, safe="")))


def _read(item: Any, context: str) -> Known | None:
    """One status of this context; None for those of others."""
    if not isinstance(item, Mapping) or item.get("context") != context:
        return None
    try:
        shown = CommitState(item.get("state"))
    except ValueError:
        return None
    url, _, fragment = str(item.get("target_url") or "").partition("#")
    words = fragment.split(":")
    part, own = None, shown
    # A status has no field for such facts, so they travel in the fragment of its address, which no server sees. What other
    # tools have set has none.
    if len(words) == 5 and words[0] in (_GATE, _REPORT) and words[2].isdigit():
        key, leg = unquote(words[4]), unquote(words[3])
        part = Part(key=key, run=int(words[2]), leg=leg, reported=words[0] == _REPORT)
        own = CommitState(words[1]) if words[1] in {state.value for state in CommitState} else shown
    return Known(own=own, part=part, description=str(item.get("description") or ""), url=url)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut at a word where it is too long."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    cut = line[: longest - 1]
    at_word = cut.rsplit(" ", 1)[0]
    return f"{at_word if len(at_word) > longest // 2 else cut}…"
