"""The trend of main as a page on GitHub Pages: one file on a branch, made again from the stored runs after each run of main."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from velro_gate.errors import BrokenError, PublishError
from velro_gate.gate.action.stores import Store
from velro_gate.gate.judge.trend import main_trend
from velro_gate.model.scenario import ALL_STEPS
from velro_gate.report.printed.trend_page import trend_html
from velro_gate.secrecy import outgoing
from velro_gate.store.branch import Branch, Pause, push
from velro_gate.store.git import Git

PAGE = "index.html"
_PUBLIC = "https://github.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Where the page is kept."""

    git: Git
    pause: Pause
    branch: str
    path: str
    """Its folder in the branch, which other pages may share."""

    def publish(self, store: Store, scratch: Path, say: Callable[[str], None]) -> None:
        """Make the page from what is stored by now, and push it. What goes wrong is said, and changes nothing else.

        A push that another job forestalls begins again with what is stored by then, so the newest page shows all runs.
        """

        def change(folder: Path) -> str:
            """Draw the page from the newest baselines; called again after a rejected push, with those that exist by then."""
            with tempfile.TemporaryDirectory(dir=scratch) as fresh:
                stored = Path(fresh, "baselines")
                stored.mkdir()
                store.bring(stored)
                text = outgoing(trend_html(main_trend(stored, (), ALL_STEPS, None)))
            (folder / PAGE).write_text(text, encoding="utf-8")
            return "The trend of main [skip ci]\n"

        try:
            done = push(self.git, Branch(name=self.branch, path=self.path, endings=(PAGE,)), change, self.pause)
        except (PublishError, BrokenError) as error:
            say(f"the trend is not published on {self.branch}: {error.why or error.what}")
            return
        say(f"trend published: {self.branch}/{self.path}/{PAGE}@{done.commit[:12]}")


def pages_url(server_url: str, repository: str, path: str) -> str:
    """Where GitHub serves the page; empty where that cannot be known from the names."""
    owner, _, name = repository.partition("/")
    if server_url.rstrip("/") != _PUBLIC or not name:
        return ""
    site = f"{owner.lower()}.github.io"
    below = "" if name.lower() == site else f"{quote(name)}/"
    return f"https://{site}/{below}{quote(path)}/"
