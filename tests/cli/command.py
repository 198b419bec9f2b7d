"""Run velro-gate as its users do: as a process, with a tiny scenario."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli import preloaded

ROOT = Path(__file__).resolve().parents[2]

TINY = """\
name: tiny
target: {{url: "${{env.VELRO_API_URL}}"}}
auth: none
steps:
  - name: look
    path: /look
    timeout: 2 s
    checks: [{{json: $.allowed, equals: true}}]
requirements:
  error_rate: {{target: "< 1 %", critical: 5 %}}
profiles:
  pr:
    - name: short
      users: {users}
      ramp: 0.5 s
      duration: {duration}
      rate: {rate}
      requirements: {requirements}
"""


def tiny_scenario(
    folder: Path,
    *,
    users: int = 60,
    duration: str = "2 s",
    rate: str = "50/s",
    requirements: str = '{p95: "< 500 ms"}',
    name: str = "tiny.yaml",
) -> Path:
    """A scenario of one step and one short phase."""
    path = folder / name
    path.write_text(TINY.format(users=users, duration=duration, rate=rate, requirements=requirements), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        """The results folder that the command names in its output."""
        line = next(line for line in (self.out + self.err).splitlines() if "velro-results" in line)
        start = line.index(next(word for word in line.split() if "velro-results" in word).split("/")[0])
        return Path(line[start:].split("/{")[0].split("  (")[0].strip())


def command(*arguments: object) -> list[str]:
    """The command line of one call."""
    return [sys.executable, "-m", "velro_gate", *map(str, arguments)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of one call: the package on the path, nothing of the developer's own settings."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **(extra or {})}


def velro_gate(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    limit: Callable[[], None] | None = None,
    started: bool = False,
) -> Ended:
    """Run to the end; ``limit`` is called in the child before it starts, to take a resource away.

    The process is forked from one that has imported everything, unless how a process starts matters: ``started``.
    """
    variables = environment(env)
    if limit is None and not started and not variables.keys() & _OF_A_STARTED_PROCESS:
        code, out, err = preloaded.run([str(each) for each in arguments], cwd=cwd, env=variables, timeout=120)
    else:
        done = subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=limit,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    assert "Traceback" not in err, err
    return Ended(code=code, out=out, err=err)


_OF_A_STARTED_PROCESS = {"PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL"}
