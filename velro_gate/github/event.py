"""From the environment of a job and the event's payload to what has to be done. Pure: no file, no network.

Everything in a payload was written by somebody else. It decides where results are published, never what is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from velro_gate.errors import UsageError

DEPENDABOT = "dependabot[bot]"
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


class Mode(Enum):
    """What a job is for."""

    GATE = "gate"  # judge a proposed change
    REFRESH = "refresh"  # measure the accepted build and store it as a baseline
    DISPATCH = "dispatch"  # measure what a person has chosen
    SELFTEST = "selftest"  # look at the runner itself
    CONFIRM = "confirm"  # measure again what looked worse in an earlier job of the same run
    REPORT = "report"  # publish what a job without permissions has measured
    NONE = "none"  # nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggeringRun:
    """The run that a reporter reports on. head_owner and head_branch find its pull request; head_sha proves it."""

    run_id: int
    event: str
    head_owner: str
    head_branch: str
    head_sha: str
    conclusion: str = ""
    """How the run ended, in GitHub's words; empty where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One job, understood. SHAs are full and lower case, or empty where there is none."""

    mode: Mode
    reason: str
    name: str
    repository: str
    default_branch: str = ""
    head_sha: str = ""
    """What a status is set on, the pull request's own head and not its merge with the base."""
    base_sha: str = ""
    measured_sha: str = ""
    parents: tuple[str, ...] = ()
    """``measured_sha`` and ``parents``: the commit that is checked out, and what it comes from; until somebody has looked
    (``seen``), what the job says.
    """
    unseen: str = ""
    """Why nobody could look; empty where somebody did."""
    head_branch: str = ""
    base_branch: str = ""
    pull_request: int | None = None
    fork: bool = False
    dependabot: bool = False
    run_id: int = 0
    run_attempt: int = 1
    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What a person filled in for a dispatch."""
    source: TriggeringRun | None = None
    """The run to report on; for a reporter only."""

    @property
    def read_only(self) -> bool:
        """Whether this job may not write: for a fork or Dependabot the reporter publishes the verdict, with a token that
        may."""
        return self.fork or self.dependabot

    def seen(self, *, sha: str, parents: tuple[str, ...], why: str) -> Event:
        """The event with what git says is checked out. GITHUB_SHA is what the event is about, whatever a step has checked out.

        why: where git names no commit.
        """
        return replace(self, measured_sha=sha, parents=parents) if sha else replace(self, unseen=why)

    @property
    def judges_change(self) -> bool:
        """Whether a proposed change is judged, in the first job or in the second one."""
        return self.mode in (Mode.GATE, Mode.CONFIRM)

    @property
    def measures_head(self) -> bool:
        """Whether what is checked out is the head itself, or the merge that GitHub makes of it with its base."""
        return self.measured_sha == self.head_sha or (len(self.parents) == 2 and self.parents[1] == self.head_sha)

    @property
    def run_url(self) -> str:
        """The page of this run; empty where it is unknown."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}" if self.run_id else ""


def read_event(environ: Mapping[str, str], payload: Mapping[str, Any], *, wanted: str = "auto") -> Event:
    """The event of a job, from GitHub's own variables and the payload that GITHUB_EVENT_PATH names.

    wanted: a mode by its name, or ``auto``: by the event.

    Raises:
        UsageError: not a job of GitHub Actions, an invalid payload, a mode that does not exist, or pull_request_target.
    """
    name = environ.get("GITHUB_EVENT_NAME", "")
    repository = environ.get("GITHUB_REPOSITORY", "")
    if not name or _REPOSITORY.fullmatch(repository) is None:
        raise UsageError(
            "this is not a job of GitHub Actions",
            why="GITHUB_EVENT_NAME or GITHUB_REPOSITORY is not set",
            hint="Use 'velro-gate gate' elsewhere.",
        )
    shared: dict[str, Any] = {
        "name": name,
        "repository": repository,
        "default_branch": _text(payload, "repository", "default_branch"),
        "measured_sha": _sha(environ.get("GITHUB_SHA", "")),
        "run_id": _number(environ.get("GITHUB_RUN_ID", "")) or 0,
        "run_attempt": _number(environ.get("GITHUB_RUN_ATTEMPT", "")) or 1,
        "api_url": environ.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com",
        "server_url": environ.get("GITHUB_SERVER_URL", "").rstrip("/") or "https://github.com",
    }
    match name:
        case "pull_request":
            found = _pull_request(payload, by_dependabot=environ.get("GITHUB_ACTOR", "") == DEPENDABOT)
        case "pull_request_target":
            # It runs with the base repository's secrets, and the code to be measured is the fork's.
            raise _refused_target()
        case "push":
            found = _push(environ, payload, shared)
        case "merge_group":
            found = _merge_group(payload, shared)
        case "workflow_dispatch":
            found = _dispatch(payload, shared)
        case "schedule":
            found = _schedule(environ, shared)
        case "workflow_run":
            found = _workflow_run(payload)
        case _:
            found = {"mode": Mode.NONE, "reason": f"nothing is defined for the event {name}"}
    if wanted not in ("", "auto"):
        found |= {"mode": _mode(wanted), "reason": f"the workflow asks for the mode {wanted}"}
    if found["mode"] is Mode.REPORT and found.get("source") is None:
        raise UsageError("there is no run to report on", why=f"the event is {name}", hint="Report from a workflow_run event.")
    return Event(**{**shared, **found})


def _pull_request(payload: Mapping[str, Any], *, by_dependabot: bool) -> dict[str, Any]:
    number = _at(payload, "pull_request", "number")
    head_sha = _sha(_text(payload, "pull_request", "head", "sha"))
    if not isinstance(number, int) or not head_sha:
        raise UsageError(
            "the event's payload is not a pull request's",
            where="GITHUB_EVENT_PATH",
            why="it has no pull_request.number or no pull_request.head.sha",
        )
    # A fork that was deleted has no repository any more.
    fork = _text(payload, "pull_request", "head", "repo", "full_name") != _text(
        payload, "pull_request", "base", "repo", "full_name"
    )
    # A person may have added to Dependabot's pull request, and Dependabot to a person's. The reporter asks whose it is, too.
    author = _text(payload, "pull_request", "user", "login")
    dependabot = author == DEPENDABOT if author else by_dependabot
    facts = {
        "pull_request": number,
        "head_sha": head_sha,
        "base_sha": _sha(_text(payload, "pull_request", "base", "sha")),
        "head_branch": _text(payload, "pull_request", "head", "ref"),
        "base_branch": _text(payload, "pull_request", "base", "ref"),
        "fork": fork,
        "dependabot": dependabot,
    }
    if _text(payload, "action") == "closed":
        return {"mode": Mode.NONE, "reason": "the pull request is closed", **facts}
    if fork:
        reason = "the pull request comes from a fork, so this job's token may not write"
    elif dependabot:
        reason = "the pull request is Dependabot's, so the reporter publishes its result"
    else:
        reason = "a pull request is judged"
    return {"mode": Mode.GATE, "reason": reason, **facts}


def _refused_target() -> UsageError:
    return UsageError(
        "the event pull_request_target is refused",
        why="its jobs hold secrets and a token that may write; a build of the pull request would run with both",
        hint="Use 'on: pull_request', and for forks the reporter on workflow_run (docs/github.md, Forks).",
    )


def _push(environ: Mapping[str, str], payload: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    ref = environ.get("GITHUB_REF", "") or _text(payload, "ref")
    branch = ref.removeprefix("refs/heads/")
    facts = {"head_sha": _sha(_text(payload, "after")) or shared["measured_sha"], "head_branch": branch}
    if _at(payload, "deleted") is True:
        return {"mode": Mode.NONE, "reason": f"{branch} was deleted", **facts, "head_sha": ""}
    if not shared["default_branch"] or branch != shared["default_branch"]:
        return {"mode": Mode.NONE, "reason": f"baselines come from the default branch, and this push is to {branch}", **facts}
    return {"mode": Mode.REFRESH, "reason": f"a push to {branch} refreshes the baselines", **facts}


def _merge_group(payload: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mode": Mode.GATE,
        "reason": "a merge queue asks for its check",
        "head_sha": _sha(_text(payload, "merge_group", "head_sha")) or shared["measured_sha"],
        "base_sha": _sha(_text(payload, "merge_group", "base_sha")),
        "head_branch": _text(payload, "merge_group", "head_ref").removeprefix("refs/heads/"),
    }


def _dispatch(payload: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    given = _at(payload, "inputs")
    inputs = {str(key): _plain(value) for key, value in given.items()} if isinstance(given, Mapping) else {}
    return {
        "mode": Mode.DISPATCH,
        "reason": "a person started this run",
        "head_sha": shared["measured_sha"],
        "head_branch": _text(payload, "ref").removeprefix("refs/heads/"),
        "inputs": {key: value for key, value in inputs.items() if value},
    }


def _schedule(environ: Mapping[str, str], shared: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule runs on the default branch, and its payload need not hold a repository that would name it."""
    branch = environ.get("GITHUB_REF", "").removeprefix("refs/heads/")
    return {
        "mode": Mode.SELFTEST,
        "reason": "a schedule started this run",
        "head_sha": shared["measured_sha"],
        "head_branch": branch,
        "default_branch": shared["default_branch"] or branch,
    }


def _workflow_run(payload: Mapping[str, Any]) -> dict[str, Any]:
    run_id = _at(payload, "workflow_run", "id")
    head_sha = _sha(_text(payload, "workflow_run", "head_sha"))
    if not isinstance(run_id, int) or not head_sha:
        raise UsageError(
            "the event's payload is not a workflow_run's", where="GITHUB_EVENT_PATH", why="it has no id or no head_sha"
        )
    source = TriggeringRun(
        run_id=run_id,
        event=_text(payload, "workflow_run", "event"),
        head_owner=_text(payload, "workflow_run", "head_repository", "owner", "login"),
        head_branch=_text(payload, "workflow_run", "head_branch"),
        head_sha=head_sha,
        conclusion=_text(payload, "workflow_run", "conclusion"),
    )
    # The reporter itself runs on the default branch with its own token, whoever caused it.
    facts = {"source": source, "head_sha": head_sha}
    if source.event != "pull_request":
        return {
            "mode": Mode.NONE,
            "reason": f"the finished run was for {source.event or 'no event'}, not a pull request",
            **facts,
        }
    return {"mode": Mode.REPORT, "reason": f"run {run_id} could not publish its verdict itself", **facts}


def _mode(wanted: str) -> Mode:
    try:
        return Mode(wanted)
    except ValueError:
        known = ", ".join(("auto", *(mode.value for mode in Mode)))
        raise UsageError(f"there is no mode {wanted!r}", hint=f"Choose one of: {known}.") from None


def _at(tree: object, *path: str) -> Any:
    """What lies at a path of keys; None where it leads nowhere."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _text(tree: object, *path: str) -> str:
    found = _at(tree, *path)
    return found if isinstance(found, str) else ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _sha(text: str) -> str:
    """A whole commit id; empty for anything else, the zeros of a deleted branch included."""
    return text if _SHA.fullmatch(text) and text.strip("0") else ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
