"""A repository with a change in it, as a server has it: main went on after the change had left it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.github.git_server import git
from velro_gate.store.git import Git

ENVIRON = {"PATH": os.environ["PATH"], "HOME": os.devnull}


@dataclass(frozen=True)
class History:
    """Commits by what they are: ``start`` is where the change left main, ``merge`` is the change merged into ``tip``."""

    bare: Path
    first: str
    start: str
    tip: str
    head: str
    merge: str

    @property
    def url(self) -> str:
        """Where git finds it, by the protocol that a server speaks."""
        return self.bare.as_uri()

    def private(self, folder: Path, url: str = "", token: str = "") -> Git:
        """A private repository that talks to it."""
        return Git(folder=folder, url=url or self.url, token=token, environ=ENVIRON)

    def cloned(self, folder: Path, commit: str) -> Path:
        """A checkout as a workflow has it: one commit, nothing before it."""
        git("init", "--quiet", str(folder))
        git("fetch", "--quiet", "--depth=1", self.url, commit, cwd=folder)
        git("checkout", "--quiet", "--detach", commit, cwd=folder)
        return folder


def history(root: Path, base: Mapping[str, str], head: Mapping[str, str], name: str = "acme/shop") -> History:
    """Two commits, a change from the second, and one more on main. base, head: files that each of the two builds has."""
    bare, work = root / f"{name}.git", root / "work"
    bare.parent.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git("config", "uploadpack.allowFilter", "true", cwd=bare)
    git("init", "--quiet", "--initial-branch=main", str(work))

    def commit(files: Mapping[str, str], message: str) -> str:
        for file, text in files.items():
            (work / file).write_text(text, encoding="utf-8")
        git("add", ".", cwd=work)
        git("commit", "--quiet", "--message", message, cwd=work)
        return git("rev-parse", "HEAD", cwd=work)

    first = commit({"README.md": "a shop\n"}, "A shop")
    start = commit(base, "It serves")
    git("switch", "--quiet", "--create", "feature", cwd=work)
    top = commit(head, "It serves otherwise")
    git("switch", "--quiet", "main", cwd=work)
    tip = commit({"LATER.md": "somebody else's\n"}, "Somebody else's")
    git("switch", "--quiet", "--detach", "main", cwd=work)
    git("merge", "--quiet", "--no-ff", "--message", "Merge", "feature", cwd=work)
    merge = git("rev-parse", "HEAD", cwd=work)
    git("push", "--quiet", str(bare), "main", "feature", f"{merge}:refs/pull/7/merge", cwd=work)
    return History(bare=bare, first=first, start=start, tip=tip, head=top, merge=merge)
