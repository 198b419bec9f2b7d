"""What is checked out in a folder, by git's own word. Read-only: no lock is taken, no index refreshed, no file written.

A job in a container, or one whose workspace another user has filled, works in a folder that git would refuse because of its
owner. These calls only read commits, so they allow any owner (``safe.directory``), for the one
call and nowhere else.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0
"""How long git may take: on a network drive it can hang."""
_ANY_OWNER = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
# A hook of git's that has started us names another repository in these.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A commit and its parents, as its own text names them (a shallow clone knows them, too)."""

    sha: str = ""
    parents: tuple[str, ...] = ()
    why: str = ""
    """Where there is no commit, git's own words or what keeps it from being asked; empty otherwise."""


def checkout(folder: Path) -> Checkout:
    """What is checked out in exactly this folder; a repository further up does not count."""
    found, said = ask(folder, "rev-parse", "--verify", "HEAD^{commit}", within=folder)
    if not _COMMIT.fullmatch(found):
        return Checkout(why=said or "git names no commit")
    text, _ = ask(folder, "cat-file", "commit", found, within=folder)
    header = text.partition("\n\n")[0].splitlines()
    return Checkout(sha=found, parents=tuple(line.removeprefix("parent ") for line in header if line.startswith("parent ")))


def ask(folder: Path | str, *words: str, within: Path | None = None) -> tuple[str, str]:
    """What git prints, and why it did not: one of the two is empty. within: no repository above this folder counts."""
    environ = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    # What git says ends up in reports, and is looked through for its reasons.
    environ["LC_ALL"] = "C"
    if within is not None:
        environ["GIT_CEILING_DIRECTORIES"] = str(within.resolve().parent)
    command = ["git", "--no-optional-locks", "--no-replace-objects", *_ANY_OWNER, "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=environ
        )
    except FileNotFoundError:
        return "", "there is no git on the PATH"
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"git could not be asked: {type(error).__name__}"
    if done.returncode:
        return "", " ".join(done.stderr.split())[:300] or f"git ended with {done.returncode}"
    return done.stdout.strip(), ""
