"""git as a plain tool: a private bare repository, objects and references, never a work tree.

Rules. The user's checkout, index and configuration are not touched. The token reaches git by its environment
(GIT_CONFIG_COUNT) and so stands in no argument, address or file. Nothing asks a person, nothing runs a hook.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS = 120.0
"""Seconds after which one command counts as hung."""

# Variables about proxies, authorities and git itself may stay; those about other repositories, or tracing, may not.
_KEPT = ("GIT_SSL", "GIT_CONFIG", "GIT_EXEC_PATH", "GIT_PROXY", "GIT_HTTP")
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "credential.helper": "",
    # A server that sends nothing for a minute is taken for gone.
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "init.defaultBranch": "main",
    "protocol.version": "2",
}
_AUTHOR = {"NAME": "velro-gate", "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com"}


class GitError(Exception):
    """A command that failed. said: what git and the server wrote, the token masked; it may be of many lines."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"git {command} failed")
        self.command = command
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """A private repository in ``folder`` (made when it is not there) that talks to one remote."""

    folder: Path
    url: str
    token: str = ""
    environ: Mapping[str, str]

    def prepare(self) -> None:
        """Make the repository.

        Raises:
            GitError: git is missing, or the folder cannot be written.
        """
        self.run("init", "--quiet", "--bare", str(self.folder), inside=False)

    def run(self, *words: str, given: bytes = b"", index: Path | None = None, inside: bool = True) -> bytes:
        """What a command prints. given: its standard input. index: a private one.

        Raises:
            GitError: it failed, hung, or there is no git.
        """
        place = ("--git-dir", str(self.folder)) if inside else ()
        try:
            done = subprocess.run(
                ["git", *place, *words],
                input=given,
                env=self._environment(index),
                capture_output=True,
                check=False,
                timeout=SECONDS,
            )
        except FileNotFoundError as error:
            raise GitError(words[0], "there is no git on the PATH") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitError(words[0], self._masked(str(error))) from error
        if done.returncode:
            said = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
            raise GitError(words[0], self._masked(said.strip()))
        return done.stdout

    def text(self, *words: str, given: bytes = b"", index: Path | None = None) -> str:
        """The same as one stripped line of text."""
        return self.run(*words, given=given, index=index).decode("utf-8", "replace").strip()

    def _environment(self, index: Path | None) -> dict[str, str]:
        kept = {name: value for name, value in self.environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
        settings = dict(_SETTINGS)
        if self.token:
            packed = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
            settings[f"http.{self.url}.extraHeader"] = f"Authorization: Basic {packed}"
        # What a user has configured this way comes first, so that ours wins.
        before = int(count) if (count := kept.get("GIT_CONFIG_COUNT", "")).isdigit() else 0
        for number, (key, value) in enumerate(settings.items(), before):
            kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        kept |= {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _AUTHOR.items()}
        kept |= {"GIT_CONFIG_COUNT": str(before + len(settings)), "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "LC_ALL": "C"}
        return kept | ({"GIT_INDEX_FILE": str(index)} if index else {})

    def _masked(self, text: str) -> str:
        if not self.token:
            return text
        packed = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        return text.replace(self.token, "***").replace(packed, "***")
