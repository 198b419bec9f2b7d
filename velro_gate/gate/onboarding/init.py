"""Setting a repository up: which choices are given, which are asked for, and what is written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from velro_gate.adoption import ACTIONLINT, Choices, Written, ignore_results, render_files, write_files
from velro_gate.errors import UsageError

PACKAGE = Path(__file__).resolve().parents[3]
_REMOTE = re.compile(r"(https?://|ssh://|[\w.-]+@)\S*[/:](?P<name>[\w.-]+/[\w.-]+?)(\.git)?/?")


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to decide."""

    field: str
    """The field of ``Choices`` that it sets."""
    text: str
    default: str | None
    """What an empty answer means; None: an answer is required."""


def questions(root: Path) -> tuple[Question, ...]:
    """What has to be decided for the repository at ``root``, with defaults taken from it."""
    return (
        Question("action", "Which velro-gate runs, as owner/repository@commit", _own_reference()),
        Question("main", "Branch whose commits become baselines", _main_branch(root)),
        Question("labels", "Labels of the runner that measures", "self-hosted,linux,perf"),
        Question("start", "Command that starts the service and returns once it is up (empty: it runs already)", ""),
        Question("url", "Address of the service (empty: VELRO_API_URL, then the scenario)", ""),
        Question("scenario", "Scenario file", "velro-scenario.yaml"),
        Question("bearer", "Secret that holds the service's bearer token (empty: it needs none)", ""),
        Question("store", "Where baselines live: branch, push, pull-request, artifact or none", "branch"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """A repository that was set up."""

    choices: Choices
    written: tuple[Written, ...]
    """What became of each file."""


def set_up(
    root: Path,
    given: Mapping[str, str],
    variables: Mapping[str, str],
    ask: Callable[[str, str | None], str] | None,
    *,
    may_overwrite: Callable[[str], bool],
    duet: bool = False,
    cluster: tuple[int, str] = (0, ""),
) -> SetUp:
    """Choose as ``choose`` does, and write the files. may_overwrite: whether a file that differs may be replaced, by its path.

    Raises:
        UsageError: a choice is missing or malformed. OutputError: a file cannot be read or written.
    """
    choices = choose(root, given, variables, ask, duet=duet, cluster=cluster)
    # A scenario or a linter's settings that are there are the users' own work and never taken for an older template of ours.
    own = (choices.scenario, ACTIONLINT)
    written = write_files(root, render_files(choices), lambda path: path not in own and may_overwrite(path))
    return SetUp(choices=choices, written=(*written, ignore_results(root)))


def choose(
    root: Path,
    given: Mapping[str, str],
    variables: Mapping[str, str],
    ask: Callable[[str, str | None], str] | None,
    *,
    duet: bool = False,
    cluster: tuple[int, str] = (0, ""),
) -> Choices:
    """All choices: those given, then the answers to what was not given, or the defaults where nobody is asked.

    cluster: number of its workers, and the name of its head. ask: shows a question and its default and gives the answer; None
    asks nothing.

    Raises:
        UsageError: something has neither an answer nor a default, or an answer has not the form that it needs.
    """
    answers = dict(given)
    for question in questions(root):
        if question.field in answers:
            continue
        if ask is not None:
            answers[question.field] = ask(question.text, question.default).strip()
        elif question.default is not None:
            answers[question.field] = question.default
        else:
            raise UsageError(
                f"--{question.field} is needed",
                why="questions are off, and there is no default",
                hint=f"Add --{question.field}: {question.text[:1].lower()}{question.text[1:]}.",
            )
    labels = tuple(label.strip() for label in answers.pop("labels").split(",") if label.strip())
    bearer = answers.get("bearer", "")
    # The token reaches the gate from the secret of the same name, unless the command line says otherwise.
    filled = {**({bearer: f"secrets.{bearer}"} if bearer else {}), **variables}
    workers, head = cluster
    return Choices(
        labels=labels,
        duet=duet,
        variables=filled,
        cluster_workers=workers,
        cluster_head=head,
        **answers,  # type: ignore[arg-type]
    )


def _own_reference() -> str | None:
    """Where this copy comes from, pinned by commit; None where it is not a checkout, or one that others cannot get."""
    commit, remote = _git(PACKAGE, "rev-parse", "HEAD"), _git(PACKAGE, "remote", "get-url", "origin")
    if _git(PACKAGE, "rev-parse", "--show-toplevel") != str(PACKAGE):
        return None
    found = _REMOTE.fullmatch(remote or "")
    return f"{found['name']}@{commit}" if commit and found else None


def _main_branch(root: Path) -> str:
    head = _git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    return head.removeprefix("origin/") if head else "main"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10.0, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None
